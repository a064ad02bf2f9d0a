"""Videos that drive something: opened and checked when a scene is read, decoded when they are needed."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch.nn.functional as F

from mofa.media.decode import read_video
from mofa.tensors.geometry import shrunk
from mofa.types import Clip, Progress


@runtime_checkable
class Video(Protocol):
    """Moving pictures, in a file or in memory; `str()` of one is its name in messages."""

    @property
    def num_frames(self) -> int:
        """How many frames there are; of a file it is enough to know whether there are two."""
        ...

    def decoded(self, max_frames: int, progress: Progress, long_side: int | None = None) -> Clip:
        """The first `max_frames` frames; larger ones are shrunk until their long side is `long_side`."""
        ...


@dataclass(frozen=True)
class VideoFile:
    """A video file whose beginning could be decoded: `num_frames` frames, which is two, or all it has."""

    path: Path
    num_frames: int

    def decoded(self, max_frames: int, progress: Progress, long_side: int | None = None) -> Clip:
        """Reads the file."""
        return read_video(self.path, max_frames, progress, long_side)

    def __str__(self) -> str:
        return str(self.path)


def open_video(path: Path) -> VideoFile:
    """Opens a video and decodes its beginning. Raises InputError as `read_video` does."""
    return VideoFile(path, len(read_video(path, max_frames=2).frames))


@dataclass(frozen=True)
class VideoInMemory:
    """Frames that a caller has already, under the name that the scene gives them."""

    name: str
    clip: Clip

    @property
    def num_frames(self) -> int:
        """How many there are."""
        return len(self.clip.frames)

    def decoded(self, max_frames: int, progress: Progress, long_side: int | None = None) -> Clip:
        """The frames as they are, or shrunk."""
        frames = self.clip.frames[:max_frames]
        width, height = frames.shape[3], frames.shape[2]
        if long_side is not None and max(width, height) > long_side:
            smaller = shrunk(width, height, long_side)
            frames = F.interpolate(frames, (smaller[1], smaller[0]), mode="bilinear", antialias=True)
        return replace(self.clip, frames=frames)

    def __str__(self) -> str:
        return self.name
