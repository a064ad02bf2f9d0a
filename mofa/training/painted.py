"""What a person would have painted of a clip: where it may move, made of its flow.

MOFA-Video's motion brush hears the hints inside a painted region alone and cuts the motion made of them to it
(MOFA-Video's inference). An adapter that is told the region, too, need not guess what lies beside it.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mofa.control.brush import inside
from mofa.errors import InputError
from mofa.types import SparseMotion


@dataclass(frozen=True)
class RegionSettings:
    """How the regions that an adapter is told are made of clips."""

    least: float = 1.0
    """Pixels that a place has to move, at any step, to be painted."""
    margin: float = 0.05
    """How far people paint beyond what moves, at most, as a share of the short side; every clip another."""
    whole: float = 0.3
    """How often nobody paints: the whole picture may move."""

    def __post_init__(self) -> None:
        if self.least <= 0 or not 0 <= self.margin <= 1 or not 0 <= self.whole <= 1:
            raise InputError(
                f"objective.region has least {self.least}, margin {self.margin} and whole {self.whole}: "
                "least has to be above 0, margin and whole between 0 and 1."
            )


def painted_region(
    flow: Float[Tensor, "S 2 H W"], settings: RegionSettings, chance: float, breadth: float
) -> Float[Tensor, "1 H W"]:
    """1 where the clip moves and a margin around it, else 0; all 1 where nobody paints or nothing moves.

    `chance` and `breadth` are 0..1 and decide whether anybody paints, and how broad the margin is.
    """
    moving = (flow.float().norm(dim=1) >= settings.least).any(dim=0, keepdim=True)
    if chance < settings.whole or not moving.any():
        return torch.ones_like(moving, dtype=torch.float32)
    reach = round(breadth * settings.margin * min(flow.shape[-2:]))
    return F.max_pool2d(moving.float()[None], 2 * reach + 1, stride=1, padding=reach)[0]


def heard(hints: SparseMotion, region: Float[Tensor, "1 H W"]) -> SparseMotion:
    """The hints inside a region, which may be on another grid than they; all of them, where it holds none."""
    on_grid = F.interpolate(region[None], (hints.height, hints.width), mode="nearest")[0]
    kept = inside(hints, on_grid)
    if not kept.any():
        return hints
    return SparseMotion(
        hints.positions[kept], hints.displacement[:, kept], hints.known[:, kept], hints.height, hints.width
    )
