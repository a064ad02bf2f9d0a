import math

import pytest
import torch

from mofa.tensors.sound import mono, mono_at, resample_sound
from mofa.types import Waveform


def test_mono_is_the_mean_of_the_channels() -> None:
    sound = Waveform(torch.tensor([[1.0, 0.0, 0.5], [0.0, 0.0, -0.5]]), 8000)
    assert mono(sound).tolist() == [0.5, 0.0, 0.0]


@pytest.mark.parametrize(("rate", "new_rate"), [(44100, 16000), (8000, 16000), (16000, 12345)])
def test_a_tone_keeps_pitch_level_and_time(rate: int, new_rate: int) -> None:
    tone = torch.sin(2 * math.pi * 300 * torch.arange(rate) / rate)
    again = resample_sound(tone, rate, new_rate)
    assert len(again) == new_rate
    expected = torch.sin(2 * math.pi * 300 * torch.arange(new_rate) / new_rate)
    inner = slice(new_rate // 10, -new_rate // 10)
    torch.testing.assert_close(again[inner], expected[inner], atol=0.01, rtol=0)


def test_the_same_rate_changes_nothing() -> None:
    sound = Waveform(torch.randn(1, 100, generator=torch.Generator().manual_seed(0)), 16000)
    assert torch.equal(mono_at(sound, 16000), sound.samples[0])
