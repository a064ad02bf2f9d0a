"""Squares around a pixel, cut at the border."""

import torch

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
