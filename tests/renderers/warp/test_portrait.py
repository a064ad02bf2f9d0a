"""Expressions on a photo: lids close over the eye, the mouth opens on darkness, the rest keeps its values."""

import pytest
import torch

from mofa.faces.blendshapes import displacement
from mofa.renderers.warp.portrait import LIPS, RIGHT_LIDS, coverage, with_expression
from mofa.tensors.geometry import pixel_grid

SKIN, LIP, WHITE = (0.8, 0.6, 0.5), (0.7, 0.3, 0.3), (0.95, 0.95, 0.95)


@pytest.fixture
def shut(face_points) -> torch.Tensor:
    """The face with its mouth closed."""
    closed = face_points.clone()
    closed[[65, 66, 67]] = closed[[63, 62, 61]]
    return closed


@pytest.fixture
def portrait(shut) -> torch.Tensor:
    """Skin with white eyes and red lips."""
    picture = torch.tensor(SKIN)[:, None, None].expand(3, 200, 200).clone()
    grid = pixel_grid(200, 200, picture)
    for edges, colour in (
        (((48, 49, 50, 51, 52, 53, 54), (48, 59, 58, 57, 56, 55, 54)), LIP),
        (RIGHT_LIDS, WHITE),
    ):
        picture = torch.lerp(picture, torch.tensor(colour)[:, None, None], coverage(grid, shut, edges))
    return picture


def colour(picture: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    return picture[:, int(place[1].round()), int(place[0].round())]


def test_at_rest_the_photo_is_returned_bit_for_bit(portrait, shut):
    assert with_expression(portrait, shut, shut + 0.01) is portrait


def test_an_open_mouth_is_dark_inside_and_red_around(portrait, shut):
    opened = shut + 0.6 * displacement("jawOpen", shut)
    drawn = with_expression(portrait, shut, opened)
    inside = colour(drawn, opened[[62, 66]].lerp(opened[[66, 62]], 0.3)[1])
    assert inside.max() < 0.3
    assert colour(drawn, (opened[57] + opened[66]) / 2).tolist() == pytest.approx(list(LIP), abs=0.1)
    assert torch.allclose(drawn[:, :40], portrait[:, :40], atol=1e-5)  # the forehead


def test_a_mouth_that_stands_open_in_the_photo_keeps_its_own_inside(portrait, face_points):
    wide = face_points + 0.5 * displacement("jawOpen", face_points)
    grid = pixel_grid(200, 200, portrait)
    photo = torch.lerp(portrait, torch.tensor([0.2, 0.9, 0.2])[:, None, None], coverage(grid, wide, LIPS))
    wider = wide + 0.1 * displacement("jawOpen", face_points)
    drawn = with_expression(photo, wide, wider)
    middle = (wide[62] + wide[66]) / 2
    assert torch.allclose(colour(drawn, middle), torch.tensor([0.2, 0.9, 0.2]), atol=0.02)


def test_a_closed_eye_shows_no_white(portrait, shut):
    blink = shut + displacement("eyeBlinkLeft", shut)
    drawn = with_expression(portrait, shut, blink)
    eye = (slice(70, 86), slice(118, 139))
    assert portrait[2][eye].max() > 0.9
    assert drawn[2][eye].max() < 0.8


def test_a_half_closed_eye_keeps_the_eyeball_in_place(portrait, shut):
    looked = portrait.clone()
    looked[:, 79:82, 127:130] = 0  # the pupil
    blink = shut + 0.5 * displacement("eyeBlinkLeft", shut)
    drawn = with_expression(looked, shut, blink)
    assert drawn[:, 80, 128].max() < 0.05


def test_a_face_over_the_border_is_drawn_as_far_as_it_is_seen(portrait, shut):
    cut, moved = portrait[:, :, 90:], shut - torch.tensor([90.0, 0.0])
    drawn = with_expression(cut, moved, moved + displacement("jawOpen", shut))
    assert drawn.shape == cut.shape
    assert drawn.isfinite().all()


def test_an_opening_covers_what_lies_between_its_edges(shut):
    opened = shut + displacement("jawOpen", shut)
    covered = coverage(pixel_grid(200, 200, shut), opened, LIPS)[0]
    assert covered[int((opened[62, 1] + opened[66, 1]) / 2), 100] == 1
    assert covered[20, 100] == 0
    assert covered.sum().item() == pytest.approx(0.7 * 36 * float(opened[66, 1] - opened[62, 1]), rel=0.25)
