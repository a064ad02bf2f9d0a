"""Where a dense flow is sampled to stand for what a user would draw: a grid, and between motion edges.

The watershed sampling of Conditional Motion Propagation (Zhan et al., CVPR 2019, section 3.3) as the released
training code runs it: points far from where the flow changes, thinned until none are close together.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

Uniform = Callable[[], float]
"""One number 0..1 per call; `numpy.random.Generator.random` is one."""

_SOBEL = np.array([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])


@dataclass(frozen=True)
class HintSampling:
    """How many hints, and how; the defaults are the released stage 2's.

    `grid` is the distance of grid points (px of the sampled flow); between motion edges (more than `edge` of
    the largest gradient), points are kept that are farthest from an edge within a window of `window` px,
    no two within `apart` px. Flows with sides above twice `largest` are looked at in steps.
    """

    grid: int = 80
    edge: float = 0.1
    window: int = 15
    apart: int = 7
    largest: int = 400


RELEASED_SAMPLING = HintSampling()
CMP_SAMPLING = HintSampling(grid=131, window=41, apart=20)
"""As Conditional Motion Propagation itself was trained: one grid point in 1 / 5.74e-5 pixels, window 41."""


def sample_mask(
    flow: Float[Tensor, "2 H W"], uniform: Uniform, sampling: HintSampling = RELEASED_SAMPLING
) -> Bool[Tensor, "H W"]:
    """The pixels at which `flow` becomes a hint: the grid's and the watershed's."""
    height, width = flow.shape[1:]
    mask = torch.zeros(height, width, dtype=torch.bool)
    for points in (grid_points(height, width, sampling.grid), watershed_points(flow, uniform, sampling)):
        mask[points[:, 0], points[:, 1]] = True
    return mask.to(flow.device)


def grid_points(height: int, width: int, distance: int) -> Int[Tensor, "N 2"]:
    """Points (row, column) at equal distances; the first is as far in as half the sides' rest."""
    rows, columns = (torch.arange(side % distance // 2, side, distance) for side in (height, width))
    return torch.cartesian_prod(rows, columns)


def watershed_points(
    flow: Float[Tensor, "2 H W"], uniform: Uniform, sampling: HintSampling = RELEASED_SAMPLING
) -> Int[Tensor, "N 2"]:
    """Points (row, column) farthest from where the flow changes, row by row; none where it never does."""
    step = max(1, max(flow.shape[1:]) // sampling.largest)
    coarse = flow[:, ::step, ::step].float().cpu().numpy()
    candidates = edge_free_points(motion_edges(coarse, sampling.edge), sampling.window)
    kept = thinned(candidates, sampling.apart, uniform)
    return torch.from_numpy(candidates[kept] * step)


def motion_edges(flow: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Where the flow [2, h, w] changes by more than that share of its largest change."""
    strength = gradient_strength(flow)
    return strength / np.maximum(strength.max(), 0.01) > threshold


def gradient_strength(flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """Length of the Sobel gradient of each channel of a flow [2, h, w], summed: [h, w]."""
    total = np.zeros(flow.shape[1:], np.float32)
    for channel in flow:
        across = ndimage.convolve(channel, _SOBEL, mode="reflect")
        down = ndimage.convolve(channel, _SOBEL.T, mode="reflect")
        total += np.sqrt(across**2 + down**2)
    return total


def edge_free_points(edges: NDArray[np.bool_], window: int) -> NDArray[np.int64]:
    """Points [N, 2] (row, column) farthest from an edge within a window, none on the border."""
    if not edges.any():  # no distance to measure: everything moves alike
        return np.zeros((0, 2), np.int64)
    distance = ndimage.distance_transform_edt(~edges)
    peaks = np.where(distance == ndimage.maximum_filter(distance, window), distance, 0)
    peaks[[0, -1], :] = peaks[:, [0, -1]] = 0
    return np.argwhere(peaks > 0)


def thinned(points: NDArray[np.int64], apart: int, uniform: Uniform) -> NDArray[np.bool_]:
    """Which points stay: of two that are closer than `apart` along both axes, a coin says which one goes."""
    alive = np.ones(len(points), bool)
    for first, second in _close_pairs(points, apart):
        if alive[first] and alive[second]:
            alive[first if uniform() > 0.5 else second] = False
    return alive


def _close_pairs(points: NDArray[np.int64], apart: int) -> Iterator[tuple[int, int]]:
    """Ordered pairs of different points, by the first and then the second."""
    for first, point in enumerate(points):
        near = (np.abs(points - point) < apart).all(axis=1)
        yield from ((first, int(second)) for second in np.flatnonzero(near) if second != first)
