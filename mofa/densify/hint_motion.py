"""Motion that hints give to every pixel: stored as what each hint weighs where, worked out step by step.

Every step weighs the hints alike, so a clip of any length needs the weights once: smooth ones, known on few
nodes per layer, and around every hint a small correction that makes it exact.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from mofa.densify.segments import Array
from mofa.tensors.flow import bilinear_sample
from mofa.types import FlowField

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Faded = tuple[NDArray[np.int64], Array]
"""Pixels (flat indices, rising) that a hint's correction reaches, and how strongly it acts there."""
LEAST_REACH = 1.5
"""Pixels: a correction covers at least the four pixels that a bilinear sample reads."""
DAMPING = 1e-10
"""Of the squared overlap of corrections: hints on one spot share their mean, all others are met."""
FEW = 64
"""Hints up to which plain matrices are as quick as SciPy's sparse ones, whose import takes a third of a
second."""


@dataclass(frozen=True)
class Patch:
    """Pixels that follow some of the hints: those that `mask` marks within rows and columns of the picture.

    `shares` is what each of the hints (indices) weighs at the centres of a grid's cells over that window, and
    `fade`, where the pixels are no thing of their own, how much of the motion each of them takes.
    """

    rows: slice
    columns: slice
    mask: Bool[Tensor, "h w"]
    hints: Int[Tensor, " n"]
    shares: Float[Tensor, "n gh gw"]
    fade: Float[Tensor, "h w"] | None = None

    def paint(self, flow: Float[Tensor, "2 H W"], motion: Float[Tensor, "N 2"]) -> None:
        """Writes the hints' motion into the pixels, bilinear between the nodes."""
        nodes = torch.einsum("nc,nhw->chw", motion[self.hints], self.shares)
        window = flow[:, self.rows, self.columns]
        fine = F.interpolate(nodes[None], tuple(self.mask.shape), mode="bilinear", align_corners=False)[0]
        if self.fade is not None:
            fine *= self.fade
        torch.where(self.mask, fine, window, out=window)


@dataclass(frozen=True)
class Correction:
    """Adds what is missing at every hint, fading out over half the way to the next hint at most.

    `fades` are what the hints (indices) do to pixels (flat indices), 1 at the hint; `solve` says how high
    each fade must be so that all of them together make up for what is missing [N, 2].
    """

    positions: Float[Tensor, "N 2"]
    pixels: Int[Tensor, " K"]
    hints: Int[Tensor, " K"]
    fades: Float[Tensor, " K"]
    solve: Callable[[Array], Array]

    def add(self, flow: Float[Tensor, "2 H W"], motion: Float[Tensor, "N 2"]) -> None:
        """Makes the flow, sampled bilinearly at the hints, their motion."""
        missing = motion[: len(self.positions)] - bilinear_sample(flow[None], self.positions.T[None])[0].T
        height = torch.from_numpy(self.solve(missing.double().cpu().numpy())).to(flow)
        flow.view(2, -1).index_add_(1, self.pixels, (self.fades[:, None] * height[self.hints]).T)


@dataclass(frozen=True)
class HintMotion:
    """Dense motion from N hints at S steps; `inside` is where they may move anything.

    The hints that the correction makes exact come first; others only help patches along.

    `known` says at which steps some hint is known: at the others nothing is.
    """

    motion: Float[Tensor, "S N 2"]
    known: Bool[Tensor, " S"]
    inside: Bool[Tensor, "1 H W"]
    patches: tuple[Patch, ...] = ()
    correction: Correction | None = None

    @cached_property
    def unbounded(self) -> bool:
        """Whether every pixel may move."""
        return bool(self.inside.all())

    def over(self, steps: Sequence[int], /) -> FlowField:
        """The flow at these steps."""
        chosen = list(steps)
        valid = self.inside & self.known[chosen, None, None, None]
        flow = self.motion.new_zeros(len(chosen), 2, *self.inside.shape[1:])
        for here, step in zip(flow, chosen, strict=True):
            if not self.known[step]:
                continue
            for patch in self.patches:
                if self.motion[step, patch.hints].any():
                    patch.paint(here, self.motion[step])
            if self.correction is not None:
                self.correction.add(here, self.motion[step])
            if not self.unbounded:
                here *= self.inside
        return FlowField(flow, valid)

    def at_every_step(self) -> FlowField:
        """The flow of all S steps at once: for clips that are short enough to be held as flow."""
        return self.over(range(len(self.motion)))


def correction(positions: Array, labels: Int[Tensor, "H W"], furthest: float, like: Tensor) -> Correction:
    """What makes hints at positions [N, 2] exact, with the dtype and device of `like`.

    The fade, at most `furthest` pixels long, stays in the hint's own layer (`labels`); the up to four pixels
    that a bilinear sample at the hint reads always belong, unless they lie outside the region (below 0).
    """
    known = labels.cpu().numpy()
    parts = [
        _fade(position, reach, known)
        for position, reach in zip(positions, _reaches(positions, furthest), strict=True)
    ]
    pixels = np.concatenate([part[0] for part in parts])
    fades = np.concatenate([part[1] for part in parts])
    hints = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    return Correction(
        torch.from_numpy(positions).to(like),
        torch.from_numpy(pixels).to(labels.device),
        torch.from_numpy(hints).to(labels.device),
        torch.from_numpy(fades).to(like),
        _least_squares(_met_by_few(positions, parts, known.shape))
        if len(parts) <= FEW
        else _sparse_least_squares(_met_by_many(positions, parts, known.shape)),
    )


def _reaches(positions: Array, furthest: float) -> Array:
    """[N]: half the way to the nearest hint that is not on the same spot, within bounds."""
    places = np.unique(positions.round(3), axis=0)
    if len(places) < 2:
        return np.full(len(positions), max(LEAST_REACH, furthest))
    return (0.5 * _second_nearest(positions, places)).clip(LEAST_REACH, max(LEAST_REACH, furthest))


def _second_nearest(positions: Array, places: Array) -> Array:
    """[N]: how far the second nearest of the places is; the nearest is a hint's own."""
    if len(places) <= FEW:
        apart = np.linalg.norm(positions[:, None] - places[None], axis=2)
        return np.partition(apart, 1, axis=1)[:, 1]
    from scipy.spatial import KDTree

    return np.asarray(KDTree(places).query(positions, k=[2])[0])[:, 0]


def _fade(position: Array, reach: float, labels: NDArray[np.int64]) -> Faded:
    """The pixels around a position, and how strongly its correction acts there."""
    px, py = position
    y = np.arange(max(0, int(py - reach)), min(labels.shape[0], int(py + reach) + 2))
    x = np.arange(max(0, int(px - reach)), min(labels.shape[1], int(px + reach) + 2))
    down, right = (y - py)[:, None], (x - px)[None]
    around = labels[y[:, None], x[None]]
    own = around == labels[round(py), round(px)]
    read = (np.abs(down) < 1) & (np.abs(right) < 1)
    fade = np.where((own | read) & (around >= 0), (1 - (down**2 + right**2) / reach**2).clip(0) ** 2, 0.0)
    row, column = np.nonzero(fade)
    return y[row] * labels.shape[1] + x[column], fade[row, column]


def _read_by(positions: Array, size: tuple[int, int]) -> tuple[NDArray[np.int64], Array]:
    """[4, N] each: the pixels (flat indices) that a bilinear sample at positions reads, and their weights."""
    height, width = size
    column, row = np.floor(positions.T).astype(np.int64)
    right, down = (positions - np.floor(positions)).T
    below, beside = (row + 1).clip(max=height - 1), (column + 1).clip(max=width - 1)
    corners = ((row, column), (row, beside), (below, column), (below, beside))
    weights = ((1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right)
    return np.stack([y * width + x for y, x in corners]), np.stack(weights)


def _met_by_few(positions: Array, parts: Sequence[Faded], size: tuple[int, int]) -> Array:
    """[N, N]: what a sample at each hint reads of each hint's correction."""
    pixels, weights = _read_by(positions, size)
    met = np.empty((len(positions), len(parts)))
    for hint, (faded, fades) in enumerate(parts):
        place = np.searchsorted(faded, pixels).clip(max=len(faded) - 1)
        met[:, hint] = (weights * np.where(faded[place] == pixels, fades[place], 0.0)).sum(axis=0)
    return met


def _met_by_many(positions: Array, parts: Sequence[Faded], size: tuple[int, int]) -> "csr_array":
    """The same, with what is 0 left out."""
    from scipy.sparse import csc_array, csr_array

    pixels, weights = _read_by(positions, size)
    readers = np.tile(np.arange(len(positions)), 4)
    reads = csr_array((weights.ravel(), (readers, pixels.ravel())), shape=(len(positions), size[0] * size[1]))
    laid = (
        np.concatenate([faded for faded, _ in parts]),
        np.repeat(np.arange(len(parts)), [len(p[0]) for p in parts]),
    )
    fades = np.concatenate([part[1] for part in parts])
    return reads @ csc_array((fades, laid), shape=(size[0] * size[1], len(parts)))


def _least_squares(matrix: Array) -> Callable[[Array], Array]:
    """What solves `matrix @ x = b` for many b, as well as can be and with the smallest x."""
    square = matrix.T @ matrix + DAMPING * np.eye(matrix.shape[1])
    return _twice(matrix, lambda values: np.asarray(np.linalg.solve(square, values), np.float64))


def _sparse_least_squares(matrix: "csr_array") -> Callable[[Array], Array]:
    """The same for a sparse matrix."""
    from scipy.sparse import eye_array
    from scipy.sparse.linalg import splu

    factors = splu((matrix.T.tocsr() @ matrix + DAMPING * eye_array(matrix.shape[1])).tocsc())
    return _twice(matrix, factors.solve)


def _twice(matrix: "Array | csr_array", solve_square: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Solves the damped normal equations, and once more for what the damping held back."""
    transposed = matrix.T

    def solve(values: Array) -> Array:
        found = solve_square(transposed @ values)
        return found + solve_square(transposed @ (values - matrix @ found))

    return solve
