"""Videos that drive something: opened and checked when a scene is read, decoded when they are needed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch.nn.functional as F

from mofa.media.decode import Frame, read_video, video_frames
from mofa.tensors.geometry import shrunk
from mofa.types import Clip, Note, Progress, silent, unsaid


@runtime_checkable
class Video(Protocol):
    """Moving pictures, in a file or in memory; `str()` of one is its name in messages."""

    @property
    def num_frames(self) -> int:
        """How many frames there are; of a file it is enough to know whether there are two."""
        ...

    def decoded(
        self, max_frames: int, progress: Progress, long_side: int | None = None, note: Note = unsaid
    ) -> Clip:
        """At most `max_frames` at a steady rate, shrunk where their long side is above `long_side`; `note` is
        told where a file breaks off before them."""
        ...

    def frames(self, long_side: int | None = None, note: Note = unsaid) -> Iterator[Frame]:
        """The frames one by one, each with its own time; `note` is told where a file breaks off."""
        ...


@dataclass(frozen=True)
class VideoFile:
    """A video file whose beginning could be decoded: `num_frames` frames, which is two, or all it has."""

    path: Path
    num_frames: int

    def decoded(
        self, max_frames: int, progress: Progress, long_side: int | None = None, note: Note = unsaid
    ) -> Clip:
        """Reads the file."""
        return read_video(self.path, max_frames, progress, long_side, note)

    def frames(self, long_side: int | None = None, note: Note = unsaid) -> Iterator[Frame]:
        """Reads the file."""
        return video_frames(self.path, long_side, note=note)

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

    def decoded(
        self, max_frames: int, progress: Progress, long_side: int | None = None, note: Note = unsaid
    ) -> Clip:
        """The frames as they are, or shrunk."""
        frames = self.clip.frames[:max_frames]
        width, height = frames.shape[3], frames.shape[2]
        if long_side is not None and max(width, height) > long_side:
            smaller = shrunk(width, height, long_side)
            frames = F.interpolate(frames, (smaller[1], smaller[0]), mode="bilinear", antialias=True)
        return replace(self.clip, frames=frames)

    def frames(self, long_side: int | None = None, note: Note = unsaid) -> Iterator[Frame]:
        """The frames as they are, or shrunk, at the clip's rate."""
        for index in range(self.num_frames):
            one = replace(self, clip=replace(self.clip, frames=self.clip.frames[index : index + 1]))
            pixels = one.decoded(1, silent, long_side).frames[0].permute(1, 2, 0).cpu().numpy()
            yield Frame(pixels, index / self.clip.fps, (index + 1) / self.clip.fps)

    def __str__(self) -> str:
        return self.name
