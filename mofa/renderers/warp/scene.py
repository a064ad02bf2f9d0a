"""What the warp renderer moves: the plan's motion against the scene, frame by frame, and its camera."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mofa.faces.motion import HeadMotion
from mofa.renderers.warp.layers import RAMP, Extent, neighbour_jump, squared_length
from mofa.tensors.flow import compose_affine, invert_affine
from mofa.tensors.motion import camera_rests
from mofa.tensors.neighbourhood import window_around
from mofa.types import DenseMotion, MotionPlan

STILL = 0.01
"""Pixels: less motion than this against the scene is none; nobody sees it, and resampling would blur."""


@dataclass(frozen=True)
class Motion:
    """One rendering of the scene: displacement against the scene, then the camera, in pixels.

    `known` is where the plan says anything about it.
    """

    displacement: Float[Tensor, "2 H W"]
    camera: Float[Tensor, "2 3"]
    known: Bool[Tensor, "H W"]

    @cached_property
    def is_still(self) -> bool:
        """Whether this motion leaves every pixel where it is."""
        return self.camera_rests and not self.displacement.any()

    @cached_property
    def camera_rests(self) -> bool:
        """Whether the camera shows the picture as it is."""
        return camera_rests(self.camera[None])


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
        known = torch.zeros_like(displacement[0], dtype=torch.bool)
        if frame == 0:
            return Motion(displacement, torch.eye(2, 3).to(self.camera), known)
        for (motion, region), rules in zip(self.parts, self.rules_all, strict=True):
            flow = motion.over([frame - 1])
            if rules and flow.valid.all():
                displacement, known = flow.pixels[0, :, rows, columns], ~known
                continue
            ruled = region[:, rows, columns] * flow.valid[0, :, rows, columns]
            displacement += ruled * flow.pixels[0, :, rows, columns].where(ruled > 0, 0)
            known |= ruled[0] > 0
        moves = squared_length(displacement) > STILL**2
        return Motion(displacement.where(moves, 0), self.camera[frame - 1], known)

    @cached_property
    def rules_all(self) -> list[bool]:
        """Of each part, whether the whole window is its own and no other's."""
        rows, columns = self.window
        return [
            len(self.parts) == 1 and bool((region[:, rows, columns] == 1).all()) for _, region in self.parts
        ]

    @cached_property
    def at_end(self) -> Motion:
        """The last motion: in a loop that of the moment at which the clip begins again."""
        return self.at(self.num_frames - 1)


def scene_of(plan: MotionPlan) -> Scene:
    """The plan as the warp renderer takes it, seen through the whole picture."""
    height, width = plan.branches[0].region.shape[1:]
    parts = tuple(
        (branch.motion if branch.face is None else HeadMotion(branch.face, height, width), branch.region)
        for branch in plan.branches
    )
    return Scene(parts, plan.camera, plan.num_frames, (slice(0, height), slice(0, width)))


def motions_of_frame(scene: Scene, loop: bool, frame: int) -> Iterator[tuple[float, Motion]]:
    """What a frame is mixed from: one motion, or for a loop this round's and the next round's.

    With period T the frame at t is (1 - w) warp(motion_t) + w warp(motion_t - motion_T), w = t / T smoothed:
    the frame at T would be the source again. Where motion_T is none, both are the same and one is drawn.
    """
    here = scene.at(frame)
    if not loop or scene.at_end.is_still:
        yield 1.0, here
        return
    t = frame / (scene.num_frames - 1)
    share = t * t * (3 - 2 * t)
    before = Motion(
        here.displacement - scene.at_end.displacement,
        compose_affine(here.camera[None], invert_affine(scene.at_end.camera[None]))[0],
        here.known | scene.at_end.known,
    )
    if share < 1:
        yield 1 - share, here
    if share > 0:
        yield share, before


def extent_of(scene: Scene, loop: bool) -> Extent:
    """What the scene's motions come to, seen once each; a moving camera may look at anything."""
    rows, columns = scene.window
    peak = scene.camera.new_zeros(rows.stop - rows.start, columns.stop - columns.start)
    jump, known = torch.zeros_like(peak), torch.zeros_like(peak, dtype=torch.bool)
    for frame in range(scene.num_frames):
        for _, motion in motions_of_frame(scene, loop, frame):
            known |= motion.known
            if motion.displacement.any():
                torch.maximum(peak, squared_length(motion.displacement)[0], out=peak)
                torch.maximum(jump, neighbour_jump(motion.displacement), out=jump)
    movable = known if camera_rests(scene.camera) else torch.ones_like(known)
    return Extent(peak.sqrt(), jump, movable)


def window_of_motion(scene: Scene, extent: Extent) -> tuple[slice, slice]:
    """Rows and columns outside which no frame differs from the photo, with surroundings to fill holes from.

    The whole picture where the camera moves, and where nothing does.
    """
    if not camera_rests(scene.camera) or not extent.peak.any():
        return scene.window
    # Twice as far as anything goes: what a long way leaves open is filled from as far around.
    reach = 2 * int(extent.peak.max().ceil()) + RAMP
    return window_around(extent.peak > 0, share=0.25, least=64, beyond=reach)


def through_its_window(scene: Scene, loop: bool) -> tuple[Scene, Extent]:
    """The scene through the window in which anything moves, and what its motions come to there."""
    extent = extent_of(scene, loop)
    window = window_of_motion(scene, extent)
    return replace(scene, window=window), extent.within(window)
