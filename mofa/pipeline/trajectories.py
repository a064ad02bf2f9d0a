"""A scene's motion as trajectories: what was drawn, or a grid of points on everything that moves."""

import math
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mofa.control.exchange import Trajectories
from mofa.control.track_files import FileTrack
from mofa.control.tracks import retime
from mofa.errors import InputError
from mofa.pipeline.animate import plan
from mofa.pipeline.inputs import Inputs
from mofa.pipeline.request import MAX_FRAMES, ResolvedRequest
from mofa.tensors.flow import bilinear_sample
from mofa.tensors.motion import points_as_seen, whole_flow
from mofa.tensors.motion_masks import front_weight
from mofa.tensors.splat import splat
from mofa.types import FlowField, MotionPlan, Progress, TrackSet, silent

GRID = 32
"""Points along each side of the grid: what Wan-Move was trained with (arXiv 2512.08765)."""
FINER = 4
"""Steps that motion is worked out at for each one that is written, so that none cuts a corner."""
COVERED = 1.5
"""Pixels: a point is hidden where what is seen at its place has moved differently by more than this."""


def drawn_trajectories(
    request: ResolvedRequest, inputs: Inputs, frames: int, progress: Progress = silent
) -> Trajectories:
    """The tracks that were drawn or read, as the camera shows them, in pixels of the clip.

    A point counts as hidden outside the picture. Raises InputError where there is no track.
    """
    motion = planned(request, inputs, frames, progress)
    tracks = seen_tracks(motion)
    if tracks is None:
        raise InputError(
            "the scene has no tracks: export a grid of points with --points grid.", key="export.none"
        )
    return _written(request, motion, tracks, frames)


def seen_tracks(motion: MotionPlan) -> TrackSet | None:
    """All tracks that were drawn or read, as the camera shows them; None where there are none."""
    if not motion.tracks:
        return None
    points = torch.cat([one.points for one in motion.tracks]).transpose(0, 1)
    shown = points_as_seen(points, motion.camera).transpose(0, 1)
    return TrackSet(shown, torch.cat([one.visible for one in motion.tracks]))


def grid_trajectories(
    request: ResolvedRequest, inputs: Inputs, frames: int, side: int = GRID, progress: Progress = silent
) -> Trajectories:
    """A grid of side x side points that everything carries along, camera included, in pixels of the clip.

    A point is hidden outside the picture, and where a forward warp shows something else in its place.
    """
    motion = planned(request, inputs, frames, progress)
    start = _grid(*request.size, side)
    places, seen = [start], [torch.ones(len(start), dtype=torch.bool)]
    for step in range(motion.num_frames - 1):
        here, shown = _followed(whole_flow(motion, [step]), start)
        places.append(here)
        seen.append(shown)
        progress("trajectories", step + 1, motion.num_frames - 1)
    return _written(request, motion, TrackSet(torch.stack(places, 1), torch.stack(seen, 1)), frames)


def planned(request: ResolvedRequest, inputs: Inputs, frames: int, progress: Progress = silent) -> MotionPlan:
    """The scene's motion at a multiple of its own steps, enough to read `frames` frames from."""
    times = finer_steps(request, frames)
    # A loop goes on for one step after its last frame, which here are `times` steps.
    own = request.frames * times if request.loop else (request.frames - 1) * times + 1
    finer, inputs = in_frames(request, inputs, own)
    return plan(finer, inputs, progress).motion.plan


def finer_steps(request: ResolvedRequest, frames: int) -> int:
    """In how many steps each step of the scene is taken where `frames` frames are written."""
    if frames == request.frames:
        return 1
    wanted = math.ceil(FINER * (frames - 1) / (request.frames - 1))
    return max(1, min(wanted, MAX_FRAMES // request.frames))


def in_frames(request: ResolvedRequest, inputs: Inputs, frames: int) -> tuple[ResolvedRequest, Inputs]:
    """The same motion in the same time in another number of frames, moved by the warp renderer's means."""
    other = request.in_frames(frames).model_copy(update={"renderer": "warp"})
    return other, with_share_of_time(inputs, other.steps / request.steps)


def with_share_of_time(inputs: Inputs, share: float) -> Inputs:
    """The inputs of the same motion in `share` as many steps: files may have frame numbers of their own."""
    tracks = {name: tuple(_retimed(one, share) for one in held) for name, held in inputs.tracks.items()}
    return replace(inputs, tracks=tracks)


def _retimed(track: FileTrack, share: float) -> FileTrack:
    if track.timing is None:
        return track
    start, end = track.timing.start, track.timing.end
    first = round(start * share)
    last = None if end is None else max(first + 1, round(end * share))
    return replace(track, timing=replace(track.timing, start=first, end=last))


def _written(request: ResolvedRequest, motion: MotionPlan, tracks: TrackSet, frames: int) -> Trajectories:
    """At the frames that are written, from the first to the last of the clip; a loop's motion goes on."""
    count = (request.frames - 1) * finer_steps(request, frames) + 1
    held = TrackSet(tracks.points[:, :count], tracks.visible[:, :count])
    chosen = retime(held, _moments(frames))
    if frames >= 2 * request.frames:
        chosen = replace(chosen, points=_meeting(chosen, retime(held, _moments(request.frames))))
    width, height = request.size
    limit = chosen.points.new_tensor([width, height]) - 0.5
    inside = ((chosen.points >= -0.5) & (chosen.points <= limit)).all(-1)
    fps = request.fps * (frames - 1) / (request.frames - 1)
    return Trajectories(TrackSet(chosen.points, chosen.visible & inside), width, height, fps)


def _moments(frames: int) -> Float[Tensor, " F"]:
    """When frames are, from 0 to 1."""
    return torch.linspace(0, 1, frames, dtype=torch.float64)


def _meeting(written: TrackSet, own: TrackSet) -> Float[Tensor, "N F 2"]:
    """What is written, moved as little as lets straight lines between its frames meet the scene's own frames.

    Where a point turns sharply or stops between two frames that are written, a line cuts the corner; the two
    beside each frame of the scene make up for it (the least norm that does).
    """
    count, frames = own.points.shape[1], written.points.shape[1]
    place = _moments(count) * (frames - 1)
    before = place.long().clamp(max=frames - 2)
    share = place - before
    size = (share.square() + (1 - share).square())[:, None]
    points = written.points.double()
    cut = own.points.double() - (
        points[:, before] * (1 - share)[:, None] + points[:, before + 1] * share[:, None]
    )
    points[:, before] += cut * (1 - share)[:, None] / size
    points[:, before + 1] += cut * share[:, None] / size
    return points.to(written.points)


def _grid(width: int, height: int, side: int) -> Float[Tensor, "N 2"]:
    """The middles of side x side equal fields, row by row."""
    share = (torch.arange(side) + 0.5) / side
    y, x = torch.meshgrid(share * height - 0.5, share * width - 0.5, indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2)


def _followed(
    flow: FlowField, start: Float[Tensor, "N 2"]
) -> tuple[Float[Tensor, "N 2"], Bool[Tensor, " N"]]:
    """Where points of frame 0 are after one step's flow, and whether they are seen there.

    What lies in front is told as the warp renderer does: what moves more covers what moves less.
    """
    moved = torch.where(flow.valid, flow.pixels, 0)
    own = bilinear_sample(moved, start.T[None])[0].T
    places = start + own
    laid, reached = splat(moved, moved, front_weight(moved))
    there = bilinear_sample(torch.cat([laid, (reached > 0).to(laid)], 1), places.T[None])[0].T
    same = (there[:, :2] - own).norm(dim=-1) < COVERED
    return places, same | (there[:, 2] < 0.5)
