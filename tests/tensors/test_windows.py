"""Windows cover a clip, share its frames fairly, and leave a short clip alone."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mofa.errors import InputError
from mofa.tensors.windows import Window, blend, blend_weights, take, windows


@st.composite
def layouts(draw: st.DrawFn) -> tuple[int, int, int]:
    """(num_frames, size, stride)"""
    size = draw(st.integers(2, 30))
    return draw(st.integers(1, 120)), size, draw(st.integers(1, size - 1))


def test_the_windows_of_a_long_clip() -> None:
    assert windows(9, 4, 2) == ((0, 1, 2, 3), (0, 3, 4, 5), (0, 5, 6, 7), (0, 6, 7, 8))


def test_no_window_is_added_when_the_last_one_ends_at_the_end() -> None:
    assert windows(8, 4, 2) == ((0, 1, 2, 3), (0, 3, 4, 5), (0, 5, 6, 7))


@settings(max_examples=40)
@given(layouts())
def test_windows_cover_every_frame_from_the_source_on(layout: tuple[int, int, int]) -> None:
    num_frames, size, stride = layout
    found = windows(num_frames, size, stride)
    assert {frame for window in found for frame in window} == set(range(num_frames))
    for window in found:
        assert len(window) == min(size, num_frames)
        assert window[0] == 0
        assert list(window[1:]) == list(range(window[-1] - len(window) + 2, window[-1] + 1))
    ends = [window[-1] for window in found]
    assert ends == sorted(set(ends))
    assert all(later - earlier <= stride for earlier, later in pairwise(ends))


@settings(max_examples=40)
@given(layouts())
def test_weights_of_a_frame_sum_to_one_and_live_in_its_windows(layout: tuple[int, int, int]) -> None:
    num_frames, size, stride = layout
    found = windows(num_frames, size, stride)
    weights = blend_weights(found, num_frames)
    torch.testing.assert_close(weights.sum(dim=0), torch.ones(num_frames))
    for window, row in zip(found, weights, strict=True):
        assert set(row.nonzero().flatten().tolist()) <= set(window)
    assert weights[0, 0] == 1


@settings(max_examples=40)
@given(layouts())
def test_windows_that_agree_blend_to_what_they_agree_on(layout: tuple[int, int, int]) -> None:
    num_frames, size, stride = layout
    found = windows(num_frames, size, stride)
    clip = torch.linspace(-1, 2, num_frames * 6).view(num_frames, 2, 3)
    blended = blend([clip[list(window)] for window in found], found, num_frames)
    torch.testing.assert_close(blended, clip)


def test_a_frame_of_two_windows_is_their_mean_and_frame_0_is_the_first_windows() -> None:
    layout: tuple[Window, ...] = ((0, 1, 2), (0, 2, 3))
    values = [torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0, 20.0, 30.0])]
    assert blend(values, layout, 4).tolist() == [1.0, 2.0, 11.5, 30.0]


def test_one_window_passes_its_values_through_unchanged() -> None:
    clip = torch.randn(5, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(blend([clip], windows(5, 25, 12), 5), clip)


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ((0, 4, 2), "at least 1 frame"),
        ((9, 1, 1), "at least 2 frames"),
        ((9, 4, 0), "stride of 0"),
        ((9, 4, 4), "choose 1 to 3"),
    ],
)
def test_impossible_layouts_are_refused(layout: tuple[int, int, int], said: str) -> None:
    with pytest.raises(InputError, match=said):
        windows(*layout)


def test_a_window_takes_its_frames_in_order_and_the_whole_clip_uncopied() -> None:
    clip = torch.arange(9.0).view(9, 1)
    assert take(clip, (0, 3, 4, 5)).flatten().tolist() == [0, 3, 4, 5]
    assert take(clip, tuple(range(9))) is clip
