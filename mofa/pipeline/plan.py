"""Controls and a picture become a motion plan.

Tracks that share a region are densified together, those of another by themselves, so that hints never
leak across its border. control.merge says who wins where. Everything is told relative to the scene, as a
track is drawn; the camera stays apart. Nothing dense is made here: what moves is stored as what it is made
from, and worked out for the steps that somebody asks for.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.control.brush import inside
from mofa.control.merge import Share, merge
from mofa.control.reference import WORKING_SIDE, FlowEstimator, measurable, video_motion
from mofa.control.sway import Sway
from mofa.control.timing import Ease
from mofa.control.timing import progress as fraction_of_the_way
from mofa.control.track_files import FileTrack
from mofa.control.tracks import curve, hints_from_tracks, retime, turning
from mofa.control.transform import Keyframe, Pose, similarities
from mofa.errors import InputError, about
from mofa.faces.motion import FaceMotion, face_region
from mofa.pipeline.cameras import nearer, scene_camera, with_local_cameras
from mofa.pipeline.faces import DrivenFace, driven_faces
from mofa.pipeline.inputs import Inputs
from mofa.pipeline.original import Original
from mofa.pipeline.parts import Densifier, FaceSpreader, SpeechDrivers
from mofa.pipeline.regions import Regions, region_of, working_regions
from mofa.pipeline.remarks import SEEN, Remarks, remark
from mofa.pipeline.request import (
    AnimationRequest,
    Control,
    LandmarkControl,
    MaskRegion,
    ReferenceControl,
    Region,
    ResolvedRequest,
    StillControl,
    SwayControl,
    TrackControl,
    TransformControl,
)
from mofa.tensors.geometry import pixel_grid, to_working
from mofa.tensors.motion import Moved, Scaled, Unknown, points_as_seen
from mofa.types import (
    DenseMotion,
    MotionBranch,
    MotionPlan,
    Note,
    Progress,
    SenseOfThings,
    SourceImage,
    SparseMotion,
    TrackSet,
    silent,
    unsaid,
)

MOSTLY = 0.5
"""Of the picture: a mask that leaves out the tracks and paints more than this may have been inverted."""
MAX_REFERENCE_FRAMES = 1000
"""Frames of a reference video that are looked at: its beginning, when it is longer."""


def mesh_flow(
    image: Float[Tensor, "3 H W"], points: Float[Tensor, "T 68 2"], progress: Progress = silent
) -> DenseMotion:
    """The face's own lines say how it bends, and what the head carries along: `faces.motion`."""
    return FaceMotion(points, *image.shape[1:])


@dataclass(frozen=True)
class PlannedMotion:
    """The plan, and what goes with it for people: what was painted, and sentences that they should read."""

    plan: MotionPlan
    regions: tuple[Float[Tensor, "1 H W"], ...]
    notes: tuple[str, ...] = ()
    remarks: Remarks = Remarks()

    @property
    def faces(self) -> tuple[Float[Tensor, "T 68 2"], ...]:
        """The driven faces' points per frame in working pixels, as the camera shows them."""
        faces = [branch.face for branch in self.plan.branches if branch.face is not None]
        return tuple(points_as_seen(points, self.plan.camera) for points in faces)


@dataclass(frozen=True)
class Drawn:
    """What was drawn, on the working picture: all that can be said about a request without a network.

    `hints` are those of each region, in the order that merging goes by; `camera` moves the whole scene.
    """

    regions: Regions
    tracks: Mapping[TrackControl, TrackSet]
    hints: tuple[tuple[Region | None, SparseMotion], ...]
    camera: Float[Tensor, "S 2 3"]
    notes: tuple[str, ...] = ()


def place_drawn(
    request: ResolvedRequest, inputs: Inputs, source: SourceImage, sense: SenseOfThings | None = None
) -> Drawn:
    """Puts what was drawn in its place. Raises InputError when a control does not fit the picture.

    `sense` finds what is selected; without it colours do.
    """
    num_frames = request.frames + request.loop
    regions, notes = working_regions(request, inputs, source, sense)
    tracks = {}
    for control in request.controls:
        if isinstance(control, TrackControl):
            with about(request.place_of(control)):
                tracks[control] = control_tracks(control, inputs, source, num_frames)
    hints = hints_by_region(request, tracks, regions, *source.pixels.shape[1:])
    return Drawn(regions, tracks, tuple(hints), scene_camera(request, source, num_frames), notes)


def plan_motion(
    request: ResolvedRequest,
    inputs: Inputs,
    source: SourceImage,
    drawn: Drawn,
    densify: Densifier,
    estimate_flow: FlowEstimator,
    speak: SpeechDrivers,
    progress: Progress = silent,
    spread_face: FaceSpreader = mesh_flow,
    sense: SenseOfThings | None = None,
) -> PlannedMotion:
    """The motion that a resolved request asks for.

    Faces rule where they are, everything else shares the rest. A looping clip is planned one frame further,
    to the moment at which it begins again. Raises InputError when a face cannot be driven as asked.
    """
    num_frames, regions = request.frames + request.loop, drawn.regions
    driven = driven_faces(request, inputs, num_frames, request.fps, speak)

    told: list[str] = []
    motion = drawn_motion(
        request, drawn, inputs, source, num_frames, densify, estimate_flow, progress, told.append
    )
    placed = [(region is not None, hints) for region, hints in drawn.hints]
    remarks = remark(placed, motion, source, num_frames - 1, sense, _moving_tracks(drawn))
    motion = with_local_cameras(motion, request, regions, source, num_frames)
    faces = [to_working(face.points, source.crop) for face in driven]
    shares = face_shares(request, driven, faces, regions, source)
    branches = [
        MotionBranch("landmark", spread_face(source.pixels, points, progress), share, face=points)
        for points, share in zip(faces, shares, strict=True)
    ]
    if len(driven) < len(request.controls):
        rest = (1 - sum(shares, source.pixels.new_zeros(1, *source.pixels.shape[1:]))).clamp(0, 1)
        free = may_move(request, drawn, source)
        branches.insert(0, MotionBranch("trajectory", motion, rest, may_move=free))
    branches = [nearer(branch, request, inputs, regions, source, num_frames) for branch in branches]
    return PlannedMotion(
        plan=MotionPlan(tuple(branches), drawn.camera, num_frames, tuple(drawn.tracks.values())),
        regions=tuple(region for region in regions.values() if region is not None),
        notes=tuple(
            dict.fromkeys(
                (
                    *inputs.notes,
                    *drawn.notes,
                    *told,
                    *(note for face in driven for note in face.notes),
                    *remarks.notes,
                )
            )
        ),
        remarks=remarks,
    )


def drawn_motion(
    request: AnimationRequest,
    drawn: Drawn,
    inputs: Inputs,
    source: SourceImage,
    num_frames: int,
    densify: Densifier,
    estimate_flow: FlowEstimator,
    progress: Progress,
    note: Note = unsaid,
) -> DenseMotion:
    """The motion of tracks and reference videos; `note` is told where a video breaks off."""
    height, width = source.pixels.shape[1:]
    spread = {
        region: densify(source.pixels, hints, drawn.regions[region], progress)
        for region, hints in drawn.hints
    }
    carried = {region_of(c, request) for c in request.controls if isinstance(c, TransformControl)}
    shares = [
        Share(motion, drawn.regions[region]) for region, motion in spread.items() if region not in carried
    ]
    shares += [
        Share(
            reference_motion(control, inputs, num_frames, height, width, estimate_flow, progress, note),
            drawn.regions[region_of(control, request)],
        )
        for control in request.controls
        if isinstance(control, ReferenceControl)
    ]
    shares += [
        whole_motion(control, request, drawn, inputs, source, num_frames, spread)
        for kind in (TransformControl, SwayControl, StillControl)  # what is to stay still lies on top
        for control in request.controls
        if isinstance(control, kind)
    ]
    return merge(shares, height, width)


def may_move(request: AnimationRequest, drawn: Drawn, source: SourceImage) -> Float[Tensor, "1 H W"] | None:
    """Where people painted that things may move, faces apart, less what is to stay; None is everywhere."""
    controls = [c for c in request.controls if not isinstance(c, LandmarkControl)]
    whole = source.pixels.new_ones(1, *source.pixels.shape[1:])

    def painted(control: Control) -> Float[Tensor, "1 H W"]:
        own = drawn.regions[region_of(control, request)]
        return whole if own is None else own

    moving = [painted(control) for control in controls if not isinstance(control, StillControl)]
    still = [painted(control) for control in controls if isinstance(control, StillControl)]
    region = torch.stack(moving).amax(0) if moving else whole
    region = region * (1 - torch.stack(still).amax(0)) if still else region
    return None if bool((region >= 1).all()) else region


# --- motion of whole regions ---


def whole_motion(
    control: TransformControl | SwayControl | StillControl,
    request: AnimationRequest,
    drawn: Drawn,
    inputs: Inputs,
    source: SourceImage,
    num_frames: int,
    spread: Mapping[Region | None, DenseMotion],
) -> Share:
    """What a control does to a region as a whole: turn and grow it, let it sway, hold it still.

    A transform carries along what the tracks of its region, `spread` over it, bend. Raises InputError: a
    transform has no region.
    """
    height, width = source.pixels.shape[1:]
    region = drawn.regions[region_of(control, request)]
    if isinstance(control, SwayControl):
        everything = source.pixels.new_ones(1, height, width)
        return Share(sway(control, everything if region is None else region, request, num_frames), region)
    if region is None:
        raise InputError(
            "a transform moves one thing: say which by a selection (a point on it) or a painted mask.",
            key="transform.region",
        ).at(request.place_of(control, "region"))
    if isinstance(control, StillControl):
        return Share(Moved(Unknown(height, width), torch.eye(2, 3).expand(num_frames - 1, 2, 3)), region)
    bent = spread.get(region_of(control, request), Unknown(height, width))
    return Share(Moved(bent, transform_maps(control, region, inputs, source, num_frames)), region)


def transform_maps(
    control: TransformControl,
    region: Float[Tensor, "1 H W"],
    inputs: Inputs,
    source: SourceImage,
    num_frames: int,
) -> Float[Tensor, "S 2 3"]:
    """A transform's affine map per step, on the working picture."""
    original, crop = inputs.original, source.crop
    keyframes = []
    for key in control.moments:
        x = key.move.move[0].in_pixels(original.width)
        y = key.move.move[1].in_pixels(original.height)
        factor = control.strength
        move = (factor * x * crop.scale_x, factor * y * crop.scale_y)
        pose = Pose(move, factor * key.move.rotate, key.move.scale**factor)
        keyframes.append(Keyframe(key.at, pose, cast("Ease", key.ease)))
    if control.pivot is None:
        weight = region / region.sum().clamp(min=1)
        pivot = (pixel_grid(region.shape[1], region.shape[2], region) * weight).sum((1, 2))
    else:
        pivot = to_working(original.clicked(control.pivot), crop)[0]
    fraction = fraction_of_the_way(control.timing, num_frames)[1:]
    return similarities(keyframes, fraction, (float(pivot[0]), float(pivot[1])))


def sway(
    control: SwayControl, region: Float[Tensor, "1 H W"], request: AnimationRequest, num_frames: int
) -> DenseMotion:
    """A region's sway on the working picture; the clip ends, or its next round begins, as it began."""
    amount = control.strength * control.amount / 100 * max(region.shape[1:])
    seed = request.seed if control.seed is None else control.seed
    return Sway(region, control.like, amount, control.direction, control.rounds, num_frames - 1, seed)


# --- faces ---


def face_shares(
    request: AnimationRequest,
    driven: Sequence[DrivenFace],
    faces: Sequence[Float[Tensor, "T 68 2"]],
    regions: Regions,
    source: SourceImage,
) -> list[Float[Tensor, "1 H W"]]:
    """How much each face rules each pixel, at most 1 in all: in its painted region, or round its head.

    A later face gives way to an earlier one. When nothing but faces moves, the first has what is left, unless
    its region was painted.
    """
    height, width = source.pixels.shape[1:]
    free = source.pixels.new_ones(1, height, width)
    shares = []
    for face, points in zip(driven, faces, strict=True):
        painted = regions[region_of(face.control, request)]
        own = free * (face_region(points[0], height, width) if painted is None else painted)
        shares.append(own)
        free = free - own
    if len(driven) == len(request.controls) and region_of(driven[0].control, request) is None:
        shares[0] = shares[0] + free
    return shares


def face_hints(points: Float[Tensor, "T 68 2"], height: int, width: int) -> SparseMotion:
    """The 68 points as hints (method 1); those outside the picture say nothing."""
    start = points[0]
    shown = ((start >= -0.5) & (start <= start.new_tensor([width, height]) - 0.5)).all(-1)
    visible = shown[:, None].expand(-1, len(points))
    return hints_from_tracks(TrackSet(points.transpose(0, 1), visible), height, width)


# --- tracks ---


def control_tracks(control: TrackControl, inputs: Inputs, source: SourceImage, num_frames: int) -> TrackSet:
    """A control's trajectories in working pixels, one place per frame of the clip.

    Raises InputError for a clicked point outside the picture. Trackers lose points over the border: a
    sampled one there counts as hidden.
    """
    tracks = inputs.tracks_of(control)
    sets = [_place(track, control, inputs.original, num_frames) for track in tracks]
    points = to_working(torch.cat([one.points for one in sets]), source.crop)
    return TrackSet(points, torch.cat([one.visible for one in sets]))


def _place(track: FileTrack, control: TrackControl, original: Original, num_frames: int) -> TrackSet:
    points = track.in_pixels(original.width, original.height)
    fraction = fraction_of_the_way(track.timing or control.timing, num_frames)
    if track.sampled:
        seen = track.visible & original.shows(points)
        placed = retime(TrackSet(points[None], seen[None]), fraction)
    else:
        original.check_inside(points)
        path = curve(points, fraction)[None]
        placed = TrackSet(path, torch.ones(1, num_frames, dtype=torch.bool))
    start = placed.points[:, :1]
    return TrackSet(start + control.strength * (placed.points - start), placed.visible)


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
    places: dict[Region | None, str] = {}
    for control, track_set in tracks.items():
        region = region_of(control, request)
        places[region] = request.place_of(control)
        turning = _turning(control, track_set, (width, height)) if control.turns else track_set
        groups[region] = [*groups.pop(region, []), turning]
    for region, sets in groups.items():
        together = TrackSet(torch.cat([s.points for s in sets]), torch.cat([s.visible for s in sets]))
        hints = hints_from_tracks(together, height, width)
        if len(hints.positions) == 0:
            raise InputError(
                "no track is visible in the first frame: start at least one on the picture.",
                key="track.first",
            ).at(places[region])
        mask = regions[region]
        if mask is not None and not inside(hints, mask).any():
            name = region.mask if isinstance(region, MaskRegion) else "the selection"
            other = "another mask or selection" if mask.mean() < MOSTLY else "the mask the other way round"
            raise InputError(
                f"no track starts inside its region ({name}): begin one there, or give the track {other}.",
                key="track.region",
            ).at(f"{places[region]}.region")
        yield region, hints


def _moving_tracks(drawn: Drawn) -> int:
    """How many tracks go somewhere, turn or scale something."""
    return sum(
        int(
            (track.points - track.points[:, :1])
            .norm(dim=-1)
            .amax(1)
            .gt(SEEN)
            .logical_or(torch.tensor(control.turns))
            .sum()
        )
        for control, track in drawn.tracks.items()
    )


def _turning(control: TrackControl, tracks: TrackSet, size: tuple[int, int]) -> TrackSet:
    """A control's tracks with the turn and the growth that they carry."""
    fraction = control.strength * fraction_of_the_way(control.timing, tracks.points.shape[1])
    return turning(tracks, math.radians(control.rotate) * fraction, control.scale**fraction, size)


# --- reference videos ---


def reference_motion(
    control: ReferenceControl,
    inputs: Inputs,
    num_frames: int,
    height: int,
    width: int,
    estimate_flow: FlowEstimator,
    progress: Progress,
    note: Note,
) -> DenseMotion:
    """A video's motion on the working picture, timed and scaled as the control says."""
    fraction = fraction_of_the_way(control.timing, num_frames)
    video = inputs.videos[control.video].decoded(MAX_REFERENCE_FRAMES, progress, WORKING_SIDE, note)
    frames = measurable(video.frames, num_frames)
    del video  # it is many times as large as what is measured of it
    return Scaled(video_motion(frames, fraction, height, width, estimate_flow, progress), control.strength)
