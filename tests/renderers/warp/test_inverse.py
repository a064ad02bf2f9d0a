"""A motion undone: bends exactly, tears and folds by what lies in front."""

import torch
from torch import Tensor

from mofa.renderers.warp.inverse import inverse_displacement, newton, only_bends
from mofa.tensors.flow import bilinear_sample
from mofa.tensors.geometry import pixel_grid

GRID = pixel_grid(60, 90, torch.zeros(1))
BUMP = torch.exp(-((GRID[0] - 45).square() + (GRID[1] - 30).square()) / (2 * 9**2))
EVERYWHERE = torch.ones(60, 90, dtype=torch.bool)


def miss(flow: Tensor, inverse: Tensor) -> Tensor:
    """By how many pixels what came from x does not arrive where it was found."""
    return (bilinear_sample(flow[None], (GRID - inverse)[None])[0] - inverse).abs().amax(0)


def test_a_bend_is_undone_though_it_presses_pixels_to_a_third() -> None:
    bend = torch.stack([10 * BUMP, -3 * BUMP])
    assert only_bends(bend)
    assert miss(bend, inverse_displacement(bend, EVERYWHERE)).max() < 0.05


def test_a_fold_and_a_tear_are_no_bends() -> None:
    assert not only_bends(torch.stack([30 * BUMP, 0 * BUMP]))
    assert not only_bends(torch.stack([4.0 * (BUMP > 0.5), 0 * BUMP]))


def test_where_two_pixels_land_the_faster_one_is_seen() -> None:
    disc = BUMP > 0.5
    inverse = inverse_displacement(torch.stack([12.0 * disc, 0 * BUMP]), disc)
    landed = disc.roll(12, dims=1)
    assert (inverse[0][landed] - 12).abs().max() < 0.05


def test_newton_says_how_far_it_misses() -> None:
    bend = torch.stack([6 * BUMP, 0 * BUMP])
    inverse, missed = newton(bend, torch.zeros_like(bend))
    assert abs(missed - float(miss(bend, inverse).max())) < 0.02


def test_what_is_far_from_any_motion_came_from_where_it_is() -> None:
    near = torch.where(BUMP > 0.1, BUMP, 0.0)
    inverse = inverse_displacement(torch.stack([5 * near, 0 * near]), EVERYWHERE)
    assert not inverse[:, :, 85:].any()
    assert not inverse[:, :5].any()
