"""The photo taken apart: what moves in front, what is behind it, and what the front leaves open.

Where neighbouring pixels part ways the flow has a tear; what moves faster along a tear is the front,
everything else the back. The back's colours under the front are filled in from behind, never from the moving
thing, once per clip and only where some frame shows them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt, find_objects, label
from torch import Tensor

from mofa.tensors.neighbourhood import local_maximum, local_mean, rim_of, widened
from mofa.tensors.splat import splat
from mofa.vision.inpaint import inpaint
from mofa.vision.outline import soft_outline

RAMP = 8
"""Pixels: how wide a dense flow's step from a moving thing to the ground may be."""
GRID = 4
"""Pixels: how finely it is looked up where holes open."""


WHOLE = slice(None), slice(None)
"""The window that is the whole picture."""
PIECE_MARGIN = 5
"""Pixels around a piece of the front: its window's rim has to be empty as far as readings reach."""
MOST_PIECES = 24
"""Above so many the front is drawn as one: many small windows would cost more than a large one."""

Displacements = Callable[[], Iterable[Float[Tensor, "2 H W"]]]
"""Called, yields every displacement against the scene that the clip will show: more than once, so that none
of them has to be kept."""


@runtime_checkable
class Fill(Protocol):
    """Fills a picture's hole from around it, taking nothing from what is foreign: `inpaint`."""

    def __call__(
        self, picture: Float[Tensor, "3 H W"], hole: Bool[Tensor, "H W"], foreign: Bool[Tensor, "H W"], /
    ) -> Float[Tensor, "3 H W"]:
        """The picture, its hole filled."""
        ...


@dataclass(frozen=True)
class Extent:
    """What all motions of a clip come to, per pixel and in pixels.

    `peak` is how far it goes at most and `jump` how far it parts from its right and lower neighbours; only
    what is `movable` may ever move or show what is behind it.
    """

    peak: Float[Tensor, "H W"]
    jump: Float[Tensor, "H W"]
    movable: Bool[Tensor, "H W"]

    def within(self, window: tuple[slice, slice]) -> "Extent":
        """The same in a window (rows and columns)."""
        return Extent(self.peak[window], self.jump[window], self.movable[window])


@dataclass(frozen=True)
class LayerSettings:
    """How the photo is taken apart."""

    tear: float = 1.5
    """How far neighbouring pixels may be pulled apart, in pixels, before the picture tears between them and
    shows what is behind; below it the picture stretches."""
    outline: int = 6
    """Pixels within which a moving thing's outline may follow the photo's edges; 0 keeps the flow's."""
    halo: int = 4
    """Pixels around a moving thing that carry its colour and are not used to fill the hole behind it."""
    fill: Fill = inpaint
    """What shows behind a moving thing."""


@dataclass(frozen=True)
class Layer:
    """Colours, with alpha where the picture has it, and motion of one layer of the picture.

    `matte` is how much of each pixel the layer covers, `member` says what belongs to it, `donor` names, per
    pixel, the member whose motion it takes, and at `split` pixels members part that move equally fast.
    `hold` is how much of its motion away from the left, top, right and bottom border it follows; None: all.
    """

    pixels: Float[Tensor, "C H W"]
    matte: Float[Tensor, "1 H W"]
    member: Bool[Tensor, "H W"]
    donor: Int[Tensor, "H W"]
    split: Bool[Tensor, "H W"]
    hold: Float[Tensor, "4 H W"] | None = None

    def follow(
        self, displacement: Float[Tensor, "2 H W"], window: tuple[slice, slice] = WHOLE
    ) -> Float[Tensor, "2 h w"]:
        """The layer's own motion in a window, continued beyond the layer from its nearest pixels."""
        donor = self.donor[window]
        flow = displacement.flatten(1).index_select(1, donor.flatten()).unflatten(1, donor.shape)
        if self.hold is None:
            return flow
        left_and_top, right_and_bottom = self.hold[(slice(None), *window)].split(2)
        return flow * torch.where(flow > 0, left_and_top, right_and_bottom)


@dataclass(frozen=True)
class Piece:
    """A part of the front that hangs together, through the window (rows and columns) that holds it.

    `mask` says what belongs to it, `matte` how much of each pixel it covers, and `around` is the largest
    matte within two pixels. `open_sides` are the window's left, top, right and bottom where they are the
    picture's own: what lies beyond may still belong to the piece.
    """

    window: tuple[slice, slice]
    mask: Bool[Tensor, "h w"]
    matte: Float[Tensor, "1 h w"]
    around: Float[Tensor, "1 h w"]
    open_sides: tuple[bool, bool, bool, bool]

    def holds(self, points: Float[Tensor, "2 n m"]) -> Bool[Tensor, "n m"]:
        """Which points (x, y) of the picture lie in the window, or beyond one of its open sides."""
        (rows, columns), (left, top, right, bottom) = self.window, self.open_sides
        held = torch.ones_like(points[0], dtype=torch.bool)
        for axis, span, before, after in ((0, columns, left, right), (1, rows, top, bottom)):
            if not before:
                held &= points[axis] >= span.start
            if not after:
                held &= points[axis] <= span.stop - 1
        return held


def pieces_of(front: Layer) -> tuple[Piece, ...]:
    """The front, cut where nothing of it is: each piece is drawn for itself, where it lands."""
    height, width = front.member.shape
    support = widened((front.matte[0] > 0) | front.member, PIECE_MARGIN)
    labels, count = label(support.cpu().numpy())
    if count > MOST_PIECES:
        labels = labels.clip(max=1)
    pieces = []
    for index, (rows, columns) in enumerate(find_objects(labels), start=1):
        mask = torch.from_numpy(labels[rows, columns] == index).to(support.device)
        matte = front.matte[:, rows, columns] * mask
        sides = columns.start == 0, rows.start == 0, columns.stop == width, rows.stop == height
        belongs = ((front.matte[0] > 0) | front.member)[rows, columns] & mask
        pieces.append(Piece((rows, columns), belongs, matte, local_maximum(matte[0], 2)[None], sides))
    return tuple(pieces)


def take_apart(
    picture: Float[Tensor, "C H W"],
    extent: Extent,
    displacements: Displacements,
    settings: LayerSettings,
) -> tuple[Layer, Layer | None]:
    """The back layer, filled in behind the front, and the front layer if anything tears off.

    A fourth channel of the picture is its alpha.
    """
    peak, jump, movable = extent.peak, extent.jump, extent.movable
    highest, lowest = local_maximum(peak, RAMP), -local_maximum(-peak, RAMP)
    # A step, not an even stretch: steeper than its surroundings.
    steep = (jump > settings.tear) & (jump > 1.5 * local_mean(jump, 2 * RAMP))
    torn = steep & (highest - lowest > settings.tear)
    whole, nowhere = torch.ones_like(torn), torch.zeros_like(torn)
    if not torn.any():
        return Layer(picture, whole[None].to(picture), whole, nearest_where(whole)[1], nowhere), None

    distance, nearest = nearest_where(torn)
    ramp = distance < RAMP
    inside = fast_side(peak > ((highest + lowest) / 2).flatten()[nearest], torn, ramp)
    edge = 0.02 * (highest - lowest)
    inside_core = inside & (~ramp | (peak >= highest - edge))
    outside_core = ~inside & (~ramp | (peak <= lowest + edge))

    matte = outline_matte(picture[:3], inside, movable, settings.outline)
    donor = nearest_where(inside_core)[1]
    # Where the layers part without a tear they move alike, and the back keeps the photo.
    seam = widened(rim_of(inside, 1) & ~ramp, RAMP)
    cover = widened(inside, settings.halo)
    hole = cover & movable & ~seam & widened(left_open(inside, donor, displacements), settings.halo)
    front = Layer(own_colours(picture, matte), matte, inside, donor, widened(steep & ~torn, 1) & inside)
    behind = nearest_where(outside_core if outside_core.any() else whole)[1]
    back = Layer(
        filled(picture, hole, cover, settings.fill), torch.ones_like(matte), ~inside, behind, nowhere
    )
    return back, front


def filled(
    picture: Float[Tensor, "C H W"], hole: Bool[Tensor, "H W"], foreign: Bool[Tensor, "H W"], fill: Fill
) -> Float[Tensor, "C H W"]:
    """The picture with its hole filled; alpha, where it has one, by what is around, without a network."""
    colours, alpha = fill(picture[:3], hole, foreign), picture[3:]
    if (alpha == 1).all():
        return torch.cat([colours, alpha])
    return torch.cat([colours, inpaint(alpha.expand(3, -1, -1), hole, foreign)[:1]])


def left_open(
    inside: Bool[Tensor, "H W"], donor: Int[Tensor, "H W"], displacements: Displacements
) -> Bool[Tensor, "H W"]:
    """The front's own place as far as some frame does not cover it, on a grid of every fourth pixel."""
    front, source_of = inside[::GRID, ::GRID], donor[::GRID, ::GRID]
    open_ = torch.zeros_like(front)
    for displacement in displacements():
        flow = displacement.flatten(1)[:, source_of] / GRID
        covered, _ = splat(front[None, None].to(flow), flow[None])
        open_ |= front & (covered[0, 0] < 0.99)
    enlarged = open_.repeat_interleave(GRID, 0).repeat_interleave(GRID, 1)
    return inside & widened(enlarged[: inside.shape[0], : inside.shape[1]], GRID)


def outline_matte(
    picture: Float[Tensor, "3 H W"], inside: Bool[Tensor, "H W"], movable: Bool[Tensor, "H W"], radius: int
) -> Float[Tensor, "1 H W"]:
    """How much of each pixel belongs to what moves, 0..1: soft near the outline, 0 outside a painted region.

    On the photo's edges it is sharp. Where the outline crosses even ground it fades, both ways or inwards
    from the rim of a painted region, which nothing outside may leave.
    """
    if radius == 0:
        return inside[None].to(picture)
    soft = soft_outline(picture, inside, radius, 0.02)[0]
    painted_rim = widened(~movable, radius)
    faded = (2 * soft - torch.where(painted_rim, 1.0, 0.5)).clamp(0, 1)
    return torch.where(rim_of(inside, radius), faded * movable, inside.to(picture))[None]


def fast_side(
    fast: Bool[Tensor, "H W"], torn: Bool[Tensor, "H W"], ramp: Bool[Tensor, "H W"]
) -> Bool[Tensor, "H W"]:
    """The side of the tears that moves faster, in whole pieces where tears cut the picture in pieces.

    A piece whose rim is fast is fast all through, its slow middle (the hub of a wheel) too. A piece that is
    both, an arm on a body, is divided by speed.
    """
    pieces, count = label(~torn.cpu().numpy())
    if count < 2:
        return fast
    piece = torch.from_numpy(pieces).long().to(fast.device)
    rim = torch.bincount(piece[ramp], minlength=count + 1)
    share = torch.bincount(piece[ramp & fast], minlength=count + 1) / rim.clamp(min=1)
    whole = ~torn & (rim[piece] > 0)
    return (fast | (whole & (share[piece] > 0.9))) & ~(whole & (share[piece] < 0.1))


def own_colours(picture: Float[Tensor, "C H W"], matte: Float[Tensor, "1 H W"]) -> Float[Tensor, "C H W"]:
    """The moving thing's own colours, freed from what shines through its soft outline.

    Two passes of blur fusion (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021, eq. 5-6).
    """
    own = behind = picture
    for radius in (12, 4):
        mean = local_mean(own * matte, radius) / (local_mean(matte, radius) + 1e-4)
        behind = local_mean(behind * (1 - matte), radius) / (local_mean(1 - matte, radius) + 1e-4)
        own = (mean + matte * (picture - matte * mean - (1 - matte) * behind)).clamp(0, 1)
    return own


def neighbour_jump(displacement: Float[Tensor, "2 H W"]) -> Float[Tensor, "H W"]:
    """How far a pixel parts from its right and lower neighbours."""
    jump = torch.zeros_like(displacement[0])
    right, down = jump[:, :-1], jump[:-1]
    right[:] = squared_length(displacement[:, :, 1:] - displacement[:, :, :-1])[0]
    torch.maximum(down, squared_length(displacement[:, 1:] - displacement[:, :-1])[0], out=down)
    return jump.sqrt_()


def nearest_where(wanted: Bool[Tensor, "H W"]) -> tuple[Float[Tensor, "H W"], Int[Tensor, "H W"]]:
    """Distance in pixels to, and flat index of, the nearest wanted pixel (there has to be one)."""
    distance, (row, column) = distance_transform_edt(~wanted.cpu().numpy(), return_indices=True)
    index = torch.from_numpy(row).long() * wanted.shape[1] + torch.from_numpy(column).long()
    return torch.from_numpy(distance).float().to(wanted.device), index.to(wanted.device)


def length(vectors: Float[Tensor, "2 H W"]) -> Float[Tensor, "1 H W"]:
    """Length of the vectors in pixels."""
    return squared_length(vectors).sqrt()


def squared_length(vectors: Float[Tensor, "2 H W"]) -> Float[Tensor, "1 H W"]:
    """Its square: many times quicker than `torch.hypot`, which minds numbers that no picture has."""
    return vectors[:1].square() + vectors[1:].square()
