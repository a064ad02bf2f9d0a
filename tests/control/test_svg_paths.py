"""Drawn paths are sampled where they are drawn."""

import contextlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mofa.control.svg_paths import SAMPLES, path_polylines, read_svg
from mofa.errors import InputError


def drawn(body: str, attributes: str = "") -> list[np.ndarray]:
    return list(read_svg(f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>{body}</svg>'.encode())[0])


def path(data: str) -> np.ndarray:
    (points,) = drawn(f'<path d="{data}"/>')
    return points


def test_a_line_is_sampled_at_equal_distances() -> None:
    np.testing.assert_allclose(path("M 10 20 L 74 20"), np.stack([np.arange(10, 75), np.full(65, 20)], 1))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("M0 0 10 0 10 10", "M0,0L10,0L10,10"),
        ("m1 2 l3 4 h5 v-6 z", "M1 2 L4 6 H9 V0 Z"),
        ("M0 0c1 2 3 4 5 0s3-4 5 0", "M0 0 C1 2 3 4 5 0 C7 -4 8 -4 10 0"),
        ("M0 0q5 9 10 0t10 0", "M0 0 Q5 9 10 0 Q15 -9 20 0"),
        ("M0 0 L5 5 T 10 0", "M0 0 L5 5 Q5 5 10 0"),
        ("M0 0 L5 5 S 9 9 10 0", "M0 0 L5 5 C5 5 9 9 10 0"),
        ("M1 0a5 5 0 0110 0", "M1 0 A5,5,0,0,1,11,0"),
        ("M0 0A1 1 0 0 1 10 0", "M0 0A5 5 0 0 1 10 0"),
        ("M0 0L3e1-.5.5.5", "M0 0 L30 -0.5 L0.5 0.5"),
    ],
)
def test_two_spellings_of_one_path(one, other) -> None:
    np.testing.assert_allclose(path(one), path(other), atol=1e-9)


@pytest.mark.parametrize(
    ("large", "sweep", "middle"), [(0, 1, (10, 5 - math.sqrt(0))), (1, 1, (5, -5)), (1, 0, (5, 5))]
)
def test_an_arc_keeps_its_radius(large, sweep, middle) -> None:
    half_circle = path(f"M0 0A5 5 0 {large} {sweep} 10 0")
    np.testing.assert_allclose(np.hypot(half_circle[:, 0] - 5, half_circle[:, 1]), 5, atol=0.01)
    if large:
        np.testing.assert_allclose(half_circle[SAMPLES // 2], middle, atol=1e-6)


def test_a_tilted_arc_ends_where_it_should() -> None:
    tilted = path("M3 4 A 8 5 30 1 0 10 -2")
    np.testing.assert_allclose(tilted[[0, -1]], [[3, 4], [10, -2]], atol=1e-9)


def test_every_subpath_is_a_path_and_closing_returns() -> None:
    first, second = drawn('<path d="M0 0 L4 0 L4 4 Z M9 9 h1"/>')
    np.testing.assert_allclose(first[-1], [0, 0])
    np.testing.assert_allclose(second[0], [9, 9])


def test_other_shapes_and_what_is_only_defined() -> None:
    line, polyline, polygon = drawn(
        '<defs><path d="M0 0 L9 9"/></defs><line x1="1" y1="2" x2="3" y2="4"/><circle r="3"/>'
        '<polyline points="0,0 5,5"/><polygon points="0 0 5 5 5 0"/>'
    )
    np.testing.assert_allclose(line[[0, -1]], [[1, 2], [3, 4]])
    np.testing.assert_allclose(polyline[-1], [5, 5])
    np.testing.assert_allclose(polygon[-1], [0, 0])


def test_groups_move_what_is_in_them() -> None:
    (moved,) = drawn(
        '<g transform="translate(10, 20) scale(2)"><g transform="rotate(90)"><path d="M0 0 H3"/></g></g>'
    )
    np.testing.assert_allclose(moved[[0, -1]], [[10, 20], [10, 26]], atol=1e-9)


def test_a_point_is_one_point() -> None:
    assert path("M7 8").tolist() == [[7, 8]]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"<svg", "well-formed"),
        (b'<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>', "DOCTYPE"),
        (b'<svg viewBox="0 0 0 5"/>', "viewBox"),
        (b'<svg><path d="L 5 5"/></svg>', "start with M"),
        (b'<svg><path d="M 5 5 5"/></svg>', "3 numbers"),
        (b'<svg><path d="M 5 nan"/></svg>', "numbers"),
        (b'<svg><path d="M 0 0 A 5 5 0 2 0 1 1"/></svg>', "flags"),
        (b'<svg><path d="M 1e99 0"/></svg>', "large"),
        (b'<svg><path transform="spin(3)" d="M 1 0"/></svg>', "spin"),
        (b'<svg><g transform="scale(1e9)"><path transform="scale(1e9)" d="M 1 0 L 2 2"/></g></svg>', "far"),
    ],
)
def test_what_is_wrong_is_said(text, word) -> None:
    with pytest.raises(InputError, match=word):
        read_svg(text)


@given(st.text("MmLlHhVvCcSsQqTtAaZz0123456789.,-+e \n"))
def test_any_path_data_is_a_path_or_a_sentence(data) -> None:
    with contextlib.suppress(InputError):
        for polyline in path_polylines(data):
            assert polyline.shape[1] == 2
