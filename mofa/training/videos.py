"""Clips from video files: a folder of them, or a CSV or JSONL list."""

import csv
import json
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.errors import InputError
from mofa.media.clips import VideoFacts, read_clip, video_facts
from mofa.tensors.geometry import fit_crop
from mofa.training.clips import Clips
from mofa.types import CropBox
from mofa.vision.dis import dis_flow

LOG = logging.getLogger(__name__)
VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg")
COLUMNS = ("path", "video", "file", "name")
"""Where a list has a file's place; other columns are not looked at."""


@dataclass(frozen=True)
class ClipSettings:
    """How a clip is cut out of a video."""

    num_frames: int = 14
    stride: int = 4
    """Frames of the video from one of the clip to the next."""
    height: int = 256
    width: int = 256
    fit: Literal["crop", "squeeze"] = "crop"
    """Keep the aspect and cut what does not fit, or squeeze the whole picture as the released scripts."""
    shown: float = 1.0
    """The window's sides, as a share of those of the largest that fits; a smaller one lies anywhere."""
    flip: bool = True
    """Mirror every other clip."""
    flow: Literal["none", "dis"] = "none"
    """Motion that is measured while clips are read: none, or by dense inverse search, without weights."""
    random_windows: bool = True
    """Cut anywhere in the picture; false cuts the middle."""


@dataclass(frozen=True)
class Videos:
    """Clips from a folder of videos or a list of them."""

    path: Path = Path("videos")
    """A folder, with everything below it, or a .csv or .jsonl file whose column `path` names files, relative
    to the list."""
    clips: ClipSettings = ClipSettings()

    def build(self, seed: int) -> "VideoClips":
        """The clips; raises InputError where there are no files."""
        return VideoClips(tuple(listed(self.path)), self.clips, seed, str(self.path))


@dataclass
class VideoClips:
    """An endless row of clips: every video once in an order, then in another.

    What cannot be read is left out. `left_out` counts the reasons; each file is named once in the log.
    """

    files: tuple[Path, ...]
    settings: ClipSettings
    seed: int
    origin: str
    left_out: Counter[str] = field(default_factory=Counter)
    _refused: set[Path] = field(default_factory=set)

    def __getitem__(self, number: int) -> Clips:
        rng = np.random.Generator(np.random.Philox(key=[self.seed, number]))
        first_reason = ""
        for path in self._in_turn(number):
            if path in self._refused:
                continue
            try:
                return clip_of(path, str(path), facts_of(path), self.settings, rng)
            except InputError as error:
                first_reason = first_reason or str(error)
                self._refused.add(path)
                self.left_out[type(error).__name__] += 1
                LOG.warning("left out (%d of %d): %s", len(self._refused), len(self.files), error)
        raise InputError(
            f"none of the {len(self.files)} videos of {self.origin} gives a clip of "
            f"{self.settings.num_frames} frames with stride {self.settings.stride}; the first: "
            f"{first_reason or 'left out before'}"
        )

    def _in_turn(self, number: int) -> Iterator[Path]:
        """The video whose turn it is, and the ones after it in case it cannot be read."""
        count = len(self.files)
        order = shuffled(count, self.seed, number // count)
        for i in range(count):
            yield self.files[order[(number + i) % count]]


@lru_cache(maxsize=4)
def shuffled(count: int, seed: int, epoch: int) -> list[int]:
    """0 .. count - 1 in the order of an epoch."""
    return np.random.Generator(np.random.Philox(key=[seed + 1, epoch])).permutation(count).tolist()


@lru_cache(maxsize=100_000)
def facts_of(path: Path) -> VideoFacts:
    """A video's facts, read once per process."""
    return video_facts(path, str(path))


def clip_of(
    source: Path | BytesIO, name: str, facts: VideoFacts, settings: ClipSettings, rng: np.random.Generator
) -> Clips:
    """A clip from a random place of a video; InputError where it is too short or damaged."""
    needed = settings.stride * (settings.num_frames - 1) + 1
    available = round(facts.seconds * facts.fps)
    if available < needed:
        raise InputError(
            f"{name} has {available} frames, and a clip needs {needed}: lower data.clips.stride or "
            "data.clips.num_frames."
        )
    start = int(rng.integers(0, available - needed + 1))
    moments = [(start + settings.stride * i) / facts.fps for i in range(settings.num_frames)]
    crop = window_of(facts, settings, rng)
    if isinstance(source, BytesIO):
        source.seek(0)
    frames = read_clip(source, moments, crop, name)
    if settings.flip and rng.random() < 0.5:
        frames = frames.flip(-1)
    return Clips(
        frames=frames,
        flow=dis_flows(frames) if settings.flow == "dis" else None,
        name=f"{name} at {moments[0]:.2f} s",
    )


def window_of(facts: VideoFacts, settings: ClipSettings, rng: np.random.Generator) -> CropBox:
    """The window of the video that a clip shows."""
    if settings.fit == "squeeze":
        whole = float(facts.width), float(facts.height)
        return CropBox(0.0, 0.0, *whole, settings.width, settings.height)
    largest = fit_crop(facts.width, facts.height, settings.width, settings.height, "crop")
    width, height = settings.shown * largest.width, settings.shown * largest.height
    left, top = (facts.width - width) / 2, (facts.height - height) / 2
    if settings.random_windows:
        left, top = float(rng.uniform(0, 2 * left)), float(rng.uniform(0, 2 * top))
    return CropBox(left, top, width, height, settings.width, settings.height)


def dis_flows(frames: UInt8[Tensor, "T 3 H W"]) -> Float[Tensor, "S 2 H W"]:
    """Flow from frame 0 to every later one, by dense inverse search."""
    return torch.stack([dis_flow(frames[0], later) for later in frames[1:]])


def listed(source: Path) -> Iterator[Path]:
    """The video files that a folder or a list names; raises InputError where there are none."""
    if source.is_dir():
        files = sorted(p for p in source.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
        if not files:
            raise InputError(f"{source} holds no videos ({', '.join(VIDEO_SUFFIXES)}): name another folder.")
        yield from files
        return
    if not source.is_file():
        raise InputError(
            f"{source} does not exist: set data.path to a folder of videos, a CSV or a JSONL file."
        )
    rows = list(_rows(source))
    if not rows:
        raise InputError(f"{source} lists no videos: give it a column named path.")
    yield from rows


def _rows(source: Path) -> Iterator[Path]:
    with source.open(encoding="utf-8", newline="") as file:
        if source.suffix.lower() in (".jsonl", ".ndjson"):
            rows: Iterator[object] = (json.loads(line) for line in file if line.strip())
        else:
            rows = iter(csv.DictReader(file))
        try:
            for number, row in enumerate(rows, start=1):
                yield source.parent / _place(row, source, number)
        except ValueError as error:
            raise InputError(f"{source} cannot be read as a list ({error}): mend it.") from error


def _place(row: object, source: Path, number: int) -> str:
    if isinstance(row, str):
        return row
    if isinstance(row, dict):
        for column in COLUMNS:
            if row.get(column):
                return str(row[column])
    raise InputError(f"{source}, row {number}, names no file: its column is {' or '.join(COLUMNS)}.")
