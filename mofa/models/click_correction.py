"""An answer about a thing, corrected by one more click: it changes about that click and nowhere else.

A network that is asked anew with one click more may change its whole mind: on 23 real photos a click beside
the thing where nothing was wrong cost an IoU of 0.09 on average. So the new answer counts only where it hangs
together with the click.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.tensors.pieces import pieces_of_mask

REACH = 3.0
"""A click beside the thing takes off what lies within so many times its distance from the thing's border: a
neighbour is that long for its width. Without it the click takes off all that looks like it (chosen among 2,
3, 4 and 5 on the 23 cases of the drag set: IoU 0.870, 0.872, 0.866, 0.869; without it 0.82)."""
INSISTED = 0.8
"""Radius, in that distance, of what is added or taken off where the network does not follow the click."""
SURE = 3.0
"""Least size of the logits there: a chance of 95 %."""


def corrected(
    before: Float[Tensor, "h w"], asked: Float[Tensor, "h w"], cell: tuple[int, int], sign: int
) -> Float[Tensor, "h w"]:
    """The logits `before` with a click at a cell (row, column) on the thing (sign 1) or beside it (-1).

    `asked` is what the network says with that click. Where the click says nothing new nothing changes.
    """
    if sign * before[cell] > 0:
        return before
    # Most scenes have no second click, and do not wait for SciPy.
    from scipy.ndimage import distance_transform_edt

    away = _distance_from(cell, before)
    depth = float(distance_transform_edt((sign * before <= 0).cpu().numpy())[cell])
    changes = (sign * before <= 0) & (sign * asked > 0)
    if not changes[cell]:
        changes = away <= max(1.0, INSISTED * depth)
    piece = _piece_at(changes, cell)
    if sign < 0:
        piece &= away <= REACH * max(1.0, depth)
    return torch.where(piece, sign * asked.abs().clamp(min=SURE), before)


def _distance_from(cell: tuple[int, int], like: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    rows, columns = (torch.arange(n).to(like) - at for n, at in zip(like.shape, cell, strict=True))
    return torch.hypot(rows[:, None], columns[None])


def _piece_at(where: Tensor, cell: tuple[int, int]) -> Tensor:
    pieces = pieces_of_mask(where.cpu().numpy(), diagonally=True)
    return torch.from_numpy(pieces == pieces[cell]).to(where.device)
