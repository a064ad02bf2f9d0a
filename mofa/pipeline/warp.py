"""The warp renderer: moves the pixels of the photo themselves, without any weights.

The picture is taken apart once per clip. Where neighbouring pixels part ways the flow has a tear; what moves
faster along a tear is the front, everything else the back. The back's colours under the front are filled in
from behind (never from the moving thing), once, so that holes hold still. Each frame then samples both layers
through the inverse of their motion and lays the front over the back. Forward splatting finds that inverse,
with a soft order that lets what moves more cover what moves less; Newton steps make it exact, so that colours
are read once, bicubically, and stay sharp at sub-pixel positions. Colours are mixed as they are stored: in
linear light bicubic overshoot shows as dark seams along bright edges.

What stands still is not resampled: it keeps the photo's very values. A painted region's content may leave the
region and cover what it lands on; outside the region nothing else changes. Beyond the border the picture
continues mirrored.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import distance_transform_edt, label
from torch import Tensor

from mofa.media.inpaint import inpaint
from mofa.media.outline import soft_outline
from mofa.tensors.flow import apply_affine, compose_affine, invert_affine, remove_camera, sample
from mofa.tensors.gaps import fill_gaps
from mofa.tensors.geometry import pixel_grid
from mofa.tensors.splat import splat
from mofa.types import MotionPlan, Progress, SourceImage, silent

STILL = 0.01
"""Pixels: less motion than this against the scene is none (rounding of the camera's inverse)."""
RAMP = 8
"""Pixels: how wide a dense flow's step from a moving thing to the ground may be."""
NEWTON_STEPS = 3
GRID = 4
"""Pixels: how finely it is looked up where holes open."""


@dataclass(frozen=True)
class WarpSettings:
    """How the warp renderer works."""

    loop: bool = False
    """Make the clip a seamless loop: the plan then carries one frame more than the clip, and the clip's last
    frames dissolve into the motion of the next round."""
    tear: float = 1.5
    """How far neighbouring pixels may be pulled apart, in pixels, before the picture tears between them and
    shows what is behind; below it the picture stretches."""
    outline: int = 6
    """Pixels within which a moving thing's outline may follow the photo's edges; 0 keeps the flow's."""
    halo: int = 4
    """Pixels around a moving thing that carry its colour and are not used to fill the hole behind it."""


@dataclass(frozen=True)
class Motion:
    """One rendering of the scene: displacement against the scene, then the camera, in pixels."""

    displacement: Float[Tensor, "2 H W"]
    camera: Float[Tensor, "2 3"]


@dataclass(frozen=True)
class Layer:
    """Colours and motion of one layer of the picture.

    `member` says what belongs to the layer; `donor` names, per pixel, the member whose motion it takes.
    """

    pixels: Float[Tensor, "3 H W"]
    matte: Float[Tensor, "1 H W"]
    member: Bool[Tensor, "H W"]
    donor: Int[Tensor, "H W"] | None


def render_warp(
    source: SourceImage, plan: MotionPlan, settings: WarpSettings, progress: Progress = silent
) -> UInt8[Tensor, "T 3 H W"]:
    """The frames of the clip; frame 0 is the source, and where nothing moves every frame is the source.

    T is the plan's number of frames, one less with `settings.loop`.
    """
    num_frames = plan.num_frames - settings.loop
    back, front = take_apart(source.pixels, plan, settings)
    frames = source.pixels.new_empty(num_frames, *source.pixels.shape, dtype=torch.uint8)
    for frame in range(num_frames):
        mixed = torch.zeros_like(source.pixels)
        for share, motion in motions_of_frame(plan, settings, frame):
            mixed += share * render_frame(source.pixels, back, front, motion)
        frames[frame] = (mixed * 255).round().byte()
        progress("render", frame + 1, num_frames)
    return frames


# --- motion ---


def motions_of_frame(plan: MotionPlan, settings: WarpSettings, frame: int) -> Iterator[tuple[float, Motion]]:
    """What a frame is mixed from: one motion, or for a loop this round's and the next round's.

    With period T the frame at t is (1 - w) warp(motion_t) + w warp(motion_t - motion_T), w = t / T smoothed:
    the frame at T would be the source again. Where motion_T is none, both are the same and one is drawn.
    """
    here = motion_at(plan, frame)
    if not settings.loop:
        yield 1.0, here
        return
    period = plan.num_frames - 1
    whole = motion_at(plan, period)
    if is_still(whole):
        yield 1.0, here
        return
    t = frame / period
    share = t * t * (3 - 2 * t)
    before = Motion(
        here.displacement - whole.displacement,
        compose_affine(here.camera[None], invert_affine(whole.camera[None]))[0],
    )
    if share < 1:
        yield 1 - share, here
    if share > 0:
        yield share, before


def every_motion(plan: MotionPlan, settings: WarpSettings) -> Iterator[tuple[float, Motion]]:
    """All that the clip's frames are mixed from."""
    for frame in range(plan.num_frames - settings.loop):
        yield from motions_of_frame(plan, settings, frame)


def motion_at(plan: MotionPlan, frame: int) -> Motion:
    """The motion of a frame against the scene: later branches rule by their region, where they are valid."""
    height, width = plan.branches[0].flow.pixels.shape[-2:]
    displacement = plan.camera.new_zeros(2, height, width)
    if frame == 0:
        return Motion(displacement, torch.eye(2, 3).to(plan.camera))
    camera = plan.camera[frame - 1]
    for branch in plan.branches:
        own = remove_camera(branch.flow.pixels[frame - 1 : frame], camera[None])[0]
        ruled = branch.region * branch.flow.valid[frame - 1]
        displacement = torch.lerp(displacement, own.where(ruled > 0, 0), ruled)
    return Motion(displacement.where(length(displacement) > STILL, 0), camera)


def is_still(motion: Motion) -> bool:
    """Whether this motion leaves every pixel where it is."""
    return not motion.displacement.any() and torch.equal(motion.camera, torch.eye(2, 3).to(motion.camera))


# --- layers ---


def take_apart(
    picture: Float[Tensor, "3 H W"], plan: MotionPlan, settings: WarpSettings
) -> tuple[Layer, Layer | None]:
    """The back layer, filled in behind the front, and the front layer if anything tears off."""
    peak, jump = picture.new_zeros(picture.shape[1:]), picture.new_zeros(picture.shape[1:])
    for _, motion in every_motion(plan, settings):
        peak = torch.maximum(peak, length(motion.displacement)[0])
        jump = torch.maximum(jump, neighbour_jump(motion.displacement))
    highest, lowest = local_maximum(peak, RAMP), -local_maximum(-peak, RAMP)
    # A step, not an even stretch: steeper than its surroundings.
    step = (jump > 1.5 * local_mean(jump, 2 * RAMP)) & (highest - lowest > settings.tear)
    torn = step & (jump > settings.tear)
    everything = torch.ones_like(torn)
    if not torn.any():
        return Layer(picture, everything[None].to(picture), everything, None), None

    distance, nearest = nearest_where(torn)
    ramp = distance < RAMP
    inside = fast_side(peak > ((highest + lowest) / 2).flatten()[nearest], torn, ramp)
    edge = 0.02 * (highest - lowest)
    inside_core = inside & (~ramp | (peak >= highest - edge))
    outside_core = ~inside & (~ramp | (peak <= lowest + edge))

    movable = torch.zeros_like(torn)
    for branch in plan.branches:
        movable |= (branch.flow.valid.any(0) & (branch.region > 0))[0]
    matte = outline_matte(picture, inside, movable, settings.outline)
    donor = nearest_where(inside_core)[1]
    # Where the layers part without a tear they move alike, and the back keeps the photo.
    seam = widened(rim_of(inside, 1) & ~ramp, RAMP)
    cover = widened(inside, settings.halo)
    hole = cover & movable & ~seam & widened(left_open(inside, donor, plan, settings), settings.halo)
    front = Layer(own_colours(picture, matte), matte, inside, donor)
    back = Layer(
        inpaint(picture, hole, cover),
        torch.ones_like(matte),
        ~inside,
        nearest_where(outside_core)[1] if outside_core.any() else None,
    )
    return back, front


def left_open(
    inside: Bool[Tensor, "H W"], donor: Int[Tensor, "H W"], plan: MotionPlan, settings: WarpSettings
) -> Bool[Tensor, "H W"]:
    """The front's own place as far as some frame does not cover it, on a grid of every fourth pixel."""
    front, source_of = inside[::GRID, ::GRID], donor[::GRID, ::GRID]
    open_ = torch.zeros_like(front)
    for _, motion in every_motion(plan, settings):
        flow = motion.displacement.flatten(1)[:, source_of] / GRID
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


def own_colours(picture: Float[Tensor, "3 H W"], matte: Float[Tensor, "1 H W"]) -> Float[Tensor, "3 H W"]:
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
    right = F.pad(length(displacement[:, :, 1:] - displacement[:, :, :-1])[0], (0, 1))
    down = F.pad(length(displacement[:, 1:] - displacement[:, :-1])[0], (0, 0, 0, 1))
    return torch.maximum(right, down)


def nearest_where(wanted: Bool[Tensor, "H W"]) -> tuple[Float[Tensor, "H W"], Int[Tensor, "H W"]]:
    """Distance in pixels to, and flat index of, the nearest wanted pixel (there has to be one)."""
    distance, (row, column) = distance_transform_edt(~wanted.cpu().numpy(), return_indices=True)
    index = torch.from_numpy(row).long() * wanted.shape[1] + torch.from_numpy(column).long()
    return torch.from_numpy(distance).float().to(wanted.device), index.to(wanted.device)


def widened(mask: Bool[Tensor, "H W"], radius: int) -> Bool[Tensor, "H W"]:
    """The mask, grown by `radius` pixels to every side."""
    return local_maximum(mask.float(), radius) > 0


def rim_of(mask: Bool[Tensor, "H W"], radius: int) -> Bool[Tensor, "H W"]:
    """Pixels within `radius` of the mask's outline, on both sides."""
    return widened(mask, radius) & widened(~mask, radius)


def local_maximum(values: Float[Tensor, "H W"], radius: int) -> Float[Tensor, "H W"]:
    """The largest value within a square of 2 radius + 1 pixels."""
    rows = F.max_pool2d(values[None], (1, 2 * radius + 1), 1, (0, radius))
    return F.max_pool2d(rows, (2 * radius + 1, 1), 1, (radius, 0))[0]


def local_mean(values: Float[Tensor, "*c H W"], radius: int) -> Float[Tensor, "*c H W"]:
    """The mean over a square of 2 radius + 1 pixels, of those inside the picture."""
    stack = values.reshape(1, -1, *values.shape[-2:])
    rows = F.avg_pool2d(stack, (1, 2 * radius + 1), 1, (0, radius), count_include_pad=False)
    return F.avg_pool2d(rows, (2 * radius + 1, 1), 1, (radius, 0), count_include_pad=False).view_as(values)


# --- frames ---


def render_frame(
    picture: Float[Tensor, "3 H W"], back: Layer, front: Layer | None, motion: Motion
) -> Float[Tensor, "3 H W"]:
    """The scene after a motion."""
    if is_still(motion):
        return picture
    back_points = origin(layer_flow(back, motion), back.member, motion.camera)
    if front is None:
        return read(back.pixels, back_points).clamp(0, 1)
    front_flow = layer_flow(front, motion)
    front_points = origin(front_flow, front.member, motion.camera)
    # Where the front has not moved a whole pixel yet no hole is open, and the photo itself looks best.
    opened = length(front_flow).clamp(max=1)
    canvas = read(torch.lerp(picture, back.pixels, opened), back_points)
    colours = read(torch.lerp(picture, front.pixels, opened), front_points)
    # Beyond the border only that goes on which the border cuts: the border's own matte, clamped, says what.
    cut = sample(local_maximum(front.matte[0], 2)[None, None], front_points[None])[0]
    matte = read(front.matte, front_points).clamp(0, 1).minimum(cut)
    return torch.where(matte > 0, torch.lerp(canvas, colours, matte), canvas).clamp(0, 1)


def layer_flow(layer: Layer, motion: Motion) -> Float[Tensor, "2 H W"]:
    """The layer's motion, continued beyond the layer from its nearest pixels."""
    if layer.donor is None:
        return motion.displacement
    return motion.displacement.flatten(1)[:, layer.donor]


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


def read(values: Float[Tensor, "C H W"], points: Float[Tensor, "2 H W"]) -> Float[Tensor, "C H W"]:
    """Bicubic values at points (x, y) in pixels, exact on pixel centres; the picture continues mirrored."""
    height, width = values.shape[-2:]
    still = points == pixel_grid(height, width, points)
    if still.all():
        return values
    scale = points.new_tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)])
    unit = (points.movedim(0, -1) * scale - 1)[None]
    found = F.grid_sample(values[None], unit, mode="bicubic", padding_mode="reflection", align_corners=True)[
        0
    ]
    return torch.where(still.all(0), values, found)


def length(vectors: Float[Tensor, "2 H W"]) -> Float[Tensor, "1 H W"]:
    """Length of the vectors in pixels."""
    return torch.hypot(vectors[:1], vectors[1:])
