"""When a control moves and how fast: easing, start and end frame, there and back."""

import itertools
import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.control.words import nearest
from mofa.errors import InputError
from mofa.tensors.monotone import monotone_cubic
from mofa.tensors.smoothstep import smoothstep

EaseName = Literal["linear", "in", "out", "in-out"]
Ease = EaseName | tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Timing:
    """When a motion happens, in frames of the clip (the picture itself is frame 0).

    ease: speed along the path: "linear", "in" (starts slowly), "out" (ends slowly), "in-out" (both), or pairs
        (time, fraction of the path), both 0..1, times increasing, from (0, 0), which may be left out; the
        last fraction is held until the end.
    start: the last frame in which nothing has moved yet.
    end: the first frame in which the motion is complete; None is the clip's last frame. An end beyond the
        clip is allowed: the clip then stops while the motion is under way.
    there_and_back: reach the end of the path half-way between start and end, and be back at `end`.

    Raises InputError for an unknown easing, pairs out of order or range, a negative start, or an end that is
    not after the start.
    """

    ease: Ease = "linear"
    start: int = 0
    end: int | None = None
    there_and_back: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.ease, str):
            _check_name(self.ease)
        else:
            _check_pairs(self.ease)
        if self.start < 0:
            raise InputError(
                f"start frame {self.start} is negative: the first frame is 0.", key="timing.negative"
            )
        if self.end is not None and self.end <= self.start:
            raise InputError(
                f"end frame {self.end} is not after start frame {self.start}: choose an end frame of "
                f"{self.start + 1} or more.",
                key="timing.end",
                start=self.start,
                end=self.end,
            )


def progress(timing: Timing, num_frames: int) -> Float[Tensor, " {num_frames}"]:
    """Fraction of the path (0..1) that is covered at each frame of a clip of `num_frames`.

    0 up to and including `timing.start`; from `timing.end` on 1 (there and back: 0; pairs: their last
    fraction). "in" is u^2, "out" 1 - (1 - u)^2, "in-out" 3u^2 - 2u^3; pairs are joined by a monotone cubic
    (PCHIP), which keeps the speed smooth and never overshoots.
    Raises InputError when the start leaves no frame to move in.
    """
    if num_frames > 1 and timing.start >= num_frames - 1:
        raise InputError(
            f"start frame {timing.start} leaves nothing to move: the clip's last frame is {num_frames - 1}, "
            "so start earlier or ask for more frames.",
            key="timing.start",
            start=timing.start,
            last=num_frames - 1,
        )
    end = max(num_frames - 1, timing.start + 1) if timing.end is None else timing.end
    time = ((torch.arange(num_frames) - timing.start) / (end - timing.start)).clamp(0, 1)
    return eased(timing.ease, 1 - (2 * time - 1).abs() if timing.there_and_back else time)


def eased(ease: Ease, time: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Fraction of the path at each time, both 0..1."""
    match ease:
        case "linear":
            return time
        case "in":
            return time**2
        case "out":
            return 1 - (1 - time) ** 2
        case "in-out":
            return smoothstep(time)
        case pairs:
            times, fractions = zip(*(pairs if pairs[0][0] == 0 else ((0.0, 0.0), *pairs)), strict=True)
            knots, shares = torch.tensor([times, fractions], dtype=torch.float64)
            held = time.double().clamp(max=times[-1]).flatten()
            return monotone_cubic(knots, shares, held).view_as(time).to(time).clamp(0, 1)


def parse_ease(text: str) -> Ease:
    """The easing a person wrote: "linear", "in", "ease-in", "Ease In Out", or pairs "0.5,0.2 1,1".

    Raises InputError naming the nearest valid easing.
    """
    if "," in text:
        return _parse_pairs(text)
    name = re.sub(r"[\s_-]+", "-", text.strip().lower()).removeprefix("ease").removeprefix("-")
    name = {"inout": "in-out", "in-and-out": "in-out"}.get(name, name)
    return _check_name(name or text)


def _parse_pairs(text: str) -> tuple[tuple[float, float], ...]:
    try:
        rows = [tuple(float(number) for number in pair.split(",")) for pair in text.split()]
    except ValueError as error:
        raise InputError(
            f'easing "{text}" is not a list of numbers: write pairs of time and fraction as "0.5,0.2 1,1".'
        ) from error
    if any(len(row) != 2 for row in rows):
        raise InputError(
            f'easing "{text}" needs two numbers per pair, time and fraction, as in "0.5,0.2 1,1".'
        )
    pairs = tuple((row[0], row[1]) for row in rows)
    _check_pairs(pairs)
    return pairs


def _check_name(name: str) -> EaseName:
    for valid in get_args(EaseName):
        if name == valid:
            return valid
    raise InputError(
        f'easing "{name}" is unknown: did you mean "{nearest(name, get_args(EaseName))}"? '
        "(linear, in, out, in-out, or pairs of time and fraction)"
    )


def _check_pairs(pairs: tuple[tuple[float, float], ...]) -> None:
    if not all(math.isfinite(value) and 0 <= value <= 1 for pair in pairs for value in pair):
        raise InputError(f"easing pairs must be numbers from 0 to 1, not {list(pairs)}.")
    if not any(pair[0] > 0 for pair in pairs):
        raise InputError(
            "the easing has no pair after time 0: give at least one such as 1,1, or a name such as linear."
        )
    if any(later[0] <= earlier[0] for earlier, later in itertools.pairwise(pairs)):
        raise InputError(f"easing pairs must be sorted by time without repeats, not {list(pairs)}.")
    if pairs[0][0] == 0 and pairs[0][1] != 0:
        raise InputError(
            f"the easing starts at fraction {pairs[0][1]}: at time 0 the picture has not moved, so the first "
            "pair must be 0,0 or come later."
        )
