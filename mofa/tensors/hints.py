"""Hints on a pixel grid: the form in which a network reads them."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mofa.types import SparseMotion


def rasterise(
    hints: SparseMotion, height: int, width: int
) -> tuple[Float[Tensor, "S 2 {height} {width}"], Bool[Tensor, "S 1 {height} {width}"]]:
    """Hints drawn on a grid of `height` x `width`: displacement in the grid's pixels, and where it is known.

    The grid covers the whole picture, whatever its aspect: positions (pixel centres onto pixel centres) and
    displacements are scaled per axis. Positions go to the nearest pixel, displacements keep their sub-pixel
    part. Of several hints that are known on one pixel the last one wins. A hint that starts outside the
    picture is left out. Pixels without a hint hold 0 and are not known.
    """
    scale = hints.positions.new_tensor([width / hints.width, height / hints.height])
    column, row = torch.floor((hints.positions + 0.5) * scale).long().unbind(-1)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    steps, count = hints.known.shape

    # Order 0 is "no hint": each pixel keeps the highest order drawn on it, so the winner does not depend
    # on the order in which a device happens to write.
    pixel = (row * width + column).where(inside, row.new_zeros(())).expand(steps, count)
    order = torch.arange(1, count + 1, device=row.device) * (hints.known & inside)
    winner = order.new_zeros(steps, height * width).scatter_reduce(1, pixel, order, "amax")

    nothing = hints.displacement.new_zeros(steps, 1, 2)
    choices = torch.cat([nothing, hints.displacement * scale], dim=1)
    drawn = choices.gather(1, winner[..., None].expand(-1, -1, 2))
    return drawn.mT.reshape(steps, 2, height, width), (winner > 0).reshape(steps, 1, height, width)


def rasterise_cut(
    hints: SparseMotion, height: int, width: int
) -> tuple[Float[Tensor, "S 2 {height} {width}"], Bool[Tensor, "S 1 {height} {width}"]]:
    """`rasterise` as the released inference does it: positions are cut off, hints on one pixel add up.

    A position is scaled as it is, not as the centre of a pixel, and loses what is behind the decimal point.
    """
    scale = hints.positions.new_tensor([width / hints.width, height / hints.height])
    column, row = (hints.positions * scale).long().unbind(-1)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    pixel = (row * width + column).where(inside, 0)
    known = hints.known & inside
    moved = torch.where(known[..., None], hints.displacement * scale, 0)
    steps = len(known)
    drawn = moved.new_zeros(steps, height * width, 2).index_add_(1, pixel, moved)
    count = pixel.new_zeros(steps, height * width).index_add_(1, pixel, known.long())
    return drawn.mT.reshape(steps, 2, height, width), (count > 0).reshape(steps, 1, height, width)
