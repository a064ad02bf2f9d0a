"""Drawn paths are sampled where they are drawn."""

import contextlib
import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mofa.control.svg_paths import SAMPLES, ViewBox, path_polylines, read_svg
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


def test_the_head_of_an_arrow_is_no_path_of_its_own() -> None:
    (shaft,) = drawn('<path d="M312,160 L384,128 M376,126 L384,128 L380,136"/>')
    np.testing.assert_allclose(shaft[[0, -1]], [[312, 160], [384, 128]])
    assert len(drawn('<path d="M0 0 L40 0 M0 30 L40 0 L80 30"/>')) == 2  # as large as the other
    assert len(drawn('<path d="M0 0 L40 0 M20 -3 L23 0 L20 3"/>')) == 2  # elsewhere


def test_other_shapes_and_what_is_only_defined() -> None:
    line, dot, polyline, polygon = drawn(
        '<defs><path d="M0 0 L9 9"/></defs><line x1="1" y1="2" x2="3" y2="4"/><circle r="3"/>'
        '<polyline points="0,0 5,5"/><polygon points="0 0 5 5 5 0"/>'
    )
    np.testing.assert_allclose(line[[0, -1]], [[1, 2], [3, 4]])
    np.testing.assert_allclose(dot, [[0, 0]])
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
        (b'<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>', "entities"),
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


def ends(text: str) -> list[list[float]]:
    """First and last point of each path, rounded."""
    paths, _ = read_svg(text.encode())
    return [[round(float(v), 2) for v in (*path[0], *path[-1])] for path in paths]


MOVE = [[312.0, 160.0, 384.0, 128.0]]


@pytest.mark.parametrize(
    "text",
    [
        '<svg viewBox="0 0 480 320">'
        '<path style="transform:translate(100px, 50px)" d="M 212,110 l 72,-32"/></svg>',
        '<svg viewBox="0 0 480 320"><path transform="translate(100px 50px)" d="M 212,110 l 72,-32"/></svg>',
        '<svg viewBox="0 0 480 320"><line x1="65%" y1="50%" x2="80%" y2="40%"/></svg>',
        '<svg width="127mm" height="84.6667mm">'
        '<line x1="82.55mm" y1="42.3333mm" x2="101.6mm" y2="33.8667mm"/></svg>',
        '<svg viewBox="0 0 480 320"><svg x="240" y="80" width="240" height="160" viewBox="0 0 480 320">'
        '<path d="M144 160L288 96"/></svg></svg>',
        '<svg viewBox="0 0 480 320"><defs><path id="a" d="M0 0l72-32"/></defs>'
        '<use href="#a" x="312" y="160"/></svg>',
        '<svg viewBox="0 0 480 320" xmlns:xlink="x"><symbol id="a" viewBox="0 0 10 10">'
        '<path d="M0 0L10 10"/></symbol>'
        '<use xlink:href="#a" x="312" y="128" width="72" height="32" visibility="hidden"/>'
        '<path d="M312 160L384 128"/></svg>',
        '<svg viewBox="0 0 480 320"><style>.off, #b {display: none}</style><g class="off">'
        '<path d="M1 1L9 9"/></g>'
        '<path id="b" d="M1 1L9 9"/><path d="M312 160L384 128"/></svg>',
        '<svg viewBox="0 0 480 320"><g style="display:none"><path d="M1 1L9 9"/></g>'
        '<path d="M312 160L384 128"/></svg>',
        '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/x.dtd">'
        '<svg viewBox="0 0 480 320"><path d="M312 160L384 128"/></svg>',
        '<svg viewBox="0 0 480 320"><rect width="100%" height="100%"/><path d="M0 0h480v320H0z"/>'
        '<path d="M312 160L384 128"/></svg>',
        '<svg viewBox="0 0 480 320"><switch><path d="M312 160L384 128"/><path d="M1 1L9 9"/></switch></svg>',
        '<svg viewBox="0 0 480 320"><g transform="rotate(0.25turn) rotate(-90deg)">'
        '<path d="M312 160L384 128"/></g></svg>',
    ],
)
def test_the_same_move_as_editors_write_it(text):
    assert ends(text) == MOVE


def test_dots_are_places_and_large_shapes_are_ways_round():
    paths, _ = read_svg(
        b'<svg viewBox="0 0 480 320"><circle cx="50" cy="60" r="4"/>'
        b'<rect x="100" y="250" width="6" height="6"/>'
        b'<ellipse cx="400" cy="300" rx="3" ry="2"/><circle cx="312" cy="160" r="40"/></svg>'
    )
    assert [path.round(2).tolist() for path in paths[:3]] == [[[50, 60]], [[103, 253]], [[400, 300]]]
    around = paths[3] - [312, 160]
    np.testing.assert_allclose(np.hypot(*around.T), 40, atol=0.1)
    np.testing.assert_allclose(around[[0, 16]], [[40, 0], [0, 40]], atol=0.2)


def test_the_photo_is_where_the_image_is_drawn():
    _, frame = read_svg(
        b'<svg viewBox="0 0 210 297"><g transform="translate(-10,20)"><image x="41.5" y="86" width="127" '
        b'height="84.5"/><path d="M1 1L2 2"/></g></svg>'
    )
    assert frame == ViewBox(31.5, 106.0, 127.0, 84.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE svg [<!ENTITY a "aaaa">]><svg><path d="M0 0L1 1"/></svg>',
        "<svg>" + "<g>" * 400 + "</g>" * 400 + "</svg>",
        '<svg><g id="a"><use href="#a"/></g></svg>',
        '<svg><defs><path id="p0" d="M0 0L9 9"/>'
        + "".join(f'<g id="p{k}"><use href="#p{k - 1}"/><use href="#p{k - 1}"/></g>' for k in range(1, 30))
        + '</defs><use href="#p29"/></svg>',
        '<svg><line x1="a"/></svg>',
    ],
)
def test_what_would_grow_or_is_no_drawing_is_refused(text):
    with pytest.raises(InputError):
        read_svg(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "M0 0a" + "1 " * 22_000,
        "M0 0A" + "1" * 45_000,
        "M0 0L" + "1.1.1" * 9_000,
        "M0 0L" + " ," * 22_000 + "x",
    ],
)
def test_long_foreign_text_is_read_in_one_pass(text):
    """A regular expression that backtracks took seconds for each; a number takes a few calls."""
    places = ('path d="M0 0', 'g transform="', 'polyline points="', 'svg viewBox="')
    for place in places:
        calls = 0

        def called(frame, event, argument):
            nonlocal calls
            calls += event in ("call", "c_call")

        sys.setprofile(called)
        try:
            with contextlib.suppress(InputError):
                read_svg(f'<svg><{place}{text[4:]}"/></svg>'.encode())
        finally:
            sys.setprofile(None)
        assert calls < 20 * len(text)
