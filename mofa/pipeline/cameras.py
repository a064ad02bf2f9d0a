"""Cameras: one affine map per step for the whole scene, or for a region, and more of it for what is near."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.control.brush import fitted
from mofa.control.camera import camera_matrices, compose, to_working_camera
from mofa.control.merge import Share, merge
from mofa.control.timing import progress as fraction_of_the_way
from mofa.pipeline.inputs import Inputs
from mofa.pipeline.regions import Regions
from mofa.pipeline.request import AnimationRequest, CameraControl
from mofa.tensors.flow import apply_affine, bilinear_sample
from mofa.tensors.motion import Moved, Parallax
from mofa.types import DenseMotion, MotionBranch, SourceImage


def with_local_cameras(
    motion: DenseMotion, request: AnimationRequest, regions: Regions, source: SourceImage, num_frames: int
) -> DenseMotion:
    """The motion with cameras that have a region: each moves what is in it, as motion within the scene."""
    height, width = source.pixels.shape[1:]
    for control in request.controls:
        if isinstance(control, CameraControl) and control.region is not None:
            moved = Moved(motion, camera_of(control, source, num_frames))
            motion = merge([Share(motion), Share(moved, regions[control.region])], height, width)
    return motion


def scene_camera(request: AnimationRequest, source: SourceImage, num_frames: int) -> Float[Tensor, "S 2 3"]:
    """All cameras that move the whole scene, as one."""
    moves = [
        camera_of(control, source, num_frames)
        for control in request.controls
        if isinstance(control, CameraControl) and control.region is None
    ]
    return compose([torch.eye(2, 3).expand(num_frames - 1, 2, 3), *moves])


def camera_of(control: CameraControl, source: SourceImage, num_frames: int) -> Float[Tensor, "S 2 3"]:
    """A camera's affine map per step, on the working picture."""
    height, width = source.pixels.shape[1:]
    fraction = control.strength * fraction_of_the_way(control.timing, num_frames)
    move = to_working_camera(control.move, source.crop)
    return camera_matrices(move, fraction, width, height)


def nearer(
    branch: MotionBranch,
    request: AnimationRequest,
    inputs: Inputs,
    regions: Regions,
    source: SourceImage,
    num_frames: int,
) -> MotionBranch:
    """The branch with what every camera that has a depth picture adds to what is near, face points too."""
    for control in request.controls:
        if isinstance(control, CameraControl) and control.depth is not None:
            maps = camera_of(control, source, num_frames)
            nearness = control.parallax * _nearness(control, inputs, source)
            if control.region is not None and (own := regions[control.region]) is not None:
                nearness = nearness * own
            face = None if branch.face is None else _carried(branch.face, maps, nearness)
            branch = replace(branch, motion=Parallax(branch.motion, maps, nearness), face=face)
    return branch


def _nearness(control: CameraControl, inputs: Inputs, source: SourceImage) -> Float[Tensor, "1 H W"]:
    assert control.depth is not None
    original = inputs.original
    return fitted(inputs.masks[control.depth], original.width, original.height, source.crop)


def _carried(
    points: Float[Tensor, "T n 2"], maps: Float[Tensor, "S 2 3"], nearness: Float[Tensor, "1 H W"]
) -> Float[Tensor, "T n 2"]:
    """Points that go further by how near the picture is where they start."""
    start = points[:1].mT
    near = bilinear_sample(nearness[None], start)
    way = apply_affine(maps, start.expand(len(maps), -1, -1)) - start
    return points + torch.cat([torch.zeros_like(points[:1]), (near * way).mT])
