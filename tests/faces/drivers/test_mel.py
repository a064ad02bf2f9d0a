import math

import pytest
import torch

from mofa.faces.drivers.mel import mel_filters, mel_spectrogram, mel_windows


def test_silence_is_the_lowest_value() -> None:
    assert torch.equal(mel_spectrogram(torch.zeros(1600)), torch.full((9, 80), -4.0))


def test_a_higher_tone_lies_in_a_higher_bin() -> None:
    time = torch.arange(3200) / 16000
    loudest = [
        int(mel_spectrogram(torch.sin(2 * math.pi * pitch * time))[8].argmax()) for pitch in (200, 1000, 4000)
    ]
    centres = (mel_filters() * torch.linspace(0, 8000, 401)).sum(1) / mel_filters().sum(1)
    for bin_, pitch in zip(loudest, (200, 1000, 4000), strict=True):
        assert float(centres[bin_]) == pytest.approx(pitch, rel=0.06)


def test_filters_have_equal_areas() -> None:
    areas = mel_filters().sum(dim=1) * 20
    # The narrow ones are sampled at a few frequencies only.
    torch.testing.assert_close(areas[40:], torch.ones(40, dtype=areas.dtype), atol=0.02, rtol=0)


def test_a_frame_hears_from_two_frames_before_it_and_borders_repeat() -> None:
    columns = torch.arange(100.0)[:, None].expand(-1, 80)
    heard = mel_windows(columns, 30, 25)
    assert heard.shape == (30, 1, 80, 16)
    assert heard[0, 0, 0].tolist() == [0.0] * 7 + [*range(1, 10)]
    assert heard[7, 0, 0].tolist() == [*range(16, 32)]
    assert heard[29, 0, 0].tolist() == [*range(86, 100), 99.0, 99.0]
