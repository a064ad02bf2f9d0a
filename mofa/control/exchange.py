"""Trajectories in the files that other motion models and tools read; `track_files` reads them back.

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

import numpy as np
import torch
from jaxtyping import Bool, Float

from mofa.control.track_arrays import ATI_FRAMES, ATI_UNITS
from mofa.control.words import nearest
from mofa.errors import InputError
from mofa.types import TrackSet


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
    frames: int | None = None
    fps: float | None = None
    sides: tuple[int, int] | None = None


def check_format(name: str, known: Iterable[str]) -> None:
    """Raises InputError for a name that is not known, with the nearest that is."""
    names = list(known)
    if name not in names:
        raise InputError(
            f'"{name}" is no format: did you mean "{nearest(name, names)}"? ({", ".join(names)})',
            key="clip.form",
        )


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
        raise InputError(
            f"ATI reads {ATI_FRAMES} frames, not {moving.tracks.points.shape[1]}.",
            key="export.frames",
            frames=ATI_FRAMES,
        )
    numbers = torch.cat([moving.tracks.points, moving.tracks.visible[..., None].float()], -1)
    eighths = (ATI_UNITS * numbers[:, :, None]).round().int().cpu().numpy()
    file = io.BytesIO()
    torch.save(_npz(array=eighths), file)
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


TRACK_FORMATS: Mapping[str, Format] = {
    "wan-move": Format("", _write_wan_move, frames=81, fps=16.0, sides=(832, 480)),
    "ati": Format(".pth", _write_ati, frames=ATI_FRAMES, fps=24.0, sides=(832, 480)),
    "kjnodes": Format(".json", _write_kjnodes),
    "comfy-tracks": Format(".npz", _write_comfy),
    "cotracker": Format(".npz", _write_cotracker),
    "svg": Format(".svg", _write_svg),
}
