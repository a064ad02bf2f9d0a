"""Readers of published benchmarks as they lie on the disk, and of any folder of clips.

MoveBench (Wan-Move, arXiv 2512.08765; Ruihang/MoveBench on the Hugging Face hub) and MC-Bench (MotionPro,
arXiv 2505.20287). Their papers' columns need CoTracker and standard networks; reports name what was used.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from mofa.control.track_arrays import load_arrays
from mofa.errors import InputError
from mofa.evaluation.clips import clip_called, clips_in, middle_square
from mofa.evaluation.motion_bench import spread_out
from mofa.evaluation.scene import Scene, no_tracks
from mofa.media.decode import read_video
from mofa.media.image import read_mask, read_picture, to_bytes
from mofa.types import TrackSet
from mofa.vision.track_points import find_corners, follow_surface

MOVEBENCH_FPS, MC_BENCH_FPS = 16.0, 8.0
"""Of Wan's clips, and of what MotionPro's script writes."""
MC_BENCH_FRAMES = 16
"""Of MotionPro's clips."""


@dataclass(frozen=True)
class MoveBenchSuite:
    """LANGUAGE/{single,multi}_track.txt lists clips; first_frame/, track/MODE/ and video/ hold them.

    `mode` is single or multi. The true clip is used where it lies in video/.
    """

    data: Path
    mode: str = "single"
    language: str = "en"
    title: str = "MoveBench"

    def names(self) -> Sequence[str]:
        """The listed clips, without suffix."""
        listing = self._home / f"{self.mode}_track.txt"
        try:
            lines = listing.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            raise InputError(f"{listing} cannot be read: give MoveBench's folder with --data.") from None
        rows = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        return [Path(row.partition(",")[0].strip()).stem for row in rows]

    def open(self, name: str) -> Scene:
        """Raises InputError when a file of the scene is missing or damaged."""
        picture = to_bytes(read_picture(self._home / "first_frame" / f"{name}.jpg"))
        folder = self._home / "track" / self.mode
        points = array_at(folder / f"{name}_tracks.npy", 3).astype(np.float32)
        visible = array_at(folder / f"{name}_visibility.npy", 2) > 0.5
        if points.shape[:2] != visible.shape or points.shape[2] != 2:
            raise InputError(f"the tracks and the visibility of {name} do not fit each other.")
        tracks = TrackSet(
            torch.from_numpy(points).transpose(0, 1).contiguous(),
            torch.from_numpy(visible).transpose(0, 1).contiguous(),
        )
        tracks = seen_at_the_start(tracks)
        video = self._home / "video" / f"{name}.mp4"
        reference = read_video(video).frames[: tracks.points.shape[1]] if video.is_file() else None
        if reference is not None and reference.shape[2:] != picture.shape[1:]:
            raise InputError(f"{video} has another size than its first frame.")
        return Scene(
            name=name,
            picture=picture,
            fps=MOVEBENCH_FPS,
            hints=tracks,
            others=no_tracks(tracks.points.shape[1]),
            rests=torch.zeros(len(tracks.points), dtype=torch.bool),
            reference=reference,
        )

    @property
    def _home(self) -> Path:
        return self.data / self.language


def array_at(path: Path, axes: int) -> Any:
    """A NumPy array of T x N (x 2), whether or not a leading axis of one was saved. Raises InputError."""
    try:
        array = load_arrays(path.read_bytes())
    except OSError:
        raise InputError(f"{path} cannot be read: is the download whole?") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if isinstance(array, np.ndarray) and array.ndim == axes + 1 and 1 in (len(array), array.shape[-1]):
        array = array[0] if len(array) == 1 else array[..., 0]
    if not isinstance(array, np.ndarray) or array.ndim != axes or array.dtype.kind not in "biuf":
        raise InputError(f"{path} does not hold the array that it should.")
    return array


def seen_at_the_start(tracks: TrackSet) -> TrackSet:
    """The tracks that can be asked for: those whose point the first frame shows."""
    seen = tracks.visible[:, 0]
    return TrackSet(tracks.points[seen], tracks.visible[seen])


@dataclass(frozen=True)
class McBenchSuite:
    """`part`/SCENE/ with first_frame.png, first_frame_mask.png (the brush) and meta_data.json.

    `part` is Fine_grained_control or object_control.
    """

    data: Path
    part: str = "Fine_grained_control"
    title: str = "MC-Bench"

    def names(self) -> Sequence[str]:
        """The scene folders."""
        home = self.data / self.part
        found = sorted(path.parent.name for path in home.glob("*/first_frame.png"))
        if not found:
            raise InputError(f"{home} holds no scenes: give MC-Bench's folder with --data.")
        return found

    def open(self, name: str) -> Scene:
        """Raises InputError when a file of the scene is missing or damaged."""
        folder = self.data / self.part / name
        picture = to_bytes(read_picture(folder / "first_frame.png"))
        tracks = dragged(key_points(folder / "meta_data.json"))
        mask = folder / "first_frame_mask.png"
        brush: Bool[Tensor, "H W"] | None = read_mask(mask)[0] > 0 if mask.is_file() else None
        if brush is not None and brush.shape != picture.shape[1:]:
            raise InputError(f"{mask} has another size than its first frame.")
        return Scene(
            name=name,
            picture=picture,
            fps=MC_BENCH_FPS,
            hints=tracks,
            others=no_tracks(MC_BENCH_FRAMES),
            rests=torch.zeros(len(tracks.points), dtype=torch.bool),
            brush=brush if brush is not None and brush.any() else None,
        )


def key_points(file: Path) -> list[Float[np.ndarray, "_ 2"]]:
    """The drawn tracks of a scene. Raises InputError."""
    try:
        listed = json.loads(file.read_text(encoding="utf-8"))["traj_key_points"]
        tracks = [np.asarray(track, dtype=np.float64).reshape(-1, 2) for track in listed]
    except OSError:
        raise InputError(f"{file} cannot be read: is the download whole?") from None
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{file} holds no traj_key_points.") from None
    if not tracks or not all(len(track) and np.isfinite(track).all() for track in tracks):
        raise InputError(f"{file} holds no tracks.")
    return tracks


def dragged(tracks: Sequence[Float[np.ndarray, "_ 2"]]) -> TrackSet:
    """16 places along each track, monotone cubic between its points, as MotionPro's scripts place them; a
    single point goes one pixel right and down there."""
    ways = []
    for track in tracks:
        points = np.stack([track[0], track[0] + 1]) if len(track) == 1 else track
        curve = PchipInterpolator(np.linspace(0, 1, len(points)), points)
        ways.append(curve(np.linspace(0, 1, MC_BENCH_FRAMES)))
    places = torch.from_numpy(np.stack(ways)).float()
    return TrackSet(places, torch.ones(places.shape[:2], dtype=torch.bool))


@dataclass(frozen=True)
class FolderSuite:
    """The protocol of MOFA-Video's Table 1 on any folder of clips: the first frame and a few tracks of each
    clip are given, and the clip is its own truth.

    14 frames at a stride of 4, 256 x 256 cut from the middle, as the paper trained and tested; 1 to 10 tracks
    as its released code samples them are `points` here.
    """

    data: Path
    frames: int = 14
    stride: int = 4
    side: int = 256
    points: int = 5
    title: str = "MOFA-Video's Table 1 protocol"

    def names(self) -> Sequence[str]:
        """One per clip."""
        return list(clips_in(self.data))

    def open(self, name: str) -> Scene:
        """Raises InputError for a clip that is too short or in which nothing can be followed."""
        path = clip_called(name, self.data)
        clip = read_video(path, max_frames=self.frames * self.stride)
        frames = clip.frames[:: self.stride][: self.frames]
        if len(frames) < self.frames:
            raise InputError(f"{path} is too short for {self.frames} frames at a stride of {self.stride}.")
        frames = middle_square(frames, self.side)
        tracks = follow_surface(frames, find_corners(frames[0], 200))
        whole = tracks.visible.all(dim=1).nonzero()[:, 0]
        if len(whole) == 0:
            raise InputError(f"in {path} nothing can be followed for {self.frames} frames.")
        hinted = spread_out(tracks.points[:, 0], whole, min(self.points, len(whole)))
        return Scene(
            name=name,
            picture=frames[0],
            fps=clip.fps / self.stride,
            hints=TrackSet(tracks.points[hinted], tracks.visible[hinted]),
            others=no_tracks(self.frames),
            rests=torch.zeros(len(hinted), dtype=torch.bool),
            reference=frames,
        )
