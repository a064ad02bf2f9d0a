"""The pixels of a grid as a graph, each joined to its eight neighbours: for the cheapest way between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
    from scipy.sparse import csr_array

DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Rows down and columns right of one of every two opposite neighbours."""


@dataclass(frozen=True)
class Neighbours:
    """All pixels of a grid that have a neighbour in one direction, and these; `length` is in pixels."""

    here: tuple[slice, slice]
    there: tuple[slice, slice]
    length: float


def neighbours(height: int, width: int) -> list[Neighbours]:
    """The neighbours in each of DIRECTIONS."""
    return [
        Neighbours(
            here=(slice(0, height - down), slice(max(0, -right), width - max(0, right))),
            there=(slice(down, height), slice(max(0, right), width - max(0, -right))),
            length=float(np.hypot(down, right)),
        )
        for down, right in DIRECTIONS
    ]


def grid_graph(height: int, width: int, costs: Sequence[Float[np.ndarray, "_ _"]]) -> "csr_array":
    """The graph [height * width, height * width] of what a step costs, to be read in both directions.

    `costs` has, for each of `neighbours`, the cost of the step from every pixel of `here` to that `there`.
    """
    # Where a network tells things apart nobody waits for this import.
    from scipy.sparse import coo_array

    index = np.arange(height * width).reshape(height, width)
    pairs = neighbours(height, width)
    here = np.concatenate([index[pair.here].ravel() for pair in pairs])
    there = np.concatenate([index[pair.there].ravel() for pair in pairs])
    weight = np.concatenate([cost.ravel() for cost in costs])
    return coo_array((weight, (here, there)), shape=(height * width,) * 2).tocsr()
