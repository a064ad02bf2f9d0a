"""The face's line drawing: where lines lie, and in which colours."""

import pytest
import torch

from mofa.faces.sketch import draw_sketch, overlay_landmarks

JAW_GREEN, NOSE_BLUE = (10, 200, 10), (10, 200, 250)


def two_lines() -> torch.Tensor:
    """A jaw that is a horizontal line at half height and a nose that is a vertical one; the rest far away."""
    points = torch.full((1, 68, 2), -1000.0)
    points[0, :17] = torch.stack([torch.linspace(20, 140, 17), torch.full((17,), 60.0)], 1)
    points[0, 27:31] = torch.stack([torch.full((4,), 40.0), torch.linspace(10, 40, 4)], 1)
    return points


def test_lines_lie_where_the_points_are_in_the_colours_of_their_features():
    sketch = draw_sketch(two_lines(), 120, 160)[0]
    assert (sketch[:, 60, 80] * 255).tolist() == pytest.approx(JAW_GREEN, abs=1)
    assert (sketch[:, 25, 40] * 255).tolist() == pytest.approx(NOSE_BLUE, abs=1)
    lit = sketch.amax(0) > 0
    assert not lit[:55, 60:].any()
    assert not lit[64:].any()


def test_the_drawing_grows_with_the_picture():
    small, large = draw_sketch(two_lines(), 120, 160), draw_sketch(2 * two_lines(), 240, 320)
    halved = torch.nn.functional.interpolate(large, (120, 160), mode="area")
    assert (halved - small).abs().mean() < 0.01


def test_what_leaves_the_picture_is_cut_off():
    assert draw_sketch(torch.full((2, 68, 2), 1e9), 32, 48).amax() == 0


def test_the_overlay_changes_lines_only():
    frames = torch.full((1, 3, 120, 160), 100, dtype=torch.uint8)
    drawn = overlay_landmarks(frames, [two_lines()])
    assert drawn[0, :, 60, 80].tolist() == pytest.approx(JAW_GREEN, abs=25)
    assert (drawn[0, :, 70:] == 100).all()
    assert (overlay_landmarks(frames, []) == frames).all()
