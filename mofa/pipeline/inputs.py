"""The reading stage: everything a request names is opened and checked here, before anything is computed.

A name in a request is that of a file, unless the caller gives data under it; so a caller from Python can have
pictures, masks, tracks, videos, sound and landmarks in memory:

    request = AnimationRequest.from_call({"controls": [{"kind": "track", "file": "walk"}]})
    animate(request, read_inputs(request, picture=pixels, given={"walk": TrackSet(points, visible)}))
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar, cast

from jaxtyping import Float
from torch import Tensor

from mofa.control.brush import check_aspect
from mofa.control.track_files import FileTrack, drawn_track, read_tracks, sampled_tracks
from mofa.errors import InputError, about
from mofa.faces.blendshapes import BlendshapeClip
from mofa.faces.landmark_files import read_blendshapes, read_face_points, read_landmarks
from mofa.media.audio import read_audio
from mofa.media.image import SMALLEST_SIDE, read_grey, read_mask, read_picture
from mofa.pipeline.face_inputs import (
    Drives,
    FaceDrive,
    SourceFace,
    drive_from,
    face_by_hand,
    face_in_picture,
    followed,
)
from mofa.pipeline.original import Original
from mofa.pipeline.request import (
    AnimationRequest,
    CameraControl,
    LandmarkControl,
    MaskRegion,
    ReferenceControl,
    Region,
    SelectedRegion,
    TrackControl,
)
from mofa.pipeline.transparency import with_transparency
from mofa.pipeline.videos import Video, VideoInMemory, open_video
from mofa.types import Clip, LandmarkClip, Note, Progress, TrackSet, Waveform, silent

Data = Tensor | TrackSet | Clip | Waveform | LandmarkClip | BlendshapeClip
"""What can be given in memory. A tensor is a mask [1, h, w] 0..1, or a face's points [68, 2]; tracks
and points are in pixels of the original picture."""
Given = Mapping[str, Data]
NOTHING: Given = MappingProxyType({})
Read = TypeVar("Read")


@dataclass(frozen=True)
class Inputs:
    """What a request names, read and checked; masks, tracks and videos by their names in the request.

    Masks are as they were painted, at any size, and depth pictures are among them; tracks in pixels or
    percent of the original picture.
    """

    original: Original
    masks: Mapping[Path, Float[Tensor, "1 _ _"]] = field(default_factory=dict)
    tracks: Mapping[TrackControl, tuple[FileTrack, ...]] = field(default_factory=dict)
    videos: Mapping[Path, Video] = field(default_factory=dict)
    drives: Drives = field(default_factory=dict)
    faces: Mapping[LandmarkControl, SourceFace] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What had to be guessed about the files, in sentences."""

    def tracks_of(self, control: TrackControl) -> tuple[FileTrack, ...]:
        """A control's tracks, drawn or from a file."""
        if control.points is not None:
            return (drawn_track(control.points),)
        return self.tracks[control]


def read_inputs(
    request: AnimationRequest,
    progress: Progress = silent,
    picture: Float[Tensor, "3 h w"] | None = None,
    given: Given = NOTHING,
) -> Inputs:
    """Reads everything that a request names; what takes long (faces, driving videos) comes last.

    `picture` (RGB 0..1) stands for the request's own, and `given` holds data in memory by the names that the
    request uses. Raises InputError: something is missing, unreadable, or does not fit the picture.
    """
    notes: list[str] = []
    original = _original(request, notes.append) if picture is None else Original(picture)
    tracks = _drawn_and_files(request, original, given, notes.append)
    masks = {}
    for painted, place in _places(request, MaskRegion).items():
        with about(place):
            masks[painted.mask] = _mask(painted.mask, given)
    for camera in _of(request, CameraControl):
        if camera.depth is not None:
            with about(request.place_of(camera, "depth")):
                masks[camera.depth] = _depth(camera.depth, given, original)
    for chosen, place in _places(request, SelectedRegion).items():
        with about(place):
            for point in (*chosen.select.on, *chosen.select.beside):
                original.clicked(point)
    videos = {}
    for reference in _of(request, ReferenceControl):
        with about(request.place_of(reference)):
            videos[reference.video] = _reference(reference.video, given)
    drives = read_drives(request, progress, given)
    faces = {}
    for driven in request.driven_faces:
        with about(request.place_of(driven, "face")):
            faces[driven] = _source_face(driven, original, given)
    return Inputs(original, masks, tracks, videos, drives, faces, tuple(dict.fromkeys(notes)))


def read_drives(request: AnimationRequest, progress: Progress = silent, given: Given = NOTHING) -> Drives:
    """What drives each face. All are opened before the first video is followed, which takes long."""
    opened: dict[LandmarkControl, FaceDrive | Video] = {}
    for control in request.driven_faces:
        with about(request.place_of(control)):
            opened[control] = _opened(control, given)
    drives: dict[LandmarkControl, FaceDrive] = {}
    for control, drive in opened.items():
        with about(request.place_of(control)):
            drives[control] = drive if isinstance(drive, FaceDrive) else followed(control, drive, progress)
    return drives


def _drawn_and_files(
    request: AnimationRequest, original: Original, given: Given, note: Note
) -> dict[TrackControl, tuple[FileTrack, ...]]:
    """The tracks from files; those that were drawn are checked."""
    tracks = {}
    for control in _of(request, TrackControl):
        with about(request.place_of(control)):
            if control.file is not None:
                tracks[control] = _fitting(
                    _tracks(control, control.file, given, note), control.file, original
                )
            if control.points is not None:
                places = drawn_track(control.points).in_pixels(original.width, original.height)
                original.check_inside(places)
    return tracks


def _places(request: AnimationRequest, kind: type[Read]) -> dict[Read, str]:
    """The regions of a kind that a request names, each once, and where in the request it first stands."""
    named: list[tuple[Region | None, str]] = [(request.region, "region")]
    named += [(control.own_region, request.place_of(control, "region")) for control in request.controls]
    places: dict[Read, str] = {}
    for region, place in named:
        if isinstance(region, kind):
            places.setdefault(region, place)
    return places


def _of(request: AnimationRequest, kind: type[Read]) -> Iterator[Read]:
    yield from (control for control in request.controls if isinstance(control, kind))


def _original(request: AnimationRequest, note: Note) -> Original:
    if request.picture is None:
        raise InputError('"picture" is missing: name a photo, or give one in memory.', key="photo.missing")
    photo = read_picture(request.picture)
    if min(photo.shape[1:]) < SMALLEST_SIDE:
        _, height, width = photo.shape
        raise InputError(
            f"the photo {request.picture} has {width} x {height} pixels: choose one of {SMALLEST_SIDE} or "
            "more on each side.",
            key="photo.small",
            width=width,
            height=height,
        )
    return with_transparency(request.picture, photo, request.outputs, note)


def _tracks(control: TrackControl, path: Path, given: Given, note: Note) -> tuple[FileTrack, ...]:
    held = _held(path, given, TrackSet)
    if held is None:
        return read_tracks(path, control.axis, control.size, control.visibility, note)
    return tuple(replace(track, size=control.size) for track in sampled_tracks(held))


def _fitting(tracks: tuple[FileTrack, ...], path: Path, original: Original) -> tuple[FileTrack, ...]:
    try:
        for track in tracks:
            track.check_fits(original.width, original.height)
    except InputError as error:
        raise InputError(
            f"track file {path}: {error}", key=error.key or "tracks.unreadable", **error.values
        ) from error
    return tracks


def _mask(
    path: Path, given: Given, read: Callable[[Path], Float[Tensor, "1 _ _"]] = read_mask
) -> Float[Tensor, "1 _ _"]:
    held = _held(path, given, Tensor)
    if held is None:
        return read(path)
    if held.ndim != 3 or len(held) != 1 or not held.is_floating_point():
        raise InputError(f'the mask "{path}" is {_shape(held)}, but needs to be [1, height, width], 0..1.')
    return held


def _depth(path: Path, given: Given, original: Original) -> Float[Tensor, "1 _ _"]:
    """How near everything is, 0 the farthest and 1 the nearest; read as a mask is."""
    grey = _mask(path, given, read_grey)
    try:
        check_aspect(grey, original.width, original.height)
    except InputError as error:
        raise InputError(f"{path}: {error}", key=error.key, **error.values) from error
    lowest, highest = grey.aminmax()
    if lowest == highest:
        raise InputError(
            f"{path} is one grey all over: a depth picture is bright near and dark far away.",
            key="depth.flat",
        )
    return (grey - lowest) / (highest - lowest)


def _reference(path: Path, given: Given) -> Video:
    video = _video(path, given)
    if video.num_frames < 2:
        raise InputError(
            f"{path} has {video.num_frames} frame(s): a reference's motion needs at least two.",
            key="video.frames",
        )
    return video


def _video(path: Path, given: Given) -> Video:
    held = _held(path, given, Clip)
    return open_video(path) if held is None else VideoInMemory(str(path), held)


def _opened(control: LandmarkControl, given: Given) -> FaceDrive | Video:
    notes: list[str] = []
    if control.speech is not None:
        voice = _held(control.speech, given, Waveform)
        voice = voice or read_audio(control.speech, control.max_seconds, notes.append)
        return drive_from(voice, tuple(notes))
    if control.video is not None:
        return _video(control.video, given)
    assert control.file is not None
    held = _held(control.file, given, LandmarkClip, BlendshapeClip)
    if held is not None:
        return drive_from(cast("LandmarkClip | BlendshapeClip", held))
    if control.file.suffix.lower() != ".csv":
        return drive_from(read_landmarks(control.file))
    return drive_from(read_blendshapes(control.file, notes.append), tuple(notes))


def _source_face(control: LandmarkControl, original: Original, given: Given) -> SourceFace:
    if control.landmarks is None:
        return face_in_picture(control, original)
    held = _held(control.landmarks, given, Tensor)
    if held is not None and held.shape != (68, 2):
        raise InputError(f'the points "{control.landmarks}" are {_shape(held)}, but one face has [68, 2].')
    return face_by_hand(read_face_points(control.landmarks) if held is None else held, original)


def _held(path: Path, given: Given, *kinds: type[Read]) -> Read | None:
    """What the caller gives under a name, None for a file. Raises InputError for another kind of data."""
    held = given.get(path.as_posix())
    if held is None or isinstance(held, kinds):
        return held
    needed = " or ".join(kind.__name__ for kind in kinds)
    raise InputError(f'"{path}" is given as {type(held).__name__}, but {needed} is needed there.')


def _shape(values: Tensor) -> str:
    return f"{str(values.dtype).removeprefix('torch.')} {list(values.shape)}"
