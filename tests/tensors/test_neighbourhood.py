"""Squares around a pixel, cut at the border."""

import pytest
import torch
import torch.nn.functional as F

from mofa.tensors.neighbourhood import local_maximum, local_mean, rim_of, widened


def test_a_single_pixel_grows_to_a_square() -> None:
    mask = torch.zeros(7, 9, dtype=torch.bool)
    mask[1, 4] = True
    square = torch.zeros_like(mask)
    square[:4, 2:7] = True
    assert torch.equal(widened(mask, 2), square)


def test_maxima_and_means_do_not_look_beyond_the_border() -> None:
    values = -torch.rand(6, 8) - 1
    assert local_maximum(values, 2)[0, 0] == values[:3, :3].max()
    torch.testing.assert_close(local_mean(values, 2)[0, 0], values[:3, :3].mean())
    torch.testing.assert_close(local_mean(values.expand(3, -1, -1), 20)[1], values.mean().expand(6, 8))


def test_a_rim_lies_on_both_sides_of_an_outline() -> None:
    mask = torch.arange(10).expand(4, 10) >= 5
    assert torch.equal(rim_of(mask, 2)[0].nonzero()[:, 0], torch.tensor([3, 4, 5, 6]))


@pytest.mark.parametrize("radius", [0, 1, 2, 5, 8])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 3), (40, 31)])
def test_squares_put_together_from_strips_are_those_of_pooling(radius: int, height: int, width: int) -> None:
    values = torch.randn(height, width, generator=torch.Generator().manual_seed(radius))
    square = 2 * radius + 1
    assert torch.equal(local_maximum(values, radius), F.max_pool2d(values[None], square, 1, radius)[0])
    assert torch.equal(
        widened(values > 1, radius), F.max_pool2d((values > 1).float()[None], square, 1, radius)[0] > 0
    )
    mean = F.avg_pool2d(values[None, None], square, 1, radius, count_include_pad=False)[0, 0]
    torch.testing.assert_close(local_mean(values, radius), mean, rtol=1e-4, atol=1e-5)
