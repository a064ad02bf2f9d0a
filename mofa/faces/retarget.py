"""One face's motion on another face: the driver's shape, size and place are taken out, its motion is kept.

A driver's frame is its own rest seen after an expression and then a pose: d_t = A_t(r + e_t). The pose A_t is
the affine map that fits the points which expressions hardly move (affine, because a head that turns or nods
looks narrower or shorter). The source's face s makes the same motion in its own frame of reference:
s_t = B_t(s + L e_t), where L turns and scales the driver's face onto the source's, and B_t is L A_t L^-1
about the source's middle.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.faces.points import (
    CHIN,
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    NUM_POINTS,
    OUTER_LIPS,
    RIGHT_BROW,
    RIGHT_EYE,
    STABLE,
    fit_affine,
    fit_similarity,
    move_points,
)
from mofa.faces.smoothing import at_times
from mofa.types import LandmarkClip


@dataclass(frozen=True)
class MotionStrengths:
    """How much of the driver's motion is taken over, 1 being all of it: the head's pose, and by feature."""

    pose: float = 1.0
    mouth: float = 1.0
    eyes: float = 1.0
    brows: float = 1.0

    def of_points(self, like: Tensor) -> Float[Tensor, "68 1"]:
        """The strength of each point's expression; what expressions do not own follows the pose."""
        strengths = like.new_full((NUM_POINTS, 1), self.pose)
        strengths[[*CHIN, *OUTER_LIPS, *INNER_LIPS]] = self.mouth
        strengths[[*LEFT_EYE, *RIGHT_EYE]] = self.eyes
        strengths[[*LEFT_BROW, *RIGHT_BROW]] = self.brows
        return strengths


def retarget(
    driver: LandmarkClip,
    source: Float[Tensor, "68 2"],
    strengths: MotionStrengths = MotionStrengths(),
    absolute: bool = False,
) -> LandmarkClip:
    """The driver's motion made by the source's face, in the source's pixels; frame 0 is the source itself.

    Relative motion is measured from the driver's first frame, so that a driver at rest moves nothing. In
    absolute motion the source takes over the driver's very expressions, its shape and its pose from frame 1
    on: the driver's points are then fitted onto the source once, in the first frame.
    """
    points = driver.points
    turn, shift = fit_similarity(points[0, STABLE], source[list(STABLE)])
    # Absolute motion is measured from the source's own face, seen where the driver is.
    rest = (source - shift) @ torch.linalg.inv(turn).mT if absolute else points[0]
    pose, offset = fit_affine(rest[list(STABLE)].expand(len(points), -1, 2), points[:, STABLE])
    expression = (
        move_points(torch.linalg.inv(pose), torch.zeros_like(offset), points - offset[:, None]) - rest
    )

    still = torch.eye(2).to(source)
    moved_pose = still + strengths.pose * (turn @ pose @ torch.linalg.inv(turn) - still)
    middle, driver_middle = source[list(STABLE)].mean(0), rest[list(STABLE)].mean(0)
    travel = strengths.pose * (points_middle(pose, offset, driver_middle) - driver_middle) @ turn.mT
    shown = source + strengths.of_points(source) * (expression @ turn.mT)
    result = (shown - middle) @ moved_pose.mT + (middle + travel)[:, None]
    return replace(driver, points=torch.cat([source[None], result[1:]]))


def points_middle(
    linear: Float[Tensor, "T 2 2"], offset: Float[Tensor, "T 2"], middle: Float[Tensor, "2"]
) -> Float[Tensor, "T 2"]:
    """Where the pose takes the middle of the face."""
    return linear @ middle + offset


def at_rate(clip: LandmarkClip, fps: float, num_frames: int) -> LandmarkClip:
    """The same motion at another frame rate, linear between frames; the last pose is held at the end."""
    times = torch.arange(len(clip.points), dtype=torch.float64) / clip.fps
    wanted = torch.arange(num_frames, dtype=torch.float64) / fps
    return LandmarkClip(
        points=at_times(clip.points, times, wanted), score=at_times(clip.score, times, wanted), fps=fps
    )
