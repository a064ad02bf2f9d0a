"""Trajectories in the files that other motion models and tools read and write.

| name | what it is | who reads it |
|---|---|---|
| wan-move | folder: tracks.npy [1, F, N, 2] pixels, visibility.npy [1, F, N] | Wan-Move, MoveBench |
| ati | .pth: bytes of an NPZ whose `array` is [N, 121, 1, 3], x, y and visibility times 8, 24 fps | ATI |
| kjnodes | .json: a list of tracks, each a list of {"x", "y"} in whole pixels per frame | KJNodes, LTXVideo |
| comfy-tracks | .npz: track_path [F, N, 2] pixels, track_visibility [F, N] | ComfyUI's TRACKS |
| cotracker | .npz: pred_tracks [1, F, N, 2] pixels, pred_visibility [1, F, N] | CoTracker's kind |
| svg | paths over a view box, without timing | any drawing program |

A pixel's number is that of its centre, as everywhere in mofa.
"""

import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float

from mofa.control.coordinates import FARTHEST
from mofa.control.track_files import load_arrays
from mofa.control.words import nearest
from mofa.errors import InputError
from mofa.types import TrackSet

ATI_FRAMES, ATI_UNIT = 121, 8
"""ATI's trajectories have five seconds at 24 fps, its numbers count eighths of a pixel (its motion.py)."""


@dataclass(frozen=True)
class Trajectories:
    """Points that move over a picture of width x height pixels, one place per frame."""

    tracks: TrackSet
    width: int
    height: int
    fps: float


Files = Mapping[str, bytes]
"""The files of a format by name; the name "" is that of the file itself, where there is one alone."""


@dataclass(frozen=True)
class Format:
    """How trajectories lie on the disk, and what their reader expects of them.

    `suffix` is "" for a folder. `frames`, `fps` and `sides` (the long and the short one, in pixels) are what
    the model was made for; None: any.
    """

    suffix: str
    write: Callable[[Trajectories], Files]
    read: Callable[[Files], TrackSet]
    frames: int | None = None
    fps: float | None = None
    sides: tuple[int, int] | None = None


def check_format(name: str, known: Iterable[str]) -> None:
    """Raises InputError for a name that is not known, with the nearest that is."""
    names = list(known)
    if name not in names:
        raise InputError(
            f'"{name}" is no format: did you mean "{nearest(name, names)}"? ({", ".join(names)})'
        )


def read_trajectories(name: str, path: Path) -> TrackSet:
    """The tracks of a file or folder in one of the formats, in pixels of the picture they were made for.

    Raises InputError, naming the path: it cannot be read, or is not of that format.
    """
    check_format(name, TRACK_FORMATS)
    chosen = TRACK_FORMATS[name]
    names = [""] if chosen.suffix else ["tracks.npy", "visibility.npy"]
    try:
        return chosen.read({part: (path / part if part else path).read_bytes() for part in names})
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read ({error.strerror}): check the path.") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


# --- writing ---


def _frames_first(tracks: TrackSet) -> tuple[Float[np.ndarray, "F N 2"], Bool[np.ndarray, "F N"]]:
    points = tracks.points.transpose(0, 1).float().contiguous().cpu().numpy()
    return points, tracks.visible.T.contiguous().cpu().numpy()


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _write_wan_move(moving: Trajectories) -> Files:
    points, visible = _frames_first(moving.tracks)
    return {"tracks.npy": _npy(points[None]), "visibility.npy": _npy(visible[None])}


def _write_ati(moving: Trajectories) -> Files:
    if moving.tracks.points.shape[1] != ATI_FRAMES:
        raise InputError(f"ATI reads {ATI_FRAMES} frames, not {moving.tracks.points.shape[1]}.")
    numbers = torch.cat([moving.tracks.points, moving.tracks.visible[..., None].float()], -1)
    file = io.BytesIO()
    torch.save(_npz(array=(ATI_UNIT * numbers[:, :, None]).cpu().numpy()), file)
    return {"": file.getvalue()}


def _write_kjnodes(moving: Trajectories) -> Files:
    places = moving.tracks.points.round().long().tolist()
    text = json.dumps([[{"x": x, "y": y} for x, y in track] for track in places])
    return {"": text.encode()}


def _write_comfy(moving: Trajectories) -> Files:
    points, visible = _frames_first(moving.tracks)
    return {"": _npz(track_path=points, track_visibility=visible)}


def _write_cotracker(moving: Trajectories) -> Files:
    points, visible = _frames_first(moving.tracks)
    return {"": _npz(pred_tracks=points[None], pred_visibility=visible[None])}


def _write_svg(moving: Trajectories) -> Files:
    """The view box spans the pixels' centres, as percent of a picture do."""
    paths = []
    for track, seen in zip(moving.tracks.points, moving.tracks.visible, strict=True):
        places = [f"{x:.2f} {y:.2f}" for x, y in track[seen].tolist()]
        if places:
            line = " ".join(f"L {place}" for place in places[1:] or places)
            paths.append(f'  <path d="M {places[0]} {line}" fill="none" stroke="#40c4ff" stroke-width="2"/>')
    box = f"0 0 {moving.width - 1} {moving.height - 1}"
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">', *paths, "</svg>", ""]
    return {"": "\n".join(lines).encode()}


# --- reading ---


def _track_set(points: np.ndarray, visible: np.ndarray | None, what: str) -> TrackSet:
    """Frames-first arrays, perhaps with a batch axis of 1 before them, as tracks."""
    if points.ndim == 4 and len(points) == 1:
        points = points[0]
        visible = visible[0] if visible is not None and visible.ndim == 3 else visible
    if points.ndim != 3 or points.shape[-1] != 2 or 0 in points.shape or points.dtype.kind not in "iuf":
        shape = " x ".join(map(str, points.shape))
        raise InputError(f"its {what} have the shape {shape}, but need frames x tracks x 2 (x and y).")
    visible = np.ones(points.shape[:2], bool) if visible is None else visible > 0.5
    if visible.shape != points.shape[:2]:
        raise InputError(f"its visibility has the shape {visible.shape}, but the points {points.shape}.")
    return _checked(points.astype(np.float64).swapaxes(0, 1), visible.T)


def _checked(points: Float[np.ndarray, "N F 2"], visible: Bool[np.ndarray, "N F"]) -> TrackSet:
    if not (np.abs(points[visible]) <= FARTHEST).all():
        raise InputError("a visible point is not a number that a picture can hold (NaN, infinite or huge).")
    places = np.nan_to_num(points, nan=0.0, posinf=0.0, neginf=0.0).clip(-FARTHEST, FARTHEST)
    return TrackSet(torch.from_numpy(places).float(), torch.from_numpy(visible.copy()))


def _array(data: bytes) -> np.ndarray:
    array = load_arrays(data)
    if not isinstance(array, np.ndarray):
        raise InputError("it is an archive, not a single array.")
    return array


def _named(data: bytes, points: str, visible: str) -> TrackSet:
    arrays = load_arrays(data)
    if not isinstance(arrays, dict) or points not in arrays:
        raise InputError(f'it holds no array called "{points}".')
    return _track_set(arrays[points], arrays.get(visible), points)


def _read_wan_move(files: Files) -> TrackSet:
    return _track_set(_array(files["tracks.npy"]), _array(files["visibility.npy"]), "tracks")


def _read_ati(files: Files) -> TrackSet:
    try:
        packed = torch.load(io.BytesIO(files[""]), weights_only=True)
    except Exception as error:  # foreign bytes: torch has no common error for them
        raise InputError("it is no .pth file as ATI has them: bytes of an NPZ.") from error
    arrays = load_arrays(packed) if isinstance(packed, bytes) else None
    if not isinstance(arrays, dict) or "array" not in arrays:
        raise InputError('it holds no NPZ with an array called "array".')
    numbers = arrays["array"]
    if numbers.ndim != 4 or numbers.shape[2:] != (1, 3) or numbers.dtype.kind not in "iuf":
        raise InputError(f"its array has the shape {numbers.shape}, but ATI's is N x frames x 1 x 3.")
    numbers = numbers[:, :, 0].astype(np.float64) / ATI_UNIT
    return _checked(numbers[..., :2], numbers[..., 2] > 0.5)


def _read_kjnodes(files: Files) -> TrackSet:
    try:
        # The nodes themselves take Python's quotes for JSON's.
        content = json.loads(files[""].decode().replace("'", '"'))
        tracks = [content] if content and isinstance(content[0], dict) else content
        places = [[[float(place["x"]), float(place["y"])] for place in track] for track in tracks]
        points = np.array(places, np.float64)
    except (ValueError, TypeError, KeyError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            'it is no track string: a JSON list of tracks of equal length, each a list of {"x": 1, "y": 2}.'
        ) from error
    if points.ndim != 3 or 0 in points.shape:
        raise InputError("it holds no tracks.")
    return _checked(points, np.ones(points.shape[:2], bool))


TRACK_FORMATS: Mapping[str, Format] = {
    "wan-move": Format("", _write_wan_move, _read_wan_move, frames=81, fps=16.0, sides=(832, 480)),
    "ati": Format(".pth", _write_ati, _read_ati, frames=ATI_FRAMES, fps=24.0, sides=(832, 480)),
    "kjnodes": Format(".json", _write_kjnodes, _read_kjnodes),
    "comfy-tracks": Format(
        ".npz", _write_comfy, lambda files: _named(files[""], "track_path", "track_visibility")
    ),
    "cotracker": Format(
        ".npz", _write_cotracker, lambda files: _named(files[""], "pred_tracks", "pred_visibility")
    ),
    "svg": Format(".svg", _write_svg, lambda files: _no_times(files)),
}


def _no_times(files: Files) -> TrackSet:
    raise InputError("SVG paths have no frames: name the file itself in a scene, `kind: track, file: x.svg`.")
