"""Camera moves in words.

It is the CAMERA that moves, so the picture moves the other way: "pan right" shifts what is seen to the left,
and "rotate right" (clockwise) turns what is seen counter-clockwise. "zoom in" makes it larger.

The words, in any order, with or without commas:

    pan right 40 px      pan up left 10%      pan 30° 40 px
    zoom 1.1             zoom in 10%          zoom out 1.2
    rotate 5             rotate left 5°       rotate counter-clockwise 5 degrees
    still

A pan goes left, right, up, down, along a diagonal of two of them (the amount is the whole way), or at an
angle that counts counter-clockwise from right (90° is up). Percent of a pan are of the picture's width
horizontally and of its height vertically. A zoom is a factor, or how many percent larger (in) or smaller
(out) things get. Pans and rotations add up, zooms multiply.
"""

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import reduce

from mofa.control.words import nearest
from mofa.errors import InputError

DIRECTIONS = {"right": (1.0, 0.0), "left": (-1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}
CLOCKWISE = {"right": 1, "clockwise": 1, "cw": 1, "left": -1, "counter-clockwise": -1, "ccw": -1}
VERBS = ("pan", "zoom", "rotate", "still")
FILLERS = {"and", "by", "to", "the", "then", "of"}
SPELLINGS = {
    "anticlockwise": "counter-clockwise",
    "anti-clockwise": "counter-clockwise",
    "counterclockwise": "counter-clockwise",
    "turn": "rotate",
    "roll": "rotate",
    "upwards": "up",
    "downwards": "down",
}
UNITS = {
    "px": "px", "pixel": "px", "pixels": "px", "%": "%", "percent": "%", "x": "x", "times": "x",
    "°": "°", "deg": "°", "degree": "°", "degrees": "°",
}  # fmt: skip
TOKEN = re.compile(
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)|(?P<word>[^\W\d_]+(?:-[^\W\d_]+)*)|(?P<unit>[%°])"
)
LARGEST = 1e5
"""Of any number in a camera's words: beyond any picture, far from overflow."""


@dataclass(frozen=True)
class CameraMove:
    """How far the camera moves in all, from the picture as it is.

    pan_x, pan_y: pixels, to the right and down.
    pan_x_percent, pan_y_percent: the same in percent of the picture's width and height, added to the pixels.
    zoom: factor by which what is seen grows; above 1 is in.
    rotate: degrees, clockwise.
    """

    pan_x: float = 0.0
    pan_y: float = 0.0
    pan_x_percent: float = 0.0
    pan_y_percent: float = 0.0
    zoom: float = 1.0
    rotate: float = 0.0

    def __post_init__(self) -> None:
        sums = (self.pan_x, self.pan_y, self.pan_x_percent, self.pan_y_percent, self.rotate)
        if not all(abs(value) <= LARGEST for value in sums):
            raise InputError("a camera move is too large: pan and rotate by less than 100000.")
        if not 0.01 <= self.zoom <= 100:
            raise InputError(f"a zoom of {self.zoom:g} cannot be shown: choose a factor from 0.01 to 100.")


def parse_camera(text: str) -> CameraMove:
    """The camera move that a person wrote (see above).

    Raises InputError for an unknown word (naming the nearest one), a missing or a second amount, a unit that
    does not fit, and for text without any move.
    """
    try:
        return reduce(_added, (_clause(verb, parts) for verb, parts in _clauses(text)), CameraMove())
    except InputError as error:
        raise InputError(f'camera "{text}": {error}') from error


def format_camera(move: CameraMove) -> str:
    """The move in words that `parse_camera` reads back exactly."""
    pans = (
        (move.pan_x, "right", "left", " px"),
        (move.pan_y, "down", "up", " px"),
        (move.pan_x_percent, "right", "left", "%"),
        (move.pan_y_percent, "down", "up", "%"),
    )
    words = [
        f"pan {ahead if amount > 0 else back} {_plain(abs(amount))}{unit}"
        for amount, ahead, back, unit in pans
        if amount
    ]
    words += [f"zoom {_plain(move.zoom)}"] if move.zoom != 1 else []
    turn = "right" if move.rotate > 0 else "left"
    words += [f"rotate {turn} {_plain(abs(move.rotate))}°"] if move.rotate else []
    return ", ".join(words) or "still"


def _plain(number: float) -> str:
    """The shortest text that reads back as this number."""
    return repr(number).removesuffix(".0")


@dataclass(frozen=True)
class _Parts:
    """The words after a verb: amounts with their unit ("" where none was written), and the rest."""

    amounts: tuple[tuple[float, str], ...]
    words: tuple[str, ...]


def _clauses(text: str) -> list[tuple[str, _Parts]]:
    """The text cut at its verbs."""
    clauses: list[tuple[str, list[tuple[float, str]], list[str]]] = []
    for kind, token in _tokens(text):
        if kind == "word" and token in VERBS:
            clauses.append((token, [], []))
        elif not clauses:
            hint = nearest(token, VERBS) if kind == "word" else "pan"
            raise InputError(f'it starts with "{token}": did you mean "{hint}"? (pan, zoom, rotate)')
        elif kind == "number":
            clauses[-1][1].append((float(token), ""))
        elif kind == "unit" and clauses[-1][1] and not clauses[-1][1][-1][1]:
            clauses[-1][1][-1] = (clauses[-1][1][-1][0], token)
        else:
            clauses[-1][2].append(token)
    if not clauses:
        raise InputError('it names no move: write for example "pan right 40 px, zoom 1.1".')
    return [(verb, _Parts(tuple(amounts), tuple(words))) for verb, amounts, words in clauses]


def _tokens(text: str) -> list[tuple[str, str]]:
    lowered = text.lower()
    odd = re.sub(r"[\s,;+]", "", TOKEN.sub("", lowered))
    if odd:
        raise InputError(f'"{odd[0]}" is not understood: write for example "pan right 40 px, zoom 1.1".')
    tokens = []
    for match in TOKEN.finditer(lowered):
        kind, token = match.lastgroup or "", SPELLINGS.get(match.group(), match.group())
        if kind != "number" and token in UNITS:
            kind, token = "unit", UNITS[token]
        if token not in FILLERS:
            tokens.append((kind, token))
    return tokens


def _clause(verb: str, parts: _Parts) -> CameraMove:
    match verb:
        case "pan":
            return _pan(parts)
        case "zoom":
            return _zoom(parts)
        case "rotate":
            return _rotate(parts)
        case _:
            _known(parts.words, ())
            return CameraMove()


def _pan(parts: _Parts) -> CameraMove:
    _known(parts.words, DIRECTIONS)
    angles = [math.radians(amount) for amount, unit in parts.amounts if unit == "°"]
    distance, unit = _one_amount(
        "pan", [a for a in parts.amounts if a[1] != "°"], ("", "px", "%"), "pan right 40 px"
    )
    headings = [DIRECTIONS[word] for word in parts.words] + [(math.cos(a), -math.sin(a)) for a in angles]
    x, y = (sum(heading[axis] for heading in headings) for axis in (0, 1))
    length = math.hypot(x, y)
    if len(angles) > 1 or (angles and parts.words) or length < 1e-9:
        raise InputError(
            'a pan needs one direction: left, right, up, down, two of them, or an angle ("pan 30° 40 px").'
        )
    x, y = x / length * distance, y / length * distance
    return CameraMove(pan_x_percent=x, pan_y_percent=y) if unit == "%" else CameraMove(pan_x=x, pan_y=y)


def _zoom(parts: _Parts) -> CameraMove:
    _known(parts.words, ("in", "out"))
    amount, unit = _one_amount("zoom", parts.amounts, ("", "x", "%"), "zoom 1.1")
    if len(set(parts.words)) > 1:
        raise InputError('a zoom goes either in or out: write "zoom in 10%" or "zoom out 10%".')
    match unit, parts.words[:1]:
        case "%", ():
            raise InputError(
                'a zoom in percent goes in or out: write "zoom in 10%" or "zoom out 10%", or a factor.'
            )
        case "%", (way,):
            factor = 1 + amount / 100 if way == "in" else 1 - amount / 100
        case _, ():
            return CameraMove(zoom=amount)
        case _, (way,):
            if amount < 1:
                raise InputError(
                    f'zooming {way} by the factor {amount:g} is contradictory: write "zoom {amount:g}".'
                )
            factor = amount if way == "in" else 1 / amount
    return CameraMove(zoom=factor)


def _rotate(parts: _Parts) -> CameraMove:
    _known(parts.words, CLOCKWISE)
    amount, _ = _one_amount("rotate", parts.amounts, ("", "°"), "rotate 5")
    if len(parts.words) > 1:
        raise InputError('a rotation has one direction: write "rotate left 5" or "rotate right 5".')
    return CameraMove(rotate=amount * (CLOCKWISE[parts.words[0]] if parts.words else 1))


def _added(one: CameraMove, other: CameraMove) -> CameraMove:
    return CameraMove(
        pan_x=one.pan_x + other.pan_x,
        pan_y=one.pan_y + other.pan_y,
        pan_x_percent=one.pan_x_percent + other.pan_x_percent,
        pan_y_percent=one.pan_y_percent + other.pan_y_percent,
        zoom=one.zoom * other.zoom,
        rotate=one.rotate + other.rotate,
    )


def _known(words: Sequence[str], valid: Collection[str]) -> None:
    for word in words:
        if word not in valid:
            raise InputError(f'"{word}" is not understood: did you mean "{nearest(word, [*valid, *VERBS])}"?')


def _one_amount(
    verb: str, amounts: Sequence[tuple[float, str]], units: Sequence[str], example: str
) -> tuple[float, str]:
    if len(amounts) != 1:
        found = "no amount" if not amounts else "several amounts"
        raise InputError(f'"{verb}" has {found}: write it once, as in "{example}".')
    if amounts[0][1] not in units:
        raise InputError(f'"{verb}" cannot be measured in {amounts[0][1]}: write it as in "{example}".')
    return amounts[0]
