"""Networks are built once for all they depend on, and new parts are added by a value in a table."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from mofa.errors import InputError
from mofa.evaluation.stages import toy_networks
from mofa.models.tiny import TINY_UNIMATCH
from mofa.models.unimatch import UniMatch
from mofa.pipeline.animate import animate
from mofa.pipeline.engine import Engines
from mofa.pipeline.entries import DensifierEntry, RendererEntry, VideoModelEntry
from mofa.pipeline.networks import Networks, Running
from mofa.pipeline.request import AnimationRequest, ResolvedRequest
from mofa.pipeline.tables import DENSIFIERS, RENDERERS, VIDEO_MODELS
from mofa.renderers.diffusion.settings import DiffusionSettings, SvdSettings
from mofa.types import CropBox, FlowField
from mofa.vision.dis import dis_flow

CPU = torch.device("cpu")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = torch.randint(0, 255, (64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Image.fromarray(pixels.numpy()).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def scene(photo: Path, *controls: dict[str, Any], **more: Any) -> AnimationRequest:
    track = {"kind": "track", "points": "20,20 40,20"}
    data = {"picture": str(photo), "frames": 3, "size": "64x64", "controls": list(controls or [track])}
    return AnimationRequest.from_data(data | more)


def resolved(photo: Path, *controls: dict[str, Any], **more: Any) -> ResolvedRequest:
    return ResolvedRequest.model_validate(dict(scene(photo, *controls, **more)) | {"fps": 8.0})


def diffusion(**more: Any) -> dict[str, Any]:
    return {"renderer": "diffusion", "diffusion": {"steps": 1, "device": "cpu"} | more}


@pytest.fixture
def toy_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every weight is there: networks at toy size, made anew each time they are loaded."""

    def toys() -> Any:
        torch.manual_seed(0)
        return toy_networks(CPU, torch.float32)

    monkeypatch.setattr("mofa.pipeline.engine.require", lambda names: {})
    monkeypatch.setattr("mofa.pipeline.diffusion_engine.require", lambda names: {name: {} for name in names})
    loaders = "mofa.pipeline.diffusion_engine"
    monkeypatch.setattr(f"{loaders}.load_adapter", lambda name, files, dtype: toys().adapters[name])
    monkeypatch.setattr(f"{loaders}.load_sparse_to_dense", lambda files: toys().sparse_to_dense)
    toy = VideoModelEntry("toy", SvdSettings, lambda running: toys().video, (), ("trajectory", "landmark"))
    monkeypatch.setitem(VIDEO_MODELS, "svd-xt", toy)


@pytest.mark.slow
def test_a_second_diffusion_scene_builds_no_network(toy_weights: None, photo: Path) -> None:
    engines = Engines()
    first = animate(scene(photo, **diffusion()), make_engine=engines.engine).clip
    assert sorted(engines.networks.built) == ["cmp", "svd-xt", "trajectory"]
    other_track = {"kind": "track", "points": "30,30 30,50"}
    for request in (
        scene(photo, **diffusion(steps=2)),
        scene(photo, seed=7, **diffusion()),
        scene(photo, **diffusion(guidance_highest=1.0, trajectory_strength=1.0)),
        scene(photo, other_track, frames=5, **diffusion(window=3, stride=1)),
    ):
        made = animate(request, make_engine=engines.engine).clip
        assert made is not None
        assert first is not None
        assert not torch.equal(made.frames, first.frames)
    assert len(engines.networks.built) == 3


@pytest.mark.slow
def test_another_adapter_or_densifier_leaves_the_others_in_place(toy_weights: None, photo: Path) -> None:
    engines = Engines()
    animate(scene(photo, **diffusion(densifier="edge-aware")), make_engine=engines.engine)
    animate(scene(photo, **diffusion()), make_engine=engines.engine)
    assert engines.networks.built == ["svd-xt", "trajectory", "cmp"]


@pytest.mark.slow
@pytest.mark.parametrize("change", [{"offload": "model"}, {"attention_slices": 2}, {"precision": "bfloat16"}])
def test_networks_that_run_in_another_way_are_other_networks(
    toy_weights: None, photo: Path, change: dict[str, Any]
) -> None:
    engines = Engines()
    usual = diffusion(densifier="edge-aware")
    animate(scene(photo, **usual), make_engine=engines.engine)
    changed = usual | {"diffusion": usual["diffusion"] | change}
    before = list(engines.networks.built)
    animate(scene(photo, **changed), make_engine=engines.engine)
    assert engines.networks.built == [*before, "svd-xt", "trajectory"]


def test_old_networks_go_before_new_ones_come() -> None:
    networks, alive = Networks(), []

    class Network:
        def __init__(self) -> None:
            alive.append(self)

    here, halved = Running(CPU), Running(CPU, torch.bfloat16)
    networks.get("diffusion", "model", here, Network)
    networks.get("speech", "voice", here, Network)

    def make() -> Network:
        assert [key[:2] for key in networks._kept] == [("speech", "voice")]
        return Network()

    networks.get("diffusion", "model", halved, make)
    networks.get("speech", "voice", here, Network)
    assert networks.built == ["model", "voice", "model"]


def test_a_reference_after_a_track_is_measured_as_asked(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = []

    def load(device: torch.device) -> UniMatch:
        networks.append(UniMatch(TINY_UNIMATCH))
        return networks[-1]

    monkeypatch.setattr("mofa.pipeline.load.load_unimatch", load)
    engines = Engines()
    video = {"kind": "reference", "video": str(photo)}
    track = engines.engine(resolved(photo, renderer="warp", optical_flow="unimatch"))
    assert track.estimate_flow is dis_flow
    asked = resolved(photo, video, renderer="warp", optical_flow="unimatch")
    first, second = engines.engine(asked), engines.engine(asked)
    assert first.estimate_flow is second.estimate_flow is networks[0]
    assert len(networks) == 1


# --- toys, added from here ------------------------------------------------------------------------


def test_a_renderer_is_a_value_in_a_table(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(asked: Any, networks: Any, show: Any) -> Any:
        grey = torch.full((3, 64, 64), 7, dtype=torch.uint8)
        return lambda source, plan, progress: repeat(grey, plan.num_frames)

    monkeypatch.setitem(RENDERERS, "grey", RendererEntry("grey", lambda _: "edge-aware", lambda _: (), make))
    clip = animate(scene(photo, renderer="grey")).clip
    assert clip is not None
    assert clip.frames.unique().tolist() == [7]


def test_a_densifier_is_a_value_in_a_table(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def far(image: Tensor, hints: Any, region: Any = None, progress: Any = None) -> FlowField:
        steps = len(hints.displacement)
        return FlowField(torch.full((steps, 2, 64, 64), 9.0), torch.ones(steps, 1, 64, 64, dtype=torch.bool))

    monkeypatch.setitem(DENSIFIERS, "far", DensifierEntry("far", lambda asked, networks: far))
    seen = []
    entry = RendererEntry("", lambda asked: asked.diffusion.densifier, lambda _: (), lambda *_: seen.append)
    monkeypatch.setitem(RENDERERS, "none", entry)
    asked = resolved(photo, renderer="none", diffusion={"densifier": "far"})
    hints = Engines().engine(asked).densify
    assert hints is far


@dataclass(frozen=True)
class GreyModel:
    """A video model that knows one grey, four frames to a latent frame."""

    latent_channels: int = 2
    pixel_stride: int = 4
    frame_stride: int = 4

    def networks(self, work: Any = None, /) -> Sequence[Any]:
        return []

    def window(self, height: int, width: int, settings: Any, /) -> CropBox:
        return CropBox(0.0, 0.0, float(width), float(height), width, height)

    def condition(self, picture: Tensor, settings: Any, noise: Tensor, /) -> Tensor:
        return torch.full((2, 16, 16), settings.grey)

    def encode(self, frames: Any, chunk_size: int, /) -> Tensor:
        raise NotImplementedError

    def predicting(self, settings: Any, steering: Any, /) -> Any:
        return nullcontext()

    def passes(self, num_frames: int, settings: Any, /) -> Sequence[Any]:
        return [tuple(range(num_frames))]

    def unseen(self, condition: Tensor, /) -> Tensor:
        return condition

    def like(self, condition: Tensor, /) -> Tensor:
        return condition

    def predict(
        self, x: Tensor, sigma: Tensor, halves: Sequence[Tensor], steering: Any, memory: Any = None, /
    ) -> Tensor:
        return torch.stack([half.expand_as(x) for half in halves])

    def clean(self, x: Tensor, sigma: Tensor, prediction: Tensor, /) -> Tensor:
        return prediction

    def decode(self, latents: Tensor, chunk_size: int, progress: Any, /) -> Iterator[Tensor]:
        frames = latents.mean(1, keepdim=True).repeat_interleave(4, dim=0)[3:]
        yield frames.repeat_interleave(4, -1).repeat_interleave(4, -2).expand(-1, 3, -1, -1)


@dataclass(frozen=True)
class GreySettings(DiffusionSettings):
    """Of the toy family."""

    grey: float = 0.2
    """How bright."""


@pytest.fixture
def grey_model(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = VideoModelEntry("grey", GreySettings, lambda running: GreyModel())
    monkeypatch.setitem(VIDEO_MODELS, "grey", entry)


def test_a_video_model_is_a_value_in_a_table_with_settings_of_its_own(grey_model: None, photo: Path) -> None:
    settings = {"model": "grey", "grey": 0.5, "steps": 2, "densifier": "edge-aware", "device": "cpu"}
    settings |= {"adapters": False}
    asked = scene(photo, renderer="diffusion", frames=7, diffusion=settings)
    assert AnimationRequest.from_text(asked.to_yaml()) == asked
    clip = animate(asked).clip
    assert clip is not None
    assert clip.frames.shape == (7, 3, 64, 64)
    assert clip.frames.unique().tolist() == [round((0.5 / 2 + 0.5) * 255)]
    with pytest.raises(InputError, match=r'"diffusion\.motion_bucket" is not a known key'):
        scene(photo, renderer="diffusion", diffusion=settings | {"motion_bucket": 3})
