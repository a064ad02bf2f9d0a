"""Track files: JSON in our form and in those of node editors, arrays of point trackers, tables, SVG drawings.

JSON is a list of tracks or `{"tracks": [...]}`. A track is a list of points, a text of points as on the
command line, or an object:

    {"points": [[120, 80], ["50%", "20%"], "50%,20%", {"x": 3, "y": 4}],
     "ease": "in-out", "start": 0, "end": 20, "there_and_back": false}

Points are (x, y) in pixels of the original picture, or in percent of its width and height. They are clicks
on a curve; with `"sampled": true` they are one place per frame, and `"visible": [true, ...]` may say where
each is seen. A single list of points is one track. Node editors write a bare list of tracks of {"x", "y"},
all of the same length, one place per frame: `EVERY_FRAME` points or more are read so. Their other names for
"tracks" (`tracking_points`, `coordinates`, `track_coords`), a "width" and "height" beside them, single quotes
and JSON within a JSON text are understood, and so are `track_path` and `track_visibility` of ComfyUI.

Arrays (.npy, .npz, .pt, .pth) are described in `track_arrays`, tables (.csv, .txt) in `track_tables`.

In SVG (.svg, .svgz) every drawn path is a curve, sampled along its length; a path that goes nowhere and a dot
are anchors. Places are percent of where the photo is drawn as an image, else of the view box, else of width
and height, which have the photo's aspect; without any of them user units are the picture's pixels.
"""

import gzip
import io
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from mofa.control.brush import ASPECT_TOLERANCE
from mofa.control.coordinates import FARTHEST, Point, TimeAxis, parse_coordinate, parse_points, shown
from mofa.control.svg_paths import ViewBox, read_svg
from mofa.control.text_files import text_of
from mofa.control.timing import Timing, parse_ease
from mofa.control.track_arrays import check_places, load_arrays, load_tensors, places_and_visibility
from mofa.control.track_tables import TORA_SIDE, read_table
from mofa.control.words import nearest
from mofa.errors import InputError
from mofa.types import Note, TrackSet, unsaid

TRACK_KEYS = ("points", "ease", "start", "end", "there_and_back", "sampled", "visible")
TRACK_LISTS = ("tracks", "tracking_points", "coordinates", "track_coords")
DRAWN = ("color", "colour", "name", "isSinglePoint", "label")
"""What editors keep beside a track's points, and nothing moves by."""
EVERY_FRAME = 16
"""Points of a track from which on nobody has clicked them one by one."""
LARGEST_FILE = 200_000_000
"""Bytes: twice what 32 thousand points through 121 frames take as float32 with where they are seen."""
LARGEST_DRAWING = 50_000_000
"""Bytes of a text, which takes ten times as much once it is parsed."""
MOST_POINTS, MOST_TRACKS = 500_000, 10_000
"""Of a JSON file: a thousand tracks through 121 frames have a quarter of these points."""


@dataclass(frozen=True)
class FileTrack:
    """One track as a file holds it.

    points: (x, y), each coordinate in pixels of the original picture or, where `percent`, in percent of it.
    sampled: True where there is one point per frame, as trackers write them; False for clicks on a curve.
    visible: where each point is seen (all True for clicks).
    timing: when it moves, if the file says so.
    size: (width, height) of the picture that the pixels are those of, where it is another size of it.
    frame: (width, height) of the picture as it was drawn on, in any unit, where that is known.
    """

    points: Float[Tensor, "K 2"]
    percent: Bool[Tensor, "K 2"]
    visible: Bool[Tensor, " K"]
    sampled: bool = False
    timing: Timing | None = None
    size: tuple[int, int] | None = None
    frame: tuple[float, float] | None = None

    def check_fits(self, width: int, height: int) -> None:
        """Raises InputError where it was drawn on a picture of another aspect than width x height."""
        wide, high = self.frame or (width, height)
        if abs(wide * height / (high * width) - 1) > ASPECT_TOLERANCE:
            raise InputError(
                f"it is drawn on {wide:g} x {high:g}, which is another aspect than the picture's {width} x "
                f"{height}: draw over the picture, or put it in as an <image>.",
                key="tracks.aspect",
                width=f"{wide:g}",
                height=f"{high:g}",
            )

    def in_pixels(self, width: int, height: int) -> Float[Tensor, "K 2"]:
        """The points in pixels of a picture of width x height.

        0 % is the centre of the first pixel and 100 % that of the last, so every percentage is inside. Pixels
        of another size of the picture are scaled with their borders.
        """
        sides = self.points.new_tensor([width, height])
        pixels = self.points
        if self.size is not None:
            pixels = (pixels + 0.5) * (sides / pixels.new_tensor(self.size)) - 0.5
        return torch.where(self.percent, self.points * (sides - 1) / 100, pixels)


def drawn_track(points: Sequence[Point]) -> FileTrack:
    """Clicked points as a track."""
    values = torch.tensor([[x.value, y.value] for x, y in points])
    percent = torch.tensor([[x.percent, y.percent] for x, y in points])
    return FileTrack(values, percent, torch.ones(len(points), dtype=torch.bool))


def read_tracks(
    path: Path,
    axis: TimeAxis | None = None,
    size: tuple[int, int] | None = None,
    visibility: Path | None = None,
    note: Note = unsaid,
) -> tuple[FileTrack, ...]:
    """The tracks of a file in one of the forms above, at least one.

    `axis` says which axis of an array is time, where it could be mistaken; `size` (width, height) is that of
    the picture that the tracks were made on, where it is not the original's; `visibility` a second file
    (.npy) with where an array's places are seen. `note` is told what had to be guessed.

    Raises InputError, naming the file, when it cannot be read, holds no track, or is not of its format.
    """
    try:
        tracks = _read(path, axis, _seen_file(visibility), lambda guess: note(f"track file {path}: {guess}"))
        if not tracks:
            raise InputError(
                "it holds no tracks: give at least one track with one visible point.", key="tracks.none"
            )
    except InputError as error:
        raise InputError(
            f"track file {path}: {error}", key=error.key or "tracks.unreadable", **error.values
        ) from error
    return tuple(replace(track, size=size or track.size) for track in tracks)


def _read(path: Path, axis: TimeAxis | None, seen: np.ndarray | None, note: Note) -> tuple[FileTrack, ...]:
    data = _content(path)
    match path.suffix.lower():
        case ".json":
            return _from_json(data)
        case ".svg" | ".svgz":
            return _from_svg(data)
        case ".npy" | ".npz":
            return _sampled(*places_and_visibility(load_arrays(data), axis, seen, note))
        case ".pt" | ".pth":
            return _sampled(*places_and_visibility(load_tensors(data), axis, seen, note))
        case ".csv" | ".tsv" | ".txt":
            return _from_text(data, note)
    raise InputError(
        f'files of type "{path.suffix[:20]}" are not read: use .json, .npy, .npz, .pt, .csv, .txt or .svg.'
    )


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(
                f"it is larger than {LARGEST_FILE // 1_000_000} MB: save fewer tracks.", key="tracks.many"
            )
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"it cannot be read ({reason}): check the path.") from error
    if not data:
        raise InputError("it is empty (0 bytes): write the tracks again.")
    return data


def _seen_file(path: Path | None) -> np.ndarray | None:
    if path is None:
        return None
    arrays = (
        load_tensors(_content(path))
        if path.suffix.lower() in (".pt", ".pth")
        else load_arrays(_content(path))
    )
    if isinstance(arrays, dict) and len(arrays) == 1:
        (arrays,) = arrays.values()
    if isinstance(arrays, dict):
        raise InputError(f"the visibility in {path.name} is one of several arrays: save it alone, as .npy.")
    return arrays


def _from_text(data: bytes, note: Note) -> tuple[FileTrack, ...]:
    if text_of(data, "save the table as CSV").lstrip()[:1] in ("[", "{"):
        return _from_json(data)
    (places, seen), of_tora = read_table(data)
    tracks = _sampled(places, seen)
    if not of_tora or places.max() >= TORA_SIDE:
        return tracks
    note(
        f"x,y alone are read as Tora's, on {TORA_SIDE} x {TORA_SIDE}; if not, say size: WIDTHxHEIGHT beside "
        "the file."
    )
    return tuple(replace(track, size=(TORA_SIDE, TORA_SIDE)) for track in tracks)


# JSON


def _from_json(data: bytes) -> tuple[FileTrack, ...]:
    content = _parsed(data)
    size = None
    if isinstance(content, dict):
        if "track_path" in content:
            return _sampled(*places_and_visibility(_nested_arrays(content)))
        names = [name for name in TRACK_LISTS if name in content]
        unknown = [key for key in content if key not in (*names, "width", "height")]
        if unknown or len(names) != 1:
            found = shown(unknown[0]) if unknown else "nothing" if not names else "several"
            raise InputError(f'it must hold one list called "tracks", but holds {found}.')
        size = _size(content)
        content = _parsed(content[names[0]]) if isinstance(content[names[0]], str) else content[names[0]]
    if not isinstance(content, list):
        raise InputError('it must hold a list of tracks, as in [[[10, 20], [30, 40]]] or {"tracks": [...]}.')
    if content and all(_looks_like_a_point(item) for item in content):
        content = [content]
    lengths = [len(item) if isinstance(item, list) else 1 for item in content]
    if len(lengths) > MOST_TRACKS or sum(lengths) > MOST_POINTS:
        raise InputError(
            f"it holds more than {MOST_TRACKS} tracks or {MOST_POINTS} points: save fewer.", key="tracks.many"
        )
    tracks = tuple(_numbered(index, item) for index, item in enumerate(content, start=1))
    return tuple(replace(track, sampled=track.sampled or _per_frame(content), size=size) for track in tracks)


def _parsed(content: bytes | str) -> Any:
    """JSON, perhaps within a JSON text, perhaps with Python's quotes."""
    text = text_of(content, "save it as JSON") if isinstance(content, bytes) else content
    try:
        parsed = json.loads(text)
        if isinstance(parsed, str):
            parsed = json.loads(parsed.replace("'", '"'))
    except (ValueError, RecursionError) as error:
        try:
            parsed = json.loads(text.replace("'", '"'))
        except (ValueError, RecursionError):
            raise InputError(f"it is not valid JSON ({error}): check brackets and commas.") from error
    return parsed


def _per_frame(content: list[Any]) -> bool:
    """Whether a bare list of tracks comes from a node editor, with one place per frame."""
    if not all(isinstance(track, list) and len(track) >= EVERY_FRAME for track in content):
        return False
    in_objects = all(isinstance(point, dict) for track in content for point in track)
    return len({len(track) for track in content}) == 1 and (in_objects or len(content) > 1)


def _size(content: dict[str, Any]) -> tuple[int, int] | None:
    sides = content.get("width"), content.get("height")
    if sides == (None, None):
        return None
    if not all(
        isinstance(side, int) and not isinstance(side, bool) and 0 < side <= FARTHEST for side in sides
    ):
        raise InputError(
            '"width" and "height" must be those of the picture in pixels, whole numbers above 0.'
        )
    return cast("tuple[int, int]", sides)


def _nested_arrays(content: dict[str, Any]) -> dict[str, np.ndarray]:
    """Lists of lists of numbers under ComfyUI's names."""
    try:
        return {
            name: np.asarray(content[name]) for name in ("track_path", "track_visibility") if name in content
        }
    except ValueError as error:
        raise InputError("its track_path is no table of equal rows: write [frames][tracks][x, y].") from error


def _numbered(index: int, item: Any) -> FileTrack:
    try:
        return _track(item if isinstance(item, dict) else {"points": item})
    except InputError as error:
        raise InputError(f"track {index}: {error}") from error


def _track(item: dict[str, Any]) -> FileTrack:
    for key in item:
        if key not in (*TRACK_KEYS, *DRAWN):
            raise InputError(f'{shown(key)} is unknown: did you mean "{nearest(key, TRACK_KEYS)}"?')
    track = drawn_track(parse_points(item.get("points")))
    visible = item.get("visible", [True] * len(track.points))
    if (
        not isinstance(visible, list)
        or len(visible) != len(track.points)
        or not all(v in (0, 1) for v in visible)
    ):
        raise InputError(f'"visible" must list true or false for each of the {len(track.points)} points.')
    seen = torch.tensor(visible).bool()
    return replace(track, visible=seen, sampled=_flag(item, "sampled"), timing=_timing(item))


def _timing(item: dict[str, Any]) -> Timing | None:
    if not item.keys() & {"ease", "start", "end", "there_and_back"}:
        return None
    ease = item.get("ease", "linear")
    if isinstance(ease, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in ease):
        ease = tuple((_number(time), _number(fraction)) for time, fraction in ease)
    elif isinstance(ease, str):
        ease = parse_ease(ease)
    else:
        raise InputError('"ease" must be a name such as "in-out" or a list of [time, fraction] pairs.')
    start, end = item.get("start", 0), item.get("end")
    for name, value in (("start", start), ("end", end)):
        if (name, value) != ("end", None) and (isinstance(value, bool) or not isinstance(value, int)):
            raise InputError(f'"{name}" must be a frame number, a whole number from 0.')
    return Timing(ease, start, end, _flag(item, "there_and_back"))


def _flag(item: dict[str, Any], name: str) -> bool:
    value = item.get(name, False)
    if not isinstance(value, bool):
        raise InputError(f'"{name}" must be true or false.')
    return value


def _looks_like_a_point(item: Any) -> bool:
    match item:
        case [x, y]:
            return not isinstance(x, list | dict) and not isinstance(y, list | dict) and "," not in f"{x}{y}"
        case {"x": _, "y": _}:
            return True
        case _:
            return False


def _number(value: Any) -> float:
    number = parse_coordinate(value)
    if number.percent:
        raise InputError(f"{shown(value)} is no number.")
    return number.value


# One place per frame


def sampled_tracks(tracks: TrackSet) -> tuple[FileTrack, ...]:
    """Trajectories in memory, in pixels of the original picture, one place per frame.

    Raises InputError where none is ever visible, or a visible place is no number that a picture can hold.
    """
    points, visible = tracks.points.double().cpu().numpy(), tracks.visible.cpu().numpy()
    check_places(points[visible])
    if not visible.any():
        raise InputError("no track is visible in any frame: give at least one that is.", key="tracks.none")
    return _sampled(points, visible)


def _sampled(points: Float64[np.ndarray, "N T 2"], visible: Bool[np.ndarray, "N T"]) -> tuple[FileTrack, ...]:
    return tuple(
        FileTrack(
            points=torch.from_numpy(_filled(track, seen)).float(),
            percent=torch.zeros(track.shape, dtype=torch.bool),
            visible=torch.from_numpy(seen.copy()),
            sampled=True,
        )
        for track, seen in zip(points, visible, strict=True)
        if seen.any()
    )


def _filled(track: Float64[np.ndarray, "T 2"], seen: Bool[np.ndarray, " T"]) -> Float64[np.ndarray, "T 2"]:
    """Hidden places set on the way between the seen ones around them, since what they hold means nothing."""
    frames = np.arange(len(track))
    return np.stack([np.interp(frames, frames[seen], track[seen, axis]) for axis in (0, 1)], axis=1)


# SVG


def _from_svg(data: bytes) -> tuple[FileTrack, ...]:
    if data[:2] == b"\x1f\x8b":  # .svgz
        data = _unzipped(data)
    paths, frame = read_svg(data)
    return tuple(_drawn(path, frame) for path in paths)


def _unzipped(data: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as file:
            content = file.read(LARGEST_DRAWING + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError("it is damaged: export it again.") from error
    if len(content) > LARGEST_DRAWING:
        raise InputError(f"it unpacks to more than {LARGEST_DRAWING // 1_000_000} MB: simplify it.")
    return content


def _drawn(path: Float64[np.ndarray, "K 2"], frame: ViewBox | None) -> FileTrack:
    if frame is not None:
        path = (path - [frame.left, frame.top]) / [frame.width, frame.height] * 100
    if not (np.abs(path) <= FARTHEST).all():
        raise InputError(
            "a path leads unreasonably far from the picture: check the drawing and its view box."
        )
    if frame is None:
        check_places(path)
    points = torch.from_numpy(path).float()
    percent = torch.full(points.shape, frame is not None)
    seen = torch.ones(len(points), dtype=torch.bool)
    return FileTrack(points, percent, seen, frame=(frame.width, frame.height) if frame else None)
