"""What drives a face, and the motion of the picture's faces that comes of it.

Reading comes first, because a clip is as long as the speech or the video that drives it; then each driver's
motion is made by the face it is meant for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mofa.errors import InputError
from mofa.faces.blendshapes import BlendshapeClip, blendshape_landmarks
from mofa.faces.detection import Face, find_face, follow_face
from mofa.faces.landmark_files import read_blendshapes, read_face_points, read_landmarks
from mofa.faces.retarget import MotionStrengths, at_rate, retarget
from mofa.media.audio import read_audio
from mofa.media.decode import read_video
from mofa.media.image import to_bytes
from mofa.pipeline.original import Original
from mofa.pipeline.request import (
    DEFAULT_FPS,
    DEFAULT_FRAMES,
    MAX_FRAMES,
    AnimationRequest,
    LandmarkControl,
)
from mofa.pipeline.speech import speech_driver
from mofa.tensors.smoothstep import smoothstep
from mofa.tensors.sound import mono_at
from mofa.types import LandmarkClip, Progress, Waveform, silent

SPEECH_FPS = 25.0
"""What the learned drivers were trained with, and lips need."""
VIDEO_LONG_SIDE = 640
"""Pixels: driving videos are looked at no larger; the face mesh sees 256 x 256."""

Drives = Mapping[LandmarkControl, "FaceDrive"]


@dataclass(frozen=True)
class FaceDrive:
    """What drives a face, read from its file: points, expression curves, or a voice; and the sound it has.

    `fps` is the rate that suits it, `seconds` how long it lasts; `notes` says in sentences what the person
    who asked for it should know.
    """

    motion: LandmarkClip | BlendshapeClip | Waveform
    fps: float
    seconds: float
    sound: Waveform | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class DrivenFace:
    """A face of the picture and its 68 points in every frame, in pixels of the original."""

    control: LandmarkControl
    points: Float[Tensor, "T 68 2"]
    notes: tuple[str, ...] = ()


# --- what drives ---


def read_drives(request: AnimationRequest, progress: Progress = silent) -> Drives:
    """What drives each face of a request, read once."""
    return {control: read_drive(control, progress) for control in request.driven_faces}


def read_drive(control: LandmarkControl, progress: Progress = silent) -> FaceDrive:
    """A driver's file: a video's face is followed here, speech becomes motion when the face is known.

    Raises InputError: unreadable, empty, too long, or no face in the video.
    """
    if control.speech is not None:
        voice = read_audio(control.speech, control.max_seconds)
        return FaceDrive(voice, SPEECH_FPS, voice.samples.shape[1] / voice.rate, sound=voice)
    if control.video is not None:
        return _followed(control, progress)
    assert control.file is not None
    if control.file.suffix.lower() == ".csv":
        curves = read_blendshapes(control.file)
        count = len(next(iter(curves.curves.values())))
        return FaceDrive(curves, min(curves.fps, 30.0), count / curves.fps)
    clip = read_landmarks(control.file)
    return FaceDrive(clip, clip.fps, len(clip.points) / clip.fps)


def _followed(control: LandmarkControl, progress: Progress) -> FaceDrive:
    assert control.video is not None
    video = read_video(control.video, MAX_FRAMES, progress, long_side=VIDEO_LONG_SIDE)
    seconds = len(video.frames) / video.fps
    if seconds > control.max_seconds:
        raise InputError(
            f"{control.video} lasts {seconds:.0f} s, more than {control.max_seconds:g} s; cut it, or allow "
            "more with --max-seconds."
        )
    track = follow_face(video.frames, video.fps, what=str(control.video), progress=progress)
    notes: tuple[str, ...] = ()
    if track.gaps:
        lost = ", ".join(f"{first}-{last}" if last > first else f"{first}" for first, last in track.gaps[:5])
        more = f" and {len(track.gaps) - 5} more stretches" if len(track.gaps) > 5 else ""
        notes = (f"{control.video}: no face is seen in frames {lost}{more}; its motion is bridged there.",)
    return FaceDrive(track.landmarks, video.fps, seconds, _sound_of(control), notes)


def _sound_of(control: LandmarkControl) -> Waveform | None:
    assert control.video is not None
    try:
        return read_audio(control.video, control.max_seconds)
    except InputError:  # most driving videos are silent
        return None


def length_of(request: AnimationRequest, drives: Drives) -> tuple[int, float]:
    """Number of frames and rate of a request's clip: as given, else as what drives its faces suggests.

    The longest driver decides. Raises InputError when that clip would be too long.
    """
    fps = request.fps or max((drive.fps for drive in drives.values()), default=DEFAULT_FPS)
    if request.frames is not None:
        return request.frames, fps
    seconds = max((drive.seconds for drive in drives.values()), default=None)
    frames = DEFAULT_FRAMES if seconds is None else max(2, math.ceil(seconds * fps - 1e-6))
    if frames > MAX_FRAMES:
        raise InputError(
            f"what drives the face lasts {seconds:.0f} s, which is {frames} frames at {fps:g} per second: "
            f"the most are {MAX_FRAMES}, so ask for fewer with --frames, or for a lower --fps."
        )
    return frames, fps


def sound_of(drives: Drives, num_frames: int, fps: float) -> Waveform | None:
    """What the drivers sound like together, at most as long as the clip; None where all are silent.

    Several voices are mixed in one channel at the first one's rate.
    """
    sounds = [drive.sound for drive in drives.values() if drive.sound is not None]
    if not sounds:
        return None
    rate = sounds[0].rate
    length = round(num_frames / fps * rate)
    if len(sounds) == 1:
        return Waveform(sounds[0].samples[:, :length], rate)
    voices = [mono_at(sound, rate)[:length] for sound in sounds]
    longest = max(len(voice) for voice in voices)
    mixed = torch.stack([F.pad(voice, (0, longest - len(voice))) for voice in voices]).sum(0)
    return Waveform(mixed.clamp(-1, 1)[None], rate)


# --- who is driven ---


def driven_faces(
    request: AnimationRequest, drives: Drives, original: Original, num_frames: int, fps: float
) -> tuple[DrivenFace, ...]:
    """The motion of every driven face over the clip. In a loop motion fades out towards the end.

    Raises InputError when a face is not found, or cannot be driven as asked.
    """
    return tuple(
        driven_face(control, drive, request, original, num_frames, fps) for control, drive in drives.items()
    )


def driven_face(
    control: LandmarkControl,
    drive: FaceDrive,
    request: AnimationRequest,
    original: Original,
    num_frames: int,
    fps: float,
) -> DrivenFace:
    """One face's motion over the clip."""
    rest, found, notes = source_face(control, original)
    match drive.motion:
        case Waveform() as voice:
            speak = speech_driver(control.driver, rest, found, original)
            motion = speak(voice, rest, fps, num_frames, request.seed)
        case BlendshapeClip() as curves:
            motion = at_rate(blendshape_landmarks(curves, rest), fps, num_frames)
        case LandmarkClip() as clip:
            motion = at_rate(clip, fps, num_frames)
    strengths = MotionStrengths(control.pose, control.mouth, control.eyes, control.brows)
    moved = retarget(motion, rest, strengths, control.absolute).points
    share = torch.full((num_frames, 1, 1), control.strength)
    if request.loop:
        share *= fade_out(num_frames)[:, None, None]
    return DrivenFace(control, rest + share * (moved - rest), (*drive.notes, *notes))


def source_face(
    control: LandmarkControl, original: Original
) -> tuple[Float[Tensor, "68 2"], Face | None, Sequence[str]]:
    """The 68 points of the face that is meant, in pixels of the original, as given by hand or found.

    Also the finding itself, where there is one, and what should be said about it.
    """
    if control.landmarks is not None:
        points = read_face_points(control.landmarks)
        original.check_inside(points.mean(0, keepdim=True))
        return points, None, ()
    meant = original.meant(control.face)
    face, count = find_face(to_bytes(original.pixels), meant)
    chosen = meant != 1 or "face" in control.model_fields_set
    several = (
        f"the picture shows {count} faces; the largest was taken, --face 2 or --face x,y chooses another."
    )
    return face.points, face, () if count == 1 or chosen else (several,)


def fade_out(num_frames: int) -> Float[Tensor, "{num_frames}"]:
    """1 for most of the clip, easing to 0 in the last quarter, so that the end meets the beginning."""
    left = (num_frames - 1 - torch.arange(num_frames)) / max(1.0, (num_frames - 1) / 4)
    return smoothstep(left)
