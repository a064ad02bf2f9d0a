"""One grammar: what is written on the command line, in scenes and in track files means the same place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mofa.control.coordinates import Coordinate, parse_coordinate, parse_point, parse_points
from mofa.errors import InputError

numbers = st.floats(-1e6, 1e6)


@given(numbers, st.booleans())
def test_what_is_written_reads_back_exactly(value: float, percent: bool) -> None:
    place = Coordinate(value, percent)
    assert parse_coordinate(place.written) == place


@pytest.mark.parametrize(
    "text", ["120,80.5 50%,20%", [["120", 80.5], ("50%", " 20 % ")], [{"x": 120, "y": "80.5"}, "50%,20%"]]
)
def test_every_spelling_means_the_same_points(text: object) -> None:
    first, second = parse_points(text)
    assert first == (Coordinate(120.0), Coordinate(80.5))
    assert second == (Coordinate(50.0, percent=True), Coordinate(20.0, percent=True))


def test_percent_spans_the_pixel_centres() -> None:
    assert [parse_coordinate(text).in_pixels(101) for text in ("0%", "50%", "100%", 25)] == [0, 50, 100, 25]


junk = st.none() | st.booleans() | st.text(max_size=9) | st.floats() | st.integers() | st.binary(max_size=3)


@given(
    st.recursive(
        junk, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner)
    )
)
def test_anything_is_points_or_one_sentence(value: object) -> None:
    try:
        points = parse_points(value)
    except InputError as error:
        assert str(error).endswith(".")
    else:
        assert all(abs(place.value) <= 1e6 for point in points for place in point)


@pytest.mark.parametrize(
    "value", ["1", "1,2,3", [1], {"x": 1}, 7, None, [True, 1], ["nan", 1], [1e9, 1], ["1%%", 2]]
)
def test_what_is_no_point_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=r"is no\b|is not a finite number"):
        parse_point(value)
