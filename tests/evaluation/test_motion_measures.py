"""Motion measures are what their papers say, on numbers small enough to check by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mofa.control.reference import measured_flow
from mofa.evaluation.measures import motion
from mofa.types import TrackSet
from mofa.vision.dis import dis_flow


def straight(starts: list[list[float]], velocity: tuple[float, float], num_frames: int = 5) -> TrackSet:
    time = torch.arange(num_frames)[:, None] * torch.tensor(velocity)
    points = torch.tensor(starts)[:, None] + time
    return TrackSet(points, torch.ones(points.shape[:2], dtype=torch.bool))


def hidden(tracks: TrackSet, frames: slice) -> TrackSet:
    visible = tracks.visible.clone()
    visible[:, frames] = False
    return TrackSet(tracks.points, visible)


ASKED = straight([[10.0, 10.0], [30.0, 20.0]], (3.0, 4.0))
STILL = straight([[10.0, 10.0], [30.0, 20.0]], (0.0, 0.0))


def test_end_point_error_leaves_out_frame_0_and_what_nobody_saw() -> None:
    error = motion.end_point_error(ASKED, STILL)
    assert error.mean == pytest.approx(5 * (1 + 2 + 3 + 4) / 4)
    assert error.per_frame == [None, 5, 10, 15, 20]
    assert error.quantile(1.0) == 20
    assert motion.end_point_error(ASKED, hidden(STILL, slice(3, 5))).mean == pytest.approx(7.5)
    assert motion.end_point_error(hidden(ASKED, slice(1, 5)), STILL).mean is None


def test_objmc_counts_frame_0_and_md_vid_does_not_and_both_count_what_is_hidden() -> None:
    lost = hidden(STILL, slice(2, 5))
    assert motion.object_motion_control(ASKED, lost) == pytest.approx(5 * (0 + 1 + 2 + 3 + 4) / 5)
    assert motion.motion_distance(ASKED, lost) == pytest.approx(12.5)


def test_followed_share_is_of_what_was_asked_to_be_seen() -> None:
    assert motion.followed_share(ASKED, hidden(STILL, slice(3, 5))) == 0.5
    assert motion.followed_share(hidden(ASKED, slice(3, 5)), hidden(STILL, slice(3, 5))) == 1


def test_background_that_comes_along_has_no_distance_from_the_thing() -> None:
    background = straight([[0.0, 0.0], [50.0, 50.0], [0.0, 50.0]], (0.0, 0.0))
    assert motion.background_distance(ASKED, background) == pytest.approx(12.5)
    along = straight([[0.0, 0.0], [50.0, 50.0]], (3.0, 4.0))
    assert motion.background_distance(ASKED, along) == 0


@given(st.floats(-3, 3))
def test_gain_is_the_factor_of_the_motion(factor: float) -> None:
    scaled = straight([[10.0, 10.0], [30.0, 20.0]], (3.0 * factor, 4.0 * factor))
    assert motion.motion_gain(ASKED, scaled) == pytest.approx(factor, abs=1e-5)


def test_gain_is_unknown_where_nothing_was_asked() -> None:
    assert motion.motion_gain(STILL, ASKED) is None


@given(st.integers(-2, 2), st.integers(9, 20))
def test_a_clip_that_comes_late_by_k_frames_reads_as_lag_k(late: int, num_frames: int) -> None:
    """The way begins and ends at rest, so that both displacements are known wherever it is shifted to."""
    time = torch.arange(num_frames).clamp(3, num_frames - 3).float() - 3
    seen = torch.ones(1, num_frames, dtype=torch.bool)

    def way(shift: int) -> TrackSet:
        when = (torch.arange(num_frames) - shift).clamp(0, num_frames - 1)
        place = torch.stack([5 * time[when], time[when].square()], dim=-1)
        return TrackSet(place[None], seen)

    assert motion.frame_lag(way(0), way(late)) == late


def test_lag_is_unknown_where_nothing_was_asked_to_move() -> None:
    assert motion.frame_lag(STILL, STILL) is None


def test_camera_error_is_that_of_the_map_and_ignores_points_that_move_by_themselves() -> None:
    angle = torch.tensor(0.05)
    matrix = torch.tensor([[angle.cos(), -angle.sin(), 3.0], [angle.sin(), angle.cos(), -2.0]])
    starts = torch.rand(40, 2, generator=torch.Generator().manual_seed(0)) * 100
    ends = starts @ matrix[:, :2].T + matrix[:, 2]
    ends[:8] += 25
    ground = TrackSet(torch.stack([starts, ends], dim=1), torch.ones(40, 2, dtype=torch.bool))
    error, found = motion.camera_error(matrix[None], ground, 100, 100)
    assert error == pytest.approx(0, abs=1e-3)
    assert torch.allclose(found[0], matrix, atol=1e-3)
    shifted = matrix.clone()
    shifted[:, 2] += torch.tensor([3.0, 4.0])
    assert motion.camera_error(shifted[None], ground, 100, 100)[0] == pytest.approx(5, abs=1e-2)


def test_drag_scores_count_as_the_drag_set_defines_them() -> None:
    thing = torch.zeros(20, 20, dtype=torch.bool)
    thing[5:10, 5:10] = True
    may_move = torch.zeros_like(thing)
    may_move[10:12, 5:10] = True
    drag = torch.tensor([8.0, 0.0])
    flow = torch.zeros(2, 20, 20)
    flow[0, 5:12, 5:10] = 8  # the thing and what may move
    perfect = motion.drag_scores(flow, thing, may_move, drag)
    assert (perfect.moved, perfect.leak, perfect.iou) == (1, 0, 1)
    flow[0, 15:20, 0:10] = 3  # more than a quarter, less than half: leak, no IoU
    leaked = motion.drag_scores(flow, thing, may_move, drag)
    assert leaked.leak == 2
    assert leaked.iou == 1
    still = motion.drag_scores(torch.zeros(2, 20, 20), thing, may_move, drag)
    assert (still.moved, still.leak, still.iou) == (0, 0, 0)
    everything = motion.drag_scores(torch.full((2, 20, 20), 8.0), thing, may_move, drag)
    assert everything.leak == motion.MOST_LEAK


def a_clip_of_a_small_thing(moves: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Two frames [2, 3, 96, 128] of a 12 x 12 thing before a smooth ground, and its mask in the first."""
    random = torch.Generator().manual_seed(0)
    ground = torch.linspace(60, 120, 128).expand(3, 96, 128) + 4 * torch.rand(3, 96, 128, generator=random)
    thing = 160 + 90 * torch.rand(3, 12, 12, generator=random)
    frames = ground.repeat(2, 1, 1, 1)
    mask = torch.zeros(96, 128, dtype=torch.bool)
    mask[40:52, 20:32] = True
    frames[0][:, mask] = thing.flatten(1)
    x, y = 20 + moves[0], 40 + moves[1]
    frames[1, :, y : y + 12, x : x + 12] = thing
    return frames.round().to(torch.uint8), mask


def read_drag(moves: tuple[int, int], drag: tuple[int, int]) -> tuple[motion.DragScores, motion.DragScores]:
    """The scores by the flow alone, and with the drag itself put to the test."""
    frames, thing = a_clip_of_a_small_thing(moves)
    way = torch.tensor(drag, dtype=torch.float32)
    measured = measured_flow(frames, dis_flow)
    flow = torch.where(measured.valid[-1], measured.pixels[-1], 0.0)
    settled = motion.settle_drag(flow, frames[0], frames[1], way)
    nothing = torch.zeros_like(thing)
    return motion.drag_scores(flow, thing, nothing, way), motion.drag_scores(settled, thing, nothing, way)


def test_a_small_thing_dragged_far_is_seen_to_have_moved() -> None:
    by_flow, seen = read_drag(moves=(40, 10), drag=(40, 10))
    assert by_flow.moved < 0.1
    assert seen.moved > 0.9
    assert seen.iou > 0.85
    assert seen.leak < 0.15


@pytest.mark.parametrize("moves", [(0, 0), (-10, 30)])
def test_what_stays_or_goes_elsewhere_did_not_follow_the_drag(moves: tuple[int, int]) -> None:
    _, seen = read_drag(moves=moves, drag=(40, 10))
    assert seen.moved < 0.1


def test_leak_outside_a_brush_is_what_moves_there() -> None:
    flow = torch.zeros(3, 2, 10, 10)
    flow[-1, 0, :, 5:] = 4
    left = torch.zeros(10, 10, dtype=torch.bool)
    left[:, :5] = True
    assert motion.leak_outside(flow, ~left) == 0
    assert motion.leak_outside(flow, left) == 4
    assert motion.leak_outside(flow, torch.ones(10, 10, dtype=torch.bool)) is None


@given(st.integers(2, 30), st.floats(0.5, 4))
def test_measures_do_not_depend_on_length_and_scale_with_size(num_frames: int, scale: float) -> None:
    wanted = straight([[10.0, 10.0]], (1.0, 0.0), num_frames)
    off = TrackSet(wanted.points + torch.tensor([0.0, 2.0]), wanted.visible)
    assert motion.end_point_error(wanted, off).mean == pytest.approx(2)
    assert motion.motion_distance(wanted, off) == pytest.approx(2)
    larger = [TrackSet(t.points * scale, t.visible) for t in (wanted, off)]
    assert motion.end_point_error(*larger).mean == pytest.approx(2 * scale)
    assert motion.motion_gain(*larger) == pytest.approx(motion.motion_gain(wanted, off))
