"""The motion of the picture's driven faces: each driver's motion, made by the face it is meant for."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.errors import about
from mofa.faces.blendshapes import BlendshapeClip, blendshape_landmarks
from mofa.faces.head import flipped
from mofa.faces.retarget import MotionStrengths, at_rate, retarget
from mofa.pipeline.inputs import Inputs
from mofa.pipeline.parts import SpeechDrivers
from mofa.pipeline.request import AnimationRequest, LandmarkControl
from mofa.tensors.smoothstep import smoothstep
from mofa.types import LandmarkClip, Waveform


@dataclass(frozen=True)
class DrivenFace:
    """A face of the picture and its 68 points in every frame, in pixels of the original."""

    control: LandmarkControl
    points: Float[Tensor, "T 68 2"]
    notes: tuple[str, ...] = ()


def driven_faces(
    request: AnimationRequest, inputs: Inputs, num_frames: int, fps: float, speak: SpeechDrivers
) -> tuple[DrivenFace, ...]:
    """The motion of every driven face over the clip. In a loop motion fades out towards the end.

    Raises InputError when a face cannot be driven as asked.
    """
    faces = []
    for control in inputs.drives:
        with about(request.place_of(control)):
            faces.append(driven_face(control, request, inputs, num_frames, fps, speak))
    return tuple(faces)


def driven_face(
    control: LandmarkControl,
    request: AnimationRequest,
    inputs: Inputs,
    num_frames: int,
    fps: float,
    speak: SpeechDrivers,
) -> DrivenFace:
    """One face's motion over the clip."""
    drive, face = inputs.drives[control], inputs.faces[control]
    rest = face.points
    match drive.motion:
        case Waveform() as voice:
            driver = speak(control.driver, rest, face.found, inputs.original)
            motion = driver(voice, rest, fps, num_frames, request.seed)
        case BlendshapeClip() as curves:
            if curves.head is not None:
                curves = replace(curves, head=flipped(curves.head, control.flip_head))
            motion = at_rate(blendshape_landmarks(curves, rest), fps, num_frames)
        case LandmarkClip() as clip:
            motion = at_rate(clip, fps, num_frames)
    strengths = MotionStrengths(control.pose, control.mouth, control.eyes, control.brows)
    moved = retarget(motion, rest, strengths, control.absolute).points
    share = torch.full((num_frames, 1, 1), control.strength)
    if request.loop:
        share *= fade_out(num_frames)[:, None, None]
    return DrivenFace(control, rest + share * (moved - rest), (*drive.notes, *face.notes))


def fade_out(num_frames: int) -> Float[Tensor, " {num_frames}"]:
    """1 for most of the clip, easing to 0 in the last quarter, so that the end meets the beginning."""
    left = (num_frames - 1 - torch.arange(num_frames)) / max(1.0, (num_frames - 1) / 4)
    return smoothstep(left)
