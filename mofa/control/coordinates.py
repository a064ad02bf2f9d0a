"""The one grammar of coordinates and points, wherever people or files write them.

A coordinate is a number of pixels (120, "120", "120.5") or percent of the picture ("50%"); a point is "x,y",
[x, y] or {"x": ..., "y": ...}; points are "x,y x,y ..." or a list of points. x runs right, y down. 0 and 0 %
are the centre of the first pixel, 100 % is that of the last.
"""

import json
import math
from dataclasses import dataclass
from typing import Any, Literal

from mofa.errors import InputError

TimeAxis = Literal["time-first", "points-first"]
"""How arrays of trajectories lie: [T, N, 2] or [N, T, 2]."""

FARTHEST = 1e6
"""Pixels or percent; no picture reaches there."""


@dataclass(frozen=True, slots=True)
class Coordinate:
    """A place along one axis, in pixels of the upright original picture or in percent of it."""

    value: float
    percent: bool = False

    @property
    def written(self) -> float | str:
        """As a scene file has it; `parse_coordinate` reads back the very same."""
        return f"{self.value!r}".removesuffix(".0") + "%" if self.percent else self.value

    def in_pixels(self, pixels: int) -> float:
        """On a picture of so many pixels along this axis."""
        return self.value * (pixels - 1) / 100 if self.percent else self.value


Point = tuple[Coordinate, Coordinate]


def parse_coordinate(value: Any) -> Coordinate:
    """One coordinate; InputError for anything else, NaN and infinity included."""
    if isinstance(value, Coordinate):
        return value
    text = value.strip() if isinstance(value, str) else value
    percent = isinstance(text, str) and text.endswith("%")
    try:
        number = math.nan if isinstance(value, bool) else float(text.removesuffix("%") if percent else text)
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f'{shown(value)} is no coordinate: write pixels (120) or percent of the picture ("50%").'
        ) from None
    if not abs(number) <= FARTHEST:
        raise InputError(
            f"{shown(value)} is not a finite number that a picture can hold: write pixels (120) or percent."
        )
    return Coordinate(number, percent)


def parse_point(value: Any) -> Point:
    """One point; InputError for anything else."""
    match value:
        case str() if value.count(",") == 1:
            x, y = value.split(",")
        case [x, y]:
            pass
        case {"x": x, "y": y}:
            pass
        case _:
            raise InputError(
                f'{shown(value)} is no point: write "x,y" or [x, y], in pixels or percent ("50%,20%").'
            )
    point = parse_coordinate(x), parse_coordinate(y)
    if _is_fraction(*point):
        raise InputError(
            f"{point[0].value:g},{point[1].value:g} seems to be a fraction of the picture: write percent "
            f"({100 * point[0].value:g}%,{100 * point[1].value:g}%)."
        )
    return point


def _is_fraction(x: Coordinate, y: Coordinate) -> bool:
    """Whether both lie between 0 and 1: nobody means a place within the first pixel."""
    return not (x.percent or y.percent) and 0 < x.value < 1 and 0 < y.value < 1


def parse_points(value: Any) -> tuple[Point, ...]:
    """At least one point; InputError for anything else."""
    points = value.split() if isinstance(value, str) else value
    if not isinstance(points, list | tuple) or not points:
        raise InputError('it has no points: give at least one, as in [120, 80] or "50%,20%".')
    return tuple(parse_point(point) for point in points)


def shown(value: Any) -> str:
    """A value that somebody wrote, short enough for a sentence."""
    match value:
        case list() | tuple():
            return f"a list of {len(value)}"
        case dict():
            return "an object"
        case _:
            text = json.dumps(value, ensure_ascii=False, default=str)
            return text if len(text) <= 40 else text[:37] + "..."
