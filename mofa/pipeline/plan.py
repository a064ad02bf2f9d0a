"""Controls and a picture become a motion plan.

Tracks that share a region are densified together, those of another by themselves, so that hints never
leak across its border. control.merge says who wins where, and the camera is added last: a track is
drawn relative to the scene.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.control.brush import fit_mask, inside
from mofa.control.camera import camera_matrices, compose, parse_camera, to_working_camera
from mofa.control.merge import Layer, merge
from mofa.control.reference import FlowEstimator, reference_flow
from mofa.control.timing import progress as fraction_of_the_way
from mofa.control.track_files import FileTrack, parse_points, read_tracks
from mofa.control.tracks import curve, hints_from_tracks, retime
from mofa.errors import InputError
from mofa.media.image import read_mask
from mofa.media.select import grow_region
from mofa.media.video import read_video
from mofa.pipeline.request import (
    AnimationRequest,
    CameraControl,
    Control,
    MaskRegion,
    Point,
    ReferenceControl,
    Region,
    TrackControl,
)
from mofa.tensors.flow import add_camera
from mofa.tensors.geometry import to_working
from mofa.types import (
    FlowField,
    MotionBranch,
    MotionPlan,
    Progress,
    SourceImage,
    SparseMotion,
    TrackSet,
    silent,
)

MAX_REFERENCE_FRAMES = 1000
"""Frames of a reference video that are looked at: its beginning, when it is longer."""

Regions = Mapping[Region | None, Float[Tensor, "1 H W"] | None]
"""The painted or selected masks of a scene on the working picture; None is the whole picture."""


@runtime_checkable
class Densifier(Protocol):
    """Sparse hints to dense motion: models.edge_aware.densify, or the CMP network."""

    def __call__(
        self,
        image: Float[Tensor, "3 H W"],
        hints: SparseMotion,
        region: Float[Tensor, "1 H W"] | None = None,
        progress: Progress = silent,
    ) -> FlowField: ...


@dataclass(frozen=True)
class Original:
    """The upright picture as it came, in whose pixels points and masks are given."""

    pixels: Float[Tensor, "3 h w"]

    @property
    def width(self) -> int:
        """In pixels."""
        return self.pixels.shape[2]

    @property
    def height(self) -> int:
        """In pixels."""
        return self.pixels.shape[1]


@dataclass(frozen=True)
class PlannedMotion:
    """The plan, and what a person drew of it (for the overlay), in working pixels."""

    plan: MotionPlan
    tracks: tuple[TrackSet, ...]
    regions: tuple[Float[Tensor, "1 H W"], ...]


def plan_motion(
    request: AnimationRequest,
    original: Original,
    source: SourceImage,
    densify: Densifier,
    estimate_flow: FlowEstimator,
    progress: Progress = silent,
) -> PlannedMotion:
    """The motion that a resolved request asks for: dense, camera included.

    A looping clip is planned one frame further, to the moment at which it begins again. Raises
    InputError when a control does not fit the picture.
    """
    height, width = source.pixels.shape[1:]
    num_frames = request.frames + request.loop
    regions = read_regions(request, original, source)
    tracks = {
        control: control_tracks(control, original, source, num_frames)
        for control in request.controls
        if isinstance(control, TrackControl)
    }
    layers = [
        Layer(densify(source.pixels, hints, regions[region], progress), regions[region])
        for region, hints in hints_by_region(request, tracks, regions, height, width)
    ]
    layers += [
        Layer(
            reference_motion(control, num_frames, height, width, estimate_flow, progress),
            regions[region_of(control, request)],
        )
        for control in request.controls
        if isinstance(control, ReferenceControl)
    ]
    flow = merge(layers, num_frames - 1, height, width)
    flow, camera = with_cameras(flow, request, regions, source, num_frames)
    branch = MotionBranch("trajectory", flow, region=source.pixels.new_ones(1, height, width))
    drawn = tuple(region for region in regions.values() if region is not None)
    return PlannedMotion(MotionPlan((branch,), camera, num_frames), tuple(tracks.values()), drawn)


# --- regions ---


def region_of(control: Control, request: AnimationRequest) -> Region | None:
    """Where a control may move things: its own region, else the scene's; the camera has only its own."""
    if control.region is not None or isinstance(control, CameraControl):
        return control.region
    return request.region


def read_regions(request: AnimationRequest, original: Original, source: SourceImage) -> Regions:
    """The masks of all regions that the request names, each read or grown once."""
    named = dict.fromkeys(region_of(control, request) for control in request.controls)
    return {region: None if region is None else _mask(region, original, source) for region in named}


def _mask(region: Region, original: Original, source: SourceImage) -> Float[Tensor, "1 H W"]:
    if isinstance(region, MaskRegion):
        try:
            return fit_mask(read_mask(region.mask), original.width, original.height, source.crop)
        except InputError as error:
            raise InputError(f"{region.mask}: {error}") from error
    clicked = _file_track((region.select,)).in_pixels(original.width, original.height)
    _check_inside(clicked, original)
    x, y = to_working(clicked, source.crop)[0].tolist()
    return grow_region(source.pixels, x, y)


# --- tracks ---


def control_tracks(
    control: TrackControl, original: Original, source: SourceImage, num_frames: int
) -> TrackSet:
    """A control's trajectories in working pixels, one place per frame of the clip.

    Raises InputError for a clicked point outside the picture. Trackers lose points over the border: a
    sampled one there counts as hidden.
    """
    if control.points is not None:
        tracks: tuple[FileTrack, ...] = (_file_track(control.points),)
    else:
        assert control.file is not None
        tracks = read_tracks(control.file)
    sets = [_place(track, control, original, num_frames) for track in tracks]
    points = to_working(torch.cat([one.points for one in sets]), source.crop)
    return TrackSet(points, torch.cat([one.visible for one in sets]))


def _place(track: FileTrack, control: TrackControl, original: Original, num_frames: int) -> TrackSet:
    points = track.in_pixels(original.width, original.height)
    fraction = fraction_of_the_way(track.timing or control.timing, num_frames)
    if track.sampled:
        seen = track.visible & _is_inside(points, original)
        placed = retime(TrackSet(points[None], seen[None]), fraction)
    else:
        _check_inside(points, original)
        path = curve(points, fraction)[None]
        placed = TrackSet(path, torch.ones(1, num_frames, dtype=torch.bool))
    start = placed.points[:, :1]
    return TrackSet(start + control.strength * (placed.points - start), placed.visible)


def _file_track(points: tuple[Point, ...]) -> FileTrack:
    values, percent = parse_points(" ".join(f"{x},{y}" for x, y in points))
    return FileTrack(values, percent, visible=torch.ones(len(values), dtype=torch.bool))


def _is_inside(points: Float[Tensor, "K 2"], original: Original) -> Tensor:
    limit = points.new_tensor([original.width, original.height]) - 0.5
    return ((points >= -0.5) & (points <= limit)).all(-1)


def _check_inside(points: Float[Tensor, "K 2"], original: Original) -> None:
    outside = points[~_is_inside(points, original)]
    if len(outside):
        x, y = outside[0].tolist()
        raise InputError(
            f"point {x:g},{y:g} lies outside the picture, which is {original.width} x {original.height} "
            "pixels: choose one inside."
        )


def hints_by_region(
    request: AnimationRequest,
    tracks: Mapping[TrackControl, TrackSet],
    regions: Regions,
    height: int,
    width: int,
) -> Iterator[tuple[Region | None, SparseMotion]]:
    """The hints of each region, in the order of their last control, which is the order that merging goes by.

    Raises InputError when a region holds none of the hints that are given for it.
    """
    groups: dict[Region | None, list[TrackSet]] = {}
    for control, track_set in tracks.items():
        region = region_of(control, request)
        groups[region] = [*groups.pop(region, []), track_set]
    for region, sets in groups.items():
        together = TrackSet(torch.cat([s.points for s in sets]), torch.cat([s.visible for s in sets]))
        hints = hints_from_tracks(together, height, width)
        if len(hints.positions) == 0:
            raise InputError("no track is visible in the first frame: start at least one on the picture.")
        mask = regions[region]
        if mask is not None and not inside(hints, mask).any():
            name = region.mask if isinstance(region, MaskRegion) else "the selection"
            raise InputError(
                f"no track starts inside its region ({name}): begin one there, or give the track "
                "another mask or selection."
            )
        yield region, hints


# --- reference videos and the camera ---


def reference_motion(
    control: ReferenceControl,
    num_frames: int,
    height: int,
    width: int,
    estimate_flow: FlowEstimator,
    progress: Progress,
) -> FlowField:
    """A video's motion on the working picture, timed and scaled as the control says."""
    video = read_video(control.video, MAX_REFERENCE_FRAMES)
    fraction = fraction_of_the_way(control.timing, num_frames)
    flow = reference_flow(video.frames, fraction, height, width, estimate_flow, progress)
    return FlowField(flow.pixels.mul_(control.strength), flow.valid)


def with_cameras(
    flow: FlowField, request: AnimationRequest, regions: Regions, source: SourceImage, num_frames: int
) -> tuple[FlowField, Float[Tensor, "S 2 3"]]:
    """The flow with all cameras added, and the camera alone.

    A camera with a region moves what is in the region and counts as motion within the scene.
    """
    height, width = source.pixels.shape[1:]
    cameras = [torch.eye(2, 3).expand(num_frames - 1, 2, 3)]
    for control in request.controls:
        if not isinstance(control, CameraControl):
            continue
        fraction = control.strength * fraction_of_the_way(control.timing, num_frames)
        move = to_working_camera(parse_camera(control.move), source.crop)
        matrices = camera_matrices(move, fraction, width, height)
        if control.region is None:
            cameras.append(matrices)
        else:
            moved = FlowField(add_camera(flow.pixels, matrices), torch.ones_like(flow.valid))
            flow = merge([Layer(flow), Layer(moved, regions[control.region])], num_frames - 1, height, width)
    camera = compose(cameras)
    if len(cameras) == 1:
        return flow, camera
    return FlowField(add_camera(flow.pixels, camera), torch.ones_like(flow.valid)), camera
