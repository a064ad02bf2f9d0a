"""The thing under a click, found without weights.

A geodesic ball grows from the click: near is what can be reached without crossing edges. It is stopped where
its outline lies on the strongest edges. GrabCut (Rother et al., SIGGRAPH 2004) then separates its colours
from those around it, on a reduced picture, and a guided filter (He et al., ECCV 2010) carries the outline
back to the edges of the picture itself.
"""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int, UInt8
from torch import Tensor

from mofa.errors import InputError
from mofa.tensors.geometry import shrunk
from mofa.tensors.grid_graph import grid_graph, neighbours
from mofa.tensors.neighbourhood import window_around
from mofa.tensors.pieces import opened, pieces_of_mask, without_holes
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
    check_inside(x, y, height, width)
    full = to_colours(picture)
    small = cv2.resize(full, shrunk(width, height, WORKING_SIDE), interpolation=cv2.INTER_AREA)

    click = pixel_of(x, y, (height, width), small.shape[:2])
    thing = one_piece(_separated(small, *_ball(small, click), click), click)
    region = at_full_size(full, thing, pixel_of(x, y, (height, width), (height, width)))
    return torch.from_numpy(region).to(picture)[None]


def check_inside(x: float, y: float, height: int, width: int) -> None:
    """Raises InputError for a click outside the picture."""
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        raise InputError(
            f"the selected point {x:g},{y:g} lies outside the picture, which is {width} x {height} pixels: "
            "click inside it.",
            key="point.outside",
        )


def to_colours(picture: Float[Tensor, "3 H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """A picture (0..1) as bytes."""
    colours = (picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(colours)


def pixel_of(x: float, y: float, size: tuple[int, ...], grid: tuple[int, ...]) -> Pixel:
    """The pixel of a grid over a picture of `size` (height, width) that holds the picture's point (x, y)."""
    row, column = (int((at + 0.5) * g / s) for at, s, g in zip((y, x), size, grid, strict=True))
    return min(row, grid[0] - 1), min(column, grid[1] - 1)


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
    # Where a network tells the thing under a click nobody waits for this import.
    from scipy.sparse.csgraph import dijkstra

    height, width = colours.shape[:2]
    costs = [
        np.linalg.norm(colours[pair.here] - colours[pair.there], axis=-1) + STEP * pair.length
        for pair in neighbours(height, width)
    ]
    place = click[0] * width + click[1]
    distance = dijkstra(grid_graph(height, width, costs), directed=False, indices=place)
    return distance.reshape(height, width)


def _separated(
    picture: UInt8[np.ndarray, "h w 3"],
    ball: Bool[np.ndarray, "h w"],
    distance: Float64[np.ndarray, "h w"],
    click: Pixel,
) -> Bool[np.ndarray, "h w"]:
    """GrabCut from the ball: its inner part and the click are the thing, what is far is not."""
    from scipy.ndimage import distance_transform_edt

    filled = without_holes(ball)
    depth = distance_transform_edt(np.pad(filled, 1))[1:-1, 1:-1]
    certain = np.where(depth > 0.5 * depth.max(), 1, np.where((distance > FAR) & ~filled, -1, 0))
    certain[click] = 1
    return grab_cut(picture, filled, certain)


def grab_cut(
    picture: UInt8[np.ndarray, "H W 3"], thing: Bool[np.ndarray, "h w"], certain: Int[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """The thing with its outline where its colours end; 1 in `certain` stays in it, -1 stays out.

    The picture is brought to the thing's size, and looked at around what may be the thing: what is far away
    says little of its surroundings' colours, and costs as much. Where nothing lies outside the thing is given
    back.
    """
    maybe = torch.from_numpy(thing | (certain >= 0))
    if not maybe.any():
        return thing
    small = cv2.resize(picture, thing.shape[::-1], interpolation=cv2.INTER_AREA)
    window = window_around(maybe, share=0.5, least=32)
    found = np.zeros_like(thing)
    found[window] = _grab_cut(np.ascontiguousarray(small[window]), thing[window], certain[window])
    return found


def _grab_cut(
    picture: UInt8[np.ndarray, "h w 3"], thing: Bool[np.ndarray, "h w"], certain: Int[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    labels = np.select(
        [certain > 0, certain < 0, thing], [cv2.GC_FGD, cv2.GC_BGD, cv2.GC_PR_FGD], cv2.GC_PR_BGD
    ).astype(np.uint8)
    outside = np.isin(labels, (cv2.GC_BGD, cv2.GC_PR_BGD))
    if outside.all() or not outside.any():
        return thing
    cv2.setRNGSeed(0)  # its colour clusters start at random; the same click must find the same thing
    models = np.zeros((1, 65)), np.zeros((1, 65))
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    cv2.grabCut(bgr, labels, (0, 0, 0, 0), *models, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return opened(np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)))


def one_piece(thing: Bool[np.ndarray, "h w"], click: Pixel) -> Bool[np.ndarray, "h w"]:
    """The connected part at the click, with holes below a twentieth of it filled."""
    row, column = click
    thing = thing.copy()
    thing[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = True
    labels = pieces_of_mask(thing)
    piece = labels == labels[click]
    holes = pieces_of_mask(without_holes(piece) & ~piece)
    fillable = np.bincount(holes.ravel()) < max(16, 0.05 * piece.sum())
    fillable[0] = False
    return piece | fillable[holes]


def at_full_size(
    full: UInt8[np.ndarray, "H W 3"], thing: Bool[np.ndarray, "h w"], click: Pixel | None = None
) -> Float32[np.ndarray, "H W"]:
    """The thing at full size, soft by one pixel; of its pieces, where a click is given, the one at it."""
    refined = _refined(full, thing)
    return _feathered(refined if click is None else one_piece(refined, click))


def _refined(full: UInt8[np.ndarray, "H W 3"], thing: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "H W"]:
    """The thing at full size, its outline drawn to the edges of the picture within two reduced pixels."""
    height, width = full.shape[:2]
    coarse = cv2.resize(thing.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    reach = max(1, round(2 * max(height, width) / max(thing.shape)))
    guide = [np.ascontiguousarray(full[..., channel] / 255.0) for channel in range(3)]
    return guided_filter(guide, coarse.astype(np.float64), reach, 0.02**2) > 0.5


def _feathered(thing: Bool[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W"]:
    return cv2.GaussianBlur(thing.astype(np.float32), (3, 3), 0)
