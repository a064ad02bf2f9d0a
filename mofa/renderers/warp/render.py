"""The warp renderer: moves the pixels of the photo themselves, without any weights.

The photo is taken apart once per clip, into what moves in front and what is behind it, holes filled, so that
holes hold still. Each frame then reads both layers through the inverse of their motion and lays the front
over the back. Forward splatting finds that inverse, with a soft order that lets what moves more cover what
moves less; Newton steps make it exact, so that colours are read once, bicubically, and stay sharp at
sub-pixel positions. Colours are mixed as they are stored: in linear light bicubic undershoot darkens the dark
side of edges.

What stands still is not resampled: it keeps the photo's very values. A painted region's content may leave the
region and cover what it lands on; outside the region nothing else changes. Beyond the border the picture
continues mirrored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mofa.faces.motion import HeadMotion, expressions, head_maps
from mofa.media.image import to_bytes
from mofa.renderers.warp.layers import (
    RAMP,
    Layer,
    LayerSettings,
    Piece,
    length,
    neighbour_jump,
    pieces_of,
    take_apart,
)
from mofa.renderers.warp.portrait import with_expression
from mofa.tensors.flow import apply_affine, compose_affine, invert_affine, sample
from mofa.tensors.gaps import fill_gaps
from mofa.tensors.geometry import pixel_grid, resize_flow
from mofa.tensors.motion import camera_rests
from mofa.tensors.neighbourhood import local_maximum, window_around
from mofa.tensors.splat import splat
from mofa.types import DenseMotion, MotionPlan, Progress, SourceImage, silent

STILL = 0.01
"""Pixels: less motion than this against the scene is none; nobody sees it, and resampling would blur."""
NEWTON_STEPS = 3
GENTLE = 0.5
"""Pixels that neighbours may be pulled apart by a flow that is undone without splatting: it cannot fold."""
COARSE, LOOKS = 4, 8
"""Such a flow's inverse is looked for on every fourth pixel; eight looks leave 0.4 % of it."""
READ_AROUND = 3
"""Pixels around a piece that a bicubic reading and its rounding may reach."""


@dataclass(frozen=True)
class WarpSettings:
    """How the warp renderer works."""

    loop: bool = False
    """Make the clip a seamless loop: the plan then carries one frame more than the clip, and the clip's last
    frames dissolve into the motion of the next round."""
    layers: LayerSettings = field(default_factory=LayerSettings)
    """How the photo is taken apart."""


@dataclass(frozen=True)
class Motion:
    """One rendering of the scene: displacement against the scene, then the camera, in pixels."""

    displacement: Float[Tensor, "2 H W"]
    camera: Float[Tensor, "2 3"]


@dataclass(frozen=True)
class Scene:
    """What the warp renderer moves, seen through a window of the picture (rows and columns of it).

    Driven faces' heads move as they do; their expressions are left to `portrait`.
    """

    parts: tuple[tuple[DenseMotion, Float[Tensor, "1 H W"]], ...]
    camera: Float[Tensor, "S 2 3"]
    num_frames: int
    window: tuple[slice, slice]

    def at(self, frame: int) -> Motion:
        """The motion of a frame: branches share it by their regions, where they are valid."""
        rows, columns = self.window
        displacement = self.camera.new_zeros(2, rows.stop - rows.start, columns.stop - columns.start)
        if frame == 0:
            return Motion(displacement, torch.eye(2, 3).to(self.camera))
        for motion, region in self.parts:
            flow = motion.over([frame - 1])
            ruled = region[:, rows, columns] * flow.valid[0, :, rows, columns]
            displacement += ruled * flow.pixels[0, :, rows, columns].where(ruled > 0, 0)
        return Motion(displacement.where(length(displacement) > STILL, 0), self.camera[frame - 1])

    @cached_property
    def at_end(self) -> Motion:
        """The last motion: in a loop that of the moment at which the clip begins again."""
        return self.at(self.num_frames - 1)

    def says_anything(self) -> Bool[Tensor, "H W"]:
        """Where the plan knows any motion, in the window: everywhere that a moving camera looks."""
        rows, columns = self.window
        said = torch.zeros(rows.stop - rows.start, columns.stop - columns.start, dtype=torch.bool)
        if not camera_rests(self.camera):
            return ~said
        for motion, region in self.parts:
            for step in range(self.num_frames - 1):
                valid = motion.over([step]).valid[0, 0, rows, columns]
                said |= valid & (region[0, rows, columns] > 0)
                if said.all():
                    return said
        return said


def render_warp(
    source: SourceImage, plan: MotionPlan, settings: WarpSettings, progress: Progress = silent
) -> Iterator[UInt8[Tensor, "3 H W"]]:
    """The frames of the clip, one by one; frame 0 is the source, and where nothing moves every frame is.

    There are as many as the plan has frames, one less with `settings.loop`.
    """
    num_frames = plan.num_frames - settings.loop
    scene = scene_of(plan)
    rows, columns = scene.window
    picture = source.pixels[:, rows, columns]
    origin = picture.new_tensor([columns.start, rows.start])
    faces = [resting_face(branch.face) - origin for branch in plan.branches if branch.face is not None]
    back, front = take_apart(
        picture,
        lambda: (
            motion.displacement
            for frame in range(num_frames)
            for _, motion in motions_of_frame(scene, settings, frame)
        ),
        scene.says_anything(),
        settings.layers,
    )
    pieces = () if front is None else pieces_of(front)
    still = to_bytes(source.pixels)
    for frame in range(num_frames):
        photo = picture
        for face in faces:
            photo = with_expression(photo, face[0], face[frame], read)
        worn_back, worn_front = wearing(back, picture, photo), front and wearing(front, picture, photo)
        mixed = torch.zeros_like(picture)
        for share, motion in motions_of_frame(scene, settings, frame):
            mixed += share * render_frame(photo, worn_back, worn_front, pieces, motion)
        drawn = still.clone()
        drawn[:, rows, columns] = to_bytes(mixed)
        yield drawn
        progress("render", frame + 1, num_frames)


def scene_of(plan: MotionPlan) -> Scene:
    """The plan as the warp renderer takes it, through the window in which anything moves."""
    height, width = plan.branches[0].region.shape[1:]
    parts = tuple(
        (branch.motion if branch.face is None else HeadMotion(branch.face, height, width), branch.region)
        for branch in plan.branches
    )
    whole = Scene(parts, plan.camera, plan.num_frames, (slice(0, height), slice(0, width)))
    return replace(whole, window=window_of_motion(whole))


def resting_face(face: Float[Tensor, "T 68 2"]) -> Float[Tensor, "T 68 2"]:
    """A driven face's expressions, its head resting where the photo has it."""
    return expressions(face, head_maps(face))


def wearing(layer: Layer, before: Float[Tensor, "3 H W"], after: Float[Tensor, "3 H W"]) -> Layer:
    """A layer of the photo with what an expression has changed in the photo."""
    if after is before:
        return layer
    return replace(layer, pixels=torch.where((before != after).any(0), after, layer.pixels))


def window_of_motion(scene: Scene) -> tuple[slice, slice]:
    """Rows and columns outside which no frame differs from the photo, with surroundings to fill holes from.

    The whole picture where the camera moves, and where nothing does.
    """
    rows, columns = scene.window
    if not camera_rests(scene.camera):
        return rows, columns
    peak = scene.camera.new_zeros(rows.stop, columns.stop)
    for frame in range(1, scene.num_frames):
        peak = torch.maximum(peak, scene.at(frame).displacement.abs().amax(0))
    if not (peak > STILL).any():
        return rows, columns
    # A loop's dissolve moves things by up to two displacements.
    reach = 2 * int(peak.max().ceil()) + RAMP
    return window_around(peak > STILL, share=0.25, least=64, beyond=reach)


def motions_of_frame(scene: Scene, settings: WarpSettings, frame: int) -> Iterator[tuple[float, Motion]]:
    """What a frame is mixed from: one motion, or for a loop this round's and the next round's.

    With period T the frame at t is (1 - w) warp(motion_t) + w warp(motion_t - motion_T), w = t / T smoothed:
    the frame at T would be the source again. Where motion_T is none, both are the same and one is drawn.
    """
    here = scene.at(frame)
    if not settings.loop or is_still(scene.at_end):
        yield 1.0, here
        return
    t = frame / (scene.num_frames - 1)
    share = t * t * (3 - 2 * t)
    before = Motion(
        here.displacement - scene.at_end.displacement,
        compose_affine(here.camera[None], invert_affine(scene.at_end.camera[None]))[0],
    )
    if share < 1:
        yield 1 - share, here
    if share > 0:
        yield share, before


def is_still(motion: Motion) -> bool:
    """Whether this motion leaves every pixel where it is."""
    return not motion.displacement.any() and torch.equal(motion.camera, torch.eye(2, 3).to(motion.camera))


def render_frame(
    picture: Float[Tensor, "3 H W"], back: Layer, front: Layer | None, pieces: Sequence[Piece], motion: Motion
) -> Float[Tensor, "3 H W"]:
    """The scene after a motion: the back, and on it the front's pieces, the slowest first."""
    if is_still(motion):
        return picture
    height, width = picture.shape[1:]
    everywhere = slice(0, height), slice(0, width)
    moved = [] if front is None else [MovedPiece(piece, front, motion) for piece in pieces]
    ground = back.pixels
    if front is not None:
        # Where the front has not moved a whole pixel yet no hole is open, and the photo itself looks best.
        ground = picture.clone()
        for one in moved:
            rows, columns = one.piece.window
            behind = back.pixels[:, rows, columns]
            ground[:, rows, columns] = torch.lerp(ground[:, rows, columns], behind, one.opened)
    flow = back.follow(motion.displacement, everywhere)
    canvas = read(ground, origin(flow, back.member, motion.camera, everywhere)).clamp(0, 1)
    if front is not None:
        for one in sorted(moved, key=lambda one: one.speed):
            one.draw(canvas, picture, front)
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

    def draw(self, canvas: Float[Tensor, "3 H W"], picture: Float[Tensor, "3 H W"], front: Layer) -> None:
        """Lays the piece over the canvas, where it lands."""
        lands = self.landing(canvas.shape[1], canvas.shape[2])
        if lands is None:
            return
        rows, columns = self.piece.window
        points = self.origins(lands)
        inside = points - points.new_tensor([columns.start, rows.start])[:, None, None]
        own = torch.lerp(picture[:, rows, columns], front.pixels[:, rows, columns], self.opened)
        # Beyond the border only that goes on which the border cuts, as the border's own matte says.
        cut = sample(self.piece.around[None], inside[None])[0]
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


def within(span: slice, outer: slice) -> slice:
    """A span of rows or columns, counted from where another one begins."""
    return slice(span.start - outer.start, span.stop - outer.start)


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


def window_grid(window: tuple[slice, slice], like: Tensor) -> Float[Tensor, "2 h w"]:
    """(x, y) of the pixels of a window, in the whole picture."""
    rows, columns = window
    grid = pixel_grid(rows.stop - rows.start, columns.stop - columns.start, like)
    return grid + grid.new_tensor([columns.start, rows.start])[:, None, None]


def arrives(
    layer: Layer, motion: Motion, points: Float[Tensor, "2 h w"], lands: tuple[slice, slice]
) -> Bool[Tensor, "1 h w"]:
    """Where the layer really has a pixel: not in the gaps between members that have parted.

    There `points` lie between two parted pixels, or move on to somewhere else.
    """
    flow = layer.follow(motion.displacement)
    parted = local_maximum(neighbour_jump(flow), 1) > 2
    there = sample(torch.cat([flow, parted[None].to(flow)])[None], points[None])
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
    grid = window_grid(lands, flow)[None]
    points = apply_affine(invert_affine(camera[None]), grid)
    if flow.any():
        start = flow.new_tensor([around[1].start, around[0].start])[:, None, None]
        points = points - sample(inverse_displacement(flow, member), points - start)
    return settled(points[0], lands)


def settled(points: Float[Tensor, "2 h w"], lands: tuple[slice, slice]) -> Float[Tensor, "2 h w"]:
    """The points, those that hardly differ from their pixel on it: rounding must not resample what rests."""
    grid = window_grid(lands, points)
    return grid.where((points - grid).abs().amax(0, keepdim=True) < 1e-3, points)


def inverse_displacement(
    flow: Float[Tensor, "2 H W"], member: Bool[Tensor, "H W"]
) -> Float[Tensor, "1 2 H W"]:
    """Where each pixel's content came from: content at y was at y - displacement(y).

    A gentle flow has one inverse, which a few steps on a coarse grid nearly find. Splatting any other gives
    it nearly, with the faster and the layer's own pixels in front. Newton's method on x + flow(x) = y makes
    it exact.
    """
    gentle = neighbour_jump(flow).max() < GENTLE
    laid = gentle_inverse(flow) if gentle else splatted_inverse(flow, member)
    grid = pixel_grid(flow.shape[1], flow.shape[2], flow)[None]
    points = grid - laid
    slopes: Float[Tensor, "1 4 H W"] | None = None
    for _ in range(NEWTON_STEPS):
        miss = (points + sample(flow[None], points) - grid).clamp(-2, 2)
        if miss.abs().max() < STILL:
            break
        slopes = inverse_slopes(flow) if slopes is None else slopes
        here = sample(slopes, points)
        step = torch.stack([(here[:, :2] * miss).sum(1), (here[:, 2:] * miss).sum(1)], 1)
        points = points - step.clamp(-2, 2)
    return grid - points


def inverse_slopes(flow: Float[Tensor, "2 H W"]) -> Float[Tensor, "1 4 H W"]:
    """Rows of the Jacobian I + d flow, inverted per pixel."""
    across, down = torch.gradient(flow, dim=(2, 1))
    a, b, c, d = 1 + across[0], down[0], across[1], 1 + down[1]
    determinant = (a * d - b * c).clamp(min=0.2)
    return (torch.stack([d, -b, -c, a]) / determinant)[None]


def gentle_inverse(flow: Float[Tensor, "2 H W"]) -> Float[Tensor, "1 2 H W"]:
    """The inverse of a flow that pulls neighbours apart by less than `GENTLE`, nearly: by repeated looks.

    x = y - flow(x) contracts by that much every time (Banach's fixed point).
    """
    height, width = flow.shape[1:]
    coarse = resize_flow(flow[None], -(-height // COARSE), -(-width // COARSE))
    grid = pixel_grid(coarse.shape[2], coarse.shape[3], coarse)[None]
    displaced = coarse
    for _ in range(LOOKS):
        displaced = sample(coarse, grid - displaced)
    return resize_flow(displaced, height, width)


def splatted_inverse(flow: Float[Tensor, "2 H W"], member: Bool[Tensor, "H W"]) -> Float[Tensor, "2 H W"]:
    """The flow laid down where it leads, the layer's own and the faster pixels in front."""
    speed = length(flow)
    importance = 8 * speed / speed.max() + 8 * member
    laid, weight = splat(flow[None], flow[None], importance.exp()[None])
    return fill_gaps(laid[0], weight[0, 0] > 0)


def beyond_border(points: Float[Tensor, "2 h w"], height: int, width: int) -> Float[Tensor, "1 h w"]:
    """How many pixels each point lies outside the picture, 0 within it."""
    last = points.new_tensor([width - 1, height - 1])[:, None, None]
    return torch.maximum(-points, points - last).clamp(min=0).amax(0, keepdim=True)


def read(values: Float[Tensor, "C H W"], points: Float[Tensor, "2 H W"]) -> Float[Tensor, "C H W"]:
    """Values of a picture at points (x, y) of it; what rests on its own pixel is not looked up."""
    still = (points == pixel_grid(points.shape[1], points.shape[2], points)).all(0)
    return values if still.all() else torch.where(still, values, read_at(values, points))


def read_at(values: Float[Tensor, "C H W"], points: Float[Tensor, "2 h w"]) -> Float[Tensor, "C h w"]:
    """Bicubic values at points (x, y) in pixels; the picture continues mirrored."""
    height, width = values.shape[-2:]
    scale = points.new_tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)])
    unit = (points.movedim(0, -1) * scale - 1)[None]
    return F.grid_sample(values[None], unit, mode="bicubic", padding_mode="reflection", align_corners=True)[0]
