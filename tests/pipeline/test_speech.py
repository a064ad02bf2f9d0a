import sys
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

from mofa.errors import InputError, ResourceError, WeightsError
from mofa.faces.detection import Face
from mofa.faces.drivers.signal_audio import signal_driver
from mofa.pipeline.original import Original
from mofa.pipeline.speech import speech_driver

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
    assert speech_driver("signal", face.points, None, PICTURE) is signal_driver


def test_learned_drivers_say_how_to_get_their_weights(face: Face) -> None:
    with pytest.raises(WeightsError, match="mofa models download audio2mesh audio2pose"):
        speech_driver("aniportrait", face.points, face, PICTURE)
    with pytest.raises(WeightsError, match="mofa models download sadtalker"):
        speech_driver("sadtalker", face.points, None, PICTURE)


def test_a_mesh_is_not_made_of_points_given_by_hand() -> None:
    points = torch.rand(68, 2)
    with pytest.raises(InputError, match="a face that is found in the picture"):
        speech_driver("aniportrait", points, None, PICTURE)


def test_missing_packages_are_named(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mofa.pipeline.load_speech", None)
    with pytest.raises(ResourceError, match=r'pip install "mofa-video\[diffusion\]", or use --driver signal'):
        speech_driver("aniportrait", face.points, face, PICTURE)
