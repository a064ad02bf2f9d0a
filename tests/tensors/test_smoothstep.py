"""The soft step: flat outside, level at its ends, half-way in the middle."""

import torch

from mofa.tensors.smoothstep import smoothstep


def test_it_is_flat_outside_and_half_way_in_the_middle() -> None:
    values = smoothstep(torch.tensor([-3.0, 2.0, 3.0, 4.0, 9.0]), 2.0, 4.0)
    torch.testing.assert_close(values, torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))


def test_it_starts_and_ends_level() -> None:
    ends = torch.tensor([0.0, 1.0], requires_grad=True)
    smoothstep(ends).sum().backward()
    assert ends.grad is not None
    torch.testing.assert_close(ends.grad, torch.zeros(2))
