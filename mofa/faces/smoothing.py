"""Smoothing of what moves over time, without lag: nothing here is live, so both directions count."""

import itertools
import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

SLOWEST_CUTOFF = 2.0
"""Hz: how quickly a resting point may follow; tremor above it is taken out."""
CUTOFF_PER_SPEED = 12.0
"""Hz more for each face size per second: fast motion (a blink, a consonant) is left alone."""
SPEED_CUTOFF = 3.0
"""Hz: how quickly the estimate of the speed itself may change."""


def smooth(values: Float[Tensor, " T *n"], fps: float, unit: float) -> Float[Tensor, " T *n"]:
    """Values with their tremor taken out: the mean of a one-euro filter run forwards and one run backwards.

    One-euro: Casiez et al., "1 Euro Filter" (CHI 2012), the cutoff rising with the speed, here in units of
    `unit` (the face's size) per second. The two lags cancel, so peaks stay in their frames. Values that rest
    are returned as they are.
    """
    forwards = _one_euro(values, fps, unit)
    backwards = _one_euro(values.flip(0), fps, unit).flip(0)
    return torch.where((values == values[:1]).all(0), values, (forwards + backwards) / 2)


def _one_euro(values: Float[Tensor, " T *n"], fps: float, unit: float) -> Float[Tensor, " T *n"]:
    smoothed, speed = values[0], torch.zeros_like(values[0])
    result = [smoothed]
    for before, value in itertools.pairwise(values):
        speed = torch.lerp(speed, (value - before) * (fps / unit), _share(torch.tensor(SPEED_CUTOFF), fps))
        cutoff = SLOWEST_CUTOFF + CUTOFF_PER_SPEED * speed.abs()
        smoothed = torch.lerp(smoothed, value, _share(cutoff, fps).to(value))
        result.append(smoothed)
    return torch.stack(result)


def _share(cutoff: Tensor, fps: float) -> Tensor:
    """How much of a new value a first-order low pass of this cutoff (Hz) takes."""
    turns = 2 * math.pi * cutoff / fps
    return turns / (turns + 1)


def bridge(values: Float[Tensor, " T *n"], known: Bool[Tensor, " T"]) -> Float[Tensor, " T *n"]:
    """Values where they are known, joined by straight lines between; the first and last known are held.

    At least one frame has to be known.
    """
    frames = known.nonzero()[:, 0]
    return at_times(values[frames], frames.to(values), torch.arange(len(values)).to(values))


def at_times(
    values: Float[Tensor, " K *n"], times: Float[Tensor, " K"], wanted: Float[Tensor, " T"]
) -> Float[Tensor, " T *n"]:
    """Values of K increasing times at other times, linear in between and held beyond the ends."""
    after = torch.searchsorted(times, wanted).clamp(max=len(times) - 1)
    before = (after - 1).clamp(min=0)
    span = (times[after] - times[before]).clamp(min=1e-9)
    share = ((wanted - times[before]) / span).clamp(0, 1)
    return torch.lerp(values[before], values[after], share.reshape(-1, *[1] * (values.dim() - 1)).to(values))
