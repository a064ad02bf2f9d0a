"""Average splatting: mass is conserved, integer shifts are exact, and a naive loop agrees."""

import math

import pytest
import torch
from torch import Tensor

from mofa.tensors.splat import EPSILON, splat


def naive_splat(values: Tensor, flow: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The definition, one contribution at a time."""
    batch, channels, height, width = values.shape
    total = torch.zeros(batch, channels, height, width, dtype=values.dtype)
    mass = torch.zeros(batch, 1, height, width, dtype=values.dtype)
    for b in range(batch):
        for row in range(height):
            for column in range(width):
                x = column + float(flow[b, 0, row, column])
                y = row + float(flow[b, 1, row, column])
                if not (math.isfinite(x) and math.isfinite(y)):
                    continue
                for to_row in range(height):
                    for to_column in range(width):
                        share = max(0.0, 1 - abs(x - to_column)) * max(0.0, 1 - abs(y - to_row))
                        share *= float(weight[b, 0, row, column])
                        total[b, :, to_row, to_column] += share * values[b, :, row, column]
                        mass[b, 0, to_row, to_column] += share
    return total / (mass + EPSILON), mass


def random_scene(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    values = torch.randn(2, 3, 5, 6, generator=generator, dtype=dtype)
    flow = 2 * torch.randn(2, 2, 5, 6, generator=generator, dtype=dtype)
    weight = torch.rand(2, 1, 5, 6, generator=generator, dtype=dtype) + 0.1
    return values, flow, weight


def test_agrees_with_the_naive_loop() -> None:
    values, flow, weight = random_scene()
    for given in (None, weight):
        average, mass = splat(values, flow, given)
        naive_average, naive_mass = naive_splat(
            values, flow, torch.ones_like(weight) if given is None else given
        )
        torch.testing.assert_close(average, naive_average)
        torch.testing.assert_close(mass, naive_mass)


@pytest.mark.slow
def test_gradients_are_those_of_the_naive_loop_where_it_has_them() -> None:
    values, flow, weight = (part.requires_grad_() for part in random_scene())
    assert torch.autograd.gradcheck(lambda *parts: splat(*parts), (values, flow, weight), atol=1e-6)


def test_an_integer_shift_is_exact() -> None:
    values = torch.rand(1, 4, 9, 11)
    flow = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 9, 11)
    average, mass = splat(values, flow)
    assert torch.equal(average[..., :-2, 3:], values[..., 2:, :-3] / (1 + EPSILON))
    assert torch.equal(average[..., -2:, :], torch.zeros(1, 4, 2, 11)), "nobody reaches the bottom rows"
    assert torch.equal(mass[..., :-2, 3:], torch.ones(1, 1, 7, 8))


def test_every_pixel_that_stays_inside_brings_its_whole_weight() -> None:
    _, flow, weight = random_scene()
    flow = flow.clamp(-0.9, 0.9)
    flow[..., 0, :], flow[..., -1, :], flow[..., 0], flow[..., -1] = 0, 0, 0, 0
    _, mass = splat(weight, flow, weight)
    torch.testing.assert_close(mass.sum((1, 2, 3)), weight.sum((1, 2, 3)))


def test_what_has_no_place_in_the_picture_is_dropped() -> None:
    values = torch.ones(1, 1, 4, 4)
    flow = torch.zeros(1, 2, 4, 4)
    flow[0, 0, 0, 0] = math.nan
    flow[0, 1, 1, 1] = math.inf
    flow[0, 0, 2, 2] = -math.inf
    flow[0, 0, 3, 3] = 1e30
    average, mass = splat(values, flow)
    assert torch.equal(mass[0, 0], 1 - torch.eye(4))
    assert torch.isfinite(average).all()


def test_a_heavy_pixel_covers_a_light_one() -> None:
    values = torch.tensor([[[[1.0, 2.0, 3.0]]]])
    flow = torch.tensor([[[[0.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]]]])
    importance = torch.tensor([[[[0.0, 12.0, 0.0]]]])
    average, _ = splat(values, flow, importance.exp())
    torch.testing.assert_close(average[0, 0, 0], torch.tensor([1.0, 0.0, 2.0]), atol=1e-4, rtol=0)
