"""A scene in the files that other motion models read, and their files as a scene.

Trajectories go through `control.exchange`. Two formats are more than trajectories: Time-to-Move's folder is the
warp renderer's clip with a mask of what moved in it, and Kling's request has painted masks with a path each.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.control.exchange import TRACK_FORMATS, Trajectories, check_format, read_trajectories
from mofa.errors import InputError
from mofa.media.encode import write_clip
from mofa.media.files import replacing, replacing_folder
from mofa.media.image import load_source, picture_size, read_picture, save_png, to_bytes
from mofa.pipeline.animate import animate, resolve
from mofa.pipeline.inputs import Inputs, read_inputs
from mofa.pipeline.plan import place_drawn, region_of
from mofa.pipeline.request import AnimationRequest, ResolvedRequest, TrackControl
from mofa.pipeline.trajectories import (
    GRID,
    at_finer_steps,
    drawn_trajectories,
    grid_trajectories,
)
from mofa.tensors.geometry import fit_crop, to_original
from mofa.tensors.motion import camera_rests, whole_flow
from mofa.tensors.splat import splat
from mofa.types import Clip, MotionPlan, Progress, SourceImage, TrackSet, silent
from mofa.vision.select import grow_region

Points = Literal["tracks", "grid"]
FORMATS = (*TRACK_FORMATS, "ttm", "kling")
IMPORTED = ("wan-move", "ati", "kjnodes", "comfy-tracks", "cotracker", "svg", "ttm", "kling")
FIRST_FRAME, TRACKS = "first_frame.png", "tracks.json"
KLING_MASKS, KLING_POINTS = 6, 77
"""The most masks, and the most points of a path, that Kling's motion brush takes (its API, v2.1)."""


@dataclass(frozen=True)
class Wanted:
    """What is exported: the format, and the frames, size and points where they are not the format's own."""

    format: str
    frames: int | None = None
    size: tuple[int, int] | None = None
    points: Points | None = None
    grid: int = GRID
    prompt: str = ""


def export_scene(
    request: AnimationRequest,
    path: Path,
    wanted: Wanted,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Path:
    """Writes a scene's motion in a format, and says where.

    Frames and size are the model's own where it has one format only, else the scene's; motion is stretched
    over all frames. Raises InputError: an unknown format, or a scene that the format cannot hold; OutputError
    where it cannot be written.
    """
    check_format(wanted.format, FORMATS)
    inputs = read_inputs(request, progress)
    settled = resolve(_sized(request, inputs, wanted), inputs)
    if wanted.format == "ttm":
        return _export_ttm(settled, inputs, path, wanted, overwrite, progress)
    if wanted.format == "kling":
        return _export_kling(settled, inputs, path, overwrite, progress)
    chosen = TRACK_FORMATS[wanted.format]
    if chosen.suffix and path.suffix.lower() != chosen.suffix:
        raise InputError(
            f"{wanted.format} is written as {chosen.suffix}: name the output so, not {path.name}."
        )
    files = chosen.write(trajectories(settled, inputs, wanted, progress))
    if chosen.suffix:
        with replacing(path, overwrite) as hidden:
            hidden.write_bytes(files[""])
        return path
    with replacing_folder(path, overwrite) as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        save_png(folder / FIRST_FRAME, to_bytes(_source(settled, inputs).pixels))
    return path


def trajectories(
    settled: ResolvedRequest, inputs: Inputs, wanted: Wanted, progress: Progress = silent
) -> Trajectories:
    """A scene's motion as a format wants it: the drawn tracks, or the grid where other things move too."""
    frames = wanted.frames or TRACK_FORMATS[wanted.format].frames or settled.frames
    only_tracks = all(isinstance(control, TrackControl) for control in settled.controls)
    dense = wanted.format == "wan-move" or not only_tracks
    if (wanted.points or ("grid" if dense else "tracks")) == "grid":
        return grid_trajectories(settled, inputs, frames, wanted.grid, progress)
    return drawn_trajectories(settled, inputs, frames, progress)


def _sized(request: AnimationRequest, inputs: Inputs, wanted: Wanted) -> AnimationRequest:
    sides = TRACK_FORMATS[wanted.format].sides if wanted.format in TRACK_FORMATS else None
    size = wanted.size
    if size is None and sides is not None:
        size = sides if inputs.original.width >= inputs.original.height else sides[::-1]
    return request if size is None else request.model_copy(update={"size": size})


def _source(settled: ResolvedRequest, inputs: Inputs) -> SourceImage:
    original = inputs.original
    crop = fit_crop(original.width, original.height, *settled.size, settled.fit)
    return load_source(original.pixels, crop)


# --- Time-to-Move -------------------------------------------------------------------------------


def _export_ttm(
    settled: ResolvedRequest, inputs: Inputs, path: Path, wanted: Wanted, overwrite: bool, progress: Progress
) -> Path:
    """first_frame.png, motion_signal.mp4 (the warped picture), mask.mp4 (white moved), prompt.txt."""
    frames = wanted.frames or settled.frames
    settled = settled.model_copy(update={"renderer": "warp"})
    if frames != settled.frames:
        settled = _stretched(settled, inputs, frames)
    result = animate(settled, inputs, progress)
    masks = torch.stack([mask.expand(3, -1, -1) for mask in moved_masks(result.motion.plan, settled.frames)])
    with replacing_folder(path, overwrite) as folder:
        save_png(folder / FIRST_FRAME, to_bytes(result.source.pixels))
        write_clip(replace(result.clip, audio=None), folder / "motion_signal.mp4", progress)
        write_clip(Clip(to_bytes(masks), result.clip.fps), folder / "mask.mp4", progress)
        (folder / "prompt.txt").write_text(wanted.prompt + "\n", encoding="utf-8")
    return path


def moved_masks(plan: MotionPlan, frames: int) -> Iterator[Float[Tensor, "1 H W"]]:
    """Per frame, where something shows that the motion has put there: 1, else 0.

    With a moving camera that is all that the photo still shows, without one what ever moves against the
    scene, where it is in that frame.
    """
    first = whole_flow(plan, [0])
    height, width = first.pixels.shape[2:]
    carried = torch.ones(1, 1, height, width)
    if camera_rests(plan.camera):
        moves = torch.zeros(1, 1, height, width, dtype=torch.bool)
        for step in range(plan.num_frames - 1):
            flow = whole_flow(plan, [step])
            moves |= (flow.pixels.norm(dim=1, keepdim=True) > 0.5) & flow.valid
        carried = moves.float()
    yield carried[0]
    for step in range(frames - 1):
        flow = whole_flow(plan, [step])
        moved = torch.where(flow.valid, flow.pixels, 0)
        speed = moved.norm(dim=1, keepdim=True)
        laid, reached = splat(carried, moved, (8 * speed / speed.max().clamp(min=1e-6)).exp())
        yield ((laid > 0.5) & (reached > 0)).float()[0]


def _stretched(settled: ResolvedRequest, inputs: Inputs, frames: int) -> ResolvedRequest:
    raise NotImplementedError
