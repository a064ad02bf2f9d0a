"""Motion without tracks: at rest at its border and at its beginning, and seamless in time."""

import pytest
import torch

from mofa.control.sway import KINDS, Kind, Sway

FRAMES = 12


def disc() -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(60.0), torch.arange(80.0), indexing="ij")
    return ((x - 40) ** 2 + (y - 30) ** 2 < 24**2).float()[None]


def sway(kind: Kind, seed: int = 0) -> Sway:
    return Sway(disc(), kind, amount=3.0, direction=20.0, rounds=2, period_frames=FRAMES, seed=seed)


@pytest.mark.parametrize("kind", KINDS)
def test_it_ends_as_it_began_and_moves_in_between(kind: Kind) -> None:
    flow = sway(kind).over(range(FRAMES)).pixels
    assert flow[-1].abs().max() < 1e-4
    assert 0.3 < flow.norm(dim=1).max() <= 3.0 * 1.6


@pytest.mark.parametrize("kind", KINDS)
def test_outside_and_on_the_border_nothing_moves(kind: Kind) -> None:
    field = sway(kind).over([FRAMES // 4])
    inside = disc()[0] > 0
    assert field.pixels[0][:, ~inside].abs().max() == 0
    assert not field.valid[0, 0][~inside].any()
    rim = inside & ~(torch.nn.functional.max_pool2d(1 - disc()[None], 3, 1, 1)[0, 0] == 0)
    assert field.pixels[0][:, rim].norm(dim=0).max() < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_it_never_folds_the_picture(kind: Kind) -> None:
    flow = sway(kind).over(range(FRAMES - 1)).pixels
    assert flow[:, 0].diff(dim=2).min() > -0.9
    assert flow[:, 1].diff(dim=1).min() > -0.9


def test_the_seed_decides_and_nothing_else() -> None:
    steps = range(FRAMES)
    assert torch.equal(sway("wind").over(steps).pixels, sway("wind").over(steps).pixels)
    assert not torch.equal(sway("wind").over(steps).pixels, sway("wind", seed=1).over(steps).pixels)
    assert torch.equal(sway("water").over([4]).pixels[0], sway("water").over(steps).pixels[4])
