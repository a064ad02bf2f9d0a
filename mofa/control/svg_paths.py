"""Drawn paths of an SVG picture as sampled curves (SVG 1.1, chapters 7 to 9).

Read are `path`, `line`, `polyline` and `polygon`, with the transforms of the groups around them. What SVG
only defines for later use (`defs`, `clipPath`, ...) is skipped, and so is every other element.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.parsers import expat

import numpy as np
from jaxtyping import Float64

from mofa.errors import InputError

SAMPLES = 65
"""Per path: joined by a monotone cubic, a full circle of radius 200 is met within a tenth of a pixel."""
CURVE_STEPS = 32  # straight pieces per curved segment, before resampling
UNDRAWN = {"defs", "clippath", "mask", "marker", "symbol", "pattern"}
LARGEST = 1e9  # beyond any picture; keeps foreign numbers far from overflow

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
ARGUMENTS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}

Polyline = Float64[np.ndarray, "_ 2"]
Affine = Float64[np.ndarray, "2 3"]


@dataclass(frozen=True)
class ViewBox:
    """The part of the drawing plane that the SVG picture shows, in user units."""

    left: float
    top: float
    width: float
    height: float


def read_svg(text: bytes) -> tuple[tuple[Polyline, ...], ViewBox | None]:
    """The drawn paths, in user units, each sampled to `SAMPLES` points equally spaced along its length
    (a path that goes nowhere is one point), and the picture's view box if it has one.

    Raises InputError for damaged XML, for XML with a document type (entities can be made to explode), and for
    path data that does not follow the grammar.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise InputError(f"it is not well-formed SVG ({error}): export it again.") from error
    return tuple(resampled(path) for path in reader.paths), reader.view_box


class _Reader:
    """Collects the drawn paths while the parser walks the tree."""

    def __init__(self) -> None:
        self.paths: list[Polyline] = []
        self.view_box: ViewBox | None = None
        self._maps: list[Affine] = []
        self._undrawn = 0

    def doctype(self, *_: object) -> None:
        raise InputError(
            "it has a document type declaration (<!DOCTYPE ...>), which is not read: remove that line."
        )

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2].lower()
        if not self._maps and "viewBox" in attributes:
            self.view_box = _view_box(attributes["viewBox"])
        outer = self._maps[-1] if self._maps else np.eye(2, 3)
        self._maps.append(_combined(outer, _transform(attributes.get("transform", ""))))
        self._undrawn += name in UNDRAWN
        if not self._undrawn:
            self.paths += [_mapped(self._maps[-1], path) for path in _drawn(name, attributes)]

    def end(self, tag: str) -> None:
        self._maps.pop()
        self._undrawn -= tag.rpartition(":")[2].lower() in UNDRAWN


def _drawn(name: str, attributes: dict[str, str]) -> list[Polyline]:
    match name:
        case "path":
            return path_polylines(attributes.get("d", ""))
        case "line":
            ends = [_numbers(attributes.get(key, "0"))[:1] or [0.0] for key in ("x1", "y1", "x2", "y2")]
            return [np.array(ends).reshape(2, 2)]
        case "polyline" | "polygon":
            numbers = _numbers(attributes.get("points", ""))
            if len(numbers) % 2:
                raise InputError(f"a {name} has an odd count of coordinates: give pairs of x and y.")
            corners = np.array(numbers).reshape(-1, 2)
            closed = corners[:1] if name == "polygon" else corners[:0]
            return [np.concatenate([corners, closed])] if len(corners) else []
        case _:
            return []


def path_polylines(data: str) -> list[Polyline]:
    """The subpaths of SVG path data (M L H V C S Q T A Z, absolute and relative) as dense polylines."""
    subpaths: list[list[Polyline]] = []
    here, opened = np.zeros(2), np.zeros(2)
    handle, curve = here, ""  # the last control point, for S after C or S and T after Q or T
    for command, values in _commands(data):
        kind = command.upper()
        origin = here if command.islower() else np.zeros(2)
        if kind == "M":
            here = opened = origin + values
            subpaths.append([here[None]])
            handle, curve = here, ""
            continue
        if not subpaths:
            raise InputError(f'path data starts with "{command}": a path has to start with M.')
        if kind == "Z":
            piece, last = opened[None], opened
        elif kind == "A":
            last = origin + values[5:]
            piece = _arc(
                here, last, abs(values[0]), abs(values[1]), values[2], bool(values[3]), bool(values[4])
            )
        elif kind in "HV":
            axis = "HV".index(kind)
            last = here.copy()
            last[axis] = origin[axis] + values[0]
            piece = last[None]
        else:
            given = origin + values.reshape(-1, 2)
            if kind in "ST":
                family = "CS" if kind == "S" else "QT"
                mirrored = 2 * here - handle if curve and curve in family else here
                given = np.concatenate([mirrored[None], given])
            last = given[-1]
            piece = _bezier(np.concatenate([here[None], given])) if kind != "L" else given
            handle = given[-2] if kind != "L" else last
        curve = kind if kind in "CSQT" else ""
        subpaths[-1].append(piece)
        here = last
    return [np.concatenate(pieces) for pieces in subpaths]


def resampled(path: Polyline) -> Polyline:
    """`SAMPLES` points equally spaced along a polyline; a polyline without length is its first point."""
    if not np.isfinite(path).all() or np.abs(path).max() > LARGEST:
        raise InputError(
            "a path leads unreasonably far from the picture: check its coordinates and transforms."
        )
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
    travelled = np.concatenate([[0.0], np.cumsum(lengths)])
    if travelled[-1] == 0:
        return path[:1]
    at = np.linspace(0, travelled[-1], SAMPLES)
    return np.stack([np.interp(at, travelled, path[:, axis]) for axis in (0, 1)], axis=1)


def _commands(data: str) -> Iterator[tuple[str, Float64[np.ndarray, "n"]]]:
    """Each command letter with its numbers; a repeated set of numbers repeats the command (M becomes L)."""
    head, *parts = re.split(r"([MmLlHhVvCcSsQqTtAaZz])", data)
    if head.strip(" \t\r\n,"):
        raise InputError(f'path data starts with "{head.strip()[:20]}": a path has to start with M.')
    for letter, text in zip(parts[::2], parts[1::2], strict=True):
        values = np.array(_arc_numbers(text) if letter in "Aa" else _numbers(text))
        size = ARGUMENTS[letter.upper()]
        if (size == 0 and len(values)) or (size and (len(values) == 0 or len(values) % size)):
            raise InputError(f'path command "{letter}" has {len(values)} numbers: it takes {size} at a time.')
        if not size:
            yield letter, values
        for index, row in enumerate(values.reshape(-1, size) if size else ()):
            yield (letter if index == 0 else {"M": "L", "m": "l"}.get(letter, letter)), row


def _numbers(text: str) -> list[float]:
    if re.sub(NUMBER, "", text).strip(" \t\r\n,px%"):
        raise InputError(f'"{text.strip()[:40]}" is not a list of numbers.')
    return _bounded([float(number) for number in re.findall(NUMBER, text)])


def _arc_numbers(text: str) -> list[float]:
    """Numbers of arcs, whose two flags may be written without space: "a5 5 0 0110 10"."""
    separator = r"[\s,]*"
    arc = separator.join([f"({NUMBER})"] * 3 + ["([01])"] * 2 + [f"({NUMBER})"] * 2)
    if re.sub(arc, "", text).strip(" \t\r\n,"):
        raise InputError(
            f'arc "{text.strip()[:40]}" needs two radii, an angle, two flags (0 or 1) and a point.'
        )
    return _bounded([float(number) for row in re.findall(arc, text) for number in row])


def _bounded(numbers: list[float]) -> list[float]:
    if any(not abs(number) <= LARGEST for number in numbers):
        raise InputError("a coordinate is unreasonably large: check the drawing.")
    return numbers


def _bezier(points: Polyline) -> Polyline:
    """A Bezier curve of any degree without its first point (de Casteljau)."""
    share = np.linspace(0, 1, CURVE_STEPS + 1)[1:, None, None]
    levels = np.broadcast_to(points, (CURVE_STEPS, *points.shape))
    while levels.shape[1] > 1:
        levels = levels[:, :-1] * (1 - share) + levels[:, 1:] * share
    return levels[:, 0]


def _arc(
    first: Float64[np.ndarray, "2"],
    last: Float64[np.ndarray, "2"],
    radius_x: float,
    radius_y: float,
    degrees: float,
    large: bool,
    clockwise: bool,
) -> Polyline:
    """An elliptical arc without its first point, from end points to centre as in SVG 1.1, F.6.5 and F.6.6."""
    if min(radius_x, radius_y) < 1e-9 or np.array_equal(first, last):
        return last[None]
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    radii = np.array([radius_x, radius_y])
    half = turn @ (first - last) / 2 / radii  # on the unit circle from here on
    reach = float(half @ half)
    radii = radii * math.sqrt(max(1.0, reach))  # F.6.6: radii too small to reach are scaled up
    half = half / math.sqrt(max(1.0, reach))
    offset = math.sqrt(max(0.0, 1 / max(float(half @ half), 1e-300) - 1)) * (-1 if large == clockwise else 1)
    centre = offset * np.array([half[1], -half[0]])
    begin = math.atan2(*(half - centre)[::-1])
    sweep = (math.atan2(*(-half - centre)[::-1]) - begin) % (2 * math.pi)
    sweep -= 0 if clockwise else 2 * math.pi
    around = begin + sweep * np.linspace(0, 1, 2 * CURVE_STEPS + 1)[1:, None]
    unit = np.concatenate([np.cos(around), np.sin(around)], axis=1) + centre
    return (unit * radii) @ turn + (first + last) / 2


def _view_box(text: str) -> ViewBox:
    numbers = _numbers(text)
    if len(numbers) != 4 or not min(numbers[2:]) > 1e-3:
        raise InputError(f'viewBox "{text[:40]}" needs left, top, width and height, the last two above 0.')
    return ViewBox(*numbers)


def _transform(text: str) -> Affine:
    result = np.eye(2, 3)
    if re.sub(r"[A-Za-z]+\s*\([^()]*\)", "", text).strip(" \t\r\n,"):
        raise InputError(f'transform "{text[:40]}" is not understood: apply it in the editor and save again.')
    for name, arguments in re.findall(r"([A-Za-z]+)\s*\(([^()]*)\)", text):
        result = _combined(result, _one_transform(name, _numbers(arguments)))
    return result


def _one_transform(name: str, numbers: list[float]) -> Affine:
    match name, numbers:
        case "matrix", [a, b, c, d, e, f]:
            return np.array([[a, c, e], [b, d, f]])
        case "translate", [x]:
            return np.array([[1, 0, x], [0, 1, 0.0]])
        case "translate", [x, y]:
            return np.array([[1, 0, x], [0, 1, y]])
        case "scale", [both]:
            return np.array([[both, 0, 0], [0, both, 0]])
        case "scale", [x, y]:
            return np.array([[x, 0, 0], [0, y, 0]])
        case "rotate", [degrees]:
            cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            return np.array([[cosine, -sine, 0], [sine, cosine, 0]])
        case "rotate", [degrees, x, y]:
            there, back = _one_transform("translate", [x, y]), _one_transform("translate", [-x, -y])
            return _combined(_combined(there, _one_transform("rotate", [degrees])), back)
        case "skewX", [degrees]:
            return np.array([[1, math.tan(math.radians(degrees)), 0], [0, 1, 0]])
        case "skewY", [degrees]:
            return np.array([[1, 0, 0], [math.tan(math.radians(degrees)), 1, 0]])
        case _:
            raise InputError(
                f'transform "{name}" with {len(numbers)} numbers is not understood: apply it and save again.'
            )


def _combined(outer: Affine, inner: Affine) -> Affine:
    with np.errstate(all="ignore"):  # what overflows is refused when the path is resampled
        return np.column_stack([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def _mapped(matrix: Affine, path: Polyline) -> Polyline:
    with np.errstate(all="ignore"):
        return path @ matrix[:, :2].T + matrix[:, 2]
