"""Clicks become curves, curves become hints."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mofa.control.timing import Timing, progress
from mofa.control.tracks import curve, hints_from_tracks, retime
from mofa.errors import InputError
from mofa.types import TrackSet

LANDMARKS = Path(__file__).parents[3] / "shared" / "golden" / "landmarks.npz"


@pytest.mark.skipif(not LANDMARKS.exists(), reason=f"needs {LANDMARKS}")
def test_the_reference_curve() -> None:
    golden = np.load(LANDMARKS)
    clicks, expected = (torch.from_numpy(golden[name]) for name in ("trajectory_clicks", "trajectory_25"))
    torch.testing.assert_close(curve(clicks, progress(Timing(), 25)), expected, atol=1e-4, rtol=0)


def test_a_curve_passes_through_its_clicks() -> None:
    clicks = torch.tensor([[0.0, 0.0], [10.0, 3.0], [10.0, 3.0], [4.0, 8.0]])
    torch.testing.assert_close(curve(clicks, torch.linspace(0, 1, 4)), clicks)


def test_two_clicks_are_a_straight_line() -> None:
    line = curve(torch.tensor([[0.0, 8.0], [4.0, 0.0]]), torch.linspace(0, 1, 5))
    torch.testing.assert_close(line, torch.tensor([[0.0, 8], [1, 6], [2, 4], [3, 2], [4, 0]]))


def test_one_click_is_an_anchor() -> None:
    anchor = curve(torch.tensor([[3.0, 4.0]]), torch.linspace(0, 1, 6))
    assert anchor.tolist() == [[3, 4]] * 6


@pytest.mark.parametrize(
    ("clicks", "word"), [(torch.zeros(0, 2), "no points"), (torch.full((2, 2), torch.nan), "number")]
)
def test_clicks_that_are_none_are_refused(clicks, word) -> None:
    with pytest.raises(InputError, match=word):
        curve(clicks, torch.linspace(0, 1, 3))


def tracks() -> TrackSet:
    points = torch.tensor(
        [[[1.0, 1], [2, 1], [4, 1]], [[5.0, 5], [5, 5], [5, 5]], [[7.0, 2], [7, 4], [9, 9]]]
    )
    visible = torch.tensor([[True, False, True], [True, True, True], [False, True, True]])
    return TrackSet(points, visible)


def test_hints_carry_the_way_from_frame_0() -> None:
    hints = hints_from_tracks(tracks(), height=8, width=10)
    assert hints.positions.tolist() == [[1, 1], [5, 5]]
    assert hints.displacement.tolist() == [[[1, 0], [0, 0]], [[3, 0], [0, 0]]]
    assert hints.known.tolist() == [[False, True], [True, True]]
    assert (hints.height, hints.width) == (8, 10)


def test_a_visible_start_outside_the_picture_is_refused() -> None:
    with pytest.raises(InputError, match="5,5 lies outside the picture, which is 10 x 5"):
        hints_from_tracks(tracks(), height=5, width=10)


def test_retiming_keeps_both_ends_and_hides_what_is_half_hidden() -> None:
    longer = retime(tracks(), torch.linspace(0, 1, 5))
    assert longer.points[0, :, 0].tolist() == [1, 1.5, 2, 3, 4]
    assert longer.visible[0].tolist() == [True, False, False, False, True]


@pytest.mark.parametrize("count", [3, 14, 25, 50])
def test_retiming_to_as_many_frames_changes_nothing(count) -> None:
    places = torch.rand(2, count, 2)
    blinking = torch.arange(count).remainder(2).bool().expand(2, -1)
    same = retime(TrackSet(places, blinking), progress(Timing(), count))
    torch.testing.assert_close(same.points, places)
    assert torch.equal(same.visible, blinking)


def test_retiming_there_and_back() -> None:
    back = retime(tracks(), torch.tensor([0, 0.5, 1, 0.5, 0]))
    assert back.points[0, :, 0].tolist() == [1, 2, 4, 2, 1]


def test_one_frame_retimed_stands_still() -> None:
    single = TrackSet(torch.tensor([[[2.0, 3.0]]]), torch.ones(1, 1, dtype=torch.bool))
    assert retime(single, torch.linspace(0, 1, 4)).points.tolist() == [[[2, 3]] * 4]
