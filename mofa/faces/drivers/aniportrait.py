"""Speech to face motion as AniPortrait does it (arXiv 2403.17694): a speaking mesh on a moving head."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mofa.faces.drivers.at_25_fps import FPS, RATE, SAMPLES_PER_FRAME, frames_driven, lasting, spoken
from mofa.faces.geometry import metric_face, project
from mofa.faces.points import points_of_mesh
from mofa.faces.rotation import rotation_about_axes
from mofa.models.aniportrait import SpeechToMesh, SpeechToPose, normalised
from mofa.tensors.sound import mono_at
from mofa.types import LandmarkClip, Progress, Waveform, silent

CHUNK_FRAMES = 5 * FPS
"""Frames heard at once: the released program cuts speech into five seconds."""
SPEAKER = 42
"""Whose manner of moving the head the released demo takes."""
ROTATION_SHARE, SMOOTHING_FRAMES = 0.5, 7
"""The head turns half as far as the network says, averaged over so many frames."""


@dataclass(frozen=True)
class AniPortraitDriver:
    """AniPortrait for one face.

    `mesh` is the face's dense mesh in the pixels of its picture of height x width (see `faces.detection`).
    """

    to_mesh: SpeechToMesh
    to_pose: SpeechToPose
    mesh: Float[Tensor, "mesh 3"]
    height: int
    width: int
    progress: Progress = silent

    @torch.no_grad()
    def __call__(
        self, speech: Waveform, face: Float[Tensor, "68 2"], fps: float, num_frames: int, seed: int
    ) -> LandmarkClip:
        """The face speaking, in the pixels of the picture; frame 0 is `face`. The seed changes nothing."""
        frames = frames_driven(fps, num_frames)
        own = metric_face(self.mesh.double(), self.height, self.width)
        shapes, poses = self.told(speech, frames)
        moved = project(
            own.points + shapes.double(), own.pose @ head_pose(poses.double()), self.height, self.width
        )
        still = project(own.points, own.pose, self.height, self.width)
        motion = points_of_mesh(moved) - points_of_mesh(still)
        return spoken(face, motion.to(face), fps, num_frames)

    def told(self, speech: Waveform, frames: int) -> tuple[Float[Tensor, "F 468 3"], Float[Tensor, "F 6"]]:
        """Offsets of the mesh and poses of the head, for `frames` frames at 25 fps, chunk by chunk."""
        weights = self.to_mesh.in_fn.weight
        samples = lasting(normalised(mono_at(speech, RATE)), frames).to(weights)
        shapes, poses = [], []
        for done, (first, last) in enumerate(spans := chunks(frames)):
            piece = samples[None, first * SAMPLES_PER_FRAME : last * SAMPLES_PER_FRAME]
            shapes.append(self.to_mesh(piece, last - first)[0])
            poses.append(self.to_pose(piece, last - first, SPEAKER)[0])
            self.progress("speech", done + 1, len(spans))
        return torch.cat(shapes).cpu(), calmed(torch.cat(poses).cpu())


def chunks(frames: int) -> tuple[tuple[int, int], ...]:
    """(first, end) of the pieces that the networks hear: 5 s each, the last one with what is left over."""
    starts = range(0, max(1, frames // CHUNK_FRAMES) * CHUNK_FRAMES, CHUNK_FRAMES)
    return tuple(zip(starts, (*starts[1:], frames), strict=True))


def calmed(poses: Float[Tensor, "F 6"]) -> Float[Tensor, "F 6"]:
    """Half the rotation, and a moving average; at the ends over the frames that there are."""
    halved = poses * poses.new_tensor([ROTATION_SHARE] * 3 + [1.0] * 3)
    reach = SMOOTHING_FRAMES // 2
    return F.avg_pool1d(halved.T[None], SMOOTHING_FRAMES, stride=1, padding=reach, count_include_pad=False)[
        0
    ].T


def head_pose(pose: Float[Tensor, "F 6"]) -> Float[Tensor, "F 4 4"]:
    """Degrees about the fixed x, then y, then z axis, and a translation in centimetres, as matrices."""
    matrix = torch.eye(4, dtype=pose.dtype, device=pose.device).repeat(len(pose), 1, 1)
    matrix[:, :3, :3] = rotation_about_axes(pose[:, :3].deg2rad())
    matrix[:, :3, 3] = pose[:, 3:]
    return matrix
