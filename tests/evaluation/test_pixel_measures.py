"""Picture measures and distances of sets agree with their definitions, computed another way."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter

from mofa.errors import InputError
from mofa.evaluation.measures import pixels
from mofa.evaluation.measures.distributions import frechet_distance
from mofa.evaluation.statistics import bootstrap_mean
from mofa.types import FlowField
from mofa.vision.dis import dis_flow


def noise(num_frames: int = 3, height: int = 40, width: int = 48) -> torch.Tensor:
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.normal(size=(height, width)), 2)
    level = np.uint8(255 * (smooth - smooth.min()) / np.ptp(smooth))
    return torch.from_numpy(level)[None, None].repeat(num_frames, 3, 1, 1)


def test_psnr_of_a_known_error() -> None:
    frames = noise()
    off = frames.int() + torch.where(frames > 127, -5, 5)
    expected = 10 * math.log10(255**2 / 25)
    assert pixels.psnr(frames, off.to(torch.uint8)).tolist() == pytest.approx([expected] * 3)
    assert pixels.psnr(frames, frames).tolist() == [pixels.SAME_DB] * 3
    assert pixels.first_frame_psnr(frames[0], frames) == pixels.SAME_DB


def test_ssim_of_one_window_is_the_formula() -> None:
    rng = np.random.default_rng(1)
    x, y = (rng.integers(0, 255, (11, 11)).astype(np.uint8) for _ in range(2))
    offset = np.arange(11) - 5
    weight = np.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 1.5**2))
    weight /= weight.sum()
    mx, my = (weight * x).sum(), (weight * y).sum()
    vx, vy = (weight * (x - mx) ** 2).sum(), (weight * (y - my) ** 2).sum()
    cov = (weight * (x - mx) * (y - my)).sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    frames = [torch.from_numpy(p)[None, None].repeat(1, 3, 1, 1) for p in (x, y)]
    assert float(pixels.ssim(*frames)[0]) == pytest.approx(expected, abs=1e-4)
    assert float(pixels.ssim(frames[0], frames[0])[0]) == pytest.approx(1)


def test_a_closed_loop_has_no_seam_and_a_jump_does() -> None:
    ramp = torch.tensor([0, 10, 20, 30, 20, 10], dtype=torch.uint8)
    frames = ramp[:, None, None, None].expand(-1, 3, 4, 4).contiguous()
    assert pixels.loop_seam(frames) == 1
    assert pixels.loop_seam(frames[:4]) == 3
    assert pixels.loop_seam(frames[:1].expand(3, -1, -1, -1)) is None


def test_flicker_is_brightness_that_changes_along_the_flow() -> None:
    frames = noise(4)
    still = FlowField(torch.zeros(3, 2, 40, 48), torch.ones(3, 1, 40, 48, dtype=torch.bool))
    assert pixels.flicker(frames, still) == pytest.approx(0, abs=1e-3)
    blinking = frames.int() * 3 // 4 + 10
    blinking[1::2] += 6
    assert pixels.flicker(blinking.to(torch.uint8), still) == pytest.approx(6)


def test_a_rolling_picture_does_not_flicker_and_flows_at_its_speed() -> None:
    rolling = torch.stack([noise(1, 64, 96)[0].roll(2 * t, -1)[:, :, 16:80] for t in range(4)])
    steps = pixels.step_flow(rolling, dis_flow)
    assert pixels.flicker(rolling, steps) < 2
    assert float(steps.pixels[:, 0].median()) == pytest.approx(2, abs=0.2)


def test_frechet_distance_of_given_features_is_the_published_formula() -> None:
    rng = np.random.default_rng(2)
    one, other = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6)), rng.normal(0.3, 2, size=(150, 6))
    c1, c2 = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = sqrtm(c1 @ c2).real
    expected = ((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(c1 + c2 - 2 * root)
    got = frechet_distance(torch.from_numpy(one).float(), torch.from_numpy(other).float())
    assert got == pytest.approx(expected, rel=1e-5)


def test_frechet_distance_in_one_dimension_by_hand_and_with_fewer_samples_than_dimensions() -> None:
    # Means 1 and 4, deviations 1 and 2: 9 + 1.
    assert frechet_distance(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[2.0], [4.0], [6.0]])) == (
        pytest.approx(10)
    )
    few = torch.randn(5, 40, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-4)
    with pytest.raises(InputError, match="2 samples"):
        frechet_distance(few[:1], few)


def test_frame_consistency_of_equal_and_of_orthogonal_features() -> None:
    assert pixels.frame_consistency(torch.ones(4, 3)) == pytest.approx(1)
    assert pixels.frame_consistency(torch.eye(3)) == pytest.approx(0)


def test_motion_iou_is_of_the_painted_part() -> None:
    frames = torch.zeros(3, 3, 8, 8, dtype=torch.uint8)
    frames[1, :, :, :4] = 200
    left = torch.zeros(8, 8, dtype=torch.bool)
    left[:, :4] = True
    assert pixels.motion_iou(frames, left) == 1
    assert pixels.motion_iou(frames, ~left) == 0
    assert pixels.motion_iou(frames[:1], left & False) is None


def test_bootstrap_intervals_cover_the_mean_and_shrink_with_more_values() -> None:
    rng = np.random.default_rng(3)
    few, many = bootstrap_mean(rng.normal(1, 1, 10).tolist()), bootstrap_mean(rng.normal(1, 1, 1000).tolist())
    assert few.low < few.mean < few.high
    assert many.high - many.low == pytest.approx(4 * 1.96 / 2 / 1000**0.5, rel=0.1)
    assert many.high - many.low < few.high - few.low
    assert many.excludes_zero
    assert bootstrap_mean([2.0, 3.0]) == bootstrap_mean([2.0, 3.0])
    assert bootstrap_mean([2.0]).low == 2
