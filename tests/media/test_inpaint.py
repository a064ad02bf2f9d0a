"""Holes are filled from around them and outlines follow the picture."""

import torch

from mofa.media.inpaint import inpaint, soft_outline


def test_outside_the_hole_the_picture_is_untouched() -> None:
    picture = torch.rand(3, 24, 32)
    hole = torch.zeros(24, 32, dtype=torch.bool)
    assert torch.equal(inpaint(picture, hole), picture)
    hole[8:16, 10:20] = True
    filled = inpaint(picture, hole)
    assert torch.equal(filled[:, ~hole], picture[:, ~hole])
    assert not torch.equal(filled[:, hole], picture[:, hole])


def test_a_hole_takes_the_colour_around_it_and_not_its_own() -> None:
    picture = torch.tensor([0.2, 0.6, 0.4]).view(3, 1, 1).repeat(1, 24, 32)
    hole = torch.zeros(24, 32, dtype=torch.bool)
    hole[8:16, 10:20] = True
    picture[:, hole] = torch.tensor([1.0, 0.0, 0.0])[:, None]
    filled = inpaint(picture, hole)
    torch.testing.assert_close(filled, filled[:, :1, :1].expand_as(filled), atol=0.01, rtol=0)


def test_a_soft_outline_moves_to_the_edge_in_the_picture() -> None:
    picture = torch.zeros(3, 24, 32)
    picture[:, :, 16:] = 1
    inside = torch.zeros(24, 32, dtype=torch.bool)
    inside[:, 14:] = True  # two pixels beside the edge
    mask = soft_outline(picture, inside, 4, 0.02)
    hard = inside.float()
    right = (picture[:1] > 0.5).float()
    assert (mask - right).abs().mean() < (hard - right).abs().mean()
    torch.testing.assert_close(mask[:, :, 24:], torch.ones(1, 24, 8))
