"""What moves in the video moves in the picture, at the picture's size and pace."""

import pytest
import torch

from mofa.control.reference import consistent, measurable, measured_flow, video_motion
from mofa.errors import InputError
from mofa.types import FlowField

HEIGHT, WIDTH = 24, 32
REACH = 6.0


def video(shifts: list[float]) -> torch.Tensor:
    """Frames that hold nothing but how far they have moved, for the estimators below to read."""
    return torch.tensor(shifts).to(torch.uint8)[:, None, None, None].expand(-1, 3, HEIGHT, WIDTH)


def ideal(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Flow of a picture that shifts to the right as a whole."""
    shift = second[0, 0, 0].float() - first[0, 0, 0].float()
    return torch.stack([shift.expand(first.shape[1:]), torch.zeros(first.shape[1:])])


def short_sighted(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """An estimator that is lost when things move further than it can see."""
    flow = ideal(first, second)
    return flow if flow.abs().max() <= REACH else torch.full_like(flow, 3.0)


def reference_flow(frames: torch.Tensor, fraction: torch.Tensor, *more) -> FlowField:
    """The motion at all steps at once."""
    return video_motion(frames, fraction, *more).over(range(len(fraction) - 1))


def test_each_frame_is_measured_from_the_first() -> None:
    measured = measured_flow(video([0, 1, 3]), ideal)
    assert measured.pixels[:, 0, 0, 0].tolist() == [1, 3]
    assert measured.valid[1, 0, 0].tolist() == [True] * 29 + [False] * 3


def test_far_motion_is_chained_over_the_frames_between() -> None:
    measured = measured_flow(video([0, 5, 10, 15]), short_sighted)
    assert measured.pixels[:, 0, 5, 3].tolist() == [5, 10, 15]
    assert measured.valid[:, 0, 5, 3].all()


def test_a_flow_that_does_not_come_back_is_not_trusted() -> None:
    forward = torch.zeros(2, HEIGHT, WIDTH)
    forward[0, :, :16] = 4
    assert consistent(forward, -forward)[0, 0].tolist() == [True] * 12 + [False] * 4 + [True] * 16


@pytest.mark.parametrize(("count", "num_frames"), [(7, 4), (4, 7), (4, 4), (2, 5)])
def test_retiming_keeps_the_whole_motion(count, num_frames) -> None:
    frames = video([6 * step / (count - 1) for step in range(count)])
    fraction = torch.linspace(0, 1, num_frames)
    flow = reference_flow(frames, fraction, HEIGHT, WIDTH, ideal)
    torch.testing.assert_close(flow.pixels[:, 0, 5, 5], 6 * fraction[1:])


def test_the_motion_may_go_there_and_back() -> None:
    flow = reference_flow(video([0, 4]), torch.tensor([0, 0.5, 1, 0.25, 0]), HEIGHT, WIDTH, ideal)
    assert flow.pixels[:, 0, 5, 5].tolist() == [2, 4, 1, 0]


def test_the_motion_is_stretched_to_the_picture() -> None:
    flow = reference_flow(video([0, 4]), torch.tensor([0.0, 1.0]), HEIGHT, 2 * WIDTH, ideal)
    assert flow.pixels.shape == (1, 2, HEIGHT, 2 * WIDTH)
    assert (flow.pixels[:, 0] == 8).all()


def test_what_leaves_the_frame_goes_on_as_its_neighbours_do() -> None:
    flow = reference_flow(video([0, 5, 10]), torch.linspace(0, 1, 3), HEIGHT, WIDTH, ideal)
    assert flow.valid.all()
    assert (flow.pixels[1, 0] == 10).all()


def test_steps_without_any_measurement_are_not_valid() -> None:
    flow = reference_flow(video([0, 5, 200]), torch.linspace(0, 1, 3), HEIGHT, WIDTH, short_sighted)
    assert flow.valid[0].all()
    assert not flow.valid[1].any()


def test_large_videos_are_measured_at_a_bounded_size() -> None:
    seen = []

    def watch(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        seen.append(first.shape)
        return ideal(first, second)

    frames = video([0, 5])[:, :, :1, :1].expand(-1, 3, 100, 1280)
    flow = reference_flow(frames, torch.tensor([0.0, 1.0]), 10, 128, watch)
    assert set(seen) == {(3, 50, 640)}
    torch.testing.assert_close(flow.pixels[0, :, 0, 0], torch.tensor([1.0, 0.0]))


def test_the_longer_the_video_the_smaller_it_is_measured(monkeypatch) -> None:
    most = 5 * HEIGHT * WIDTH
    monkeypatch.setattr("mofa.control.reference.MOST_PIXELS", most)
    seen = []

    def watch(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        seen.append(first.shape[1] * first.shape[2])
        return ideal(first, second)

    for count in (5, 20, 40):
        frames = video([0.0] * count)
        motion = video_motion(frames, torch.linspace(0, 1, count), HEIGHT, WIDTH, watch)
        assert count * max(seen) <= most
        assert motion.flow.shape[2] * motion.flow.shape[3] == max(seen)
        seen.clear()


def test_only_as_much_of_a_video_is_kept_as_is_measured() -> None:
    frames = video([0, 1, 2, 3, 4, 5, 6])
    few = measurable(frames, 3)
    assert few[:, 0, 0, 0].tolist() == [0, 3, 6]
    assert few.untyped_storage().nbytes() == 3 * 3 * HEIGHT * WIDTH
    assert measurable(few, 3) is few, "asked twice, nothing is done twice"


def test_one_frame_has_no_motion() -> None:
    with pytest.raises(InputError, match="at least two"):
        reference_flow(video([0]), torch.linspace(0, 1, 5), HEIGHT, WIDTH, ideal)


def test_motion_of_a_long_video_is_measured_small_and_told_step_by_step():
    frames = video([0, 2, 4, 6])
    measured = []

    def watch(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        measured.append(tuple(first.shape[1:]))
        return ideal(first, second)

    fraction = torch.linspace(0, 1, 9)
    motion = video_motion(frames, fraction, 4 * HEIGHT, 4 * WIDTH, watch)
    assert motion.flow.shape[2:] == measured[0] == (HEIGHT, WIDTH), "not at the picture's size"
    whole = reference_flow(frames, fraction, 4 * HEIGHT, 4 * WIDTH, ideal)
    for step in range(8):
        assert torch.equal(motion.over([step]).pixels[0], whole.pixels[step])
