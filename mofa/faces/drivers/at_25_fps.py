"""The learned drivers' time: 25 frames of 640 samples a second, whatever the clip's rate."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mofa.types import LandmarkClip

RATE, FPS = 16000, 25
"""What the learned drivers were trained with."""
SAMPLES_PER_FRAME = RATE // FPS


def frames_driven(fps: float, num_frames: int) -> int:
    """How many frames at 25 fps reach to the last of `num_frames` at `fps`; at least 2."""
    return max(2, math.ceil((num_frames - 1) / fps * FPS) + 1)


def lasting(samples: Float[Tensor, " L"], frames: int) -> Float[Tensor, " M"]:
    """Sound at 16 kHz of exactly `frames` frames: cut, or followed by silence."""
    wanted = frames * SAMPLES_PER_FRAME
    return F.pad(samples[:wanted], (0, max(0, wanted - len(samples))))


def spoken(
    face: Float[Tensor, "68 2"], motion: Float[Tensor, "F 68 2"], fps: float, num_frames: int
) -> LandmarkClip:
    """The face moved by `motion` (pixels, 25 fps) at the clip's own rate; frame 0 is the face itself."""
    time = (torch.arange(num_frames, dtype=torch.float64) * FPS / fps).clamp(max=len(motion) - 1)
    before = time.floor().long().clamp(max=len(motion) - 2)
    share = (time - before).to(motion)[:, None, None]
    points = face + torch.lerp(motion[before], motion[before + 1], share).to(face)
    points[0] = face
    return LandmarkClip(points=points, score=face.new_ones(num_frames), fps=fps)
