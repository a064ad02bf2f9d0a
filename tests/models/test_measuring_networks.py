"""The networks of published measures have their checkpoints' names and sizes, and do as their papers say."""

from functools import partial
from pathlib import Path

import pytest
import torch

from mofa.errors import WeightsError
from mofa.evaluation.identity import aligned, five_points
from mofa.evaluation.trackers import follow_with, support_grid
from mofa.models.arcface import TEMPLATE, IResNet
from mofa.models.cotracker import CoTracker3, CoTrackerConfig
from mofa.models.i3d import FEWEST_FRAMES, I3D
from mofa.models.inception import Inception
from mofa.models.lpips import AlexNetFeatures, LpipsWeights
from mofa.weights.loading import load_exactly
from mofa.weights.registry import find_checkpoint, find_slot
from tools.weights_by_name import build

PUBLISHED = {
    # Numbers that the authors' programs count, without classifiers that nobody looks at.
    "cotracker3": (CoTracker3, 25_385_700),
    "fid-inception": (Inception, 21_785_568),
    "i3d": (I3D, 12_697_264),
    "alexnet": (AlexNetFeatures, 2_469_696),
    "lpips-alex": (LpipsWeights, 1_152),
    "arcface-r50": (IResNet, 43_578_176),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_network_has_the_published_size_and_the_registrys_keys(name: str) -> None:
    make, size = PUBLISHED[name]
    with torch.device("meta"):
        network = make()
    assert sum(weight.numel() for weight in network.parameters()) == size
    own = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert find_checkpoint(name).fingerprint.items() <= own.items()
    assert name in {file.checkpoint for file in find_slot(name).files}


def test_keys_are_checked_and_classifiers_may_be_left_over() -> None:
    network = AlexNetFeatures()
    weights = network.state_dict() | {"classifier.6.weight": torch.zeros(1000, 4096)}
    load_exactly(network, weights, "alexnet", Path("alexnet.pth"))
    weights.pop("features.8.bias")
    with pytest.raises(WeightsError, match=r"missing features\.8\.bias"):
        load_exactly(network, weights, "alexnet", Path("alexnet.pth"))


def test_lpips_is_zero_for_the_same_and_grows_with_the_difference() -> None:
    features, distance = build(AlexNetFeatures, 1), build(LpipsWeights, 1)
    for weight in distance.parameters():
        weight.abs_()  # the published ones are not negative
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(1))
    apart = [
        float(distance(features(picture), features(picture + share * noise))) for share in (0, 0.05, 0.5)
    ]
    assert apart[0] == 0
    assert apart == sorted(apart)


@pytest.mark.slow
def test_i3d_needs_nine_frames() -> None:
    network = build(partial(I3D, actions=3), 1)
    assert network(torch.rand(1, FEWEST_FRAMES, 3, 32, 40)).shape == (1, 3)
    with pytest.raises(RuntimeError):
        network(torch.rand(1, FEWEST_FRAMES - 1, 3, 32, 40))


def test_a_face_is_turned_upright_before_it_is_told_apart() -> None:
    """A picture that says where it is: the template's places come out of the aligned square."""
    height, width = 300, 260
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    picture = torch.stack([x * 255 / width, y * 255 / height, torch.zeros_like(x)]).to(torch.uint8)
    points = torch.zeros(1, 68, 2)
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
    places = 1.2 * torch.tensor(TEMPLATE) @ turn.T + torch.tensor([90.0, 40.0])
    points[0, 36:42], points[0, 42:48] = places[0], places[1]
    points[0, 30], points[0, 48], points[0, 54] = places[2:]
    assert torch.allclose(five_points(points)[0], places, atol=1e-4)
    square = aligned(picture[None], points)[0]
    for (column, row), (x_there, y_there) in zip(TEMPLATE, places.tolist(), strict=True):
        seen = square[:2, round(row), round(column)] * torch.tensor([width, height])
        assert float((seen - torch.tensor([x_there, y_there])).norm()) < 3


class Drifting(CoTracker3):
    """Stands for a tracker that says: everything goes right by a pixel of its own picture a frame."""

    def forward(
        self, frames: torch.Tensor, starts: torch.Tensor, rounds: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert frames.shape[1:] == (3, 96, 128)
        assert len(starts) == 1 + 36  # a grid of six by six is followed along
        time = torch.arange(len(frames))[:, None, None] * torch.tensor([1.0, 0.0])
        return starts + time, torch.ones(len(frames), len(starts)) * torch.tensor([[0.5], [0.95], [0.2]])


def test_points_come_back_in_the_clips_own_pixels() -> None:
    frames = torch.zeros(3, 3, 191, 255, dtype=torch.uint8)
    tracks = follow_with(Drifting(CoTrackerConfig(96, 128, hidden=8)), frames, torch.tensor([[40.0, 30.0]]))
    assert torch.allclose(tracks.points[0], torch.tensor([[40.0, 30], [42, 30], [44, 30]]), atol=1e-4)
    # In frame 0 a point is where it was asked for; later the network's word counts, above 0.9.
    assert tracks.visible[0].tolist() == [True, True, False]
    assert support_grid(96, 128)[0].tolist() == [2, 2]
