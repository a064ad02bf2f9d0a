"""CMP behind the densifier's call: bins, regions, steps without hints."""

from dataclasses import replace

import pytest
import torch

from mofa.models.sparse_to_dense import ConditionalMotionPropagation, SparseToDense, expected_displacement
from mofa.models.tiny import TINY_SPARSE_TO_DENSE
from mofa.types import SparseMotion

HEIGHT, WIDTH = 48, 96


@pytest.fixture(scope="module")
def densify() -> SparseToDense:
    torch.manual_seed(0)
    return SparseToDense(ConditionalMotionPropagation(TINY_SPARSE_TO_DENSE).eval())


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    return torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))


def hints(*positions: tuple[float, float], known: bool = True, steps: int = 5) -> SparseMotion:
    share = torch.arange(1, steps + 1)[:, None, None] / steps
    displacement = share * torch.tensor([8.0, -4.0]).expand(len(positions), 2)
    told = torch.full((steps, len(positions)), known)
    return SparseMotion(torch.tensor(positions), displacement, told, HEIGHT, WIDTH)


@pytest.mark.parametrize(("bins", "reach"), [(99, 50.0), (4, 2.0)])
def test_a_certain_bin_is_the_displacement_at_its_middle(bins: int, reach: float) -> None:
    scores = torch.full((1, 2 * bins, 1, 1), -1e4)
    scores[0, 0], scores[0, -1] = 1e4, 1e4
    x, y = expected_displacement(scores, reach).flatten().tolist()
    assert x == pytest.approx(-reach + reach / bins, abs=1e-4)
    assert y == pytest.approx(reach - reach / bins, abs=1e-4)


def test_indifferent_bins_are_no_motion() -> None:
    assert expected_displacement(torch.zeros(1, 198, 2, 2), 50.0).abs().max() < 1e-4


def test_steps_are_told_apart_however_many_are_done_at_once(densify, picture) -> None:
    told = hints((20.0, 20.0), (70.0, 30.0))
    together = densify(picture, told).at_every_step()
    assert together.pixels.shape == (5, 2, HEIGHT, WIDTH)
    one_by_one = SparseToDense(densify.network, steps_at_once=1)(picture, told).at_every_step()
    assert torch.allclose(together.pixels, one_by_one.pixels, atol=1e-4)


def test_any_steps_come_out_as_they_do_among_all(densify, picture) -> None:
    motion = densify(picture, hints((20.0, 20.0), (70.0, 30.0)))
    whole, some = motion.at_every_step(), motion.over([3, 1])
    assert torch.equal(some.pixels, whole.pixels[[3, 1]])
    assert torch.equal(some.valid, whole.valid[[3, 1]])


def test_what_is_kept_of_a_step_does_not_grow_with_the_picture(densify, picture) -> None:
    wide = torch.nn.functional.interpolate(picture[None], scale_factor=3.0)[0]
    told = hints((20.0, 20.0))
    larger = replace(told, height=3 * HEIGHT, width=3 * WIDTH)
    assert densify(wide, larger).coarse.shape == densify(picture, told).coarse.shape


def test_hints_outside_a_region_are_not_heard(densify, picture) -> None:
    region = torch.zeros(1, HEIGHT, WIDTH)
    region[..., : WIDTH // 2] = 1
    both = densify(picture, hints((20.0, 20.0), (80.0, 30.0)), region).at_every_step()
    inner = densify(picture, hints((20.0, 20.0)), region).at_every_step()
    assert torch.equal(both.pixels, inner.pixels)
    assert not both.valid[..., WIDTH // 2 :].any()
    assert not both.pixels[..., WIDTH // 2 :].any()


def test_a_step_without_hints_is_not_valid(densify, picture) -> None:
    flow = densify(picture, hints((20.0, 20.0), known=False)).at_every_step()
    assert not flow.valid.any()
    assert not flow.pixels.any()


def test_the_released_way_differs_by_what_is_lost_on_the_grid(densify, picture) -> None:
    side = densify.network.config.side
    square = torch.nn.functional.interpolate(picture[None], (side, side))[0]
    whole = SparseMotion(
        torch.tensor([[8.0, 12.0]]),
        torch.full((1, 1, 2), 3.0),
        torch.ones(1, 1, dtype=torch.bool),
        side,
        side,
    )
    released = replace(densify, hints="cut", picture="nearest")
    # Whole pixels of a picture that has the grid's size: nothing is lost, either way is the same.
    assert torch.equal(released(square, whole).coarse, densify(square, whole).coarse)
    placed = hints((20.7, 20.7), (70.0, 30.0))
    usual = densify(picture, placed).coarse
    for other in (replace(densify, hints="cut"), replace(densify, picture="nearest")):
        assert not torch.equal(other(picture, placed).coarse, usual)
