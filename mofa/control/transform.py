"""A thing that moves, turns and grows as one: similarities about a pivot, with keyframes."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.control.timing import Ease, eased
from mofa.errors import InputError


@dataclass(frozen=True, slots=True)
class Pose:
    """A thing against where it was: moved (pixels), turned clockwise (degrees), scaled (1: as it was)."""

    move: tuple[float, float] = (0.0, 0.0)
    rotate: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A pose at a fraction 0..1 of the way, and the easing on the way to it from the one before."""

    at: float
    pose: Pose
    ease: Ease = "linear"


def check_keyframes(keyframes: Sequence[Keyframe]) -> None:
    """Raises InputError unless times lie in 0..1 and increase, and nothing shrinks to a point."""
    if not keyframes:
        raise InputError("a transform has no keyframe: give at least where it ends.", key="transform.moments")
    times = [key.at for key in keyframes]
    if not all(0 < time <= 1 for time in times):
        raise InputError(
            f"keyframes lie between 0 (where nothing has moved yet) and 1 (the end), not at {times}.",
            key="transform.moments",
        )
    if any(later <= earlier for earlier, later in itertools.pairwise(times)):
        raise InputError(
            f"keyframes must be in the order of time without repeats, not {times}.", key="transform.moments"
        )
    if any(not 0.01 <= key.pose.scale <= 100 for key in keyframes):
        raise InputError("a thing can be scaled by 0.01 to 100.", key="transform.scale")


def similarities(
    keyframes: Sequence[Keyframe], fraction: Float[Tensor, " S"], pivot: tuple[float, float]
) -> Float[Tensor, "S 2 3"]:
    """The map, at each fraction of the way, that turns and scales about the pivot and then moves.

    Between keyframes moves and angles are in proportion and scales geometric, so that growing is as even as
    shrinking. After the last keyframe its pose is held; fractions may go back and forth.
    """
    rest = Keyframe(0.0, Pose())
    moves, angles, scales = fraction.new_zeros(len(fraction), 2), fraction * 0, fraction * 0
    for before, after in itertools.pairwise([rest, *keyframes]):
        share = eased(after.ease, ((fraction - before.at) / (after.at - before.at)).clamp(0, 1))
        step = torch.tensor(after.pose.move) - torch.tensor(before.pose.move)
        moves = moves + share[:, None] * step
        angles = angles + share * math.radians(after.pose.rotate - before.pose.rotate)
        scales = scales + share * math.log(after.pose.scale / before.pose.scale)
    along, across = scales.exp() * angles.cos(), scales.exp() * angles.sin()
    # y runs down, so this turns clockwise as people see it.
    linear = torch.stack([torch.stack([along, -across], -1), torch.stack([across, along], -1)], dim=1)
    about = torch.tensor(pivot)
    shift = about + moves - linear @ about
    return torch.cat([linear, shift[:, :, None]], dim=2)
