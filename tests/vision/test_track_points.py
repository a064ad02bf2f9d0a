"""Lucas-Kanade tracks follow what moves and give up on what vanishes."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from mofa.vision.track_points import track_points


def rolling_noise(steps: int, right: int, down: int) -> torch.Tensor:
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(96, 128)), 2, mode="wrap")
    picture = np.uint8(255 * (noise - noise.min()) / np.ptp(noise))
    frames = [np.roll(picture, (down * t, right * t), (0, 1)) for t in range(steps)]
    return torch.from_numpy(np.stack(frames))[:, None].expand(-1, 3, -1, -1).contiguous()


def test_points_follow_a_shift() -> None:
    tracks = track_points(rolling_noise(5, 3, -1), 60)
    kept = tracks.visible.all(dim=1)
    path = tracks.points - tracks.points[:, :1]
    wanted = torch.arange(5.0)[:, None] * torch.tensor([3.0, -1.0])
    assert kept.sum() > 20
    assert (path[kept] - wanted).norm(dim=-1).median() < 0.1


def test_points_that_leave_or_vanish_are_invisible_from_then_on() -> None:
    frames = rolling_noise(6, 8, 0)
    frames[3:] = 0
    tracks = track_points(frames, 60)
    assert not tracks.visible[:, 3:].any()
    assert tracks.visible[:, 1].any()
    right_edge = tracks.points[:, 0, 0] > 118
    assert not tracks.visible[right_edge, 2].any()
    assert tracks.points.isfinite().all()


def test_a_flat_picture_has_no_points() -> None:
    tracks = track_points(torch.full((3, 3, 40, 50), 90, dtype=torch.uint8))
    assert tracks.points.shape == (0, 3, 2)
    assert tracks.visible.shape == (0, 3)
