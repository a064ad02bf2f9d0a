"""Selections in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mofa.control.coordinates import Coordinate, parse_point
from mofa.control.selection import KINDS_OF_LEVEL, Selection, format_selection, parse_selection
from mofa.errors import InputError

coordinates = st.builds(Coordinate, st.floats(2, 1e4).map(lambda v: round(v, 3)), st.booleans())
points = st.tuples(coordinates, coordinates)


def at(text: str) -> tuple[Coordinate, Coordinate]:
    return parse_point(text)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("120,80", Selection((at("120,80"),))),
        ([120, "50%"], Selection((at("120,50%"),))),
        ({"x": 1, "y": 2}, Selection((at("1,2"),))),
        ("120,80:part", Selection((at("120,80"),), level="part")),
        ("120,80:group -7,8", Selection((at("120,80"),), (at("7,8"),), "group")),
        ("120,80 +140,90 -200,50%", Selection((at("120,80"), at("140,90")), (at("200,50%"),))),
        ({"on": [[1, 2]], "beside": ["3,4"], "level": "part"}, Selection((at("1,2"),), (at("3,4"),), "part")),
    ],
)
def test_what_people_write(written: object, meant: Selection) -> None:
    assert parse_selection(written) == meant


@given(
    st.lists(points, min_size=1, max_size=4), st.lists(points, max_size=3), st.sampled_from(KINDS_OF_LEVEL)
)
def test_what_is_written_is_read_back(on: list, beside: list, level: str) -> None:  # type: ignore[type-arg]
    selection = parse_selection(Selection(tuple(on), tuple(beside), level))  # type: ignore[arg-type]
    assert parse_selection(format_selection(selection)) == selection


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "selects nothing"),
        ("120", "no point"),
        ("120,80:whole", "neither a part"),
        ("1,2 +3", "no point"),
        (5, "no point"),
        ({"on": []}, "no points"),
        (" ".join(["1,2"] + ["+3,4"] * 60), "at most"),
    ],
)
def test_what_is_no_selection_is_refused_in_a_sentence(written: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_selection(written)
