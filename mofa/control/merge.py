"""Who wins where: several dense motions become one."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.tensors.motion import Unknown
from mofa.types import DenseMotion, FlowField


@dataclass(frozen=True)
class Share:
    """A dense motion and the painted region (0..1) in which it rules; None is the whole picture."""

    motion: DenseMotion
    region: Float[Tensor, "1 H W"] | None = None


@dataclass(frozen=True)
class Merged:
    """Shares of a picture, the lowest first."""

    shares: tuple[Share, ...]
    height: int
    width: int

    def over(self, steps: Sequence[int], /) -> FlowField:
        """The flow at these steps."""
        below = Unknown(self.height, self.width).over(steps)
        for share in self.shares:
            below = _above(share, share.motion.over(steps), below)
        return below


def merge(shares: Sequence[Share], height: int, width: int) -> DenseMotion:
    """One motion from several.

    A painted share lies above every unpainted one; among equals the later one lies above, as in a picture
    editor. From the top down, the first share that is valid at a pixel and whose region covers it decides; a
    valid zero is an anchor and decides as well. Where a region is between 0 and 1, at a soft edge, the share
    is mixed with what lies below in that proportion, and with stillness where nothing does, so that motion
    fades out inside the paint: where a region is 0 its share has no say. Pixels that no share knows are 0 and
    not valid. A single share without a region is its motion as it is.
    """
    if len(shares) == 1 and shares[0].region is None:
        return shares[0].motion
    in_order = sorted(shares, key=lambda share: share.region is not None)  # stable: order breaks ties
    return Merged(tuple(in_order), height, width)


def _above(share: Share, flow: FlowField, below: FlowField) -> FlowField:
    """The flow of a share, laid over what lies below it."""
    if share.region is None:
        return FlowField(torch.where(flow.valid, flow.pixels, below.pixels), flow.valid | below.valid)
    rules = flow.valid & (share.region > 0)
    mixed = torch.lerp(below.pixels, flow.pixels, share.region)
    return FlowField(torch.where(rules, mixed, below.pixels), below.valid | rules)
