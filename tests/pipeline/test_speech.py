import sys
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

from mofa.errors import InputError, ResourceError, WeightsError
from mofa.faces.detection import Face
from mofa.faces.drivers.signal_audio import signal_driver
from mofa.models.aniportrait import SpeechToMesh, SpeechToPose
from mofa.models.tiny import TINY_SPEECH_NETWORK
from mofa.pipeline.engine import Speakers
from mofa.pipeline.load_speech import AniPortraitNetworks
from mofa.pipeline.original import Original

PICTURE = Original(torch.zeros(3, 64, 64))


@pytest.fixture
def face() -> Face:
    mesh = 64 * torch.rand(478, 3, generator=torch.Generator().manual_seed(0))
    return Face(mesh, score=1.0, blendshapes=torch.zeros(52))


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOFA_HOME", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def test_the_signal_driver_needs_neither_weights_nor_a_finding(face: Face) -> None:
    assert Speakers()("signal", face.points, None, PICTURE) is signal_driver


def test_learned_drivers_say_how_to_get_their_weights(face: Face) -> None:
    with pytest.raises(WeightsError, match="mofa models download audio2mesh audio2pose"):
        Speakers()("aniportrait", face.points, face, PICTURE)
    with pytest.raises(WeightsError, match="mofa models download sadtalker"):
        Speakers()("sadtalker", face.points, None, PICTURE)


def test_a_mesh_is_not_made_of_points_given_by_hand() -> None:
    points = torch.rand(68, 2)
    with pytest.raises(InputError, match="a face that is found in the picture"):
        Speakers()("aniportrait", points, None, PICTURE)


def test_missing_packages_are_named(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mofa.pipeline.load_speech", None)
    with pytest.raises(ResourceError, match=r'"mofa-video\[diffusion\]"`, or use `--driver signal`'):
        Speakers()("aniportrait", face.points, face, PICTURE)


def test_learned_networks_are_read_once_for_all_faces(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []

    def load(device: torch.device) -> AniPortraitNetworks:
        loads.append(device)
        return AniPortraitNetworks(SpeechToMesh(TINY_SPEECH_NETWORK), SpeechToPose(TINY_SPEECH_NETWORK))

    monkeypatch.setattr("mofa.pipeline.load_speech.load_aniportrait", load)
    speak = Speakers("cpu")
    first, second = (speak("aniportrait", face.points, face, PICTURE) for _ in range(2))
    assert first.to_mesh is second.to_mesh
    assert loads == [torch.device("cpu")]
