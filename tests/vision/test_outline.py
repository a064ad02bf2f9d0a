"""Outlines follow the picture."""

import torch

from mofa.vision.outline import soft_outline


def test_an_outline_moves_to_the_edge_in_the_picture() -> None:
    picture = torch.zeros(3, 24, 32)
    picture[:, :, 16:] = 1
    inside = torch.zeros(24, 32, dtype=torch.bool)
    inside[:, 14:] = True  # two pixels beside the edge
    mask = soft_outline(picture, inside, 4, 0.02)
    right = (picture[:1] > 0.5).float()
    assert (mask - right).abs().mean() < (inside.float() - right).abs().mean()
    torch.testing.assert_close(mask[:, :, 24:], torch.ones(1, 24, 8))


def test_on_a_flat_picture_the_outline_stays_and_softens() -> None:
    inside = torch.zeros(24, 32, dtype=torch.bool)
    inside[:, 16:] = True
    mask = soft_outline(torch.full((3, 24, 32), 0.5), inside, 4, 0.02)
    assert torch.equal(mask[0] > 0.5, inside)
    assert ((mask > 0) & (mask < 1)).any()
