"""Selections in words: which thing is meant, by points on it and beside it.

    "120,80"                     the thing at this point
    "120,80:part"                only the part of it; or ":group", it and those of its kind that touch it
    "120,80 +140,90 -200,50"     the thing at the first two points, without what is at the last

Data may also say {"on": [[120, 80], [140, 90]], "beside": [[200, 50]], "level": "part"}.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from mofa.control.coordinates import Point, parse_point, parse_points, shown
from mofa.control.words import nearest
from mofa.errors import InputError

Level = Literal["part", "thing", "group"]
KINDS_OF_LEVEL: tuple[Level, ...] = get_args(Level)
MOST_POINTS = 50
"""More points are a mask, which can be painted."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Points on what is meant, points beside it, and how much of what they point at is meant."""

    on: tuple[Point, ...]
    beside: tuple[Point, ...] = ()
    level: Level = "thing"


def parse_selection(value: Any) -> Selection:
    """A selection as people or files write it; InputError for anything else."""
    match value:
        case Selection():
            return value
        case str():
            found = _in_words(value)
        case {"on": on, **rest} if rest.keys() <= {"beside", "level"}:
            beside = rest.get("beside") or ()
            found = Selection(
                parse_points(on), parse_points(beside) if beside else (), _level(rest.get("level", "thing"))
            )
        case _:
            found = Selection((parse_point(value),))
    if len(found.on) + len(found.beside) > MOST_POINTS:
        raise InputError(
            f"a selection has at most {MOST_POINTS} points: paint a mask instead.",
            key="selection.points",
            most=MOST_POINTS,
        )
    return found


def format_selection(selection: Selection) -> Any:
    """As a scene file has it; `parse_selection` reads back the very same."""
    if len(selection.on) == 1 and not selection.beside and selection.level == "thing":
        return [coordinate.written for coordinate in selection.on[0]]
    points = [
        sign + ",".join(f"{coordinate.written}" for coordinate in point)
        for sign, kind in (("+", selection.on), ("-", selection.beside))
        for point in kind
    ]
    return " ".join(points).removeprefix("+") + (f":{selection.level}" if selection.level != "thing" else "")


def _in_words(text: str) -> Selection:
    level: Level = "thing"
    on: list[Point] = []
    beside: list[Point] = []
    for word in text.split():
        point, colon, name = word.partition(":")
        if colon:
            level = _level(name)
        into = beside if point.startswith("-") and on else on
        into.append(parse_point(point[1:] if point[:1] in "+-" and on else point.removeprefix("+")))
    if not on:
        raise InputError(f'{shown(text)} selects nothing: write a point on the thing, "x,y".')
    return Selection(tuple(on), tuple(beside), level)


def _level(name: Any) -> Level:
    known: Mapping[Any, Level] = {level: level for level in KINDS_OF_LEVEL}
    if not isinstance(name, str) or name not in known:
        raise InputError(
            f"{shown(name)} is neither a part, a thing nor a group: "
            f'did you mean ":{nearest(str(name), known)}"?'
        )
    return known[name]
