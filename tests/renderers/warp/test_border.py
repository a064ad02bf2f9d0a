"""What the photo's border cuts stays joined to it, and what was told where to go goes there."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mofa.renderers.warp import render
from mofa.renderers.warp.render import WarpSettings
from mofa.types import CropBox, FlowField, MotionBranch, MotionPlan, SourceImage, TrackSet

HEIGHT, WIDTH = 80, 120
GREEN, RED, WHITE = (0.1, 0.7, 0.1), (0.8, 0.1, 0.1), (1.0, 1.0, 1.0)
ROWS, COLUMNS = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")


def photo(thing: Tensor, dot: tuple[int, int]) -> SourceImage:
    """A red thing with a white dot of 5 x 5 pixels on green ground."""
    spot = (ROWS - dot[1]).abs().maximum((COLUMNS - dot[0]).abs()) <= 2
    pixels = torch.tensor(GREEN)[:, None, None].where(~thing, torch.tensor(RED)[:, None, None])
    pixels = pixels.where(~spot, torch.tensor(WHITE)[:, None, None])
    return SourceImage(pixels, CropBox(0.0, 0.0, float(WIDTH), float(HEIGHT), WIDTH, HEIGHT))


def plan(thing: Tensor, x: float, y: float, start: tuple[float, float] | None = None) -> MotionPlan:
    """The thing moves by (x, y) in one step; its track starts at `start`."""
    displacement = thing * torch.tensor([x, y])[:, None, None]
    flow = FlowField(displacement[None], torch.ones(1, 1, HEIGHT, WIDTH, dtype=torch.bool))
    branch = MotionBranch("trajectory", flow, torch.ones(1, HEIGHT, WIDTH))
    still = MotionPlan((branch,), torch.eye(2, 3)[None], 2)
    if start is None:
        return still
    begin = torch.tensor(start)
    points = torch.stack([begin, begin + torch.tensor([x, y])])[None]
    return replace(still, tracks=(TrackSet(points, torch.ones(1, 2, dtype=torch.bool)),))


def last(source: SourceImage, motion: MotionPlan) -> Tensor:
    return list(render.render_warp(source, motion, WarpSettings()))[-1].float() / 255


def is_like(colour: tuple[float, float, float], found: Tensor) -> Tensor:
    return (found - torch.tensor(colour).view(3, *[1] * (found.ndim - 1))).abs().amax(0) < 0.1


def test_what_moves_away_from_a_border_that_cuts_it_leaves_no_gap_there() -> None:
    bar = (ROWS > 24) & (ROWS < 56) & (COLUMNS < 60)
    for thing, x in ((bar, 20.0), (bar.flip(1), -20.0)):
        frame = last(photo(thing, (-9, -9)), plan(thing, x, 0.0))
        middle = frame[:, 40].flip(1) if x < 0 else frame[:, 40]
        assert is_like(RED, middle[:, :78]).all()
        assert is_like(GREEN, middle[:, 82:]).all()


def test_the_drawn_point_of_a_cut_thing_goes_the_whole_way() -> None:
    thing = (ROWS > 24) & (ROWS < 56) & (COLUMNS < 60)
    frame = last(photo(thing, (15, 40)), plan(thing, 30.0, 0.0, (15.0, 40.0)))
    assert is_like(WHITE, frame[:, 40, 45])
    assert is_like(RED, frame[:, 40, :35]).all()


@pytest.mark.slow
def test_along_the_border_and_out_of_it_a_cut_thing_moves_as_a_whole() -> None:
    thing = (ROWS > 24) & (ROWS < 56) & (COLUMNS < 60)
    along = last(photo(thing, (2, 40)), plan(thing, 0.0, 15.0))
    assert is_like(WHITE, along[:, 55, 2])
    out = last(photo(thing, (30, 40)), plan(thing, -20.0, 0.0))
    assert is_like(WHITE, out[:, 40, 10])
    assert is_like(GREEN, out[:, 40, 44:]).all()


def test_a_thing_that_no_border_cuts_stays_as_it_is() -> None:
    thing = (ROWS > 24) & (ROWS < 56) & (COLUMNS > 8) & (COLUMNS < 60)
    frame = last(photo(thing, (12, 40)), plan(thing, 30.0, 0.0))
    assert is_like(WHITE, frame[:, 40, 42])
    assert is_like(GREEN, frame[:, 40, :36]).all()
