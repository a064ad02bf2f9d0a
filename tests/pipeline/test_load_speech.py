from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.io import savemat
from torch import Tensor, nn

from mofa.errors import WeightsError
from mofa.faces.geometry import canonical_face
from mofa.faces.points import MESH_INDEX, points_of_mesh
from mofa.models.aniportrait import SpeechToMesh, SpeechToPose
from mofa.models.sadtalker import SadTalkerNetworks
from mofa.models.tiny import TINY_SPEECH_NETWORK
from mofa.pipeline.load_speech import (
    aniportrait_for,
    load_aniportrait,
    load_sadtalker,
    sadtalker_for,
)
from mofa.types import Waveform
from mofa.weights.face_model_files import MODEL_FILE, STANDARD_FILE, face_model_folder
from mofa.weights.registry import find_slot
from mofa.weights.store import slot_folder

CPU = torch.device("cpu")
SPEECH = Waveform(0.1 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(0)), 16000)


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOFA_HOME", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def mesh() -> Tensor:
    return canonical_face().points * torch.tensor([10.0, -10.0, -10.0]) + torch.tensor([128.0, 128.0, 0.0])


def released(network: nn.Module) -> dict[str, Tensor]:
    """The weights under the names that weight norm had before PyTorch 2.0."""
    old = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    weights = network.state_dict()
    for new, before in old.items():
        weights = {name.replace(new, before): tensor for name, tensor in weights.items()}
    return weights


def store(slot: str, name: str) -> Path:
    folder = slot_folder(find_slot(slot))
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def test_aniportrait_loads_the_released_names_exactly(mesh: Tensor) -> None:
    torch.manual_seed(0)
    to_mesh, to_pose = SpeechToMesh(TINY_SPEECH_NETWORK), SpeechToPose(TINY_SPEECH_NETWORK)
    assert any(name.endswith("weight_g") for name in released(to_mesh))
    torch.save(released(to_mesh), store("audio2mesh", "audio2mesh.pt"))
    torch.save(released(to_pose), store("audio2pose", "audio2pose.pt"))
    driver = aniportrait_for(load_aniportrait(CPU, TINY_SPEECH_NETWORK), mesh, 256, 256)
    for name, tensor in to_pose.state_dict().items():
        assert torch.equal(driver.to_pose.state_dict()[name], tensor)
    face = points_of_mesh(mesh)
    assert driver(SPEECH, face, 25.0, 5, seed=0).points.isfinite().all()


def test_absent_weights_are_explained() -> None:
    with pytest.raises(WeightsError, match=r"models download audio2mesh audio2pose`.*--driver signal"):
        load_aniportrait(CPU)
    with pytest.raises(WeightsError, match=r"sadtalker \(.*--driver signal"):
        load_sadtalker(CPU)


@pytest.mark.slow
def test_sadtalker_takes_what_it_needs_of_the_file(mesh: Tensor) -> None:
    torch.manual_seed(0)
    weights = dict(SadTalkerNetworks().state_dict())
    spare = ("generator.first.conv.weight", "audio2pose.netD_motion.seq.3.bias", "kp_extractor.kp.weight")
    for name in spare:
        weights[name] = torch.zeros(2)
    file = store("sadtalker", "SadTalker_V0.0.2_256.safetensors")
    save_file(weights, file)
    face = points_of_mesh(mesh)
    with pytest.raises(WeightsError, match="Basel Face Model"):
        load_sadtalker(CPU)

    face_model_folder().mkdir(parents=True)
    basis = {"idBase": np.zeros((300, 80)), "exBase": np.random.default_rng(0).normal(size=(300, 64))}
    points = np.random.default_rng(1).normal(size=(1, 300))
    model = basis | {"meanshape": points, "keypoints": np.arange(1, 69)[None]}
    savemat(face_model_folder() / MODEL_FILE, model)
    savemat(
        face_model_folder() / STANDARD_FILE, {"lm": canonical_face().points[list(MESH_INDEX)].numpy() / 10}
    )
    driver = sadtalker_for(load_sadtalker(CPU), torch.rand(3, 256, 256), face)
    clip = driver(SPEECH, face, 25.0, 5, seed=0)
    assert torch.equal(clip.points[0], face)
    assert not torch.allclose(clip.points[1], face)

    del weights["audio2exp.mapping1.bias"]
    weights["audio2exp.mapping2.bias"] = torch.zeros(64)
    save_file(weights, file)
    with pytest.raises(WeightsError, match=r"missing audio2exp\.mapping1.*left over audio2exp\.mapping2"):
        load_sadtalker(CPU)
