import pytest
import torch

from mofa.faces.drivers.at_25_fps import frames_driven, lasting, spoken

FACE = torch.zeros(68, 2)


@pytest.mark.parametrize(
    ("fps", "num_frames", "frames"), [(25.0, 25, 25), (12.5, 25, 49), (30.0, 31, 26), (25.0, 1, 2)]
)
def test_the_last_frame_is_reached(fps: float, num_frames: int, frames: int) -> None:
    assert frames_driven(fps, num_frames) == frames


def test_sound_is_cut_or_followed_by_silence() -> None:
    assert torch.equal(lasting(torch.ones(5000), 2), torch.ones(1280))
    assert torch.equal(lasting(torch.ones(1000), 2), torch.cat([torch.ones(1000), torch.zeros(280)]))


def test_motion_keeps_its_time_at_another_rate_and_starts_from_the_face() -> None:
    motion = torch.arange(26.0)[:, None, None].expand(-1, 68, 2)
    clip = spoken(FACE, motion, 10.0, 11)
    assert clip.points[:, 0, 0].tolist() == pytest.approx([2.5 * t for t in range(11)])
    moved = spoken(FACE, motion + 7, 25.0, 3)
    assert torch.equal(moved.points[0], FACE)
    assert moved.points[1, 0, 0] == 8
    assert moved.fps == 25
