"""The warp renderer: moves the pixels of the photo themselves, without any weights.

The photo is taken apart once per clip, into what moves in front and what is behind it, holes filled, so that
holes hold still. Each frame then reads both layers through the inverse of their motion and lays the front
over the back. Forward splatting finds that inverse, with a soft order that lets what moves more cover what
moves less; Newton steps make it exact, so that colours are read once, bicubically, and stay sharp at
sub-pixel positions. Colours are mixed as they are stored: in linear light bicubic undershoot darkens the dark
side of edges.

What stands still is not resampled: it keeps the photo's very values. A painted region's content may leave the
region and cover what it lands on; outside the region nothing else changes. Beyond the border the picture
continues mirrored; a thing that the border cuts stays joined to it (`border`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mofa.faces.motion import expressions, head_maps
from mofa.media.image import to_bytes
from mofa.renderers.warp.border import joined_to_border
from mofa.renderers.warp.inverse import (
    READ_AROUND,
    origin,
    settled,
    window_grid,
    window_of_arrivals,
    within,
)
from mofa.renderers.warp.layers import (
    Layer,
    LayerSettings,
    Piece,
    length,
    neighbour_jump,
    pieces_of,
    take_apart,
)
from mofa.renderers.warp.portrait import with_expression
from mofa.renderers.warp.reading import read, read_at
from mofa.renderers.warp.scene import STILL, Motion, motions_of_frame, scene_of, through_its_window
from mofa.tensors.alpha import straight
from mofa.tensors.flow import apply_affine, bilinear_sample, compose_affine, invert_affine
from mofa.tensors.neighbourhood import local_maximum
from mofa.types import MotionPlan, Progress, SourceImage, silent


@dataclass(frozen=True)
class WarpSettings:
    """How the warp renderer works."""

    loop: bool = False
    """Make the clip a seamless loop: the plan then carries one frame more than the clip, and the clip's last
    frames dissolve into the motion of the next round."""
    layers: LayerSettings = field(default_factory=LayerSettings)
    """How the photo is taken apart."""


def render_warp(
    source: SourceImage, plan: MotionPlan, settings: WarpSettings, progress: Progress = silent
) -> Iterator[UInt8[Tensor, "C H W"]]:
    """The frames of the clip, one by one; frame 0 is the source, and where nothing moves every frame is.

    Of a source with alpha they have straight alpha as a fourth channel. There are as many as the plan has
    frames, one less with `settings.loop`.
    """
    num_frames = plan.num_frames - settings.loop
    scene, extent = through_its_window(scene_of(plan), settings.loop)
    rows, columns = scene.window
    whole = source.pixels if source.alpha is None else torch.cat([source.pixels, source.alpha])
    picture = whole[:, rows, columns]
    origin = picture.new_tensor([columns.start, rows.start])
    faces = [resting_face(branch.face) - origin for branch in plan.branches if branch.face is not None]
    back, front = take_apart(
        picture,
        extent,
        lambda: (
            motion.displacement
            for frame in range(num_frames)
            for _, motion in motions_of_frame(scene, settings.loop, frame)
        ),
        settings.layers,
    )
    if front is not None:
        height, width = whole.shape[1:]
        sides = columns.start == 0, rows.start == 0, columns.stop == width, rows.stop == height
        starts = [tracks.points[:, 0] - origin for tracks in plan.tracks]
        front = joined_to_border(front, extent.peak, sides, starts)
    pieces = () if front is None else pieces_of(front)
    still = shown(whole)
    for frame in range(num_frames):
        photo = picture
        for face in faces:
            photo = with_expression(photo, face[0], face[frame])
        worn_back, worn_front = wearing(back, picture, photo), front and wearing(front, picture, photo)
        mixed = torch.zeros_like(picture)
        for share, motion in motions_of_frame(scene, settings.loop, frame):
            mixed += share * render_frame(photo, worn_back, worn_front, pieces, motion)
        drawn = still.clone()
        drawn[:, rows, columns] = shown(mixed)
        yield drawn
        progress("render", frame + 1, num_frames)


def shown(picture: Float[Tensor, "C H W"]) -> UInt8[Tensor, "C H W"]:
    """A picture as bytes; with alpha in its fourth channel, its colours freed from the white they lie on."""
    return to_bytes(picture if len(picture) == 3 else straight(picture[:3], picture[3:]))


def resting_face(face: Float[Tensor, "T 68 2"]) -> Float[Tensor, "T 68 2"]:
    """A driven face's expressions, its head resting where the photo has it."""
    return expressions(face, head_maps(face))


def wearing(layer: Layer, before: Float[Tensor, "C H W"], after: Float[Tensor, "C H W"]) -> Layer:
    """A layer of the photo with what an expression has changed in the photo."""
    if after is before:
        return layer
    if layer.pixels is before:
        return replace(layer, pixels=after)
    return replace(layer, pixels=torch.where((before != after).any(0), after, layer.pixels))


def render_frame(
    picture: Float[Tensor, "C H W"], back: Layer, front: Layer | None, pieces: Sequence[Piece], motion: Motion
) -> Float[Tensor, "C H W"]:
    """The scene after a motion: the back, and on it the front's pieces, the slowest first."""
    if motion.is_still:
        return picture
    moved = [] if front is None else [MovedPiece(piece, front, motion) for piece in pieces]
    ground = back.pixels
    if front is not None:
        # Where the front has not moved a whole pixel yet no hole is open, and the photo itself looks best.
        ground = picture.clone()
        for one in moved:
            rows, columns = one.piece.window
            behind = back.pixels[:, rows, columns]
            ground[:, rows, columns] = torch.lerp(ground[:, rows, columns], behind, one.opened)
    canvas = drawn_back(ground, back, motion)
    if front is not None:
        for one in sorted(moved, key=lambda one: one.speed):
            one.draw(canvas, picture, front)
    return canvas


def drawn_back(ground: Float[Tensor, "C H W"], back: Layer, motion: Motion) -> Float[Tensor, "C H W"]:
    """The back's colours after its motion, looked up only where something moves or arrives."""
    canvas, flow = ground.clamp(0, 1), back.follow(motion.displacement)
    if motion.camera_rests and not flow.any():
        return canvas
    height, width = ground.shape[1:]
    window = window_of_arrivals(flow) if motion.camera_rests else (slice(0, height), slice(0, width))
    rows, columns = window
    points = origin(flow[:, rows, columns], back.member[window], motion.camera, window)
    canvas[:, rows, columns] = read(ground, points, window).clamp(0, 1)
    return canvas


@dataclass(frozen=True)
class MovedPiece:
    """A piece of the front at one moment."""

    piece: Piece
    front: Layer
    motion: Motion

    @cached_property
    def flow(self) -> Float[Tensor, "2 h w"]:
        """The front's motion in the piece's window."""
        return self.front.follow(self.motion.displacement, self.piece.window)

    @cached_property
    def opened(self) -> Float[Tensor, "1 h w"]:
        """How far, 0..1, the piece has moved away from what is behind it."""
        return length(self.flow).clamp(max=1)

    @cached_property
    def speed(self) -> float:
        """Pixels that its fastest part has moved: what moves more covers what moves less."""
        return float((length(self.flow)[0] * self.piece.mask).max())

    def draw(self, canvas: Float[Tensor, "C H W"], picture: Float[Tensor, "C H W"], front: Layer) -> None:
        """Lays the piece over the canvas, where it lands."""
        lands = self.landing(canvas.shape[1], canvas.shape[2])
        if lands is None:
            return
        rows, columns = self.piece.window
        points = self.origins(lands)
        inside = points - points.new_tensor([columns.start, rows.start])[:, None, None]
        own = torch.lerp(picture[:, rows, columns], front.pixels[:, rows, columns], self.opened)
        # Beyond the border only that goes on which the border cuts, as the border's own matte says.
        cut = bilinear_sample(self.piece.around[None], inside[None])[0]
        # And only where the camera looks there: what a thing leaves behind at the border is not the thing.
        size = canvas.shape[1], canvas.shape[2]
        rest = apply_affine(invert_affine(self.motion.camera[None]), window_grid(lands, points)[None])[0]
        left = beyond_border(points, *size) - beyond_border(rest, *size)
        matte = read_at(self.piece.matte, inside).clamp(0, 1).minimum(cut) * self.piece.holds(points)
        matte = matte * (1 - left).clamp(0, 1)
        if front.split.any():
            matte = matte.where(arrives(front, self.motion, points, lands), 0)
        here = canvas[:, lands[0], lands[1]]
        mixed = torch.lerp(here, read_at(own, inside), matte).clamp(0, 1)
        canvas[:, lands[0], lands[1]] = torch.where(matte > 0, mixed, here)

    def landing(self, height: int, width: int) -> tuple[slice, slice] | None:
        """Rows and columns of the frame outside which nothing of the piece can be; None: it has left it."""
        arrived = (window_grid(self.piece.window, self.flow) + self.flow)[:, self.piece.mask]
        low, high = arrived.amin(1), arrived.amax(1)
        corners = torch.stack([low, high, torch.stack([low[0], high[1]]), torch.stack([high[0], low[1]])], 1)
        seen = apply_affine(self.motion.camera[None], corners[None])[0]
        first = (seen.amin(1).floor().long() - READ_AROUND).clamp(min=0).tolist()
        last = (seen.amax(1).ceil().long() + READ_AROUND + 1).tolist()
        rows, columns = slice(first[1], min(height, last[1])), slice(first[0], min(width, last[0]))
        return None if rows.start >= rows.stop or columns.start >= columns.stop else (rows, columns)

    def origins(self, lands: tuple[slice, slice]) -> Float[Tensor, "2 h w"]:
        """Where in the photo the pixels of a window of the frame come from, if they are the piece's."""
        rigid = affine_through(self.flow, self.piece.mask, self.piece.window)
        if rigid is not None:
            seen = compose_affine(self.motion.camera[None], rigid[None])
            return settled(apply_affine(invert_affine(seen), window_grid(lands, self.flow)[None])[0], lands)
        around = joined(self.piece.window, lands, self.motion)
        flow = self.front.follow(self.motion.displacement, around)
        member = torch.zeros_like(flow[0], dtype=torch.bool)
        rows, columns = self.piece.window
        own = self.piece.mask & self.front.member[rows, columns]
        member[within(rows, around[0]), within(columns, around[1])] = own
        return origin(flow, member, self.motion.camera, lands, around)


def joined(first: tuple[slice, slice], lands: tuple[slice, slice], motion: Motion) -> tuple[slice, slice]:
    """A window that holds another one and where a window of the frame lies in the scene."""
    height, width = motion.displacement.shape[1:]
    corners = window_grid(lands, motion.displacement)[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    scene = apply_affine(invert_affine(motion.camera[None]), corners[None])[0]
    low, high = scene.amin(1).floor().long().tolist(), scene.amax(1).ceil().long().tolist()
    rows, columns = first
    return (
        slice(max(0, min(rows.start, low[1])), min(height, max(rows.stop, high[1] + 1))),
        slice(max(0, min(columns.start, low[0])), min(width, max(columns.stop, high[0] + 1))),
    )


def arrives(
    layer: Layer, motion: Motion, points: Float[Tensor, "2 h w"], lands: tuple[slice, slice]
) -> Bool[Tensor, "1 h w"]:
    """Where the layer really has a pixel: not in the gaps between members that have parted.

    There `points` lie between two parted pixels, or move on to somewhere else.
    """
    flow = layer.follow(motion.displacement)
    parted = local_maximum(neighbour_jump(flow), 1) > 2
    there = bilinear_sample(torch.cat([flow, parted[None].to(flow)])[None], points[None])
    seen = apply_affine(motion.camera[None], points[None] + there[:, :2])
    miss = seen[0] - window_grid(lands, flow)
    return (length(miss) < 1) & (there[0, 2:] < 0.5)


def affine_through(
    flow: Float[Tensor, "2 h w"], mask: Bool[Tensor, "h w"], window: tuple[slice, slice]
) -> Float[Tensor, "2 3"] | None:
    """The affine map that takes the marked pixels of a window along the flow; None if there is none.

    Such a motion, a thing's that one track moves for instance, is undone without a search.
    """
    grid = window_grid(window, flow)
    places = torch.cat([grid, torch.ones_like(grid[:1])])[:, mask].double()
    goals = (grid + flow)[:, mask].double()
    centre = places.mean(1, keepdim=True) * places.new_tensor([[1.0], [1.0], [0.0]])
    around = places - centre
    found, failed = torch.linalg.solve_ex(around @ around.T, around @ goals.T)
    if failed:  # one pixel, or pixels in line
        return None
    found = found.T.contiguous()
    if (found @ around - goals).abs().max() > STILL:
        return None
    found[:, 2:] -= found[:, :2] @ centre[:2]
    return found.to(flow) if float(torch.linalg.det(found[:, :2])) > 0.2 else None


def beyond_border(points: Float[Tensor, "2 h w"], height: int, width: int) -> Float[Tensor, "1 h w"]:
    """How many pixels each point lies outside the picture, 0 within it."""
    last = points.new_tensor([width - 1, height - 1])[:, None, None]
    return torch.maximum(-points, points - last).clamp(min=0).amax(0, keepdim=True)
