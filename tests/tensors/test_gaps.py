"""What is known stays; what is not comes smoothly from around it."""

import torch

from mofa.tensors.gaps import fill_gaps


def test_known_values_stay_and_unknown_ones_are_between_them() -> None:
    values, known = torch.rand(2, 13, 17), torch.rand(13, 17) > 0.7
    filled = fill_gaps(values, known)
    assert torch.equal(filled[:, known], values[:, known])
    for channel, original in zip(filled, values, strict=True):
        assert channel.min() >= original[known].min() - 1e-6
        assert channel.max() <= original[known].max() + 1e-6


def test_a_constant_goes_on_whatever_hides_in_the_gap() -> None:
    values, known = torch.full((1, 9, 30), 3.0), torch.zeros(9, 30, dtype=torch.bool)
    known[4, 2] = True
    torch.testing.assert_close(fill_gaps(values.where(known, 99.0), known), values)


def test_nothing_known_is_zero() -> None:
    assert not fill_gaps(torch.ones(1, 5, 5), torch.zeros(5, 5, dtype=torch.bool)).any()
