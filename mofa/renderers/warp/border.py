"""Things that the photo's border cuts: moving inwards, they must not come to an end where the photo did."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import label
from torch import Tensor

from mofa.renderers.warp.layers import Layer

STRETCH = 1.5
"""Over how many times its way a cut thing is stretched at the border it leaves: there to 5/3 of its size."""


def joined_to_border(
    front: Layer,
    peak: Float[Tensor, "H W"],
    sides: tuple[bool, bool, bool, bool],
    drawn: Sequence[Float[Tensor, "N 2"]],
) -> Layer:
    """The front, whose things stay joined to the borders that cut them: moving away, they stretch.

    `peak` is how far each pixel goes at most, `sides` says which of the left, top, right and bottom are the
    photo's own border, and `drawn` are the points that were told where to go: they go there whole, so that a
    thing stretches between them and the border.
    """
    found, count = label(front.member.cpu().numpy())
    labels = torch.from_numpy(found).long().to(peak.device)
    # Per thing, 0 being none: how far it goes at most, and so over how much of it it is stretched.
    ways = peak.new_zeros(count + 1).scatter_reduce(0, labels.flatten(), peak.flatten(), "amax")
    thing, told = labels.flatten()[front.donor], points_within(front.member, drawn)
    hold = peak.new_ones(4, *peak.shape)
    for side, distance in enumerate(distances(labels)):
        rigid = distance[told].to(ways)
        lengths = (STRETCH * ways).scatter_reduce(0, labels[told], rigid, "amin")
        cut = torch.zeros_like(lengths, dtype=torch.bool)
        cut[labels[(distance == 0) & sides[side]]] = True
        cut &= lengths >= 1
        cut[0] = False
        hold[side] = (distance / lengths[thing].clamp(min=1)).clamp(max=1).where(cut[thing], 1)
    return front if bool((hold == 1).all()) else replace(front, hold=hold)


def distances(like: Int[Tensor, "H W"]) -> Int[Tensor, "4 H W"]:
    """Of every pixel, its distance to the left, top, right and bottom border."""
    height, width = like.shape
    row, column = torch.meshgrid(
        torch.arange(height, device=like.device), torch.arange(width, device=like.device), indexing="ij"
    )
    return torch.stack([column, row, width - 1 - column, height - 1 - row])


def points_within(
    member: Bool[Tensor, "H W"], drawn: Sequence[Float[Tensor, "N 2"]]
) -> tuple[Int[Tensor, " M"], Int[Tensor, " M"]]:
    """Rows and columns of the drawn points that lie on the front."""
    height, width = member.shape
    column, row = torch.cat([member.new_zeros(0, 2, dtype=torch.long), *(p.round().long() for p in drawn)]).T
    within = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    column, row = column[within], row[within]
    on_front = member[row, column]
    return row[on_front], column[on_front]
