"""Transforms in words: "40,-20", "rotate 15", "move 10%,0 rotate -5 scale 1.2"."""

from dataclasses import dataclass
from typing import Any

from mofa.control.coordinates import Point, parse_coordinate, shown
from mofa.errors import InputError


@dataclass(frozen=True, slots=True)
class WordedPose:
    """A pose as people write it: the move in pixels or percent of the original picture."""

    move: Point
    rotate: float = 0.0
    scale: float = 1.0


def parse_pose(value: Any) -> WordedPose:
    """A pose in words: "40,-20", "rotate 15", "move 10%,0, rotate -5, scale 1.2"; InputError for others."""
    if isinstance(value, WordedPose):
        return value
    words = value.replace(", ", " ").replace(";", " ").split() if isinstance(value, str) else [None]
    found: dict[str, Any] = {}
    name = "move"
    for word in words:
        if word in ("move", "rotate", "scale"):
            name = word
        elif name in found:
            raise InputError(f"{shown(value)} says {name} twice.")
        else:
            found[name] = _offset(word) if name == "move" else parse_coordinate(word).value
    if not found:
        raise InputError(f'{shown(value)} is no transform: write "40,-20 rotate 15 scale 1.2".')
    return WordedPose(found.get("move", _offset("0,0")), found.get("rotate", 0.0), found.get("scale", 1.0))


def _offset(word: Any) -> Point:
    """How far right and down; unlike a place it may be a fraction of a pixel."""
    if not isinstance(word, str) or word.count(",") != 1:
        raise InputError(f'{shown(word)} is no move: write how far right and down, as in "40,-20".')
    x, y = word.split(",")
    return parse_coordinate(x), parse_coordinate(y)


def parse_moments(value: Any) -> Any:
    """Poses at moments in words, "0.5: 40,-20 rotate 15; 1: 0,0", as data; what is no text stays as it is."""
    if not isinstance(value, str):
        return value
    moments = [moment.partition(":") for moment in value.split(";") if moment.strip()]
    return [{"at": at.strip(), "move": pose.strip()} for at, _, pose in moments]


def format_pose(pose: WordedPose) -> str:
    """In words; `parse_pose` reads back the very same."""
    x, y = (coordinate.written for coordinate in pose.move)
    return f"move {x},{y} rotate {pose.rotate!r} scale {pose.scale!r}"
