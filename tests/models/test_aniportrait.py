import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mofa.models.aniportrait import (
    SpeechNetworkConfig,
    SpeechToMesh,
    SpeechToPose,
    normalised,
    recency,
)
from mofa.models.tiny import TINY_SPEECH_NETWORK

KEYS = Path(__file__).parents[3] / "shared" / "golden" / "keys"


@pytest.fixture
def speech() -> Tensor:
    return torch.randn(1, 4800, generator=torch.Generator().manual_seed(0))


def tiny_pose_network() -> SpeechToPose:
    torch.manual_seed(0)
    network = SpeechToPose(TINY_SPEECH_NETWORK).eval()
    network.PPE.pe.normal_()
    return network


@torch.no_grad()
def plain_poses(network: SpeechToPose, speech: Tensor, num_frames: int, speaker: int) -> Tensor:
    """The same with PyTorch's decoder over all frames so far, again at every frame."""
    heard = network.encode_speech(speech, num_frames)
    manner = network.id_embed.weight[speaker]
    told = network.pose_map(torch.zeros(1, 1, 6)) + manner
    age = torch.arange(num_frames)[:, None] - torch.arange(num_frames)
    slope = 2.0 ** (-8 * torch.arange(1, TINY_SPEECH_NETWORK.heads + 1) / TINY_SPEECH_NETWORK.heads)
    past = torch.where(age < 0, -torch.inf, -slope[:, None, None] * age)
    for frame in range(1, num_frames + 1):
        elsewhere = ~torch.eye(num_frames, dtype=torch.bool)[:frame]
        decoded = network.transformer_decoder(
            told + network.PPE.pe[:, :frame], heard, past[:, :frame, :frame], elsewhere
        )
        poses = network.pose_map_r(decoded)
        told = torch.cat([told, network.pose_map(poses[:, -1:]) + manner], dim=1)
    return poses


@torch.no_grad()
def test_remembering_the_past_gives_what_working_it_out_again_gives(speech: Tensor) -> None:
    network = tiny_pose_network()
    poses = network(speech, 7, speaker=1)
    assert poses.shape == (1, 7, 6)
    torch.testing.assert_close(poses, plain_poses(network, speech, 7, speaker=1), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_speakers_move_their_heads_in_their_own_manner(speech: Tensor) -> None:
    network = tiny_pose_network()
    assert not torch.allclose(network(speech, 4, speaker=0), network(speech, 4, speaker=2), atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("num_frames", [1, 8, 40])
def test_a_mesh_for_every_frame(speech: Tensor, num_frames: int) -> None:
    torch.manual_seed(0)
    mesh = SpeechToMesh(TINY_SPEECH_NETWORK).eval()(speech, num_frames)
    assert mesh.shape == (1, num_frames, 468, 3)
    assert mesh.isfinite().all()


def test_attention_fades_with_age() -> None:
    assert recency(3, 2).tolist() == [[[-0.125, -0.0625, 0]], [[-0.0078125, -0.00390625, 0]]]


def test_normalised_speech_has_mean_0_and_variance_1() -> None:
    loud = normalised(5 + 3 * torch.randn(1000, generator=torch.Generator().manual_seed(0)))
    assert float(loud.mean()) == pytest.approx(0, abs=1e-5)
    assert float(loud.var(correction=0)) == pytest.approx(1, abs=1e-5)
    assert not normalised(torch.zeros(1000)).any()


@pytest.mark.skipif(not KEYS.is_dir(), reason="the published key lists are not beside this checkout")
@pytest.mark.parametrize(("file", "make"), [("audio2mesh", SpeechToMesh), ("audio2pose", SpeechToPose)])
def test_keys_are_the_published_ones(file: str, make: type[SpeechToMesh] | type[SpeechToPose]) -> None:
    with torch.device("meta"):
        own = make(SpeechNetworkConfig()).state_dict()
    published = json.loads((KEYS / f"{file}.json").read_text())
    assert {name: list(tensor.shape) for name, tensor in own.items()} == published
