"""Sound as numbers: channels to one, one rate to another."""

from math import gcd

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.types import Waveform

CANCELLED = 0.25
"""Of the loudest channel's level. Channels that have nothing to do with each other average to 0.7 of it, a
single one among two to 0.5; below that they cancel each other."""


def mono(sound: Waveform) -> Float[Tensor, " L"]:
    """The mean of all channels; where they cancel each other (one is wired in reverse) the loudest."""
    mean = sound.samples.mean(dim=0)
    levels = sound.samples.square().mean(dim=1)
    if mean.square().mean() < CANCELLED**2 * levels.max():
        return sound.samples[levels.argmax()]
    return mean


def resample_sound(samples: Float[Tensor, "*C L"], rate: int, new_rate: int) -> Float[Tensor, "*C M"]:
    """The same sound at `new_rate` samples per second, low-passed where that is fewer.

    M = ceil(L * new_rate / rate). Time 0 stays where it is. Beyond both ends the sound counts as silence.
    """
    if rate == new_rate:
        return samples
    # scipy.signal takes most of a second to import, and few clips have sound.
    from scipy.signal import resample_poly

    shared = gcd(rate, new_rate)
    signal = samples.detach().cpu().numpy()
    slower = resample_poly(signal, new_rate // shared, rate // shared, axis=-1)
    return torch.from_numpy(slower).to(samples)


def mono_at(sound: Waveform, rate: int) -> Float[Tensor, " L"]:
    """One channel at `rate` samples per second: what speech networks listen to."""
    return resample_sound(mono(sound), sound.rate, rate)
