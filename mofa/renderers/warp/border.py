"""Things that the photo's border cuts: moving inwards, they must not come to an end where the photo did."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
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
    labels = torch.from_numpy(label(front.member.cpu().numpy())[0]).long().to(peak.device)
    followed = labels.flatten()[front.donor]
    hold = peak.new_ones(4, *peak.shape)
    for side, distance in enumerate(distances(labels)):
        cut = labels[(distance == 0) & sides[side]].unique()
        for thing in cut[cut > 0].tolist():
            way = STRETCH * float(peak[labels == thing].max())
            told = [float(distance[y, x]) for x, y in points_within(labels == thing, drawn)]
            length = min(way, *told) if told else way
            if length >= 1:
                hold[side] = torch.where(followed == thing, (distance / length).clamp(max=1), hold[side])
    return front if bool((hold == 1).all()) else replace(front, hold=hold)


def distances(like: Int[Tensor, "H W"]) -> Int[Tensor, "4 H W"]:
    """Of every pixel, its distance to the left, top, right and bottom border."""
    height, width = like.shape
    row, column = torch.meshgrid(
        torch.arange(height, device=like.device), torch.arange(width, device=like.device), indexing="ij"
    )
    return torch.stack([column, row, width - 1 - column, height - 1 - row])


def points_within(thing: Tensor, drawn: Sequence[Float[Tensor, "N 2"]]) -> list[tuple[int, int]]:
    """The drawn points, rounded, that lie on a thing."""
    height, width = thing.shape
    rounded = [(round(x), round(y)) for points in drawn for x, y in points.tolist()]
    return [(x, y) for x, y in rounded if 0 <= x < width and 0 <= y < height and thing[y, x]]
