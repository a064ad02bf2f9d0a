"""Landmark files: 68 points per frame as NPZ or JSON, a face's 68 points by hand, blendshape curves as CSV.

NPZ holds `points` [T, 68, 2] in pixels, and may hold `fps` (25 when it does not) and `score` [T]; a lone
.npy array is the points. JSON is `{"fps": 25, "points": [[[x, y], ...68], ...T], "score": [...]}` or the
points alone. One face is 68 x 2: a list of points in JSON, alone or under "points", or an array.

CSV is a table with a header, as Live Link Face and its like export it: one column per ARKit blendshape, in
any order, case or style (`JawOpen`, `jawOpen`, `jaw_open`), 0..1 (or 0..100), one row per frame. A column
`time` (seconds) gives the rate, 60 frames per second when there is none. Other columns are not read.
"""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mofa.control.coordinates import FARTHEST
from mofa.control.track_arrays import load_arrays
from mofa.errors import InputError
from mofa.faces.blendshapes import SHAPES, BlendshapeClip
from mofa.faces.points import NUM_POINTS
from mofa.types import LandmarkClip

Read = TypeVar("Read")

DEFAULT_FPS = 25.0
"""Of landmark files that do not say: the rate of the learned speech drivers."""
BLENDSHAPE_FPS = 60.0
"""Of curves without times: what Live Link Face records at unless told otherwise."""
MAX_FRAMES = 100_000
"""More than an hour at 25 a second: a longer file was not meant to drive one clip."""
_SHAPE_OF_COLUMN = {name.lower(): name for name in SHAPES}


def read_landmarks(path: Path) -> LandmarkClip:
    """The landmarks of an NPZ, NPY or JSON file; InputError, naming the file, when it holds none."""
    return _explained(path, lambda data: _clip(_content(path, data)))


def read_face_points(path: Path) -> Float[Tensor, "68 2"]:
    """One face's 68 points, from JSON, NPY or NPZ; InputError, naming the file, when it holds none."""
    return _explained(path, lambda data: _one_face(_content(path, data)))


def read_blendshapes(path: Path) -> BlendshapeClip:
    """The curves of a CSV file; InputError, naming the file, when it holds none."""
    return _explained(path, _from_csv)


def landmark_bytes(clip: LandmarkClip, suffix: str) -> bytes:
    """A landmark file's content, `.npz` or `.json`. Raises InputError for another suffix."""
    match suffix.lower():
        case ".npz":
            file = io.BytesIO()
            np.savez(
                file,
                points=clip.points.cpu().numpy(),
                score=clip.score.cpu().numpy(),
                fps=np.float64(clip.fps),
            )
            return file.getvalue()
        case ".json":
            content = {"fps": clip.fps, "points": clip.points.tolist(), "score": clip.score.tolist()}
            return (json.dumps(content) + "\n").encode()
    raise InputError(f'landmarks are not written as "{suffix}": use .npz or .json.')


def _explained(path: Path, read: Callable[[bytes], Read]) -> Read:
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"landmark file {path} cannot be read ({error}): check the path.") from error
    try:
        if not data:
            raise InputError("it is empty (0 bytes): write it again.")
        return read(data)
    except InputError as error:
        raise InputError(f"landmark file {path}: {error}") from error


def _content(path: Path, data: bytes) -> dict[str, Any]:
    """What the file holds, by name; bare points are called "points"."""
    match path.suffix.lower():
        case ".npz" | ".npy":
            arrays = load_arrays(data)
            return arrays if isinstance(arrays, dict) else {"points": arrays}
        case ".json":
            try:
                content = json.loads(data)
            except (ValueError, RecursionError) as error:
                raise InputError(f"it is not valid JSON ({error}): check brackets and commas.") from error
            return content if isinstance(content, dict) else {"points": content}
    raise InputError(f'files of type "{path.suffix}" are not read: use .npz, .npy, .json or .csv.')


def _clip(content: dict[str, Any]) -> LandmarkClip:
    points = _points(content)
    if points.ndim == 2:
        points = points[None]
    if points.ndim != 3 or points.shape[1:] != (NUM_POINTS, 2) or len(points) == 0:
        raise InputError(
            f"its points have the shape {_in_words(points)}, but need frames x {NUM_POINTS} x 2 (x and y in "
            "pixels)."
        )
    if len(points) > MAX_FRAMES:
        raise InputError(f"it has {len(points)} frames, more than {MAX_FRAMES}: cut it.")
    fps = _array(content.get("fps", DEFAULT_FPS), "fps")
    if fps.size != 1 or not 0 < fps.item() <= 1000:
        raise InputError("its fps is no rate: give frames per second, as in 25.")
    score = _array(content.get("score", np.ones(len(points))), "score")
    if score.shape != (len(points),) or not ((score >= 0) & (score <= 1)).all():
        raise InputError(f"its score must hold a number 0..1 for each of the {len(points)} frames.")
    return LandmarkClip(torch.from_numpy(points).float(), torch.from_numpy(score).float(), fps.item())


def _one_face(content: dict[str, Any]) -> Float[Tensor, "68 2"]:
    points = _points(content)
    if points.ndim == 3 and len(points) == 1:
        points = points[0]
    if points.shape != (NUM_POINTS, 2):
        raise InputError(
            f"its points have the shape {_in_words(points)}, but one face has {NUM_POINTS} x 2 (x and y in "
            "pixels)."
        )
    return torch.from_numpy(points).float()


def _points(content: dict[str, Any]) -> Float[np.ndarray, "..."]:
    if "points" not in content:
        held = ", ".join(str(name)[:40] for name in list(content)[:5]) or "nothing"
        raise InputError(f'it holds {held}, but no "points": call them that.')
    points = _array(content["points"], "points")
    if not (np.abs(points) <= FARTHEST).all():
        raise InputError("a point is not a number that a picture can hold (NaN, infinite or huge).")
    return points


def _array(value: Any, name: str) -> Float[np.ndarray, "..."]:
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iuf":
            raise ValueError("other things than numbers")
        return array.astype(np.float64)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(
            f"its {name} are not plain numbers in rows of equal length: write it again."
        ) from error


def _in_words(array: Float[np.ndarray, "..."]) -> str:
    return " x ".join(map(str, array.shape)) or "a single number"


def _from_csv(data: bytes) -> BlendshapeClip:
    try:
        rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("it is no table of comma-separated values: export it as CSV.") from error
    rows = [row for row in rows if row]
    header = [name.strip().lower().replace("_", "") for name in rows[0]] if rows else []
    columns = {index: _SHAPE_OF_COLUMN[name] for index, name in enumerate(header) if name in _SHAPE_OF_COLUMN}
    if not columns:
        raise InputError(
            "none of its columns is called like a blendshape (jawOpen, eyeBlinkLeft, ...): its first row "
            "must name them."
        )
    if not 1 < len(rows) <= MAX_FRAMES + 1:
        raise InputError(f"it has {len(rows) - 1} rows of values: give 1 to {MAX_FRAMES}, one per frame.")
    curves = {name: _column(rows, index, name) for index, name in columns.items()}
    largest = max(float(curve.abs().max()) for curve in curves.values())
    if largest > 100:
        raise InputError(f"it holds the value {largest:g}: blendshapes run from 0 to 1, or from 0 to 100.")
    scale = 100.0 if largest > 2 else 1.0
    fps = BLENDSHAPE_FPS
    if "time" in header and len(rows) > 2:
        times = _column(rows, header.index("time"), "time")
        span = float(times[-1] - times[0])
        if not span > 0 or len(times) - 1 > 1000 * span:
            raise InputError("its times do not rise: give seconds, one row per frame.")
        fps = (len(times) - 1) / span
    return BlendshapeClip({name: curve / scale for name, curve in curves.items()}, fps)


def _column(rows: list[list[str]], index: int, name: str) -> Float[Tensor, "T"]:
    try:
        values = torch.tensor([float(row[index]) for row in rows[1:]])
    except (ValueError, IndexError) as error:
        raise InputError(f"its column {name} lacks a number in some row: export it again.") from error
    if not values.isfinite().all():
        raise InputError(f"its column {name} holds a value that is not a finite number: export it again.")
    return values
