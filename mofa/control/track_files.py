"""Track files: JSON in our form, arrays of point trackers (NPY, NPZ), and paths drawn in SVG.

JSON is a list of tracks or `{"tracks": [...]}`. A track is a list of points, a text of points as on the
command line, or an object:

    {"points": [[120, 80], ["50%", "20%"], "50%,20%", {"x": 3, "y": 4}],
     "ease": "in-out", "start": 0, "end": 20, "there_and_back": false}

Points are (x, y) in pixels of the original picture, or in percent of its width and height. They are clicks
on a curve; with `"sampled": true` they are one place per frame, and `"visible": [true, ...]` may say where
each is seen. A single list of points is one track.

Arrays are [N, T, 2] or [T, N, 2] in pixels, one place per frame, perhaps with a batch axis of length 1 before
them: alone (.npy), or under `tracks`, `pred_tracks`, `points`, `coords` or `trajectories` (.npz), else the
only array that ends in 2. Which axis is time: where one axis has length 1, the other; else the axis along
which places change more smoothly (smaller mean second difference), because a point accelerates little from
frame to frame and neighbours in a list of points have no such bond. Visibility, with the axes of the points,
is read from `visible`, `visibility`, `visibles` or `pred_visibility` (seen above 0.5), else from `occluded`,
`occlusion` or `occlusions` (hidden above 0.5). A hidden place may be NaN.

In SVG every drawn path is a curve, sampled along its length; a path that goes nowhere is an anchor. With a
view box the picture is the view box and places are percent of it; without, user units are the picture's
pixels.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Shaped
from torch import Tensor

from mofa.control.coordinates import FARTHEST, Point, parse_coordinate, parse_points, shown
from mofa.control.svg_paths import ViewBox, read_svg
from mofa.control.timing import Timing, parse_ease
from mofa.control.words import nearest
from mofa.errors import InputError
from mofa.types import TrackSet

TRACK_KEYS = ("points", "ease", "start", "end", "there_and_back", "sampled", "visible")
POINT_ARRAYS = ("tracks", "pred_tracks", "points", "coords", "trajectories")
VISIBLE_ARRAYS = ("visible", "visibility", "visibles", "pred_visibility")
HIDDEN_ARRAYS = ("occluded", "occlusion", "occlusions")


@dataclass(frozen=True)
class FileTrack:
    """One track as a file holds it.

    points: (x, y), each coordinate in pixels of the original picture or, where `percent`, in percent of it.
    sampled: True where there is one point per frame, as trackers write them; False for clicks on a curve.
    visible: where each point is seen (all True for clicks).
    timing: when it moves, if the file says so.
    """

    points: Float[Tensor, "K 2"]
    percent: Bool[Tensor, "K 2"]
    visible: Bool[Tensor, "K"]
    sampled: bool = False
    timing: Timing | None = None

    def in_pixels(self, width: int, height: int) -> Float[Tensor, "K 2"]:
        """The points in pixels of a picture of width x height.

        0 % is the centre of the first pixel and 100 % that of the last, so every percentage is inside.
        """
        scale = (self.points.new_tensor([width, height]) - 1) / 100
        return torch.where(self.percent, self.points * scale, self.points)


def drawn_track(points: Sequence[Point]) -> FileTrack:
    """Clicked points as a track."""
    values = torch.tensor([[x.value, y.value] for x, y in points])
    percent = torch.tensor([[x.percent, y.percent] for x, y in points])
    return FileTrack(values, percent, torch.ones(len(points), dtype=torch.bool))


def read_tracks(path: Path) -> tuple[FileTrack, ...]:
    """The tracks of a JSON, NPY, NPZ or SVG file (see above), at least one.

    Raises InputError, naming the file, when it cannot be read, holds no track, or is not of its format.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"track file {path} cannot be read ({error}): check the path.") from error
    readers = {".json": _from_json, ".npy": _from_npy, ".npz": _from_npz, ".svg": _from_svg}
    try:
        if not data:
            raise InputError("it is empty (0 bytes): write the tracks again.")
        if path.suffix.lower() not in readers:
            raise InputError(f'files of type "{path.suffix}" are not read: use .json, .npy, .npz or .svg.')
        tracks = readers[path.suffix.lower()](data)
        if not tracks:
            raise InputError("it holds no tracks: give at least one track with one point.")
    except InputError as error:
        raise InputError(f"track file {path}: {error}") from error
    return tracks


# JSON


def _from_json(data: bytes) -> tuple[FileTrack, ...]:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"it is not valid JSON ({error}): check brackets and commas.") from error
    if isinstance(content, dict):
        unknown = [key for key in content if key != "tracks"]
        if unknown or "tracks" not in content:
            found = shown(unknown[0]) if unknown else "nothing"
            raise InputError(f'it must hold one list called "tracks", but holds {found}.')
        content = content["tracks"]
    if not isinstance(content, list):
        raise InputError('it must hold a list of tracks, as in [[[10, 20], [30, 40]]] or {"tracks": [...]}.')
    if content and all(_looks_like_a_point(item) for item in content):
        content = [content]
    return tuple(_numbered(index, item) for index, item in enumerate(content, start=1))


def _numbered(index: int, item: Any) -> FileTrack:
    try:
        return _track(item if isinstance(item, dict) else {"points": item})
    except InputError as error:
        raise InputError(f"track {index}: {error}") from error


def _track(item: dict[str, Any]) -> FileTrack:
    for key in item:
        if key not in TRACK_KEYS:
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


# Arrays of point trackers


def _from_npy(data: bytes) -> tuple[FileTrack, ...]:
    return _array_tracks(load_arrays(data), None)


def _from_npz(data: bytes) -> tuple[FileTrack, ...]:
    arrays = load_arrays(data)
    if not isinstance(arrays, dict):
        raise InputError("it is a single array, not an archive: name it .npy.")
    named = [name for name in POINT_ARRAYS if name in arrays]
    ending_in_2 = [name for name, array in arrays.items() if array.ndim >= 3 and array.shape[-1] == 2]
    if not named and len(ending_in_2) != 1:
        raise InputError(
            f"none of its arrays ({', '.join(arrays) or 'it is empty'}) is called tracks or points: "
            "rename the one with the points."
        )
    visible = next((_seen(arrays[name]) for name in VISIBLE_ARRAYS if name in arrays), None)
    if visible is None:
        visible = next((~_seen(arrays[name]) for name in HIDDEN_ARRAYS if name in arrays), None)
    return _array_tracks(arrays[(named or ending_in_2)[0]], visible)


def load_arrays(data: bytes) -> Any:
    """What a NumPy file holds: one array (.npy) or arrays by name (.npz); InputError where it is neither."""
    try:
        content = np.load(io.BytesIO(data), allow_pickle=False)
        return content if isinstance(content, np.ndarray) else {name: content[name] for name in content.files}
    except MemoryError as error:
        raise InputError("it claims more numbers than memory can hold: write it again.") from error
    except Exception as error:  # numpy and zipfile have no common error for damaged files
        raise InputError(
            "it is damaged, or holds Python objects: save plain numbers with numpy.save again."
        ) from error


def _seen(array: Shaped[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    if array.dtype.kind not in "biuf":
        raise InputError(f"its visibility is of type {array.dtype}: save true and false.")
    return array > 0.5


def _array_tracks(array: Any, visible: Bool[np.ndarray, "..."] | None) -> tuple[FileTrack, ...]:
    if not isinstance(array, np.ndarray):
        raise InputError("it is an archive, not a single array: name it .npz.")
    if array.dtype.kind not in "iuf":
        raise InputError(f"its points are of type {array.dtype}: save plain numbers.")
    shape = " x ".join(map(str, array.shape)) or "a single number"
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
        visible = visible[0] if visible is not None and visible.ndim > 2 and len(visible) == 1 else visible
    if array.ndim != 3 or array.shape[-1] != 2 or 0 in array.shape:
        raise InputError(
            f"its points have the shape {shape}, but need N x T x 2 or T x N x 2 (tracks, frames, x and y)."
        )
    if visible is None:
        visible = np.ones(array.shape[:2], bool)
    visible = visible[..., 0] if visible.ndim == 3 and visible.shape[-1] == 1 else visible
    if visible.shape != array.shape[:2]:
        raise InputError(f"its visibility has the shape {visible.shape}, but the points are {shape}.")
    points = array.astype(np.float64)
    _check_places(points[visible])
    if time_axis(np.where(visible[..., None], points, np.nan)) == 0:
        points, visible = points.swapaxes(0, 1), visible.swapaxes(0, 1)
    return _sampled(points, visible)


def sampled_tracks(tracks: TrackSet) -> tuple[FileTrack, ...]:
    """Trajectories in memory, in pixels of the original picture, one place per frame.

    Raises InputError where none is ever visible, or a visible place is no number that a picture can hold.
    """
    points, visible = tracks.points.double().cpu().numpy(), tracks.visible.cpu().numpy()
    _check_places(points[visible])
    if not visible.any():
        raise InputError("no track is visible in any frame: give at least one that is.")
    return _sampled(points, visible)


def _check_places(places: Float64[np.ndarray, "K 2"]) -> None:
    if not (np.abs(places) <= FARTHEST).all():
        raise InputError("a visible point is not a number that a picture can hold (NaN, infinite or huge).")


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


def time_axis(points: Float64[np.ndarray, "A B 2"]) -> int:
    """0 or 1: the axis of a tracker's array along which time runs (rule above); NaN where a point is hidden.

    Along a tie time is the second axis, as in [N, T, 2].
    """
    if 1 in points.shape[:2]:
        return 0 if points.shape[1] == 1 and points.shape[0] > 1 else 1
    order = 2 if min(points.shape[:2]) > 2 else 1
    roughness = []
    for axis in (0, 1):
        changes = np.linalg.norm(np.diff(points, order, axis=axis), axis=-1)
        seen = np.isfinite(changes)
        roughness.append(changes[seen].mean() if seen.any() else np.inf)
    return 0 if roughness[0] < roughness[1] else 1


def _filled(track: Float64[np.ndarray, "T 2"], seen: Bool[np.ndarray, "T"]) -> Float64[np.ndarray, "T 2"]:
    """Hidden places set on the way between the seen ones around them, since what they hold means nothing."""
    frames = np.arange(len(track))
    return np.stack([np.interp(frames, frames[seen], track[seen, axis]) for axis in (0, 1)], axis=1)


# SVG


def _from_svg(data: bytes) -> tuple[FileTrack, ...]:
    paths, view_box = read_svg(data)
    return tuple(_drawn_track(path, view_box) for path in paths)


def _drawn_track(path: Float64[np.ndarray, "K 2"], view_box: ViewBox | None) -> FileTrack:
    if view_box is not None:
        path = (path - [view_box.left, view_box.top]) / [view_box.width, view_box.height] * 100
    if not (np.abs(path) <= FARTHEST).all():
        raise InputError(
            "a path leads unreasonably far from the picture: check the drawing and its view box."
        )
    points = torch.from_numpy(path).float()
    percent = torch.full(points.shape, view_box is not None)
    return FileTrack(points, percent, torch.ones(len(points), dtype=torch.bool))
