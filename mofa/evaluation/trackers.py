"""What reads motion off a clip. Numbers of different trackers are different numbers: reports name theirs."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.models.cotracker import CoTracker3
from mofa.types import TrackSet
from mofa.vision.track_points import follow_surface
from mofa.weights.loading import loaded

ROUNDS, SEEN, SUPPORT = 6, 0.9, 6
"""Of CoTracker3's own predictor: rounds of refinement, the visibility above which a point counts as seen, and
the side of a grid of points that are followed along with those asked for."""


@runtime_checkable
class Tracker(Protocol):
    """Follows points of frame 0 through a clip.

    `name` heads the columns of its numbers and `terms` are those of its weights. `error_px` is how well it
    reads textured clips whose motion is known, as a scene's mean and as its 95th percentile: nothing smaller
    is a finding. It is None where nobody has measured it.
    """

    @property
    def name(self) -> str: ...
    @property
    def terms(self) -> str: ...
    @property
    def error_px(self) -> tuple[float, float] | None: ...

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


@dataclass(frozen=True)
class CoTracker:
    """CoTracker3, offline, as its own predictor runs it: the clip is stretched to 512 x 384, and a grid of
    points over the whole picture is followed along."""

    weights: Path
    name: str = "cotracker3"
    terms: str = "CC-BY-NC 4.0"
    error_px: tuple[float, float] | None = None

    def follow(self, frames: UInt8[Tensor, "T 3 H W"], starts: Float[Tensor, "N 2"]) -> TrackSet:
        """See `mofa.models.cotracker`."""
        return follow_with(load_cotracker(self.weights), frames, starts)


@cache
def load_cotracker(weights: Path) -> CoTracker3:
    """Once per process. Raises WeightsError."""
    return loaded(CoTracker3(), "cotracker3", weights)


def follow_with(
    network: CoTracker3, frames: UInt8[Tensor, "T 3 H W"], starts: Float[Tensor, "N 2"]
) -> TrackSet:
    """Where each point is; in frame 0, where it was asked for, it is seen."""
    sides = network.config.height, network.config.width
    height, width = frames.shape[-2:]
    factor = starts.new_tensor([(sides[1] - 1) / (width - 1), (sides[0] - 1) / (height - 1)])
    stretched = F.interpolate(frames.float(), sides, mode="bilinear", align_corners=True)
    with torch.inference_mode():
        places, seen = network(stretched, torch.cat([starts * factor, support_grid(*sides)]), ROUNDS)
    points = (places[:, : len(starts)] / factor).transpose(0, 1).clone()
    visible = (seen[:, : len(starts)] > SEEN).T.clone()
    points[:, 0], visible[:, 0] = starts, True
    return TrackSet(points, visible)


def support_grid(height: int, width: int) -> Float[Tensor, "G 2"]:
    """Points spread over the picture, a 64th of its width from the border."""
    margin = width / 64
    y, x = torch.meshgrid(
        torch.linspace(margin, height - margin, SUPPORT),
        torch.linspace(margin, width - margin, SUPPORT),
        indexing="ij",
    )
    return torch.stack([x.flatten(), y.flatten()], dim=1)
