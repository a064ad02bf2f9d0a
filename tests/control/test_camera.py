"""It is the camera that moves: what is seen moves the other way."""

import contextlib
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mofa.control.camera import camera_matrices, compose, to_working_camera
from mofa.control.camera_words import CameraMove, format_camera, parse_camera
from mofa.errors import InputError
from mofa.tensors.flow import apply_affine
from mofa.tensors.geometry import fit_crop

WIDTH, HEIGHT = 101, 51
CENTRE = (50.0, 25.0)


def seen(text: str, x: float, y: float, fraction: float = 1.0) -> list[float]:
    """Where a still point is seen after the camera has done `fraction` of the move."""
    matrices = camera_matrices(parse_camera(text), torch.tensor([0.0, fraction]), WIDTH, HEIGHT)
    place = apply_affine(matrices, torch.tensor([[[x], [y]]]))
    return [round(value, 3) + 0.0 for value in place.flatten().tolist()]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("pan right 40 px", [10, 25]),
        ("pan left 40px", [90, 25]),
        ("pan up 5 px", [50, 30]),
        ("pan down 10%", [50, 19.9]),
        ("pan right 10%", [39.9, 25]),
        ("pan up left 10 px", [57.071, 32.071]),
        ("pan 90° 5 px", [50, 30]),
        ("pan 0 degrees 5 px", [45, 25]),
        ("zoom 2, rotate 90", [50, 25]),
        ("still", [50, 25]),
    ],
)
def test_the_centre_of_the_picture_moves_against_the_camera(text, place) -> None:
    assert seen(text, *CENTRE) == place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("zoom 2", [70, 25]),
        ("zoom in 50%", [65, 25]),
        ("zoom out 2", [55, 25]),
        ("zoom out 50%", [55, 25]),
        ("rotate 90", [60 - 10, 25 - 10]),
        ("rotate right 90", [50, 15]),
        ("rotate clockwise 90", [50, 15]),
        ("rotate left 90°", [50, 35]),
        ("turn counter-clockwise by 90 degrees", [50, 35]),
    ],
)
def test_a_point_right_of_the_centre(text, place) -> None:
    assert seen(text, 60.0, 25.0) == place


def test_amounts_follow_the_fraction_and_zoom_is_even() -> None:
    assert seen("pan right 40 px", *CENTRE, fraction=0.25) == [40, 25]
    assert seen("zoom 4", 60.0, 25.0, fraction=0.5) == [70, 25]
    assert seen("rotate left 90", 60.0, 25.0, fraction=1 / 3)[1] == 30


def test_the_pan_is_in_the_picture_s_axes_after_rotation() -> None:
    assert seen("pan right 10 px, rotate 90", *CENTRE) == [40, 25]


def test_steps_are_the_frames_after_the_first() -> None:
    matrices = camera_matrices(CameraMove(), torch.zeros(5), WIDTH, HEIGHT)
    torch.testing.assert_close(matrices, torch.eye(2, 3).expand(4, 2, 3))


def test_several_cameras_act_one_after_the_other() -> None:
    fraction = torch.tensor([0.0, 1.0])
    pan, zoom = (
        camera_matrices(parse_camera(t), fraction, WIDTH, HEIGHT) for t in ("pan left 10 px", "zoom 2")
    )
    place = apply_affine(compose([pan, zoom]), torch.tensor([[[50.0], [25.0]]]))
    assert place.flatten().tolist() == [70, 25]


def test_pixels_of_the_original_become_working_pixels() -> None:
    move = to_working_camera(
        parse_camera("pan right 40 px, pan down 10%"), fit_crop(200, 100, 100, 50, "crop")
    )
    assert move == CameraMove(pan_x=20.0, pan_y_percent=10.0)


def test_words_add_up() -> None:
    move = parse_camera("Pan right 40 px; pan by 10 px up and zoom in 1.5 zoom 2 + rotate 5, rotate left 2")
    assert move == CameraMove(pan_x=40.0, pan_y=-10.0, zoom=3.0, rotate=3.0)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "names no move"),
        ("spin 5", 'did you mean "'),
        ("pna right 5", '"pan"'),
        ("pan rihgt 5", '"right"'),
        ("pan right", "no amount"),
        ("pan 40 px", "direction"),
        ("pan left right 40 px", "direction"),
        ("pan right 40 50 px", "several"),
        ("zoom 10%", "in or out"),
        ("zoom in out 2", "either"),
        ("zoom in 0.5", "contradictory"),
        ("zoom 0", "0.01"),
        ("zoom -1", "0.01"),
        ("zoom 1.1 px", "px"),
        ("rotate 5 px", "px"),
        ("rotate 1e9", "too large"),
        ("pan right 40 px!", '"!"'),
    ],
)
def test_what_is_wrong_is_said(text, word) -> None:
    with pytest.raises(InputError, match=word):
        parse_camera(text)


PANS = st.floats(-1e4, 1e4)
MOVES = st.builds(CameraMove, PANS, PANS, PANS, PANS, st.floats(0.01, 100), st.floats(-720, 720))


@given(MOVES)
def test_words_say_the_move_exactly(move) -> None:
    assert parse_camera(format_camera(move)) == move


WORDS = ["pan", "zoom", "rotate", "left", "up", "in", "out", "5", "1.5", "px", "%", "°", "still", "nan"]


@pytest.mark.slow
@given(st.text() | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_any_text_is_a_move_or_a_sentence(text) -> None:
    with contextlib.suppress(InputError):
        assert math.isfinite(parse_camera(text).zoom)
