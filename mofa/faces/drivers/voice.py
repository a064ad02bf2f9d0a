"""What a voice says about the mouth, without any model: loudness and bands of its spectrum, every 10 ms.

The bands follow the formants (Peterson and Barney 1952): the first is high in open vowels, the second high
where the lips are spread and low where they are rounded; closed lips leave only what is below 350 Hz.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mofa.tensors.sound import mono_at
from mofa.types import Waveform

RATE, HOP, WINDOW = 16000, 160, 512
"""Samples a second; from step to step (10 ms); of one spectrum (32 ms, two periods of a low voice)."""
STEPS_PER_SECOND = RATE // HOP

QUIETEST_VOICE = 0.003
"""RMS, -50 dB: what is never louder is no speech."""


@dataclass(frozen=True)
class Voice:
    """Curves over N steps of 10 ms, each 0..1 (`opening` up to 1.3 in the loudest moments).

    `opening`: how far the mouth lets the sound out; `murmur`: voice behind closed lips; `hiss`: s and its
    like; `low_tongue`: the first formant is high; `front_tongue`: the second one is; `active`: within a
    phrase.
    """

    opening: Float[Tensor, " N"]
    murmur: Float[Tensor, " N"]
    hiss: Float[Tensor, " N"]
    low_tongue: Float[Tensor, " N"]
    front_tongue: Float[Tensor, " N"]
    active: Float[Tensor, " N"]


def analyse_voice(speech: Waveform) -> Voice:
    """The curves of a voice; step n is around n * 10 ms."""
    power = spectrum(mono_at(speech, RATE).float())
    throat, mouth, hissing = band(power, (80, 350)), band(power, (350, 3800)), band(power, (4000, 8000))
    # A little of the throat's, so that a voice without overtones (a hum, a bad telephone) is heard as well.
    loudness = (mouth + 0.03 * throat).sqrt()
    reference = torch.quantile(loudness, 0.95).clamp(min=QUIETEST_VOICE)
    noise = torch.quantile(loudness, 0.05) / reference
    # 25 dB below loud speech, or above the room's noise where that is more.
    gate = (1.6 * noise).clamp(0.055, 0.3)
    opening = ((loudness / reference - gate) / (1 - gate)).clamp(0, 1.3)
    sounding = torch.stack([throat, mouth, hissing]).amax(dim=0).sqrt() > gate * reference
    hiss = sounding * (decibels(hissing, throat + mouth) / 3).sigmoid()
    closed = decibels(throat, band(power, (700, 3800)))
    usual = closed[sounding].median() if sounding.any() else closed.new_zeros(())
    murmur = sounding * (1 - hiss) * ((closed - (usual + 10).clamp(min=18)) / 2).sigmoid()
    return Voice(
        opening=opening * (1 - murmur),
        murmur=murmur,
        hiss=hiss,
        low_tongue=((decibels(band(power, (550, 1100)), band(power, (200, 450))) + 4) / 4).sigmoid(),
        front_tongue=((decibels(band(power, (1700, 3200)), band(power, (550, 1200))) + 8) / 4).sigmoid(),
        active=widened(sounding.float(), seconds=0.12),
    )


def spectrum(samples: Float[Tensor, " L"]) -> Float[Tensor, "F N"]:
    """Power per frequency bin; the bins of a step sum to the mean square of the sound around it."""
    window = torch.hann_window(WINDOW, dtype=samples.dtype, device=samples.device)
    bins = torch.stft(samples, WINDOW, HOP, window=window, pad_mode="constant", return_complex=True)
    return 2 * bins.abs().square() / (WINDOW * window.square().sum())


def band(power: Float[Tensor, "F N"], limits: tuple[int, int]) -> Float[Tensor, " N"]:
    """Power between two frequencies in Hz."""
    low, high = limits
    frequencies = torch.linspace(0, RATE / 2, len(power), device=power.device)
    return power[(frequencies >= low) & (frequencies < high)].sum(dim=0)


def decibels(power: Float[Tensor, " N"], other: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """How much stronger `power` is than `other`; 0 where both are silent."""
    return 10 * ((power + 1e-12) / (other + 1e-12)).log10()


def widened(curve: Float[Tensor, " N"], seconds: float) -> Float[Tensor, " N"]:
    """The largest value within `seconds` on either side."""
    reach = round(seconds * STEPS_PER_SECOND)
    return F.max_pool1d(curve[None], 2 * reach + 1, stride=1, padding=reach)[0]
