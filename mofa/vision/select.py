"""The thing under a click, found without weights.

A geodesic ball grows from the click: near is what can be reached without crossing edges. It is stopped where
its outline lies on the strongest edges. GrabCut (Rother et al., SIGGRAPH 2004) then separates its colours
from those around it, on a reduced picture, and a guided filter (He et al., ECCV 2010) carries the outline
back to the edges of the picture itself.
"""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, UInt8
from scipy import ndimage, sparse
from torch import Tensor

from mofa.errors import InputError
from mofa.tensors.geometry import shrunk
from mofa.vision.outline import guided_filter

WORKING_SIDE = 256  # longest side of the reduced picture
ITERATIONS = 3  # of GrabCut
RIM = 0.3  # how much an outline counts that is the picture's border: it has no contrast
FAR = 2.5  # what is further from the click than this, in radii of the ball, is not the thing
STEP = 0.5  # distance of neighbouring pixels of one colour, in units of Lab

Pixel = tuple[int, int]  # row, column


def grow_region(picture: Float[Tensor, "3 H W"], x: float, y: float) -> Float[Tensor, "1 H W"]:
    """The region (0..1) of the thing at (x, y), in pixels: one piece without small holes, soft by one pixel.

    Raises InputError for a click outside the picture.
    """
    height, width = picture.shape[1:]
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        raise InputError(
            f"the selected point {x:g},{y:g} lies outside the picture, which is {width} x {height} pixels: "
            "click inside it."
        )
    colours = (picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    full = np.ascontiguousarray(colours)
    small = cv2.resize(full, shrunk(width, height, WORKING_SIDE), interpolation=cv2.INTER_AREA)

    click = _pixel(x, y, full, small)
    thing = _one_piece(_separated(small, *_ball(small, click), click), click)
    region = _feathered(_one_piece(_refined(full, thing), _pixel(x, y, full, full)))
    return torch.from_numpy(region).to(picture)[None]


def _pixel(x: float, y: float, full: UInt8[np.ndarray, "H W 3"], grid: UInt8[np.ndarray, "h w 3"]) -> Pixel:
    """The pixel of `grid`, which shows what `full` shows, that holds the point (x, y) of `full`."""
    row = int((y + 0.5) * grid.shape[0] / full.shape[0])
    column = int((x + 0.5) * grid.shape[1] / full.shape[1])
    return min(row, grid.shape[0] - 1), min(column, grid.shape[1] - 1)


def _ball(
    picture: UInt8[np.ndarray, "h w 3"], click: Pixel
) -> tuple[Bool[np.ndarray, "h w"], Float64[np.ndarray, "h w"]]:
    """What is near the click, up to the outline of the highest mean contrast, and how far each pixel is.

    Distances are in units of the ball's radius.
    """
    smooth = cv2.cvtColor(cv2.bilateralFilter(picture, 7, 30, 5), cv2.COLOR_RGB2LAB).astype(np.float32)
    distance = _geodesic_distance(smooth, click)
    contrasts = [np.linalg.norm(np.diff(smooth, axis=axis), axis=-1) for axis in (0, 1)]

    def outline_contrast(radius: float) -> float:
        inside = distance <= radius
        outline = [contrast[np.diff(inside, axis=axis)] for axis, contrast in enumerate(contrasts)]
        rim = sum(int(side.sum()) for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
        length = sum(map(len, outline)) + RIM * rim
        return float(sum(part.sum() for part in outline)) / max(length, 1)

    radius = max(np.quantile(distance, np.geomspace(0.005, 0.7, 50)), key=outline_contrast)
    radius = max(radius, 1e-6)
    return distance <= radius, distance / radius


def _geodesic_distance(colours: Float32[np.ndarray, "h w 3"], click: Pixel) -> Float64[np.ndarray, "h w"]:
    """The cheapest way from the click to every pixel: a step costs its change of colour and some length."""
    height, width = colours.shape[:2]
    index = np.arange(height * width).reshape(height, width)
    here, there, cost = [], [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        start = slice(0, height - down), slice(max(0, -right), width - max(0, right))
        end = slice(down, height), slice(max(0, right), width - max(0, -right))
        change = np.linalg.norm(colours[start] - colours[end], axis=-1)
        here.append(index[start].ravel())
        there.append(index[end].ravel())
        cost.append((change + STEP * np.hypot(down, right)).ravel())
    edges = np.concatenate(cost), (np.concatenate(here), np.concatenate(there))
    graph = sparse.coo_array(edges, shape=(height * width,) * 2).tocsr()
    return sparse.csgraph.dijkstra(graph, directed=False, indices=index[click]).reshape(height, width)


def _separated(
    picture: UInt8[np.ndarray, "h w 3"],
    ball: Bool[np.ndarray, "h w"],
    distance: Float64[np.ndarray, "h w"],
    click: Pixel,
) -> Bool[np.ndarray, "h w"]:
    """GrabCut from the ball: its inner part and the click are the thing, what is far is not."""
    filled = ndimage.binary_fill_holes(ball)
    depth = ndimage.distance_transform_edt(np.pad(filled, 1))[1:-1, 1:-1]
    labels = np.full(ball.shape, cv2.GC_PR_BGD, np.uint8)
    labels[distance > FAR] = cv2.GC_BGD
    labels[filled] = cv2.GC_PR_FGD
    labels[depth > 0.5 * depth.max()] = cv2.GC_FGD
    labels[click] = cv2.GC_FGD
    if np.isin(labels, (cv2.GC_BGD, cv2.GC_PR_BGD)).sum() == 0:
        return filled
    cv2.setRNGSeed(0)  # its colour clusters start at random; the same click must find the same thing
    models = np.zeros((1, 65)), np.zeros((1, 65))
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    cv2.grabCut(bgr, labels, (0, 0, 0, 0), *models, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return ndimage.binary_opening(np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)))


def _one_piece(thing: Bool[np.ndarray, "h w"], click: Pixel) -> Bool[np.ndarray, "h w"]:
    """The connected part at the click, with holes below a twentieth of it filled."""
    row, column = click
    thing = thing.copy()
    thing[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = True
    labels, _ = ndimage.label(thing)
    piece = labels == labels[click]
    holes, _ = ndimage.label(ndimage.binary_fill_holes(piece) & ~piece)
    fillable = np.bincount(holes.ravel()) < max(16, 0.05 * piece.sum())
    fillable[0] = False
    return piece | fillable[holes]


def _refined(full: UInt8[np.ndarray, "H W 3"], thing: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "H W"]:
    """The thing at full size, its outline drawn to the edges of the picture within two reduced pixels."""
    height, width = full.shape[:2]
    coarse = cv2.resize(thing.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    reach = max(1, round(2 * max(height, width) / max(thing.shape)))
    guide = [np.ascontiguousarray(full[..., channel] / 255.0) for channel in range(3)]
    return guided_filter(guide, coarse.astype(np.float64), reach, 0.02**2) > 0.5


def _feathered(thing: Bool[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W"]:
    return cv2.GaussianBlur(thing.astype(np.float32), (3, 3), 0)
