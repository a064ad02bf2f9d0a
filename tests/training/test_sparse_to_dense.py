"""The sparse-to-dense network's own training: its conventions, and those of the released one."""

from dataclasses import replace

import pytest
import torch

from mofa.models.sparse_to_dense import ConditionalMotionPropagation
from mofa.models.tiny import TINY_SPARSE_TO_DENSE
from mofa.training.clips import Clips
from mofa.training.conventions import RELEASED_SPARSE, SparseConventions
from mofa.training.hint_sampling import CMP_SAMPLING, HintSampling, grid_points
from mofa.training.protocol import Draws, stack
from mofa.training.sources import SyntheticClips
from mofa.training.sparse_to_dense import SparseToDenseObjective
from mofa.training.synthetic import SceneSettings


@pytest.fixture(scope="module")
def batch() -> Clips:
    return stack([SyntheticClips(SceneSettings(height=64, width=64, num_frames=2)).build(0)[0]])


def objective(**conventions: str) -> SparseToDenseObjective:
    torch.manual_seed(0)
    network = ConditionalMotionPropagation(TINY_SPARSE_TO_DENSE).eval()
    sampling = HintSampling(grid=16, window=7, apart=3)
    return SparseToDenseObjective(network, sampling, SparseConventions(**conventions))


def loss(batch: Clips, **conventions: str) -> float:
    return float(objective(**conventions)(batch, Draws(0, 0, 1, 0, 1)).per_example.mean().detach())


def test_the_sum_of_both_axes_is_twice_their_mean(batch: Clips) -> None:
    assert loss(batch, axes="sum") == pytest.approx(2 * loss(batch), rel=1e-6)


def test_every_released_convention_changes_the_loss(batch: Clips) -> None:
    released = vars(RELEASED_SPARSE)
    assert released.keys() == vars(SparseConventions()).keys()
    ours = loss(batch)
    for name, value in released.items():
        assert loss(batch, **{name: value}) != pytest.approx(ours, rel=1e-5), name


def test_flow_in_bytes_is_within_half_a_step_and_ends_at_50_px() -> None:
    flow = torch.tensor([-70.0, -50.0, -3.3, 0.0, 12.34, 80.0]).expand(1, 1, 2, 1, 6)
    clip = Clips(torch.zeros(1, 2, 3, 1, 6, dtype=torch.uint8), flow)
    kept = objective(flow="byte").truth(clip)
    assert kept.min() == -50
    assert kept.max() == 50
    inside = flow.abs() <= 50
    assert (kept - flow)[inside].abs().max() <= 100 / 255 / 2 + 1e-5
    assert torch.equal(objective().truth(clip), flow)


def test_pictures_as_imagenet_has_them_have_mean_zero_at_its_mean() -> None:
    picture = torch.tensor([0.485, 0.456, 0.406])[None, :, None, None].expand(1, 3, 64, 64)
    assert objective(pictures="imagenet").seen(picture).abs().max() < 1e-5
    assert torch.allclose(objective().seen(picture)[0, :, 0, 0], picture[0, :, 0, 0] * 2 - 1)


def test_the_networks_own_samples_have_the_density_of_its_release() -> None:
    # One in 131 x 131 pixels: int(sqrt(1 / 5.74e-5)).
    assert CMP_SAMPLING.grid == int((1 / 5.74e-5) ** 0.5)
    assert len(grid_points(384, 384, CMP_SAMPLING.grid)) == 9
    assert replace(CMP_SAMPLING, grid=80, window=15, apart=7) == HintSampling()
