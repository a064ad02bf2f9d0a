"""What a face's 68 points say about every pixel: the head moves as a whole, the expression bends the face.

The head's motion is the affine map of the points that expressions hardly move; it fades out around the head,
over shoulders and background, so slowly that nothing tears. The expression is what remains: it is known on
the lines that the points stand for (jaw, brows, lids, nose, lips), is carried smoothly from line to line, and
ends on a ring around the face.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mofa.faces.points import (
    JAW,
    LEFT_BROW,
    LEFT_EYE,
    NOSE_BASE,
    NOSE_BRIDGE,
    RIGHT_BROW,
    RIGHT_EYE,
    STABLE,
    face_size,
    fit_affine,
)
from mofa.tensors.flow import affine_flow, apply_affine, invert_affine
from mofa.tensors.gaps import fill_gaps
from mofa.tensors.geometry import pixel_grid
from mofa.tensors.neighbourhood import local_mean
from mofa.tensors.smoothstep import smoothstep
from mofa.types import FlowField

UPPER_EDGES = ((36, 37, 38, 39), (42, 43, 44, 45), (60, 61, 62, 63, 64))
LOWER_EDGES = ((36, 41, 40, 39), (42, 47, 46, 45), (60, 67, 66, 65, 64))
"""The skin's edges at its openings: lids and lips, from left to right."""
LINES = (
    JAW, LEFT_BROW, RIGHT_BROW, NOSE_BRIDGE, NOSE_BASE,
    (48, 49, 50, 51, 52, 53, 54), (48, 59, 58, 57, 56, 55, 54),
)  # fmt: skip
"""The other lines along which a face's points say how it moves."""
MARGIN = 0.025
"""Face sizes."""
BETWEEN = 16
"""Places per stretch between two points of a line."""
RING = 0.45
"""How far from the face its expression ends, in face sizes."""
HEAD_FADE = 1.0
"""Over how many face sizes the head's motion fades out, at the least."""
GENTLEST_SLOPE = 0.35
"""How much neighbouring pixels may be pulled apart per pixel where the head's motion fades out."""
BORDER_STRETCH = 1.0
"""How much a face's motion may pull pixels apart at the picture's border, per pixel."""
COARSE_FACE = 160.0
"""Pixels: how large a face is on the grid that expressions are spread on."""
RELAXATIONS = 12
"""Smoothing steps of an expression's spread on the coarse grid; chosen by eye: no line is seen any more."""
AT_ONCE = 8
"""Frames worked on together, which bounds the memory."""


def head_maps(points: Float[Tensor, "T 68 2"]) -> Float[Tensor, "S 2 3"]:
    """Per step, the affine map that takes the head of frame 0 to its place in that frame."""
    stable = points[:, STABLE]
    linear, offset = fit_affine(stable[:1].expand_as(stable[1:]), stable[1:])
    return torch.cat([linear, offset[..., None]], -1)


def expressions(points: Float[Tensor, "T 68 2"], head: Float[Tensor, "S 2 3"]) -> Float[Tensor, "T 68 2"]:
    """The points with the head's motion taken out: the face where it was in frame 0."""
    resting = apply_affine(invert_affine(head), points[1:].mT).mT
    return torch.cat([points[:1], resting])


def head_share(
    points: Float[Tensor, "T 68 2"], head: Float[Tensor, "S 2 3"], height: int, width: int
) -> Float[Tensor, "1 H W"]:
    """How much of the head's motion each pixel makes: 1 on the head, fading to 0 around it.

    The head is an ellipse round face and hair. It fades over a face size, and more where it moves far.
    """
    face = points[0]
    travel = (apply_affine(head, face.mT.expand(len(head), -1, -1)) - face.mT).norm(dim=1).amax()
    fade = torch.maximum(HEAD_FADE * face_size(face), 1.5 * travel / GENTLEST_SLOPE)
    return smoothstep(1 - distance_to_head(face, height, width) / fade)


def face_region(face: Float[Tensor, "68 2"], height: int, width: int) -> Float[Tensor, "1 H W"]:
    """Where a face's motion rules when nobody painted a region: the head, with a soft edge, 0..1."""
    return smoothstep(1 - distance_to_head(face, height, width) / (0.5 * face_size(face)))


def distance_to_head(face: Float[Tensor, "68 2"], height: int, width: int) -> Float[Tensor, "1 H W"]:
    """About how many pixels outside the ellipse of face and hair each pixel lies; 0 inside."""
    down = down_axis(face)
    axes = torch.stack([torch.stack([down[1], -down[0]]), down])
    low, high = (face @ axes.T).amin(0), (face @ axes.T).amax(0)
    extent = high - low
    # Brows to chin is two thirds of a head; hair and ears make it broader, too.
    middle = (low + high) / 2 - 0.25 * extent * extent.new_tensor([0.0, 1.0])
    radius = extent * extent.new_tensor([0.6, 0.8])
    grid = pixel_grid(height, width, face).flatten(1)
    place = (axes @ grid - middle[:, None]) / radius[:, None]
    norm = place.norm(dim=0)
    return ((norm - 1).clamp(min=0) * radius.mean()).reshape(1, height, width)


def expression_window(face: Float[Tensor, "68 2"], height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns outside which no expression reaches, cut to the picture."""
    margin = (RING * 1.2 * face_size(face)).clamp(min=4)
    low, high = (face.amin(0) - margin).floor().long(), (face.amax(0) + margin).ceil().long() + 1
    columns = slice(int(low[0].clamp(0, width - 1)), int(high[0].clamp(1, width)))
    rows = slice(int(low[1].clamp(0, height - 1)), int(high[1].clamp(1, height)))
    return rows, columns


def spread_from_lines(
    places: Float[Tensor, "68 2"], values: Float[Tensor, "B 68 2"], height: int, width: int
) -> Float[Tensor, "B 2 H W"]:
    """Vectors known at the points, smooth along the face's lines and between them, 0 beyond the ring.

    The same places may carry any number B of sets of vectors.
    """
    size = float(face_size(places))
    # Few scenes move a face, and SciPy takes a quarter of a second to import.
    from scipy.ndimage import distance_transform_edt

    step = max(1.0, size / COARSE_FACE)
    rows, columns = math.ceil(height / step), math.ceil(width / step)
    shares, sides, margins = (part.to(places) for part in drawn_lines())
    beside = sides + margins * MARGIN * size / step
    drawn = shares @ (places / step) + beside[:, None] * down_axis(places)

    column, row = drawn.round().long().unbind(-1)
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    pixel, order = (row * columns + column)[inside], inside.nonzero()[:, 0]
    winner = pixel.new_full((rows * columns,), -1).scatter_reduce(0, pixel, order, "amax")
    known = (winner >= 0).reshape(rows, columns)
    distance = torch.from_numpy(distance_transform_edt(~known.cpu().numpy())).to(values.device)
    fixed = known | (distance > RING * size / step)
    field = torch.where(known.flatten()[:, None], (shares @ values)[:, winner], 0)
    field = field.mT.reshape(-1, rows, columns)
    field = relaxed(fill_gaps(field, fixed), fixed).reshape(-1, 2, rows, columns)
    return F.interpolate(field, (height, width), mode="bilinear", align_corners=False)


@cache
def drawn_lines() -> tuple[Float[Tensor, "n 68"], Float[Tensor, " n"], Float[Tensor, " n"]]:
    """What each of 68 points weighs at n places along all lines, and how far down from there they are drawn.

    That is in pixels, and in margins. Edges that meet must not share a pixel: the upper one leads what lies
    above, the lower what lies below. Behind an edge a margin (lashes, the red of the lips) moves with it,
    unstretched.
    """
    lines = [(line, 0.0, 0.0) for line in LINES]
    for upper, lower in zip(UPPER_EDGES, LOWER_EDGES, strict=True):
        lines += [(upper, 0.0, -1.0), (lower, 0.0, 1.0), (upper, -0.5, 0.0), (lower, 0.5, 0.0)]
    shares = [along(torch.eye(68), line) for line, _, _ in lines]
    count = torch.tensor([len(share) for share in shares])
    sides, margins = (torch.tensor([line[k] for line in lines]).repeat_interleave(count) for k in (1, 2))
    return torch.cat(shares), sides, margins


def along(values: Float[Tensor, "*b 68 d"], line: tuple[int, ...]) -> Float[Tensor, "*b n d"]:
    """Values at many places along a smooth curve through a line's points (Catmull-Rom)."""
    share = torch.linspace(0, 1, BETWEEN, device=values.device, dtype=values.dtype)
    ease = [-share + 2 * share**2 - share**3, 2 - 5 * share**2 + 3 * share**3]
    ease += [share + 4 * share**2 - 3 * share**3, share**3 - share**2]
    knots = values[..., [line[0], *line, line[-1]], :].unfold(-2, 4, 1)
    return (knots @ torch.stack(ease) / 2).mT.flatten(-3, -2)


def down_axis(face: Float[Tensor, "68 2"]) -> Float[Tensor, "2"]:
    """The unit vector from brow to chin, as the eyes say."""
    across = face[list(RIGHT_EYE)].mean(0) - face[list(LEFT_EYE)].mean(0)
    across = across / across.norm().clamp(min=1e-6)
    return torch.stack([-across[1], across[0]])


def relaxed(values: Float[Tensor, "C H W"], fixed: Bool[Tensor, "H W"]) -> Float[Tensor, "C H W"]:
    """Values drawn towards the mean of their neighbours where they are not fixed."""
    for _ in range(RELAXATIONS):
        values = torch.where(fixed, values, local_mean(values, 1))
    return values


def from_inside(flow: Float[Tensor, "S 2 H W"]) -> Float[Tensor, "S 2 H W"]:
    """The flow held at the picture's border where it would draw in what lies beyond; inside it stretches.

    A pixel goes at most `BORDER_STRETCH` times as far away from a border as it lies from it.
    """
    height, width = flow.shape[-2:]
    grid = pixel_grid(height, width, flow)
    last = grid.new_tensor([width - 1, height - 1])[:, None, None]
    return flow.minimum(BORDER_STRETCH * grid).maximum(-BORDER_STRETCH * (last - grid))


@dataclass(frozen=True)
class HeadMotion:
    """`FaceMotion` of the head alone, without its expression."""

    points: Float[Tensor, "T 68 2"]
    height: int
    width: int

    @cached_property
    def maps(self) -> Float[Tensor, "S 2 3"]:
        """`head_maps` of the points."""
        return head_maps(self.points)

    @cached_property
    def share(self) -> Float[Tensor, "1 H W"]:
        """`head_share` of the points."""
        return head_share(self.points, self.maps, self.height, self.width)

    def over(self, steps: Sequence[int], /) -> FlowField:
        """The flow at these steps."""
        rigid = affine_flow(self.maps[list(steps)], self.height, self.width)
        return _known_everywhere(from_inside(self.share * rigid))


@dataclass(frozen=True)
class FaceMotion:
    """The dense motion of a face and what it carries along, in a picture of height x width."""

    points: Float[Tensor, "T 68 2"]
    height: int
    width: int

    @cached_property
    def head(self) -> HeadMotion:
        """The head's part of it."""
        return HeadMotion(self.points, self.height, self.width)

    @cached_property
    def resting(self) -> Float[Tensor, "T 68 2"]:
        """The face where it was in frame 0."""
        return expressions(self.points, self.head.maps)

    def over(self, steps: Sequence[int], /) -> FlowField:
        """The flow at these steps."""
        # A few steps at a time: together they are quick, all of a long clip would take too much memory.
        runs = [steps[start : start + AT_ONCE] for start in range(0, len(steps), AT_ONCE)]
        return _known_everywhere(torch.cat([self._bent(run) for run in runs]))

    def _bent(self, steps: Sequence[int]) -> Float[Tensor, "S 2 H W"]:
        face = self.points[0]
        rows, columns = expression_window(face, self.height, self.width)
        origin = face.new_tensor([columns.start, rows.start])
        grid = pixel_grid(self.height, self.width, face)
        bent = grid.repeat(len(steps), 1, 1, 1)
        change = self.resting[1:][list(steps)] - face
        bent[:, :, rows, columns] += spread_from_lines(
            face - origin, change, rows.stop - rows.start, columns.stop - columns.start
        )
        moved = apply_affine(self.head.maps[list(steps)], bent) - grid
        return from_inside(self.head.share * moved)


def _known_everywhere(pixels: Float[Tensor, "S 2 H W"]) -> FlowField:
    return FlowField(
        pixels, torch.ones_like(pixels[:1, :1], dtype=torch.bool).expand(len(pixels), -1, -1, -1)
    )
