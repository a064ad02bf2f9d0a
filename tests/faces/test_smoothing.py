"""Smoothing takes out tremor, keeps peaks in their frames, and leaves rest alone."""

import torch

from mofa.faces.smoothing import at_times, bridge, smooth

FPS = 25.0


def test_what_rests_is_returned_bit_for_bit():
    values = torch.rand(1, 68, 2).expand(20, 68, 2)
    assert torch.equal(smooth(values, FPS, unit=100.0), values)


def test_tremor_shrinks():
    torch.manual_seed(0)
    tremor = 0.3 * torch.randn(200, 1)
    assert smooth(tremor, FPS, unit=100.0).std() < 0.5 * tremor.std()


def test_a_blink_keeps_its_frame_and_most_of_its_depth():
    time = torch.arange(50) / FPS
    blink = 10 * torch.exp(-(((time - 1.0) / 0.06) ** 2))[:, None]
    smoothed = smooth(blink, FPS, unit=100.0)
    assert int(smoothed.argmax()) == int(blink.argmax())
    assert smoothed.max() > 0.6 * blink.max()
    assert torch.allclose(smoothed[15:36], smoothed[15:36].flip(0), atol=0.3)  # no lag on either side


def test_gaps_are_bridged_in_straight_lines_and_held_at_the_ends():
    values = torch.tensor([9.0, 1.0, 7.0, 7.0, 4.0, 0.0])[:, None]
    known = torch.tensor([False, True, False, False, True, False])
    assert bridge(values, known)[:, 0].tolist() == [1.0, 1.0, 2.0, 3.0, 4.0, 4.0]


def test_other_times_are_linear_between():
    values, times = torch.tensor([0.0, 10.0, 30.0]), torch.tensor([0.0, 1.0, 2.0])
    assert at_times(values, times, torch.tensor([-1.0, 0.5, 1.0, 1.5, 9.0])).tolist() == [0, 5, 10, 20, 30]
    assert at_times(values[:1], times[:1], torch.tensor([0.0, 3.0])).tolist() == [0.0, 0.0]
