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

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mofa.faces.motion import HeadMotion, expressions, head_maps
from mofa.media.image import to_bytes
from mofa.renderers.warp.layers import RAMP, Layer, LayerSettings, length, neighbour_jump, take_apart
from mofa.renderers.warp.portrait import with_expression
from mofa.tensors.flow import apply_affine, compose_affine, invert_affine, sample
from mofa.tensors.gaps import fill_gaps
from mofa.tensors.geometry import pixel_grid
from mofa.tensors.motion import camera_rests
from mofa.tensors.neighbourhood import local_maximum, window_around
from mofa.tensors.splat import splat
from mofa.types import DenseMotion, MotionPlan, Progress, SourceImage, silent

STILL = 0.01
"""Pixels: less motion than this against the scene is none; nobody sees it, and resampling would blur."""
NEWTON_STEPS = 3


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
    still = to_bytes(source.pixels)
    for frame in range(num_frames):
        photo = picture
        for face in faces:
            photo = with_expression(photo, face[0], face[frame], read)
        worn_back, worn_front = wearing(back, picture, photo), front and wearing(front, picture, photo)
        mixed = torch.zeros_like(picture)
        for share, motion in motions_of_frame(scene, settings, frame):
            mixed += share * render_frame(photo, worn_back, worn_front, motion)
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
    picture: Float[Tensor, "3 H W"], back: Layer, front: Layer | None, motion: Motion
) -> Float[Tensor, "3 H W"]:
    """The scene after a motion."""
    if is_still(motion):
        return picture
    back_points = origin(back.follow(motion.displacement), back.member, motion.camera)
    if front is None:
        return read(back.pixels, back_points).clamp(0, 1)
    front_flow = front.follow(motion.displacement)
    front_points = origin(front_flow, front.member, motion.camera)
    # Where the front has not moved a whole pixel yet no hole is open, and the photo itself looks best.
    opened = length(front_flow).clamp(max=1)
    canvas = read(torch.lerp(picture, back.pixels, opened), back_points)
    colours = read(torch.lerp(picture, front.pixels, opened), front_points)
    # Beyond the border only that goes on which the border cuts: the border's own matte, clamped, says what.
    # And only where the camera looks there: what a thing leaves behind at the border is no more of the thing.
    cut = sample(local_maximum(front.matte[0], 2)[None, None], front_points[None])[0]
    left = beyond_border(front_points) - beyond_border(origin(0 * front_flow, front.member, motion.camera))
    matte = read(front.matte, front_points).clamp(0, 1).minimum(cut) * (1 - left).clamp(0, 1)
    if front.split.any():
        matte = matte.where(arrives(front, front_flow, front_points, motion.camera), 0)
    return torch.where(matte > 0, torch.lerp(canvas, colours, matte), canvas).clamp(0, 1)


def arrives(
    layer: Layer, flow: Float[Tensor, "2 H W"], points: Float[Tensor, "2 H W"], camera: Float[Tensor, "2 3"]
) -> Bool[Tensor, "1 H W"]:
    """Where the layer really has a pixel: not in the gaps between members that have parted.

    There `points` lie between two parted pixels, or move on to somewhere else.
    """
    parted = layer.split & (local_maximum(neighbour_jump(flow), 1) > 2)
    there = sample(torch.cat([flow, parted[None].to(flow)])[None], points[None])
    seen = apply_affine(camera[None], points[None] + there[:, :2])
    miss = seen[0] - pixel_grid(flow.shape[1], flow.shape[2], flow)
    return (length(miss) < 1) & (there[0, 2:] < 0.5)


def origin(
    flow: Float[Tensor, "2 H W"], member: Bool[Tensor, "H W"], camera: Float[Tensor, "2 3"]
) -> Float[Tensor, "2 H W"]:
    """Where in the photo each pixel of the frame lies: the layer's motion and the camera's, undone."""
    grid = pixel_grid(flow.shape[1], flow.shape[2], flow)[None]
    points = apply_affine(invert_affine(camera[None]), grid)
    if flow.any():
        points = points - sample(inverse_displacement(flow, member), points)
    # Rounding must not resample what stands still.
    return grid.where((points - grid).abs().amax(1, keepdim=True) < 1e-3, points)[0]


def inverse_displacement(
    flow: Float[Tensor, "2 H W"], member: Bool[Tensor, "H W"]
) -> Float[Tensor, "1 2 H W"]:
    """Where each pixel's content came from: content at y was at y - displacement(y).

    Splatting the flow gives it nearly, with the faster and the layer's own pixels in front; Newton's method
    on x + flow(x) = y makes it exact.
    """
    speed = length(flow)
    importance = 8 * speed / speed.max() + 8 * member
    laid, weight = splat(flow[None], flow[None], importance.exp()[None])
    laid = fill_gaps(laid[0], weight[0, 0] > 0)
    grid = pixel_grid(flow.shape[1], flow.shape[2], flow)[None]
    # Rows of the Jacobian I + d flow, inverted per pixel.
    across, down = torch.gradient(flow, dim=(2, 1))
    a, b, c, d = 1 + across[0], down[0], across[1], 1 + down[1]
    determinant = (a * d - b * c).clamp(min=0.2)
    field = torch.cat([flow, torch.stack([d, -b, -c, a]) / determinant])[None]
    points = grid - laid
    for _ in range(NEWTON_STEPS):
        here = sample(field, points)
        miss = (points + here[:, :2] - grid).clamp(-2, 2)
        if miss.abs().max() < STILL:
            break
        step = torch.stack([(here[:, 2:4] * miss).sum(1), (here[:, 4:] * miss).sum(1)], 1)
        points = points - step.clamp(-2, 2)
    return grid - points


def beyond_border(points: Float[Tensor, "2 H W"]) -> Float[Tensor, "1 H W"]:
    """How many pixels each point lies outside the picture, 0 within it."""
    height, width = points.shape[1:]
    last = points.new_tensor([width - 1, height - 1])[:, None, None]
    return torch.maximum(-points, points - last).clamp(min=0).amax(0, keepdim=True)


def read(values: Float[Tensor, "C H W"], points: Float[Tensor, "2 H W"]) -> Float[Tensor, "C H W"]:
    """Bicubic values at points (x, y) in pixels, exact on pixel centres; the picture continues mirrored."""
    height, width = values.shape[-2:]
    still = points == pixel_grid(height, width, points)
    if still.all():
        return values
    scale = points.new_tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)])
    unit = (points.movedim(0, -1) * scale - 1)[None]
    found = F.grid_sample(values[None], unit, mode="bicubic", padding_mode="reflection", align_corners=True)
    return torch.where(still.all(0), values, found[0])
