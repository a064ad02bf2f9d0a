"""What drives the faces of a scene, and which faces of the picture those are.

Reading comes before everything else, because a clip is as long as the speech or the video that drives it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.errors import InputError
from mofa.faces.blendshapes import BlendshapeClip
from mofa.faces.detection import Face, FaceTrack, find_face, follow_face, in_step
from mofa.faces.points import OUTER_LIPS
from mofa.media.audio import NoSound, read_audio
from mofa.media.image import to_bytes
from mofa.pipeline.original import Original
from mofa.pipeline.request import DEFAULT_FPS, DEFAULT_FRAMES, MAX_FRAMES, AnimationRequest, LandmarkControl
from mofa.pipeline.videos import Video, VideoInMemory
from mofa.tensors.sound import mono_at
from mofa.types import LandmarkClip, Note, Progress, Waveform, silent, unsaid

SPEECH_FPS = 25.0
"""What the learned drivers were trained with, and lips need."""
VIDEO_LONG_SIDE = 640
"""Pixels: driving videos are looked at no larger where that shows a face; the face mesh sees 256 x 256."""
UNSEEN = ("face.none", "face.small", "face.seldom")
"""What may be wrong because a video was shrunk."""

Drives = Mapping[LandmarkControl, "FaceDrive"]


@dataclass(frozen=True)
class FaceDrive:
    """What drives a face: points, expression curves, or a voice; and the sound it has.

    `fps` is the rate that suits it, `seconds` how long it lasts; `notes` says in sentences what the person
    who asked for it should know.
    """

    motion: LandmarkClip | BlendshapeClip | Waveform
    fps: float
    seconds: float
    sound: Waveform | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceFace:
    """A face of the picture that is driven: its 68 points in pixels of the original, found or given by hand.

    `found` is the finding itself, where there is one; `notes` is what should be said about it.
    """

    points: Float[Tensor, "68 2"]
    found: Face | None = None
    notes: tuple[str, ...] = ()


def drive_from(motion: LandmarkClip | BlendshapeClip | Waveform, notes: tuple[str, ...] = ()) -> FaceDrive:
    """What is known without a picture: landmarks, curves or a voice, as they were read or given."""
    match motion:
        case Waveform():
            return FaceDrive(motion, SPEECH_FPS, motion.samples.shape[1] / motion.rate, motion, notes)
        case BlendshapeClip():
            count = len(next(iter(motion.curves.values())))
            return FaceDrive(motion, min(motion.fps, 30.0), count / motion.fps, notes=notes)
        case LandmarkClip():
            return FaceDrive(motion, motion.fps, len(motion.points) / motion.fps, notes=notes)


def followed(control: LandmarkControl, video: Video, progress: Progress) -> FaceDrive:
    """The motion of the face in a video. Raises InputError: too long, or no face in it."""
    notes: list[str] = []
    try:
        track = face_of_video(
            video, 1, control.max_seconds, progress, notes.append, long_side=VIDEO_LONG_SIDE
        )
    except InputError as error:
        if error.key not in UNSEEN or not _is_shrunk(video):
            raise
        notes.clear()  # the same file is read once more
        track = face_of_video(video, 1, control.max_seconds, progress, notes.append)
    if track.gaps:
        lost = ", ".join(f"{first}-{last}" if last > first else f"{first}" for first, last in track.gaps[:5])
        more = f" and {len(track.gaps) - 5} more stretches" if len(track.gaps) > 5 else ""
        notes.append(f"{video}: no face is seen in frames {lost}{more}; its motion is bridged there.")
    sound = video.clip.audio if isinstance(video, VideoInMemory) else _sound_of(control, notes.append)
    return FaceDrive(track.landmarks, track.fps, len(track.found) / track.fps, sound, tuple(notes))


def _is_shrunk(video: Video) -> bool:
    frames = video.frames()
    return max(next(frames).pixels.shape[:2]) > VIDEO_LONG_SIDE


def face_of_video(
    video: Video,
    which: int | tuple[float, float] = 1,
    max_seconds: float = math.inf,
    progress: Progress = silent,
    note: Note = unsaid,
    long_side: int | None = None,
) -> FaceTrack:
    """A video's face at a steady rate, in step with the sound beside it; `which` as in `follow_face`.

    Raises InputError: unreadable, longer than `max_seconds`, or no face in it.
    """
    starts: list[float] = []
    end = 0.0

    def pictures() -> Iterator[UInt8[Tensor, "3 H W"]]:
        nonlocal end
        for frame in video.frames(long_side, note):
            if frame.end > max_seconds or len(starts) == MAX_FRAMES:
                raise InputError(
                    f"{video} lasts more than {max_seconds:g} s, or has more than {MAX_FRAMES} frames; cut "
                    "it, or allow more with --max-seconds.",
                    key="driver.long",
                    seconds=f"{max_seconds:g}",
                    most=MAX_FRAMES,
                )
            starts.append(frame.start)
            end = frame.end
            yield torch.from_numpy(frame.pixels).permute(2, 0, 1)

    return in_step(follow_face(pictures(), DEFAULT_FPS, which, str(video), progress, note), starts, end)


def _sound_of(control: LandmarkControl, note: Note) -> Waveform | None:
    """The sound of a driving video; None where it has none, or, which is told, where it cannot be used."""
    assert control.video is not None
    try:
        return read_audio(control.video, control.max_seconds, note)
    except NoSound:
        return None
    except InputError as error:
        note(f"{str(error).rstrip('.')}. The clip stays silent.")
        return None


def face_in_picture(control: LandmarkControl, original: Original) -> SourceFace:
    """The face of the picture that a control means. Raises InputError when there is none."""
    meant = original.meant(control.face)
    face, count = find_face(to_bytes(original.pixels), meant)
    chosen = meant != 1 or "face" in control.model_fields_set
    several = (
        f"the picture shows {count} faces; the largest was taken, --face 2 or --face x,y chooses another."
    )
    notes = () if count == 1 or chosen else (several,)
    return SourceFace(face.points, face, (*notes, *_mouth_outside(face.points, original)))


def face_by_hand(points: Float[Tensor, "68 2"], original: Original) -> SourceFace:
    """A face whose points somebody gave. Raises InputError when it lies outside the picture."""
    original.check_inside(points.mean(0, keepdim=True))
    return SourceFace(points, notes=_mouth_outside(points, original))


def _mouth_outside(points: Float[Tensor, "68 2"], original: Original) -> tuple[str, ...]:
    seen = original.shows(points[list(OUTER_LIPS)])
    if seen.all():
        return ()
    how = "partly" if seen.any() else "wholly"
    return (f"the face's mouth lies {how} outside the photo: what it does there is not seen.",)


# --- what the drivers mean for the clip ---


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
            f"the most are {MAX_FRAMES}, so ask for fewer with --frames, or for a lower --fps.",
            key="driver.long",
            seconds=f"{seconds:.0f}",
            most=MAX_FRAMES,
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
