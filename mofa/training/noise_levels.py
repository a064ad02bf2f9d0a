"""Which noise levels are trained: the cosine schedule, interpolated between picture sizes.

Hoogeboom et al. 2023, "simple diffusion" (arXiv 2301.11093), section 2.1: the schedule of pictures of one
size, shifted for another. This is how Stable Video Diffusion's adapters were trained.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

LOWEST, HIGHEST = 0.002, 700.0
"""Stable Video Diffusion's least and greatest noise level."""

DATA_DEVIATION = 0.5
"""Used for drawing noise levels, and nowhere else: the loss is that of data of deviation 1."""

DATA_SIDE = 64
NOISE_SIDES = (32, 64)
"""The sizes the schedule is made for: of the data, and of the noise at its two ends."""


def stratified(uniform: Float[Tensor, " B"], first: int = 0, total: int | None = None) -> Float[Tensor, " B"]:
    """Uniform draws (0..1), spread so that draw i of `total` falls into the i-th part of 0..1.

    `first` is the number of the first draw, for a batch that several processes share.
    """
    number = first + torch.arange(len(uniform), device=uniform.device)
    return (number + uniform) / (total or len(uniform))


def noise_levels(share: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """The sigma at each share: 0 is the greatest noise, 1 the least, the median is about 0.7."""
    low, high = (_log_snr(share, side) for side in NOISE_SIDES)
    return DATA_DEVIATION * torch.exp(-torch.lerp(low, high, share) / 2)


def _log_snr(share: Float[Tensor, " B"], noise_side: int) -> Float[Tensor, " B"]:
    """Logarithm of the signal-to-noise ratio, cosine in `share`, shifted by the ratio of the sides."""
    shift = 2 * math.log(noise_side / DATA_SIDE)
    largest = -2 * math.log(LOWEST / DATA_DEVIATION) - shift
    smallest = -2 * math.log(HIGHEST / DATA_DEVIATION) - shift
    begin, end = math.atan(math.exp(-smallest / 2)), math.atan(math.exp(-largest / 2))
    return -2 * torch.log(torch.tan(begin + share * (end - begin))) + shift
