"""Landmark files: 68 points per frame as NPZ or JSON, a face's 68 points by hand, blendshape curves as CSV.

NPZ holds `points` [T, 68, 2] in pixels, and may hold `fps` (25 when it does not) and `score` [T]; a lone
.npy array is the points. JSON is `{"fps": 25, "points": [[[x, y], ...68], ...T], "score": [...]}` or the
points alone. One face is 68 x 2: a list of points in JSON, alone or under "points", or an array.

One face also comes as iBUG's .pts (counted from 1), as dlib's .xml, or as 68 lines of text with x and y. A
third coordinate is not read, and frames that hold NaN are bridged. CSV is described in `blendshape_tables`.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from xml.parsers import expat

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mofa.control.coordinates import FARTHEST
from mofa.control.text_files import text_of
from mofa.control.track_arrays import load_arrays
from mofa.errors import InputError
from mofa.faces.blendshape_tables import read_table
from mofa.faces.blendshapes import BlendshapeClip
from mofa.faces.points import NUM_POINTS
from mofa.faces.smoothing import bridge
from mofa.types import LandmarkClip, Note, unsaid

Read = TypeVar("Read")

DEFAULT_FPS = 25.0
"""Of landmark files that do not say: the rate of the learned speech drivers."""
MAX_FRAMES = 100_000
"""More than an hour at 25 a second: a longer file was not meant to drive one clip."""
POINT_NAMES = ("points", "landmarks", "pred_landmarks", "landmarks_2d", "keypoints")
"""What writers of landmark files call them."""


def read_landmarks(path: Path) -> LandmarkClip:
    """The landmarks of an NPZ, NPY or JSON file; InputError, naming the file, when it holds none."""
    return _explained(path, lambda data: _clip(_content(path, data)))


def read_face_points(path: Path) -> Float[Tensor, "68 2"]:
    """One face's 68 points, from JSON, NPY or NPZ; InputError, naming the file, when it holds none."""
    return _explained(path, lambda data: _one_face(_content(path, data)))


def read_blendshapes(path: Path, note: Note = unsaid) -> BlendshapeClip:
    """The curves of a CSV file; InputError, naming the file, when it holds none.

    `note` is told what had to be guessed.
    """
    return _explained(
        path, lambda data: read_table(data, lambda guess: note(f"landmark file {path}: {guess}"))
    )


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
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"landmark file {path} cannot be read ({reason}): check the path.", key="landmarks.unreadable"
        ) from error
    try:
        if not data:
            raise InputError("it is empty (0 bytes): write it again.")
        return read(data)
    except InputError as error:
        raise InputError(
            f"landmark file {path}: {error}", key=error.key or "landmarks.unreadable", **error.values
        ) from error


def _content(path: Path, data: bytes) -> dict[str, Any]:
    """What the file holds, by name; bare points are called "points"."""
    match path.suffix.lower():
        case ".npz" | ".npy":
            arrays = load_arrays(data)
            return arrays if isinstance(arrays, dict) else {"points": arrays}
        case ".json":
            try:
                content = json.loads(text_of(data, "save it as JSON"))
            except (ValueError, RecursionError) as error:
                raise InputError(f"it is not valid JSON ({error}): check brackets and commas.") from error
            return content if isinstance(content, dict) else {"points": content}
        case ".pts" | ".txt":
            return {"points": _from_lines(data)}
        case ".xml":
            return {"points": _from_dlib(data)}
    raise InputError(
        f'files of type "{path.suffix[:20]}" are not read: use .npz, .npy, .json, .pts, .xml, .txt or .csv.'
    )


def _from_lines(data: bytes) -> list[list[float]]:
    """x and y on each line; iBUG's .pts have a head and braces around, and count pixels from 1."""
    text = text_of(data, "write x and y on each line")
    from_one = text.lstrip().startswith("version:")
    lines = text.partition("{")[2].partition("}")[0] if from_one else text
    rows = [line.replace(",", " ").split() for line in lines.splitlines() if line.strip()]
    try:
        return [[float(cell) - from_one for cell in row] for row in rows]
    except ValueError as error:
        raise InputError("some line is not x and y: write two numbers on each.") from error


def _from_dlib(data: bytes) -> list[list[float]]:
    """The parts of the first box that has any, in the order of their names (00, 01, ...)."""
    parts: dict[str, list[float]] = {}

    def start(tag: str, given: dict[str, str]) -> None:
        if tag == "part" and len(parts) < NUM_POINTS:
            parts[given.get("name", str(len(parts))).zfill(3)] = [float(given["x"]), float(given["y"])]

    def entity(*_: object) -> None:
        raise InputError("it declares entities, which are not read: write it again without.")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EntityDeclHandler = start, entity
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise InputError(f"it is no landmark file of dlib ({error}): write it again.") from error
    return [parts[name] for name in sorted(parts)]


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
    seen = np.isfinite(points).all((1, 2))
    score = _array(content.get("score", seen.astype(float)), "score")
    if score.shape != (len(points),) or not ((score >= 0) & (score <= 1)).all():
        raise InputError(f"its score must hold a number 0..1 for each of the {len(points)} frames.")
    if not seen.any():
        raise InputError("no frame of it holds a face: every one has NaN.")
    bridged = bridge(torch.from_numpy(np.nan_to_num(points)).float(), torch.from_numpy(seen))
    return LandmarkClip(bridged, torch.from_numpy(score * seen).float(), fps.item())


def _one_face(content: dict[str, Any]) -> Float[Tensor, "68 2"]:
    points = _points(content)
    if points.ndim == 3 and len(points) == 1:
        points = points[0]
    if points.shape != (NUM_POINTS, 2):
        raise InputError(
            f"its points have the shape {_in_words(points)}, but one face has {NUM_POINTS} x 2 (x and y in "
            "pixels)."
        )
    if not np.isfinite(points).all():
        raise InputError("a point is not a number that a picture can hold (NaN).")
    return torch.from_numpy(points).float()


def _points(content: dict[str, Any]) -> Float[np.ndarray, "..."]:
    name = next((name for name in POINT_NAMES if name in content), None)
    if _holds_curves(content):
        raise InputError(
            "it holds blendshape curves, which are read from CSV alone: write a column for each (jawOpen, "
            "eyeBlinkLeft, ...) and a row per frame, with a column of times."
        )
    if name is None:
        held = ", ".join(str(name)[:40] for name in list(content)[:5]) or "nothing"
        raise InputError(f'it holds {held}, but no "points": call them that.')
    value = content[name]
    if isinstance(value, list) and value and all(isinstance(point, dict) for point in value):
        value = [[point.get("x"), point.get("y")] for point in value]
    points = _array(value, "points")
    if points.ndim >= 2 and points.shape[-2:] == (NUM_POINTS, 3):
        points = points[..., :2]
    known = points[np.isfinite(points)]
    if not (np.abs(known) <= FARTHEST).all() or np.isinf(points).any():
        raise InputError("a point is not a number that a picture can hold (infinite or huge).")
    if points.shape[-2:] == (NUM_POINTS, 2) and known.any() and known.min() >= 0 and known.max() <= 1:
        raise InputError("its points are fractions of the picture: multiply them by its width and height.")
    return points


def _holds_curves(content: dict[str, Any]) -> bool:
    """Whether these are curves: a matrix with names, as Audio2Face writes them, or a dictionary per frame, as
    MediaPipe's are kept."""
    frames = content.get("frames", content.get("points"))
    first = frames[0] if isinstance(frames, list) and frames else None
    return "weightMat" in content or (isinstance(first, dict) and "blendshapes" in first)


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
