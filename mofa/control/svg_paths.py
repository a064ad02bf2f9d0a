"""Drawn paths of an SVG picture as sampled curves (SVG 1.1, chapters 5 to 9, and some of SVG 2).

Read are `path`, `line`, `polyline`, `polygon`, `rect`, `circle` and `ellipse`, with the transforms, styles,
nested view boxes and `use` around them. What is hidden (`display: none`, `visibility: hidden`), what SVG only
defines for later use (`defs`, `clipPath`, ...) and every other element is skipped, and so is a rectangle that
covers the whole picture, which is its ground. A small one of the last three (`DOT`) is a dot: its
centre stays still.

The photo is where an `image` is drawn, else it is the view box, else the `width` x `height` of the picture.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from xml.parsers import expat

import numpy as np
from jaxtyping import Float64

from mofa.errors import InputError

SAMPLES = (
    65  # per path: joined by a monotone cubic, a full circle of radius 200 is met within a tenth of a pixel
)
CURVE_STEPS = 32  # straight pieces per curved segment, before resampling
SHAPES = ("rect", "circle", "ellipse")
UNDRAWN = {"defs", "clippath", "mask", "marker", "symbol", "pattern", "title", "desc", "style", "metadata"}
LARGEST = 1e9  # beyond any picture; keeps foreign numbers far from overflow
MOST_ELEMENTS, DEEPEST = 20_000, 200
"""Of a drawing; `use` counts each time what it repeats."""
MOST_PATHS = 2_000
MOST_TRANSFORMS = 50
"""Of a drawing, and of one element: ten times what drawings of motion have, and read in a second."""
DOT = 0.03
"""Of the drawing's long side: closed shapes that are no larger mark a place."""
DOT_WITHOUT_VIEW = 12.0
"""User units, where nothing says how large the drawing is."""
HEAD = 0.4
"""Of an arrow's shaft: a head is no larger."""
WHOLE = 0.99
"""Of the drawing's area: a rectangle that covers as much is its ground."""

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
MEASURE = re.compile(rf"({NUMBER})(%|[A-Za-z]{{0,4}})")
FLAG = re.compile("([01])")
BETWEEN = re.compile(r"[\s,]*")
ARGUMENTS = {"M": 2, "L": 2, "H": 1, "V": 1, "C": 6, "S": 4, "Q": 4, "T": 2, "A": 7, "Z": 0}
UNITS = {"px": 1.0, "in": 96.0, "cm": 96 / 2.54, "mm": 96 / 25.4, "q": 96 / 101.6, "pt": 96 / 72, "pc": 16.0}
"""CSS pixels (CSS Values 3, 6.2)."""
TURNS = {"deg": 1.0, "rad": 180 / math.pi, "turn": 360.0, "grad": 0.9}

Polyline = Float64[np.ndarray, "_ 2"]
Affine = Float64[np.ndarray, "2 3"]


@dataclass(frozen=True)
class ViewBox:
    """A part of the drawing plane, in user units."""

    left: float
    top: float
    width: float
    height: float


@dataclass
class _Element:
    """An element of the drawing, as XML has it."""

    name: str
    attributes: dict[str, str]
    children: "list[_Element]" = field(default_factory=list)
    text: str = ""


@dataclass(frozen=True)
class _Place:
    """Where an element is drawn: the map to the drawing plane, the view box around it, what it inherits."""

    map: Affine
    view: ViewBox
    visible: bool = True
    depth: int = 0


def read_svg(text: bytes) -> tuple[tuple[Polyline, ...], ViewBox | None]:
    """The drawn paths, in user units of the outermost view box, each sampled to `SAMPLES` points equally
    spaced along its length (a path that goes nowhere, or a dot, is one point), and where the photo is, if
    anything says so.

    Raises InputError for damaged XML, for entities (which can be made to explode), for drawings beyond our
    bounds, and for path data that does not follow the grammar.
    """
    root = _parsed(text)
    box = _own_view(root)
    drawing = _Drawing(root, DOT * max(box.width, box.height) if box else DOT_WITHOUT_VIEW)
    drawing.draw(root, _Place(np.eye(2, 3), box or ViewBox(0.0, 0.0, 100.0, 100.0)))
    frame = drawing.photo or box
    whole = box or ViewBox(0.0, 0.0, 0.0, 0.0)
    paths = [path for path in drawing.paths if not _is_ground(path, whole)]
    return tuple(resampled(path) for path in paths), frame


def _parsed(text: bytes) -> _Element:
    """The tree of a drawing. Plain document types are skipped, entities refused."""
    top = _Element("", {})
    open_elements, count = [top], 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if count > MOST_ELEMENTS or len(open_elements) > DEEPEST:
            raise InputError(
                f"it has more than {MOST_ELEMENTS} elements, or {DEEPEST} in each other: simplify it."
            )
        element = _Element(tag.rpartition(":")[2].lower(), attributes)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(_: str) -> None:
        open_elements.pop()

    def words(content: str) -> None:
        if open_elements[-1].name == "style":
            open_elements[-1].text += content[:100_000]

    def entity(*_: object) -> None:
        raise InputError("it declares entities, which are not read: export it as plain SVG.")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.EntityDeclHandler = words, entity
    try:
        parser.Parse(text, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise InputError(f"it is not well-formed SVG ({error}): export it again.") from error
    return top.children[0]


def _own_view(root: _Element) -> ViewBox | None:
    """The view box of the outermost element, else its width and height; a percentage says nothing."""
    if "viewBox" in root.attributes:
        return _view_box(root.attributes["viewBox"])
    sides = [root.attributes.get(name, "").strip() for name in ("width", "height")]
    if not all(sides) or any(side.endswith("%") or side == "auto" for side in sides):
        return None
    width, height = (_length(side, 0.0) for side in sides)
    return ViewBox(0.0, 0.0, width, height) if min(width, height) > 1e-3 else None


class _Drawing:
    """Walks the tree and collects what is drawn."""

    def __init__(self, root: _Element, reach: float) -> None:
        self.paths: list[Polyline] = []
        self._reach = reach
        self.photo: ViewBox | None = None
        self._named: dict[str, _Element] = {}
        self._rules: dict[str, dict[str, str]] = {}
        self._count = 0
        self._learn(root)

    def _learn(self, element: _Element) -> None:
        if "id" in element.attributes:
            self._named.setdefault(element.attributes["id"], element)
        if element.name == "style":
            self._rules |= _rules(element.text)
        for child in element.children:
            self._learn(child)

    def draw(self, element: _Element, place: _Place) -> None:
        """What an element and those within it draw."""
        self._count += 1
        if self._count > MOST_ELEMENTS or place.depth > DEEPEST:
            raise InputError("what it repeats with <use> grows beyond all bounds: export it as plain paths.")
        style = self._style(element)
        if element.name in UNDRAWN or style.get("display") == "none":
            return
        shown = {"hidden": False, "collapse": False, "visible": True}
        place = replace(
            place,
            map=_combined(place.map, _transform(style.get("transform", ""))),
            visible=shown.get(style.get("visibility", ""), place.visible),
            depth=place.depth + 1,
        )
        match element.name:
            case "svg" | "symbol" if place.depth > 1:
                self._inner_view(element, place)
            case "use":
                self._repeat(element, place)
            case "switch":
                for child in element.children[:1]:
                    self.draw(child, place)
            case "image":
                self._remember_photo(element, place)
            case _:
                if place.visible:
                    paths = [_mapped(place.map, path) for path in _drawn(element, place.view)]
                    is_shape = element.name in SHAPES
                    self.paths += [_dotted(path, self._reach) if is_shape else path for path in paths]
                if len(self.paths) > MOST_PATHS:
                    raise InputError(f"it draws more than {MOST_PATHS} paths: keep those that move.")
                for child in element.children:
                    self.draw(child, place)

    def _repeat(self, element: _Element, place: _Place) -> None:
        name = _reference(element.attributes).removeprefix("#")
        meant = self._named.get(name)
        if meant is None:
            return
        x = _length(element.attributes.get("x", "0"), place.view.width)
        y = _length(element.attributes.get("y", "0"), place.view.height)
        moved = replace(place, map=_combined(place.map, np.array([[1, 0, x], [0, 1, y]])))
        if meant.name != "symbol":
            self.draw(meant, moved)
            return
        sized = {key: element.attributes[key] for key in ("width", "height") if key in element.attributes}
        self._inner_view(_Element("symbol", meant.attributes | sized, meant.children), moved)

    def _inner_view(self, element: _Element, place: _Place) -> None:
        """A view box within the drawing: scaled into its rectangle as `preserveAspectRatio` says."""
        given = element.attributes
        outer = place.view
        x, y = _length(given.get("x", "0"), outer.width), _length(given.get("y", "0"), outer.height)
        width = _length(given.get("width", "100%"), outer.width)
        height = _length(given.get("height", "100%"), outer.height)
        view, fitted = ViewBox(0.0, 0.0, width, height), np.array([[1, 0, x], [0, 1, y]])
        if "viewBox" in given:
            view = _view_box(given["viewBox"])
            fitted = _fitted(view, ViewBox(x, y, width, height), given.get("preserveAspectRatio", ""))
        inside = replace(place, map=_combined(place.map, fitted), view=view)
        for child in element.children:
            self.draw(child, inside)

    def _remember_photo(self, element: _Element, place: _Place) -> None:
        """The largest picture in the drawing is the photo."""
        given, view = element.attributes, place.view
        x, y = _length(given.get("x", "0"), view.width), _length(given.get("y", "0"), view.height)
        width = _length(given.get("width", "0"), view.width)
        height = _length(given.get("height", "0"), view.height)
        corners = _mapped(place.map, np.array([[x, y], [x + width, y + height]]))
        low, high = corners.min(0), corners.max(0)
        here = ViewBox(*low.tolist(), *(high - low).tolist())
        if min(here.width, here.height) > 1e-3 and (
            self.photo is None or here.width * here.height > self.photo.width * self.photo.height
        ):
            self.photo = here

    def _style(self, element: _Element) -> Mapping[str, str]:
        """Attributes, then rules for its name, its classes and its own, then its `style`: the later wins."""
        wanted = ("display", "visibility", "transform")
        style = {key: element.attributes[key] for key in wanted if key in element.attributes}
        selectors = [element.name, *(f".{name}" for name in element.attributes.get("class", "").split()[:20])]
        for selector in (*selectors, f"#{element.attributes.get('id', '')}"):
            style |= self._rules.get(selector, {})
        style |= _declarations(element.attributes.get("style", ""))
        return {key: value.strip() for key, value in style.items()}


def _rules(sheet: str) -> dict[str, dict[str, str]]:
    """A style sheet's declarations by simple selector: a name, .class or #id."""
    rules: dict[str, dict[str, str]] = {}
    for block in sheet.split("}"):
        selectors, _, body = block.partition("{")
        for selector in selectors.split(","):
            rules.setdefault(selector.strip(), {}).update(_declarations(body))
    return rules


def _declarations(text: str) -> dict[str, str]:
    pairs = (part.partition(":") for part in text.split(";"))
    found = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return {name: found[name] for name in ("display", "visibility", "transform") if found.get(name)}


def _reference(attributes: dict[str, str]) -> str:
    return next((value for name, value in attributes.items() if name.rpartition(":")[2] == "href"), "")


def _fitted(view: ViewBox, into: ViewBox, how: str) -> Affine:
    """The map from a view box into a rectangle (SVG 1.1, 7.8)."""
    across, down = into.width / view.width, into.height / view.height
    if "none" not in how:
        across = down = max(across, down) if "slice" in how else min(across, down)
    share_x = 0.0 if "xMin" in how else 1.0 if "xMax" in how else 0.5
    share_y = 0.0 if "YMin" in how else 1.0 if "YMax" in how else 0.5
    left = into.left + share_x * (into.width - across * view.width) - across * view.left
    top = into.top + share_y * (into.height - down * view.height) - down * view.top
    return np.array([[across, 0, left], [0, down, top]])


def _length(text: str, whole: float) -> float:
    """A length in user units; percent are of `whole`."""
    measures = _measures(text)
    if len(measures) != 1:
        raise InputError(f'"{text[:40]}" is no length: write a number.')
    ((number, unit),) = measures
    _bounded([number])
    return number * whole / 100 if unit == "%" else number * UNITS.get(unit, 1.0)


def _side(given: Mapping[str, str], whole: float, name: str) -> float:
    """A length of an element, 0 where it says none; a percentage is one of `whole`."""
    return _length(given.get(name, "0"), whole)


def _drawn(element: _Element, view: ViewBox) -> list[Polyline]:
    given = element.attributes
    x, y = partial(_side, given, view.width), partial(_side, given, view.height)

    match element.name:
        case "path":
            return _without_heads(path_polylines(given.get("d", "")))
        case "line":
            return [np.array([[x("x1"), y("y1")], [x("x2"), y("y2")]])]
        case "polyline" | "polygon":
            numbers = _numbers(given.get("points", ""))
            if len(numbers) % 2:
                raise InputError(f"a {element.name} has an odd count of coordinates: give pairs of x and y.")
            corners = np.array(numbers).reshape(-1, 2)
            closed = corners[:1] if element.name == "polygon" else corners[:0]
            return [np.concatenate([corners, closed])] if len(corners) else []
        case "rect":
            left, top, right, bottom = x("x"), y("y"), x("x") + x("width"), y("y") + y("height")
            return [np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])]
        case "circle":
            mean = math.hypot(view.width, view.height) / math.sqrt(2)
            radius = _length(given.get("r", "0"), mean)
            return [_oval(x("cx"), y("cy"), radius, radius)]
        case "ellipse":
            return [_oval(x("cx"), y("cy"), x("rx"), y("ry"))]
        case _:
            return []


def _without_heads(subpaths: list[Polyline]) -> list[Polyline]:
    """The subpaths but the heads of arrows: two short strokes that meet where an earlier one ends."""
    return [subpath for index, subpath in enumerate(subpaths) if not _is_head(subpath, subpaths[:index])]


def _is_head(head: Polyline, before: list[Polyline]) -> bool:
    if len(head) != 3:
        return False
    reach = _extent(head)
    return any(
        np.linalg.norm(shaft[-1] - head[1]) <= 0.05 * reach and reach <= HEAD * _extent(shaft)
        for shaft in before
    )


def _extent(path: Polyline) -> float:
    with np.errstate(all="ignore"):  # what overflows is refused when the path is resampled
        return float(np.linalg.norm(path.max(0) - path.min(0)))


def _oval(x: float, y: float, across: float, down: float) -> Polyline:
    """An ellipse from its right end, clockwise as seen (SVG 1.1, 9.3)."""
    angle = np.linspace(0, 2 * math.pi, 4 * CURVE_STEPS + 1)
    return np.stack([x + across * np.cos(angle), y + down * np.sin(angle)], axis=1)


def _is_ground(path: Polyline, whole: ViewBox) -> bool:
    """Whether a path is a rectangle that covers the whole picture."""
    if not np.isfinite(path).all() or whole.width * whole.height == 0:
        return False
    low, high = path.min(0), path.max(0)
    covers = np.minimum(high, [whole.left + whole.width, whole.top + whole.height]) - np.maximum(
        low, [whole.left, whole.top]
    )
    near = 1e-3 * max(whole.width, whole.height)
    straight = np.isclose(path[:, None], np.stack([low, high]), rtol=0, atol=near)
    return bool(
        (covers > 0).all()
        and covers.prod() >= WHOLE * whole.width * whole.height
        and straight.any(1).all()
        and np.allclose(path[0], path[-1])
    )


def _dotted(shape: Polyline, reach: float) -> Polyline:
    """A shape no larger than `reach` as its centre."""
    low, high = shape.min(0), shape.max(0)
    return ((low + high) / 2)[None] if (high - low).max() <= reach else shape


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


def _commands(data: str) -> Iterator[tuple[str, Float64[np.ndarray, " n"]]]:
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
    """The numbers of a list, whatever their units. Read in one pass: foreign text can be long."""
    return _bounded([number for number, _ in _measures(text)])


def _measures(text: str) -> list[tuple[float, str]]:
    """Numbers with their units, "" where there is none."""
    found, at = [], 0
    while at < len(text):
        between = BETWEEN.match(text, at)
        at = between.end() if between else at
        if at == len(text):
            break
        number = MEASURE.match(text, at)
        if number is None:
            raise InputError(f'"{text[at : at + 40].strip()}" is not a list of numbers.')
        found.append((float(number[1]), number[2].lower()))
        at = number.end()
    return found


def _arc_numbers(text: str) -> list[float]:
    """Numbers of arcs, whose two flags may be written without space: "a5 5 0 0110 10"."""
    found: list[float] = []
    at = 0
    while at < len(text):
        between = BETWEEN.match(text, at)
        at = between.end() if between else at
        if at == len(text):
            break
        part = (FLAG if len(found) % 7 in (3, 4) else MEASURE).match(text, at)
        if part is None:
            raise InputError(
                f'arc "{text.strip()[:40]}" needs two radii, an angle, two flags (0 or 1) and a point.'
            )
        found.append(float(part[1]))
        at = part.end()
    return _bounded(found)


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
    """A list of transforms, as an attribute or as CSS; the first is the outermost."""
    result = np.eye(2, 3)
    for step in text.split(")")[: 1 + MOST_TRANSFORMS]:
        name, opened, arguments = step.strip(" \t\r\n,").partition("(")
        if not name and not opened:
            continue
        if not opened or "%" in arguments:
            raise InputError(f'transform "{text[:40]}" is not understood: apply it and save again.')
        values = [number * TURNS.get(unit, UNITS.get(unit, 1.0)) for number, unit in _measures(arguments)]
        result = _combined(result, _one_transform(name.strip(), _bounded(values)))
    return result


def _one_transform(name: str, numbers: list[float]) -> Affine:
    match name, numbers:
        case "matrix", [a, b, c, d, e, f]:
            return np.array([[a, c, e], [b, d, f]])
        case "translate", [x]:
            return np.array([[1, 0, x], [0, 1, 0.0]])
        case "translate", [x, y]:
            return np.array([[1, 0, x], [0, 1, y]])
        case "translateX", [x]:
            return np.array([[1, 0, x], [0, 1, 0.0]])
        case "translateY", [y]:
            return np.array([[1, 0, 0], [0, 1, y]])
        case "scaleX", [x]:
            return np.array([[x, 0, 0], [0, 1, 0.0]])
        case "scaleY", [y]:
            return np.array([[1, 0, 0], [0, y, 0.0]])
        case "none", []:
            return np.eye(2, 3)
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
                f'transform "{name[:20]}" with {len(numbers)} numbers is not understood: apply it first.'
            )


def _combined(outer: Affine, inner: Affine) -> Affine:
    with np.errstate(all="ignore"):  # what overflows is refused when the path is resampled
        return np.column_stack([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def _mapped(matrix: Affine, path: Polyline) -> Polyline:
    with np.errstate(all="ignore"):
        return path @ matrix[:, :2].T + matrix[:, 2]
