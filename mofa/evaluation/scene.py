"""A question to whoever makes clips: a picture, what is asked of it, and what is known about the answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mofa.types import TrackSet, Waveform


def no_tracks(num_frames: int) -> TrackSet:
    """A track set without points."""
    return TrackSet(torch.zeros(0, num_frames, 2), torch.zeros(0, num_frames, dtype=torch.bool))


@dataclass(frozen=True)
class Speech:
    """What a face says: the file a renderer is given, and the same sound to measure with."""

    path: Path
    sound: Waveform


@dataclass(frozen=True)
class Scene:
    """One scene of a suite; everything is in pixels of `picture`.

    hints: the tracks that the maker of the clip is given. others: tracks that it is not given and that the
    clip should show all the same, for as long as they are visible. rests: which of hints and others, in that
    order, are still in the world (the camera may move them).
    camera: per step, where a still point of frame 0 goes. thing: what the hints are meant to move, in
    frame 0; may_move: pixels that nobody judges. brush: where anything may move at all, given to the maker.
    select: whether the maker is asked to find the thing at the first hint's start. reference: the true clip.
    """

    name: str
    picture: UInt8[Tensor, "3 H W"]
    fps: float
    hints: TrackSet
    others: TrackSet
    rests: Bool[Tensor, " M"]
    camera: Float[Tensor, "S 2 3"] | None = None
    thing: Bool[Tensor, "H W"] | None = None
    may_move: Bool[Tensor, "H W"] | None = None
    brush: Bool[Tensor, "H W"] | None = None
    select: bool = False
    loop: bool = False
    reference: UInt8[Tensor, "T 3 H W"] | None = field(default=None, repr=False)
    speech: Speech | None = None

    @property
    def num_frames(self) -> int:
        """Frames of the clip, the picture included."""
        return self.hints.points.shape[1]

    @property
    def asked(self) -> TrackSet:
        """Hints, then others."""
        return TrackSet(
            torch.cat([self.hints.points, self.others.points]),
            torch.cat([self.hints.visible, self.others.visible]),
        )


@runtime_checkable
class Suite(Protocol):
    """Scenes by name, opened one at a time; the same in every process."""

    @property
    def title(self) -> str:
        """What the suite is, in a few words."""
        ...

    def names(self) -> Sequence[str]:
        """The scenes, in order. Raises InputError when its data are not where they should be."""
        ...

    def open(self, name: str) -> Scene:
        """One scene. Raises InputError when its files are damaged."""
        ...
