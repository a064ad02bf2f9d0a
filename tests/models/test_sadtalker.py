import json
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mofa.models.sadtalker import (
    FaceReconstruction,
    SadTalkerNetworks,
    SpeechToExpression,
    SpeechToPose,
    num_pose_chunks,
)
from mofa.weights.registry import SADTALKER_PARTS, find_checkpoint

KEYS = Path(__file__).parents[3] / "shared" / "golden" / "keys"


def drawn(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return make().eval()


@pytest.fixture
def mel() -> Tensor:
    return torch.randn(70, 1, 80, 16, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_each_frame_has_the_expression_of_what_it_hears(mel: Tensor) -> None:
    network = drawn(SpeechToExpression)
    reference, blink = torch.zeros(64), torch.zeros(6, 1)
    expression = network(mel[:6], reference, blink)
    assert expression.shape == (6, 64)
    torch.testing.assert_close(network(mel[2:4], reference, blink[:2]), expression[2:4])
    assert not torch.allclose(network(mel[:6], reference, blink + 1), expression, atol=1e-3)


@pytest.mark.slow
@torch.no_grad()
def test_poses_begin_with_the_reference_and_come_in_chunks(mel: Tensor) -> None:
    network = drawn(SpeechToPose)
    reference = torch.arange(6.0)
    latents = torch.randn(3, 64, generator=torch.Generator().manual_seed(1))
    pose = network(mel, reference, latents, style=5)
    assert pose.shape == (70, 6)
    assert torch.equal(pose[0], reference)
    torch.testing.assert_close(network(mel[:33], reference, latents, style=5), pose[:33])
    # The last chunk hears the last 32 frames, of which five are new.
    whole = network(mel[37:], reference, latents[2:], style=5)
    torch.testing.assert_close(pose[65:], whole[-5:])


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("num_frames", [2, 3, 33, 34])
def test_any_number_of_frames_has_poses(mel: Tensor, num_frames: int) -> None:
    latents = torch.zeros(num_pose_chunks(num_frames), 64)
    pose = drawn(SpeechToPose)(mel[:num_frames], torch.zeros(6), latents, style=0)
    assert pose.shape == (num_frames, 6)
    assert pose.isfinite().all()


@torch.no_grad()
def test_a_face_has_257_coefficients() -> None:
    assert drawn(FaceReconstruction)(torch.rand(1, 3, 224, 224)).shape == (257,)


@pytest.mark.skipif(not KEYS.is_dir(), reason="the published key lists are not beside this checkout")
@pytest.mark.parametrize("part", ["audio2exp", "audio2pose"])
def test_keys_are_the_published_ones(part: str) -> None:
    with torch.device("meta"):
        networks = SadTalkerNetworks()
    own = {name: list(tensor.shape) for name, tensor in networks.state_dict().items()}
    assert all(name.startswith(SADTALKER_PARTS) for name in own)
    published = json.loads((KEYS / f"sadtalker_{part}.json").read_text())
    harmless = find_checkpoint("sadtalker").harmless
    needed = {
        f"{part}.{name}": shape
        for name, shape in published.items()
        if not any(fnmatchcase(f"{part}.{name}", pattern) for pattern in harmless)
    }
    assert {name: shape for name, shape in own.items() if name.startswith(f"{part}.")} == needed
