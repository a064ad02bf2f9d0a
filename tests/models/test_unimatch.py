"""Matching finds shifts, windows cut and join, and the estimator takes pictures of any size."""

import pytest
import torch

from mofa.control.reference import FlowEstimator
from mofa.models.flow_estimator import UniMatchFlow
from mofa.models.tiny import TINY_UNIMATCH
from mofa.models.unimatch import (
    UniMatch,
    join_windows,
    match_everywhere,
    match_nearby,
    shifted_window_mask,
    split_windows,
    upsampled,
)

SHIFT_X, SHIFT_Y = 3, 2


@pytest.fixture(scope="module")
def features() -> tuple[torch.Tensor, torch.Tensor]:
    """Features that are each unlike all others, and the same moved by the shift."""
    generator = torch.Generator().manual_seed(0)
    first = 40 * torch.nn.functional.normalize(torch.randn(1, 64, 12, 16, generator=generator), dim=1)
    return first, first.roll((SHIFT_Y, SHIFT_X), dims=(2, 3))


@pytest.mark.parametrize("match", [match_everywhere, lambda a, b: match_nearby(a, b, 4)])
def test_matching_finds_a_shift(features, match) -> None:
    flow = match(*features)[0, :, : -SHIFT_Y - 1, : -SHIFT_X - 1]
    expected = torch.tensor([SHIFT_X, SHIFT_Y])[:, None, None].expand_as(flow).float()
    assert torch.allclose(flow, expected, atol=1e-3)


def test_windows_are_cut_and_joined() -> None:
    x = torch.arange(2 * 8 * 12 * 3).reshape(2, 8, 12, 3).float()
    windows = split_windows(x, 2)
    assert windows.shape == (8, 4 * 6, 3)
    assert torch.equal(windows[1].reshape(4, 6, 3), x[0, :4, 6:])
    assert torch.equal(join_windows(windows, 2, 8, 12), x)


def test_shifted_windows_hide_what_was_wrapped_around() -> None:
    mask = shifted_window_mask(4, 4, 2, torch.zeros(()))
    assert mask[0].all()  # nothing was wrapped into the first window
    last = mask[3].long()
    assert torch.equal(last, torch.eye(4).long())  # four corners of the picture, strangers to each other


def test_an_even_flow_stays_even_when_it_is_refined() -> None:
    flow = torch.tensor([1.5, -2.0])[None, :, None, None].expand(1, 2, 5, 6).contiguous()
    scores = torch.randn(1, 9 * 16, 5, 6, generator=torch.Generator().manual_seed(0))
    fine = upsampled(flow, scores, 4)[:, :, 4:-4, 4:-4]
    assert torch.allclose(fine, 4 * flow[:, :, :1, :1].expand_as(fine), atol=1e-5)


@pytest.mark.parametrize("size", [(50, 70), (70, 50)])
def test_the_estimator_takes_pictures_of_any_size(size) -> None:
    torch.manual_seed(0)
    side = TINY_UNIMATCH.side_multiple
    estimate = UniMatchFlow(UniMatch(TINY_UNIMATCH).eval(), short_side=side, long_side=2 * side)
    assert isinstance(estimate, FlowEstimator)
    first, second = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    flow = estimate(first, second)
    assert flow.shape == (2, *size)
    assert flow.isfinite().all()
