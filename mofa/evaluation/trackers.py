"""What reads motion off a clip. Numbers of different trackers are different numbers: reports name theirs."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.types import TrackSet
from mofa.vision.track_points import follow_surface


@runtime_checkable
class Tracker(Protocol):
    """Follows points of frame 0 through a clip.

    `name` heads the columns of its numbers and `terms` are those of its weights. `error_px` is how well it
    reads textured clips whose motion is known, as a scene's mean and as its 95th percentile: nothing smaller
    is a finding.
    """

    @property
    def name(self) -> str: ...
    @property
    def terms(self) -> str: ...
    @property
    def error_px(self) -> tuple[float, float]: ...

    def follow(self, frames: UInt8[Tensor, "T 3 H W"], starts: Float[Tensor, "N 2"]) -> TrackSet:
        """Where each point is in each frame, and where it was still seen."""
        ...


@dataclass(frozen=True)
class LucasKanade:
    """Pyramidal Lucas-Kanade with a forward-backward check, held to the look of frame 0 by affine patches: no
    weights, at home on texture, lost in blur."""

    name: str = "lk"
    terms: str = "no weights"
    error_px: tuple[float, float] = (0.2, 0.4)

    def follow(self, frames: UInt8[Tensor, "T 3 H W"], starts: Float[Tensor, "N 2"]) -> TrackSet:
        """See `mofa.vision.track_points`."""
        return follow_surface(frames, starts)
