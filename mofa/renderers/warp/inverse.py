"""Where in the photo the pixels of a frame come from: a motion, and the camera's, undone."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mofa.renderers.warp.layers import length, neighbour_jump
from mofa.renderers.warp.scene import STILL
from mofa.tensors.flow import apply_affine, bilinear_sample, invert_affine
from mofa.tensors.gaps import fill_gaps
from mofa.tensors.geometry import pixel_grid, resize_flow
from mofa.tensors.motion import camera_rests
from mofa.tensors.neighbourhood import window_around
from mofa.tensors.splat import splat

STEPS = 3
"""Of Newton's method: enough for all but the places where a flow folds."""
TORN, FOLDED = 1.5, 0.2
"""Pixels that neighbours part by where the picture tears (`LayerSettings`), and the share of its size below
which a pixel is taken for one that folds."""
COARSE, LOOKS = 4, 8
"""Other flows' inverse is looked for on every fourth pixel; each look leaves half a miss at the most."""
MISSED = 0.5
"""Pixels by which an inverse that was looked for may miss: else it is splatted, as if the flow tore."""
READ_AROUND = 3
"""Pixels around a place that a reading and its rounding may reach."""


def origin(
    flow: Float[Tensor, "2 h w"],
    member: Bool[Tensor, "h w"],
    camera: Float[Tensor, "2 3"],
    lands: tuple[slice, slice],
    around: tuple[slice, slice] | None = None,
) -> Float[Tensor, "2 n m"]:
    """Where in the photo each pixel of a window of the frame lies: a layer's motion and the camera's, undone.

    The flow is that of the layer in the window `around`, which is the same when not given.
    """
    around = lands if around is None else around
    points = window_grid(lands, flow)
    if camera_rests(camera[None]) and holds(around, lands):
        rows, columns = within(lands[0], around[0]), within(lands[1], around[1])
        return settled(points - inverse_displacement(flow, member)[:, rows, columns], lands)
    points = apply_affine(invert_affine(camera[None]), points[None])
    if flow.any():
        start = flow.new_tensor([around[1].start, around[0].start])[:, None, None]
        points = points - bilinear_sample(inverse_displacement(flow, member)[None], points - start)
    return settled(points[0], lands)


def holds(outer: tuple[slice, slice], inner: tuple[slice, slice]) -> bool:
    """Whether a window lies in another one."""
    return all(o.start <= i.start and i.stop <= o.stop for o, i in zip(outer, inner, strict=True))


def within(span: slice, outer: slice) -> slice:
    """A span of rows or columns, counted from where another one begins."""
    return slice(span.start - outer.start, span.stop - outer.start)


def window_grid(window: tuple[slice, slice], like: Tensor) -> Float[Tensor, "2 h w"]:
    """(x, y) of the pixels of a window, in the whole picture."""
    rows, columns = window
    grid = pixel_grid(rows.stop - rows.start, columns.stop - columns.start, like)
    return grid + grid.new_tensor([columns.start, rows.start])[:, None, None]


def settled(points: Float[Tensor, "2 h w"], lands: tuple[slice, slice]) -> Float[Tensor, "2 h w"]:
    """The points, those that hardly differ from their pixel on it: rounding must not resample what rests."""
    grid = window_grid(lands, points)
    return grid.where((points - grid).abs().amax(0, keepdim=True) < 1e-3, points)


def inverse_displacement(flow: Float[Tensor, "2 H W"], member: Bool[Tensor, "H W"]) -> Float[Tensor, "2 H W"]:
    """Where each pixel's content came from: content at y was at y - displacement(y).

    Where nothing moves and nothing arrives it came from there.
    """
    laid = torch.zeros_like(flow)
    if flow.any():
        rows, columns = window_of_arrivals(flow)
        laid[:, rows, columns] = _inverse(flow[:, rows, columns], member[rows, columns])
    return laid


def window_of_arrivals(flow: Float[Tensor, "2 H W"]) -> tuple[slice, slice]:
    """Rows and columns outside which nothing moves and nothing arrives (something has to move)."""
    reach = math.ceil(float(flow.abs().max())) + READ_AROUND
    return window_around((flow[0] != 0) | (flow[1] != 0), share=0.0, least=0, beyond=reach)


def _inverse(flow: Float[Tensor, "2 H W"], member: Bool[Tensor, "H W"]) -> Float[Tensor, "2 H W"]:
    """A flow that only bends has one inverse, which a few looks on a coarse grid nearly find.

    Splatting any other gives it nearly, with the faster and the layer's own pixels in front. Newton's method
    on x + flow(x) = y makes it exact.
    """
    if only_bends(flow):
        laid, missed = newton(flow, looked_up(flow))
        if missed < MISSED:
            return laid
    return newton(flow, splatted_inverse(flow, member))[0]


def only_bends(flow: Float[Tensor, "2 H W"]) -> bool:
    """Whether the flow neither tears nor folds: no pixel is left without a source, and none has two."""
    return bool(neighbour_jump(flow).max() < TORN and determinant(*jacobian(flow)).min() > FOLDED)


def newton(
    flow: Float[Tensor, "2 H W"], laid: Float[Tensor, "2 H W"]
) -> tuple[Float[Tensor, "2 H W"], float]:
    """A flow's inverse, from one that is nearly right, and by how many pixels it misses at the worst.

    Only what is not right yet is worked on.
    """
    grid = pixel_grid(flow.shape[1], flow.shape[2], flow).flatten(1)
    points = grid - laid.flatten(1)
    wrong = torch.arange(grid.shape[1], device=flow.device)
    slopes: Float[Tensor, "1 4 H W"] | None = None
    for turn in range(STEPS + 1):
        here = points[:, wrong]
        miss = (here + bilinear_sample(flow[None], here[None])[0] - grid[:, wrong]).clamp(-2, 2)
        off = (miss.abs().amax(0) > STILL).nonzero()[:, 0]
        if len(off) == 0 or turn == STEPS:
            break
        slopes = inverse_slopes(flow) if slopes is None else slopes
        wrong, here, miss = wrong[off], here[:, off], miss[:, off]
        slope = bilinear_sample(slopes, here[None])[0]
        step = torch.stack([(slope[:2] * miss).sum(0), (slope[2:] * miss).sum(0)])
        points[:, wrong] = here - step.clamp(-2, 2)
    return (grid - points).view_as(flow), float(miss.abs().max())


def jacobian(flow: Float[Tensor, "2 H W"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """a, b, c, d of the rows (a b), (c d) of I + d flow, each [H, W]."""
    across, down = torch.gradient(flow, dim=(2, 1))
    return 1 + across[0], down[0], across[1], 1 + down[1]


def determinant(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Times as large as before that a pixel becomes, below 0 where the flow folds."""
    return a * d - b * c


def inverse_slopes(flow: Float[Tensor, "2 H W"]) -> Float[Tensor, "1 4 H W"]:
    """Rows of the Jacobian I + d flow, inverted per pixel."""
    a, b, c, d = jacobian(flow)
    return (torch.stack([d, -b, -c, a]) / determinant(a, b, c, d).clamp(min=FOLDED))[None]


def looked_up(flow: Float[Tensor, "2 H W"]) -> Float[Tensor, "2 H W"]:
    """The inverse of a flow that only bends, nearly: by repeated looks.

    x = y - flow(x) contracts by what the flow pulls neighbours apart every time (Banach's fixed point).
    """
    height, width = flow.shape[1:]
    coarse = resize_flow(flow[None], -(-height // COARSE), -(-width // COARSE))
    grid = pixel_grid(coarse.shape[2], coarse.shape[3], coarse)[None]
    displaced = coarse
    for _ in range(LOOKS):
        displaced = bilinear_sample(coarse, grid - displaced)
    return resize_flow(displaced, height, width)[0]


def splatted_inverse(flow: Float[Tensor, "2 H W"], member: Bool[Tensor, "H W"]) -> Float[Tensor, "2 H W"]:
    """The flow laid down where it leads, the layer's own and the faster pixels in front."""
    speed = length(flow)
    importance = 8 * speed / speed.max() + 8 * member
    laid, weight = splat(flow[None], flow[None], importance.exp()[None])
    return fill_gaps(laid[0], weight[0, 0] > 0)
