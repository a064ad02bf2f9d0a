"""Speech to face motion as SadTalker does it (arXiv 2211.12194): a speaking face model on a moving head."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.signal import savgol_filter
from torch import Tensor

from mofa.faces.drivers.at_25_fps import FPS, RATE, frames_driven, lasting, spoken
from mofa.faces.drivers.idle import blinks
from mofa.faces.drivers.mel import mel_spectrogram, mel_windows
from mofa.faces.face_model import SIDE, Coefficients, FaceModel
from mofa.models.sadtalker import (
    EXPRESSION,
    IDENTITY,
    POSE_LATENT,
    TEXTURE,
    FaceReconstruction,
    SpeechToExpression,
    SpeechToPose,
    num_pose_chunks,
)
from mofa.tensors.sound import mono_at
from mofa.types import LandmarkClip, Waveform

STANDARD_SCALE = 102.0
"""Pixels per unit of the standard face in the reconstruction network's picture."""
SMOOTHING_FRAMES, SMOOTHING_ORDER = 13, 2
"""Of the Savitzky-Golay filter through which the released program sends the head's pose."""
SPEECH_CHUNK = 250
"""Frames that are heard at once: their first features take 40 MB."""
FIVE_POINTS = ((36, 39), (42, 45), (30,), (48,), (54,))
"""Eyes, nose, corners of the mouth: each the mean of some of the 68 points."""
ANGLES = slice(IDENTITY + EXPRESSION + TEXTURE, IDENTITY + EXPRESSION + TEXTURE + 3)
TRANSLATION = slice(-3, None)


@dataclass(frozen=True)
class Alignment:
    """The square of a picture, in its pixels, that a face is looked at in; it may reach beyond it."""

    left: int
    top: int
    side: int

    @property
    def scale(self) -> float:
        """Pixels of the 224 x 224 picture per pixel of the picture."""
        return SIDE / self.side


@dataclass(frozen=True)
class SadTalkerDriver:
    """SadTalker for one face: `source` is the face in its picture (see `reconstruct`).

    `style` is one of the pose network's 46 manners of moving the head.
    """

    to_expression: SpeechToExpression
    to_pose: SpeechToPose
    face_model: FaceModel
    source: Coefficients
    alignment: Alignment
    style: int = 0

    @torch.no_grad()
    def __call__(
        self, speech: Waveform, face: Float[Tensor, "68 2"], fps: float, num_frames: int, seed: int
    ) -> LandmarkClip:
        """The face speaking, in its picture's pixels; frame 0 is `face`. Head and lids follow the seed."""
        frames = frames_driven(fps, num_frames)
        told = self.told(mono_at(speech, RATE), frames, np.random.default_rng(seed))
        moved = self.face_model.keypoints(told) - self.face_model.keypoints(self.source)
        motion = moved * moved.new_tensor([1, -1]) / self.alignment.scale
        return spoken(face, motion.to(face), fps, num_frames)

    def told(self, samples: Float[Tensor, " L"], frames: int, generator: np.random.Generator) -> Coefficients:
        """The source's identity with expressions and poses for `frames` frames at 25 fps."""
        weights = self.to_expression.mapping1.weight
        source = Coefficients(**{name: value.to(weights) for name, value in vars(self.source).items()})
        spectrogram = mel_spectrogram(lasting(samples, frames))
        mels = mel_windows(spectrogram, frames, FPS).to(weights)
        lids = blinks(torch.arange(frames) / FPS, generator).to(weights)[:, None]
        expression = torch.cat(
            [
                self.to_expression(mel, source.expression, shut)
                for mel, shut in zip(mels.split(SPEECH_CHUNK), lids.split(SPEECH_CHUNK), strict=True)
            ]
        )
        noise = generator.standard_normal((num_pose_chunks(frames), POSE_LATENT))
        reference = torch.cat([source.angles, source.translation])
        pose = smoothed(self.to_pose(mels, reference, torch.from_numpy(noise).to(weights), self.style).cpu())
        return Coefficients(
            identity=self.source.identity.expand(frames, -1),
            expression=expression.cpu(),
            angles=pose[:, :3],
            translation=pose[:, 3:],
        )


def smoothed(pose: Float[Tensor, "F 6"]) -> Float[Tensor, "F 6"]:
    """Parabolas fitted to 13 frames (Savitzky and Golay 1964), or to an odd number of fewer."""
    window = min(SMOOTHING_FRAMES, (len(pose) - 1) // 2 * 2 + 1)
    if window <= SMOOTHING_ORDER:
        return pose
    return torch.from_numpy(savgol_filter(pose.numpy(), window, SMOOTHING_ORDER, axis=0)).to(pose)


@torch.no_grad()
def reconstruct(
    network: FaceReconstruction,
    picture: Float[Tensor, "3 H W"],
    face: Float[Tensor, "68 2"],
    standard: Float[Tensor, "68 3"],
) -> tuple[Coefficients, Alignment]:
    """The face of a picture (0..1) in coefficients, and where it was looked at.

    `standard` are the 68 points of the standard face that the network's pictures are aligned to, y up.
    """
    alignment = align(face, standard)
    weights = next(network.parameters())
    found = network(cut_out(picture, alignment).to(weights)[None]).cpu()
    return coefficients(found), alignment


def coefficients(found: Float[Tensor, "*t 257"]) -> Coefficients:
    """The face model's part of what the reconstruction network finds; texture and light are left."""
    return Coefficients(
        identity=found[..., :IDENTITY],
        expression=found[..., IDENTITY : IDENTITY + EXPRESSION],
        angles=found[..., ANGLES],
        translation=found[..., TRANSLATION],
    )


def align(face: Float[Tensor, "68 2"], standard: Float[Tensor, "68 3"]) -> Alignment:
    """The square in which a face, seen from any side, lies as large and as central as the standard one.

    Five points are seen in parallel projection (POS: DeMenthon and Davis 1995): least squares give the two
    rows of the projection, whose mean length is the scale.
    """
    seen = torch.stack([face[list(group)].mean(dim=0) for group in FIVE_POINTS]).double()
    known = torch.stack([standard[list(group)].mean(dim=0) for group in FIVE_POINTS]).double()
    known = torch.cat([known, torch.ones_like(known[:, :1])], dim=1)
    fitted = torch.linalg.lstsq(known, seen, driver="gelsd").solution
    side = max(1, round(SIDE / STANDARD_SCALE * float(fitted[:3].norm(dim=0).mean())))
    left, top = (round(place - side / 2) for place in fitted[3].tolist())
    return Alignment(left, top, side)


def cut_out(picture: Float[Tensor, "3 H W"], alignment: Alignment) -> Float[Tensor, "3 224 224"]:
    """The aligned face; what lies beyond the picture is black. Bicubic, without aliasing."""
    height, width = picture.shape[1:]
    left, top, side = alignment.left, alignment.top, alignment.side
    # Padding may be negative, which cuts off.
    square = F.pad(picture, (-left, left + side - width, -top, top + side - height))
    return F.interpolate(square[None], (SIDE, SIDE), mode="bicubic", antialias=True)[0].clamp(0, 1)
