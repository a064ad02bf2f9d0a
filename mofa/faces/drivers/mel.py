"""Mel spectrograms as SadTalker's networks hear them: 80 bins, 80 columns a second, -4..4."""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

RATE, HOP, WINDOW = 16000, 200, 800
"""Samples a second, from column to column, and heard by one column: SadTalker's audio settings."""
COLUMNS_PER_SECOND = RATE // HOP
BINS, LOWEST, HIGHEST = 80, 55.0, 7600.0
"""Mel bands, and the Hertz that they span."""
PREEMPHASIS = 0.97
"""Of the same settings."""
REFERENCE_LEVEL, LOWEST_LEVEL = 20.0, -100.0
"""Decibels."""
LARGEST_VALUE = 4.0
"""What the networks hear lies within this, both ways."""
WINDOW_COLUMNS, FRAMES_BEFORE = 16, 2
"""Columns that a frame hears, and how many video frames before it they begin."""


LINEAR_STEP, BREAK, LOG_STEP = 200 / 3, 1000.0, np.log(6.4) / 27
"""Hertz per mel up to 1 kHz, and logarithms per mel beyond (Slaney's Auditory Toolbox, 1998)."""


def mel_spectrogram(speech: Float[Tensor, " L"]) -> Float[Tensor, "columns 80"]:
    """The spectrogram of speech at 16 kHz; column n is around sample n * 200, beyond both ends is silence."""
    emphasised = torch.cat([speech[:1], speech[1:] - PREEMPHASIS * speech[:-1]])
    window = torch.hann_window(WINDOW, dtype=speech.dtype, device=speech.device)
    bins = torch.stft(emphasised, WINDOW, HOP, window=window, pad_mode="constant", return_complex=True)
    loudness = mel_filters().to(speech) @ bins.abs()
    decibels = 20 * loudness.clamp(min=10 ** (LOWEST_LEVEL / 20)).log10() - REFERENCE_LEVEL
    share = (decibels - LOWEST_LEVEL) / -LOWEST_LEVEL
    return (LARGEST_VALUE * (2 * share - 1)).clamp(-LARGEST_VALUE, LARGEST_VALUE).T


def mel_windows(
    spectrogram: Float[Tensor, "columns 80"], num_frames: int, fps: int
) -> Float[Tensor, "T 1 80 16"]:
    """What each frame hears: 16 columns, from two frames before it; the border columns are repeated."""
    starts = [int(COLUMNS_PER_SECOND * ((frame - FRAMES_BEFORE) / fps)) for frame in range(num_frames)]
    columns = (torch.tensor(starts)[:, None] + torch.arange(WINDOW_COLUMNS)).clamp(0, len(spectrogram) - 1)
    return spectrogram[columns.to(spectrogram.device)].mT[:, None]


@cache
def mel_filters() -> Float[Tensor, "80 bins"]:
    """Triangles over the Fourier bins' frequencies, evenly spaced in mel, each of area 1."""
    frequencies = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    lowest, highest = mel(np.array([LOWEST, HIGHEST]))
    corners = hertz(np.linspace(lowest, highest, BINS + 2))
    low, top, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    triangles = np.minimum((frequencies - low) / (top - low), (high - frequencies) / (high - top)).clip(0)
    return torch.from_numpy(triangles * 2 / (high - low))


def mel(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hertz to mel."""
    above = np.log(np.maximum(frequency, BREAK) / BREAK) / LOG_STEP
    return np.minimum(frequency, BREAK) / LINEAR_STEP + above


def hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The way back."""
    turn = BREAK / LINEAR_STEP
    return LINEAR_STEP * np.minimum(mels, turn) * np.exp(LOG_STEP * np.maximum(mels - turn, 0))
