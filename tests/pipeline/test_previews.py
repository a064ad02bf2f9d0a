"""A clip is shown while it is denoised where the small decoder is, and is the same clip."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from mofa.errors import WeightsError
from mofa.evaluation.stages import toy_networks
from mofa.models.tiny_decoder import TinyDecoder
from mofa.pipeline.animate import animate
from mofa.pipeline.engine import Engines
from mofa.pipeline.entries import VideoModelEntry
from mofa.pipeline.request import AnimationRequest
from mofa.pipeline.tables import VIDEO_MODELS
from mofa.renderers.diffusion.preview import Preview, glimpse
from mofa.renderers.diffusion.settings import SvdSettings

CPU = torch.device("cpu")


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AnimationRequest:
    """A clip of three steps by toy networks, in a place without any weights."""
    torch.manual_seed(0)
    video = toy_networks(CPU, torch.float32).video
    monkeypatch.setenv("MOFA_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr("mofa.pipeline.engine.require", lambda names: {})
    toy = VideoModelEntry("toy", SvdSettings, lambda running: video, preview="taesd")
    monkeypatch.setitem(VIDEO_MODELS, "svd-xt", toy)
    Image.new("RGB", (64, 64), (90, 120, 60)).save(tmp_path / "photo.png")
    track = {"kind": "track", "points": "20,20 40,20"}
    data = {"picture": str(tmp_path / "photo.png"), "frames": 5, "size": "64x64", "controls": [track]}
    settings = {"steps": 3, "device": "cpu", "densifier": "edge-aware", "adapters": False}
    return AnimationRequest.from_data(data | {"renderer": "diffusion", "diffusion": settings})


@pytest.fixture
def decoder_file(request_: AnimationRequest, tmp_path: Path) -> Path:
    path = tmp_path / "models" / "taesd" / "taesd_decoder.safetensors"
    path.parent.mkdir(parents=True)
    save_file(TinyDecoder().state_dict(), path)
    return path


@pytest.mark.slow
def test_a_shown_clip_is_the_same_clip(request_: AnimationRequest, decoder_file: Path) -> None:
    shown: list[torch.Tensor] = []
    unseen = Engines()
    plain = animate(request_, make_engine=unseen.engine).clip
    watched = animate(request_, make_engine=replace(unseen, show=shown.append).engine).clip
    assert torch.equal(watched.frames, plain.frames)
    assert 1 <= len(shown) <= 3
    assert shown[0].shape == (3, 64, 3 * 64)
    assert unseen.networks.built == ["svd-xt", "taesd"]


@pytest.mark.slow
def test_without_its_weights_or_a_watcher_nothing_is_shown(request_: AnimationRequest) -> None:
    shown: list[torch.Tensor] = []
    engines = Engines(show=shown.append)
    animate(request_, make_engine=engines.engine)
    assert shown == []
    assert engines.networks.built == ["svd-xt"]


@pytest.mark.slow
def test_a_file_that_is_another_network_is_told(request_: AnimationRequest, decoder_file: Path) -> None:
    save_file(TinyDecoder(8).state_dict(), decoder_file)
    with pytest.raises(WeightsError, match=r"taesd_decoder.safetensors does not fit the decoder of TAESD"):
        animate(request_, make_engine=Engines(show=lambda _: None).engine)


def test_pictures_come_no_faster_than_they_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 100.5, 101.1])
    monkeypatch.setattr("mofa.renderers.diffusion.preview.time.monotonic", lambda: next(times))
    shown: list[torch.Tensor] = []
    callback = Preview(TinyDecoder(4), shown.append)
    latents = torch.randn(2, 4, 4, 4)
    for count in (1, 1, 2):
        callback(0, latents, latents)
        assert len(shown) == count


def test_the_frames_that_are_shown_are_spread_over_the_clip() -> None:
    class Counting(TinyDecoder):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :1, :, :].expand(-1, 3, -1, -1).contiguous()

    clean = torch.arange(7.0)[:, None, None, None].expand(-1, 4, 2, 2) / 10
    picture = glimpse(Counting(4), clean)
    assert picture[0, 0].tolist() == [51, 51, 102, 102, 153, 153]
