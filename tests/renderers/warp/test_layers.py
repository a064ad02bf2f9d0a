"""Taking the photo apart: whole things in front, their holes behind them, nothing else touched."""

import pytest
import torch
from torch import Tensor

from mofa.renderers.warp.layers import (
    Extent,
    Layer,
    LayerSettings,
    fast_side,
    length,
    neighbour_jump,
    take_apart,
)

HEIGHT, WIDTH = 80, 120
SETTINGS = LayerSettings()
ANYWHERE = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
ROWS, COLUMNS = torch.meshgrid(torch.arange(HEIGHT) - 40.0, torch.arange(WIDTH) - 50.0, indexing="ij")
DISC = torch.hypot(ROWS, COLUMNS) < 20
TWO_TONE = torch.where(DISC, 0.9, 0.2).expand(3, HEIGHT, WIDTH)


def shifted(speed: Tensor, x: float) -> Tensor:
    return torch.stack([speed * x, torch.zeros_like(speed)])


def apart(displacement: Tensor, movable: Tensor = ANYWHERE) -> tuple[Layer, Layer | None]:
    """The two tones as a clip of one motion takes them apart."""
    extent = Extent(length(displacement)[0], neighbour_jump(displacement), movable)
    return take_apart(TWO_TONE, extent, lambda: [displacement], SETTINGS)


def test_what_only_stretches_has_no_front() -> None:
    bump = torch.exp(-(ROWS.square() + COLUMNS.square()) / (2 * 25**2))
    back, front = apart(shifted(bump, 20))
    assert front is None
    assert torch.equal(back.pixels, TWO_TONE)
    assert torch.equal(back.follow(shifted(bump, 20)), shifted(bump, 20))


def test_the_hub_of_a_wheel_belongs_to_the_wheel() -> None:
    turned = DISC * torch.stack([-ROWS, COLUMNS]) * 0.5
    _, front = apart(turned)
    assert front is not None
    assert torch.equal(front.member, DISC)
    assert torch.equal(front.matte[0] > 0.5, DISC)


@pytest.mark.slow
def test_a_blurred_step_moves_whole_pixels_of_one_side_or_the_other() -> None:
    ramp = ((22 - torch.hypot(ROWS, COLUMNS)) / 4).clamp(0, 1)  # 1 within 18 px, 0 beyond 22
    back, front = apart(shifted(ramp, 30))
    assert front is not None
    assert (front.follow(shifted(ramp, 30))[0] > 29).all()
    assert (back.follow(shifted(ramp, 30))[0] < 1).all()


def test_only_what_opens_is_filled() -> None:
    back, _ = apart(shifted(DISC.float(), 12))
    changed = (back.pixels != TWO_TONE).any(0)
    assert changed[40, 32:40].all(), "the left side is left open"
    assert not changed[:, 60:].any(), "the right side stays covered"
    assert (back.pixels[:, changed] < 0.25).all()


@pytest.mark.slow
def test_nothing_is_filled_outside_the_painted_region() -> None:
    back, front = apart(shifted(DISC.float(), 40), DISC)
    assert front is not None
    assert torch.equal(back.pixels[:, ~DISC], TWO_TONE[:, ~DISC])
    assert not front.matte[0][~DISC].any()


def test_a_thing_that_hangs_on_slow_ground_is_divided_by_speed() -> None:
    fast = DISC & (COLUMNS < 0)
    torn = torch.zeros_like(DISC)
    assert torch.equal(fast_side(fast, torn, torn), fast)
