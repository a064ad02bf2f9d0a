"""The warp renderer: stillness keeps its values, motion arrives where it was sent, holes stay calm."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from mofa.renderers.warp import render
from mofa.renderers.warp.render import WarpSettings
from mofa.tensors.flow import affine_flow
from mofa.tensors.motion import whole_flow
from mofa.types import CropBox, FlowField, MotionBranch, MotionPlan, Progress, SourceImage
from mofa.vision.dis import dis_flow

HEIGHT, WIDTH = 120, 176
PLAIN = WarpSettings()


def texture(seed: int, tint: tuple[float, float, float] = (1, 1, 1)) -> Tensor:
    """A picture [3, H, W] of 8-bit values with detail that optical flow can hold on to."""
    noise = np.random.default_rng(seed).random((HEIGHT, WIDTH, 3), dtype=np.float32)
    smooth = sum(spread * cv2.GaussianBlur(noise, (0, 0), spread) for spread in (1, 3, 9, 27))
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    pixels = torch.from_numpy(smooth).movedim(-1, 0) * torch.tensor(tint)[:, None, None]
    return (pixels * 255).round() / 255


def source(pixels: Tensor) -> SourceImage:
    height, width = pixels.shape[1:]
    return SourceImage(pixels, CropBox(0.0, 0.0, float(width), float(height), width, height))


def to_bytes(pixels: Tensor) -> Tensor:
    return (pixels * 255).round().byte()


def disc(x: float, y: float, radius: float) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    return ((columns - x) ** 2 + (rows - y) ** 2 < radius**2)[None]


def render_warp(source: SourceImage, plan: MotionPlan, settings: WarpSettings, *more: Progress) -> Tensor:
    return torch.stack(list(render.render_warp(source, plan, settings, *more)))


def plan(displacement: Tensor, camera: Tensor | None = None, valid: Tensor | None = None) -> MotionPlan:
    """A plan of one branch from displacements [S, 2, H, W] against the scene."""
    steps, _, height, width = displacement.shape
    still = torch.eye(2, 3).repeat(steps, 1, 1)
    camera = still if camera is None else camera
    known = (
        torch.ones(steps, 1, height, width, dtype=torch.bool)
        if valid is None
        else valid.expand(steps, -1, -1, -1)
    )
    flow = FlowField(displacement, known)
    return MotionPlan((MotionBranch("trajectory", flow, torch.ones(1, height, width)),), camera, steps + 1)


def moving(mask: Tensor, path: list[tuple[float, float]]) -> Tensor:
    return torch.stack([mask * torch.tensor([float(part) for part in step]).view(2, 1, 1) for step in path])


def camera(*steps: tuple[float, float, float]) -> Tensor:
    """Per step: zoom about the picture's centre, then shift."""
    centre = torch.tensor([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
    return torch.stack(
        [
            torch.cat([zoom * torch.eye(2), (centre * (1 - zoom) + torch.tensor([x, y]))[:, None]], 1)
            for zoom, x, y in steps
        ]
    )


def largest_step(frames: Tensor) -> Tensor:
    """Mean absolute change from each frame to the next, the first after the last included."""
    values = frames.float()
    return (values.roll(-1, 0) - values).abs().mean((1, 2, 3))


def test_no_motion_returns_the_photo_itself_in_every_frame() -> None:
    pixels = torch.rand(3, 37, 53)  # not 8-bit values: rounding must not be reached by detours
    frames = render_warp(source(pixels), plan(torch.zeros(3, 2, 37, 53)), PLAIN)
    assert frames.shape == (4, 3, 37, 53)
    assert all(torch.equal(frame, to_bytes(pixels)) for frame in frames)


def test_a_camera_shift_by_whole_pixels_is_exact() -> None:
    pixels = texture(0)
    shift = camera((1, 5, -3), (1, 10, -6))
    frames = render_warp(source(pixels), plan(torch.zeros(2, 2, HEIGHT, WIDTH), shift), PLAIN)
    assert torch.equal(frames[0], to_bytes(pixels))
    assert torch.equal(frames[2][:, :-6, 10:], to_bytes(pixels)[:, 6:, :-10])


def test_beyond_the_border_the_picture_continues() -> None:
    pixels = texture(1)
    frames = render_warp(source(pixels), plan(torch.zeros(1, 2, HEIGHT, WIDTH), camera((1, 20, 0))), PLAIN)
    torch.testing.assert_close(frames[1][:, :, :20], to_bytes(pixels)[:, :, 1:21].flip(2))


@pytest.mark.slow
def test_the_ground_keeps_its_values_where_the_object_neither_was_nor_is() -> None:
    pixels, mask = texture(2), disc(60, 60, 20)
    frames = render_warp(source(pixels), plan(moving(mask, [(12.5, 3.25), (25, 6.5)])), PLAIN)
    for frame, (x, y) in ((1, (12.5, 3.25)), (2, (25, 6.5))):
        touched = disc(60, 60, 26) | disc(60 + x, 60 + y, 26)
        assert torch.equal(frames[frame].where(~touched, 0), to_bytes(pixels).where(~touched, 0))
        assert (frames[frame] != to_bytes(pixels)).any()


@pytest.mark.slow
def test_outside_a_painted_region_nothing_changes_but_what_is_covered() -> None:
    pixels, region = texture(3), disc(60, 60, 25)
    displacement = moving(torch.ones(1, HEIGHT, WIDTH), [(20, 0), (40, 0)])
    frames = render_warp(source(pixels), plan(displacement, valid=region), PLAIN)
    for frame, x in ((1, 20), (2, 40)):
        touched = region | disc(60 + x, 60, 27)
        assert torch.equal(frames[frame].where(~touched, 0), to_bytes(pixels).where(~touched, 0))


@pytest.mark.slow
def test_a_hole_never_shows_the_colour_of_what_left_it() -> None:
    mask = disc(60, 60, 20)
    red, green = torch.tensor([0.9, 0.1, 0.1]).view(3, 1, 1), torch.tensor([0.1, 0.7, 0.1]).view(3, 1, 1)
    pixels = torch.where(mask, red, green)
    frames = render_warp(source(pixels), plan(moving(mask, [(30, 0), (60, 0)])), PLAIN).float() / 255
    left_behind = disc(60, 60, 24) & ~disc(120, 60, 22)
    assert (frames[2][:1][left_behind] < 0.15).all()
    assert (frames[2][1:2][left_behind] > 0.65).all()
    assert (frames[2][:1][disc(120, 60, 18)] > 0.85).all(), "the object arrives whole and covers the ground"


@pytest.mark.slow
def test_holes_hold_still() -> None:
    pixels, mask = texture(4), disc(60, 60, 18)
    frames = render_warp(source(pixels), plan(moving(mask, [(45, 0), (50, 0), (55, 0), (60, 0)])), PLAIN)
    hole = disc(60, 60, 22)
    assert all(torch.equal(frame.where(hole, 0), frames[1].where(hole, 0)) for frame in frames[2:])


@pytest.mark.slow
def test_what_moves_more_covers_what_moves_less() -> None:
    ground = torch.full((3, HEIGHT, WIDTH), 0.2)
    slow, fast = disc(110, 60, 15), disc(50, 60, 15)
    blue, red = torch.tensor([0.1, 0.1, 0.9]).view(3, 1, 1), torch.tensor([0.9, 0.1, 0.1]).view(3, 1, 1)
    pixels = ground.where(~slow, blue).where(~fast, red)
    displacement = moving(fast, [(55, 0)]) + moving(slow, [(-5, 0)])
    frame = render_warp(source(pixels), plan(displacement), PLAIN)[1].float() / 255
    assert (frame[0][disc(105, 60, 12)[0]] > 0.85).all()
    assert (frame[2][disc(105, 60, 12)[0]] < 0.15).all()


@pytest.mark.slow
def test_things_that_part_show_what_is_behind_them() -> None:
    left, right = disc(88, 60, 30), disc(88, 60, 30)
    left, right = left & (torch.arange(WIDTH) < 88), right & (torch.arange(WIDTH) >= 88)
    pixels = torch.full((3, HEIGHT, WIDTH), 0.2).where(~(left | right), 0.9)
    frame = render_warp(source(pixels), plan(moving(right, [(30, 0)]) + moving(left, [(-30, 0)])), PLAIN)[1]
    assert (frame[:, :, 62:114] < 0.25 * 255).all()
    assert (frame[:, 40:80, 122:140] > 0.85 * 255).all()


@pytest.mark.slow
def test_growing_to_twice_the_size_leaves_no_cracks() -> None:
    pixels = torch.full((3, HEIGHT, WIDTH), 0.1)
    mask = disc(88, 60, 22)
    pixels = pixels.where(~mask, 0.8)
    rows, columns = torch.meshgrid(torch.arange(HEIGHT) - 60.0, torch.arange(WIDTH) - 88.0, indexing="ij")
    frame = render_warp(source(pixels), plan((mask * torch.stack([columns, rows]))[None]), PLAIN)[1]
    assert (frame[:, disc(88, 60, 40)[0]] > 0.75 * 255).all()
    assert (frame[:, ~disc(88, 60, 47)[0]] < 0.15 * 255).all()


def test_a_smooth_deformation_neither_tears_nor_doubles() -> None:
    stripes = (torch.arange(WIDTH) // 4 % 2).float().expand(3, HEIGHT, WIDTH) * 0.8 + 0.1
    bump = torch.exp(-((torch.arange(WIDTH) - 88.0) ** 2) / (2 * 25**2)).expand(1, HEIGHT, WIDTH)
    frame = render_warp(source(stripes), plan(moving(bump, [(20, 0)])), PLAIN)[1]
    crossings = ((frame[0, 60] > 127).int().diff() != 0).sum()
    assert crossings == ((stripes[0, 60] > 0.5).int().diff() != 0).sum(), "every stripe is there, once"


@pytest.mark.slow
def test_a_loop_ends_where_it_began() -> None:
    pixels, mask = texture(5), disc(60, 60, 20)
    path = [(4.0 * step, 0.0) for step in range(1, 9)]
    looped = render_warp(source(pixels), plan(moving(mask, path)), WarpSettings(loop=True))
    assert looped.shape[0] == 8
    assert torch.equal(looped[0], to_bytes(pixels))
    steps = largest_step(looped)
    assert steps[-1] <= 1.05 * steps[:-1].max()
    once = largest_step(render_warp(source(pixels), plan(moving(mask, path[:-1])), PLAIN))
    assert once[-1] > 1.5 * once[:-1].max(), "without the loop the last frame jumps back"


@pytest.mark.slow
def test_there_and_back_needs_no_dissolve() -> None:
    pixels, mask = texture(6), disc(60, 60, 20)
    there_and_back = moving(mask, [(6, 0), (12, 0), (6, 0), (0, 0)])
    looped = render_warp(source(pixels), plan(there_and_back), WarpSettings(loop=True))
    plain = render_warp(source(pixels), plan(there_and_back[:-1]), PLAIN)
    assert torch.equal(looped, plain)


@pytest.mark.slow
def test_branches_share_the_picture_by_their_regions() -> None:
    pixels = texture(7)
    first = plan(moving(torch.ones(1, HEIGHT, WIDTH), [(10, 0)]))
    still = FlowField(torch.zeros(1, 2, HEIGHT, WIDTH), torch.ones(1, 1, HEIGHT, WIDTH, dtype=torch.bool))
    region = (torch.arange(WIDTH) < 80).float().expand(1, HEIGHT, WIDTH)
    rest = replace(first.branches[0], region=1 - region)
    both = MotionPlan((rest, MotionBranch("landmark", still, region)), first.camera, 2)
    frame = render_warp(source(pixels), both, PLAIN)[1]
    assert torch.equal(frame[:, :, :75], to_bytes(pixels)[:, :, :75])
    assert torch.equal(frame[:, :, 100:], to_bytes(pixels)[:, :, 90:-10])


@pytest.mark.slow
def test_the_clip_moves_as_the_plan_says() -> None:
    """Measured on the frames themselves: optical flow from frame 0 at points on the object."""
    mask = disc(70, 60, 40)
    pixels = texture(8).where(~mask, texture(9, (0.5, 0.5, 0.5)))
    rows, columns = torch.meshgrid(torch.arange(HEIGHT) - 60.0, torch.arange(WIDTH) - 70.0, indexing="ij")
    angle = torch.tensor(0.15)
    turned = torch.stack(
        [
            columns * (angle.cos() - 1) - rows * angle.sin() + 10.3,
            columns * angle.sin() + rows * (angle.cos() - 1) - 4.6,
        ]
    )
    zoom = camera((1.12, 9.5, -4))
    cases = {
        "translation": plan(moving(mask, [(16.5, -7.25)])),
        "rotation": plan((mask * turned)[None]),
        "camera": plan(torch.zeros(1, 2, HEIGHT, WIDTH), zoom),
        "both": plan(moving(mask, [(8, 5)]), camera((1.05, 3, -2))),
    }
    inside = disc(70, 60, 30)[0]
    for name, given in cases.items():
        frames = render_warp(source(pixels), given, PLAIN)
        miss = (dis_flow(frames[0], frames[1]) - whole_flow(given, [0]).pixels[0])[:, inside]
        assert torch.hypot(*miss).mean() < 0.5, name
    assert torch.equal(whole_flow(cases["camera"], [0]).pixels, affine_flow(zoom, HEIGHT, WIDTH))


def test_progress_is_told_per_frame() -> None:
    told: list[tuple[str, int, int]] = []
    render_warp(
        source(texture(0)), plan(torch.zeros(2, 2, HEIGHT, WIDTH)), PLAIN, lambda *call: told.append(call)
    )
    assert told == [("render", 1, 3), ("render", 2, 3), ("render", 3, 3)]
