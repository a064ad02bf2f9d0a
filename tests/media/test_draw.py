import math

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from mofa.media.draw import contact_sheet, draw_overlay, flow_wheel


def towards(x: float, y: float) -> Float[Tensor, "2 1 1"]:
    return torch.tensor([x, y]).view(2, 1, 1)


def test_a_track_wears_the_colour_it_was_given():
    picture = torch.zeros(3, 60, 90, dtype=torch.uint8)
    track = torch.tensor([[20.0, 30.0], [70.0, 30.0]])
    drawn = draw_overlay(picture, [track, track + 10], [], ["#ff0000", None])
    red, green, blue = drawn[:, 30, 40].tolist()
    assert red > 200 > 50 > max(green, blue)
    assert torch.equal(drawn[:, 40, 55], draw_overlay(picture, [track, track + 10], [])[:, 40, 55])


def test_the_wheel_shows_direction_as_hue_and_length_as_saturation() -> None:
    assert flow_wheel(towards(0.0, 0.0)).flatten().tolist() == [255, 255, 255]
    right, down, left = (
        flow_wheel(towards(*to)).flatten().tolist() for to in ((3.0, 0.0), (0.0, 3.0), (-3.0, 0.0))
    )
    assert right[0] == 255
    assert max(right[1:]) < 20  # red
    assert min(down[:2]) > 200
    assert down[2] == 0  # yellow
    assert left[0] == 0
    assert min(left[1:]) > 180  # cyan
    half = flow_wheel(towards(1.5, 0.0), largest=3.0).flatten().tolist()
    assert half[0] == 255
    assert all(120 < level < 140 for level in half[1:])
    assert flow_wheel(towards(6.0, 0.0), largest=3.0)[0].item() == pytest.approx(0.75 * 255, abs=1)


def test_neighbouring_directions_have_neighbouring_colours() -> None:
    turn = torch.linspace(0, 2 * math.pi, 721)
    ring = flow_wheel(torch.stack((turn.cos(), turn.sin()))[:, None], largest=1.0)[:, 0].int()
    assert (ring[:, 1:] - ring[:, :-1]).abs().max() <= 16
    assert ring.unique(dim=1).shape[1] > 300


def test_the_unknown_is_grey() -> None:
    flow = torch.ones(2, 2, 3)
    flow[0, 0, 0], flow[1, 0, 1] = math.nan, math.inf
    valid = torch.ones(1, 2, 3, dtype=torch.bool)
    valid[0, 1, 2] = False
    grey = (flow_wheel(flow, valid=valid) == 128).all(dim=0)
    assert grey.tolist() == [[True, True, False], [False, False, True]]


def test_tracks_are_drawn_where_they_run() -> None:
    picture = torch.full((3, 120, 160), 90, dtype=torch.uint8)
    fraction = torch.linspace(0, 1, 9)[:, None]
    track = torch.tensor([20.0, 30.0]) + fraction * torch.tensor([100.0, 0.0])
    drawn = (draw_overlay(picture, [track], []).int() - draw_overlay(picture, [], []).int()).abs().sum(dim=0)
    assert (drawn[30, 20:120] > 60).all()
    assert drawn[50:].sum() == 0
    assert drawn[:, :10].sum() == 0
    # the arrow head is wider than the curve
    assert (drawn[:, 118] > 60).sum() > (drawn[:, 70] > 60).sum()


def test_anchors_differ_from_tracks_and_missing_points_are_left_out() -> None:
    picture = torch.zeros(3, 90, 90, dtype=torch.uint8)
    anchor = torch.tensor([[45.0, 45.0]]).repeat(5, 1)
    drawn = draw_overlay(picture, [anchor], []).amax(dim=0) > 100
    assert drawn[45, 45]
    assert torch.equal(drawn, drawn.flip(0).roll(1, 0) | drawn)  # a ring with a cross mirrors itself
    nowhere = torch.full((5, 2), math.nan)
    far = torch.tensor([[-1e9, 0.0], [1e9, 1e9]])
    assert torch.equal(draw_overlay(picture, [nowhere], []), picture)
    assert draw_overlay(picture, [far], []).shape == picture.shape


def test_regions_are_tinted_inside_and_outlined() -> None:
    picture = torch.full((3, 60, 80), 100, dtype=torch.uint8)
    region = torch.zeros(1, 60, 80)
    region[:, 20:40, 30:60] = 1
    drawn = draw_overlay(picture, [], [region]).int()
    ground, inside, outline = drawn[:, 5, 5], drawn[:, 30, 45], drawn[:, 20, 45]
    assert (drawn[:, :15] == ground[:, None, None]).all()
    assert (inside - ground).abs().sum() > 40
    assert (outline - ground).abs().sum() > (inside - ground).abs().sum()


def test_a_sheet_shows_first_and_last_in_reading_order() -> None:
    frames = torch.arange(25, dtype=torch.uint8).mul(10).view(25, 1, 1, 1).expand(25, 3, 90, 160)
    sheet = contact_sheet(frames)
    gap, columns, rows = 4, 4, 3
    assert sheet.shape == (3, gap + rows * 94, gap + columns * 164)
    middles = sheet[0, 49::94, 84::164].flatten().tolist()
    assert middles == sorted(middles)
    assert (middles[0], middles[-1], len(middles)) == (0, 240, 12)


@pytest.mark.parametrize(
    ("count", "height", "width"), [(1, 40, 60), (5, 700, 1000), (30, 300, 90), (2, 1, 1)]
)
def test_sheets_are_bounded(count: int, height: int, width: int) -> None:
    frames = torch.full((count, 3, height, width), 200, dtype=torch.uint8)
    sheet = contact_sheet(frames, max_width=600)
    assert sheet.shape[2] <= 600
    assert (sheet == 200).any()
