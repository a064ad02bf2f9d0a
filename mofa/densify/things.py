"""What a learned sense of things knows about the hints of a picture, on its grid of cells.

The network answers on a grid of its own; here its answers meet the cells, and become what `layers` asks for:
the thing under a hint, and how near every cell is to it.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor

from mofa.densify.segments import Array, Indices, Mask
from mofa.tensors.pieces import pieces_of_mask, without_holes
from mofa.types import LookedAt, ThingsAt

LEVEL = 1
"""Of part, thing and group a drag moves the thing."""
BELONGS = -1.0
"""Logit from which on a cell belongs to a thing: below an even chance, for a rim that is left behind is seen
more than a little ground that comes along (on the drag set IoU and what moves rise, little leaks)."""
NOTHING, SURELY = 0.7, 0.95
"""Below the first chance of a thing there is ground only, above the second a thing; in between ..."""
FITS = 0.42
"""... the IoU that the answer expects of itself decides. Of 23 things of real photos the least sure has 0.89,
of 28 points on sky, water, walls and grass of the same photos 23 have less than 0.7, and 2 more are told by
this. Chosen by looking at them."""


@dataclass(frozen=True)
class Known:
    """Of N hints' things on the grid: logits [N, h, w] of every cell, and whether there is one at all."""

    logits: Array
    is_thing: Mask

    @property
    def belonging(self) -> Array:
        """[N, h, w]: how likely each cell is of each hint's thing; an even chance where there is none."""
        chance = 1 / (1 + np.exp(-self.logits))
        return np.where(self.is_thing[:, None, None], chance, 0.5)


def is_thing(answers: ThingsAt) -> Bool[Tensor, " K"]:
    """Whether there is a thing at all, and not mere ground, under each of K questions' points."""
    doubtful = (answers.is_thing < SURELY) & (answers.scores[:, LEVEL] < FITS)
    return (answers.is_thing > NOTHING) & ~doubtful


def things_of_hints(look: LookedAt, positions: Array, anchors: Mask, grid: tuple[int, int]) -> Known:
    """What is known of the things under N hints (positions in pixels).

    A hint that moves is asked with every anchor as a point beside its thing.
    """
    fixed = np.flatnonzero(anchors)
    clicks = [np.concatenate([[n], fixed[:0] if anchors[n] else fixed]) for n in range(len(positions))]
    points = torch.zeros(len(positions), 1 + len(fixed), 2)
    signs = torch.zeros(len(positions), 1 + len(fixed))
    for n, own in enumerate(clicks):
        points[n, : len(own)] = torch.from_numpy(positions[own]).float()
        signs[n, : len(own)] = torch.tensor([1.0] + [-1.0] * (len(own) - 1))
    answers = look.ask(points, signs)
    logits = on_grid(answers.logits[:, LEVEL], grid).double().numpy()
    return Known(logits, is_thing(answers).numpy())


def on_grid(logits: Tensor, grid: tuple[int, int]) -> Tensor:
    """[N, h, w]: answers brought to another grid over the same picture."""
    return F.interpolate(logits[None], grid, mode="bilinear", align_corners=False)[0]


def thing_under(logits: Array, places: Indices) -> Mask:
    """The cells of the thing under some hints, each with its own logits [n, h, w] and place on the grid.

    Of each answer the piece that its hint sits on counts, with its holes filled.
    """
    return np.any(
        [_piece(one > BELONGS, int(place)) for one, place in zip(logits, places, strict=True)], axis=0
    )


def _piece(thing: Mask, place: int) -> Mask:
    row, column = np.unravel_index(place, thing.shape)
    thing = thing.copy()
    thing[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = True
    pieces = pieces_of_mask(thing, diagonally=True)
    return without_holes(pieces == pieces[row, column])
