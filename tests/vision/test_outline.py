"""Outlines follow the picture."""

import numpy as np
import torch

from mofa.vision.outline import guided_filter, soft_outline


def test_an_outline_moves_to_the_edge_in_the_picture() -> None:
    picture = torch.zeros(3, 24, 32)
    picture[:, :, 16:] = 1
    inside = torch.zeros(24, 32, dtype=torch.bool)
    inside[:, 14:] = True  # two pixels beside the edge
    mask = soft_outline(picture, inside, 4, 0.02)
    right = (picture[:1] > 0.5).float()
    assert (mask - right).square().mean() < 0.5 * (inside.float() - right).square().mean()
    assert ((mask > 0.5) != (right > 0.5)).sum() < (inside != (right > 0.5)).sum()
    torch.testing.assert_close(mask[:, :, 24:], torch.ones(1, 24, 8))


def test_on_a_flat_picture_the_outline_stays_and_softens() -> None:
    inside = torch.zeros(24, 32, dtype=torch.bool)
    inside[:, 16:] = True
    mask = soft_outline(torch.full((3, 24, 32), 0.5), inside, 4, 0.02)
    assert torch.equal(mask[0] > 0.5, inside)
    assert ((mask > 0) & (mask < 1)).any()


def test_the_guided_filter_is_what_its_definition_says() -> None:
    """Slow twin: a ridge regression in every window, their lines averaged over the windows of a pixel."""
    random = np.random.default_rng(0)
    radius, ridge, side = 2, 0.01, 9
    guide = random.random((3, side, side), dtype=np.float64)
    mask = (random.random((side, side)) > 0.5).astype(np.float64)
    pad = 2 * radius
    wide = [np.pad(plane, pad, mode="symmetric").astype(np.float64) for plane in (*guide, mask)]
    lines = {}
    for y in range(radius, side + pad + radius):
        for x in range(radius, side + pad + radius):
            window = [p[y - radius : y + radius + 1, x - radius : x + radius + 1].ravel() for p in wide]
            colours = np.stack([c - c.mean() for c in window[:3]])
            slope = np.linalg.solve(
                colours @ colours.T / colours.shape[1] + ridge * np.eye(3),
                colours @ (window[3] - window[3].mean()) / colours.shape[1],
            )
            lines[y, x] = slope, window[3].mean() - slope @ [c.mean() for c in window[:3]]
    expected = np.empty((side, side))
    for y in range(side):
        for x in range(side):
            near = [
                lines[y + pad + j, x + pad + i]
                for j in range(-radius, radius + 1)
                for i in range(-radius, radius + 1)
            ]
            slope, offset = np.mean([s for s, _ in near], axis=0), np.mean([o for _, o in near])
            expected[y, x] = slope @ guide[:, y, x] + offset
    inner = slice(radius, -radius)  # beyond the border the averaged lines are those of mirrored windows
    found = guided_filter(list(guide), mask, radius, ridge)
    np.testing.assert_allclose(found[inner, inner], expected[inner, inner], atol=1e-4)
