"""Easing and frames: when a motion happens."""

import contextlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mofa.control.timing import Timing, parse_ease, progress
from mofa.errors import InputError


def test_linear_runs_from_the_first_frame_to_the_last() -> None:
    assert progress(Timing(), 5).tolist() == [0, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize("ease", ["linear", "in", "out", "in-out", ((0.5, 0.2), (1.0, 1.0))])
def test_nothing_moves_before_start_and_all_is_done_from_end(ease) -> None:
    fraction = progress(Timing(ease, start=2, end=6), 10)
    assert fraction[:3].tolist() == [0, 0, 0]
    assert fraction[6:].tolist() == [1, 1, 1, 1]
    assert (fraction.diff()[2:6] > 0).all()


def test_in_starts_slowly_out_ends_slowly() -> None:
    slow_start, slow_end = progress(Timing("in"), 9), progress(Timing("out"), 9)
    assert slow_start[4] < 0.5 < slow_end[4]
    torch.testing.assert_close(slow_start, 1 - slow_end.flip(0))
    both = progress(Timing("in-out"), 9)
    assert both[1] < 0.125
    torch.testing.assert_close(both, 1 - both.flip(0))


def test_pairs_are_met_and_the_last_one_is_held() -> None:
    fraction = progress(Timing(((0.25, 0.5), (0.75, 0.6))), 9)
    torch.testing.assert_close(fraction[[0, 2, 6, 7, 8]], torch.tensor([0, 0.5, 0.6, 0.6, 0.6]))


def test_there_and_back_reaches_the_end_half_way() -> None:
    fraction = progress(Timing("in-out", start=1, end=9, there_and_back=True), 12)
    assert fraction[5] == 1
    assert fraction[[0, 1, 9, 10, 11]].tolist() == [0] * 5
    torch.testing.assert_close(fraction[1:6], fraction[5:10].flip(0))


def test_an_end_beyond_the_clip_leaves_the_motion_under_way() -> None:
    assert progress(Timing(end=8), 5).tolist() == [0, 0.125, 0.25, 0.375, 0.5]


def test_a_single_frame_stands_still() -> None:
    assert progress(Timing(), 1).tolist() == [0]


HUNDREDTHS = st.integers(0, 100).map(lambda share: share / 100)


@given(
    st.lists(st.tuples(HUNDREDTHS.filter(bool), HUNDREDTHS), min_size=1, unique_by=lambda p: p[0]),
    st.integers(2, 30),
)
def test_any_sorted_pairs_stay_on_the_path(pairs, num_frames) -> None:
    fraction = progress(Timing(tuple(sorted(pairs))), num_frames)
    assert fraction[0] == 0
    assert (fraction >= 0).all()
    assert (fraction <= 1 + 1e-6).all()


@pytest.mark.parametrize(
    ("timing", "word"),
    [
        ({"start": 5, "end": 4}, "end frame 4"),
        ({"start": 5, "end": 5}, "end frame 5"),
        ({"start": -1}, "negative"),
        ({"ease": ()}, "no pair"),
        ({"ease": ((0.0, 0.0),)}, "no pair"),
        ({"ease": ((0.5, 0.2), (0.5, 0.4))}, "sorted"),
        ({"ease": ((0.5, 0.2), (0.1, 0.4))}, "sorted"),
        ({"ease": ((0.0, 0.2), (0.1, 0.4))}, "0,0"),
        ({"ease": ((float("nan"), 0.2), (0.1, 0.4))}, "0 to 1"),
        ({"ease": ((0.5, 1.2),)}, "0 to 1"),
    ],
)
def test_a_wrong_timing_says_what_is_wrong(timing, word) -> None:
    with pytest.raises(InputError, match=word):
        Timing(**timing)


def test_a_start_that_leaves_nothing_to_move_is_refused() -> None:
    with pytest.raises(InputError, match="last frame is 9"):
        progress(Timing(start=9), 10)


@pytest.mark.parametrize(
    ("text", "ease"),
    [
        ("linear", "linear"),
        ("ease-in", "in"),
        ("Ease In Out", "in-out"),
        ("easeOut", "out"),
        ("in_out", "in-out"),
        ("0.5,0.2 1,1", ((0.5, 0.2), (1.0, 1.0))),
    ],
)
def test_spellings_of_one_easing(text, ease) -> None:
    assert parse_ease(text) == ease


@pytest.mark.parametrize(("text", "near"), [("in-owt", "in-out"), ("liner", "linear"), ("outt", "out")])
def test_an_unknown_easing_names_the_nearest(text, near) -> None:
    with pytest.raises(InputError, match=f'did you mean "{near}"'):
        parse_ease(text)


@given(st.text())
def test_any_text_is_an_easing_or_a_sentence(text) -> None:
    with contextlib.suppress(InputError):
        Timing(parse_ease(text))
