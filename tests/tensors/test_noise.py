"""The noise of a frame is its own: nothing around the frame changes it."""

import pytest
import torch
from scipy import stats

from mofa.errors import InputError
from mofa.tensors.noise import SOURCE_PICTURE, frame_noise
from mofa.tensors.windows import windows

SHAPE = (4, 8, 8)
LIKE = torch.zeros(0)


def test_a_frames_noise_is_the_same_in_any_window() -> None:
    clip = frame_noise(3, range(40), SHAPE, LIKE)
    for window in windows(40, 9, 4):
        assert torch.equal(frame_noise(3, window, SHAPE, LIKE), clip[list(window)])


def test_the_first_values_never_change() -> None:
    """Clips made today can be made again: the stream is part of the contract."""
    expected = [[-2.2718842, -0.7013279, -1.2189802], [0.8903241, 0.6786855, 0.4444713]]
    drawn = frame_noise(0, [0, 1], (3,), LIKE)
    torch.testing.assert_close(drawn, torch.tensor(expected), rtol=0, atol=1e-6)


def test_noise_is_standard_normal_within_and_across_frames() -> None:
    drawn = frame_noise(11, range(16), (4, 32, 32), LIKE).numpy()
    assert stats.kstest(drawn.ravel(), "norm").pvalue > 0.01
    assert abs(drawn.mean()) < 0.01
    assert abs(drawn.std() - 1) < 0.01
    correlation = torch.corrcoef(torch.from_numpy(drawn).flatten(1)) - torch.eye(16)
    assert correlation.abs().max() < 0.08


@pytest.mark.parametrize(("other_seed", "other_frame"), [(8, 5), (7, 6), (5, 7), (7, SOURCE_PICTURE)])
def test_another_seed_or_frame_is_other_noise(other_seed: int, other_frame: int) -> None:
    one = frame_noise(7, [5], (4, 32, 32), LIKE).flatten()
    other = frame_noise(other_seed, [other_frame], (4, 32, 32), LIKE).flatten()
    assert torch.corrcoef(torch.stack([one, other]))[0, 1].abs() < 0.08


def test_half_precision_noise_is_the_float32_noise_rounded() -> None:
    exact = frame_noise(1, [0, 1], SHAPE, LIKE)
    assert torch.equal(frame_noise(1, [0, 1], SHAPE, LIKE.half()), exact.half())


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(InputError, match="seed"):
        frame_noise(seed, [0], SHAPE, LIKE)


@pytest.mark.parametrize("seed", [0, 2**64 - 1])
def test_the_ends_of_the_seed_range_work(seed: int) -> None:
    assert frame_noise(seed, [0], SHAPE, LIKE).isfinite().all()
