"""The whole diffusion renderer at toy size: same classes, random weights, 64 x 64, 5 frames, 2 steps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mofa.errors import Cancelled, InputError, ResourceError, WeightsError
from mofa.evaluation.stages import toy_networks
from mofa.faces.sketch import draw_sketch
from mofa.pipeline.mofa_pipeline import MofaPipeline
from mofa.renderers.diffusion.latents import read_latents
from mofa.renderers.diffusion.placement import Placement, blocks_of
from mofa.renderers.diffusion.render import (
    DiffusionModel,
    adapter_branch,
    asked_size,
    render_diffusion,
)
from mofa.renderers.diffusion.settings import PRESETS, SvdSettings
from mofa.renderers.diffusion.svd import StableVideoDiffusion
from mofa.tensors.motion import as_seen, points_as_seen
from mofa.types import CropBox, FlowField, MotionBranch, MotionPlan, SourceImage

CPU = torch.device("cpu")
SETTINGS = SvdSettings(steps=2, guidance_down_to=0.0, window=25, device="cpu", precision="float32")
FRAMES = 5


@pytest.fixture(scope="module")
def model() -> DiffusionModel:
    torch.manual_seed(0)
    return toy_networks(CPU, torch.float32)


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    return torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1))


def branch(adapter: str, region: torch.Tensor | None = None, frames: int = FRAMES) -> MotionBranch:
    generator = torch.Generator().manual_seed(2)
    flow = 4 * torch.randn(frames - 1, 2, 64, 64, generator=generator)
    valid = torch.ones(frames - 1, 1, 64, 64, dtype=torch.bool)
    face = 64 * torch.rand(frames, 68, 2, generator=generator) if adapter == "landmark" else None
    whole = torch.ones(1, 64, 64)
    return MotionBranch(adapter, FlowField(flow, valid), whole if region is None else region, face=face)


def render(model, picture, branches, settings=SETTINGS, frames=FRAMES, seed=3, **more):
    source = SourceImage(picture, CropBox(0.0, 0.0, 64.0, 64.0, 64, 64))
    camera = torch.eye(2, 3).expand(frames - 1, 2, 3)
    plan = MotionPlan(tuple(branches), camera, frames)
    placement = more.pop("placement", Placement(CPU))
    return torch.stack(list(render_diffusion(source, plan, model, settings, placement, seed, **more)))


left = torch.zeros(1, 64, 64)
left[..., :32] = 1
HYBRID = [branch("landmark", left), branch("trajectory", 1 - left)]


@pytest.mark.parametrize(
    "branches",
    [[branch("trajectory")], [branch("landmark")], HYBRID],
    ids=["trajectory", "landmark", "hybrid"],
)
@pytest.mark.parametrize("offload", ["none", "model", "block"])
def test_every_control_renders_and_offloading_changes_nothing(model, picture, branches, offload):
    frames = render(model, picture, branches, placement=Placement(CPU, offload))
    assert frames.shape == (FRAMES, 3, 64, 64)
    assert torch.equal(frames, render(model, picture, branches))


def test_adapters_act_and_at_strength_zero_they_do_not(model, picture):
    plain = render(model, picture, [])
    assert not torch.equal(plain, render(model, picture, [branch("trajectory")]))
    silent = replace(SETTINGS, trajectory_strength=0.0)
    assert torch.equal(plain, render(model, picture, [branch("trajectory")], silent))


def test_step_independent_work_is_done_once(model, picture, monkeypatch):
    calls = []
    for name, halves in model.adapters.items():
        forward = type(halves.encoder).forward
        monkeypatch.setattr(
            type(halves.encoder),
            "forward",
            lambda self, *a, name=name, forward=forward: calls.append(name) or forward(self, *a),
        )
    render(model, picture, HYBRID, replace(SETTINGS, steps=25))
    assert sorted(calls) == ["landmark", "trajectory"]


def test_a_clip_no_longer_than_the_window_is_the_plain_pass(model, picture):
    plain = render(model, picture, HYBRID, replace(SETTINGS, window=FRAMES, stride=2))
    assert torch.equal(plain, render(model, picture, HYBRID, replace(SETTINGS, window=25)))


@pytest.mark.parametrize("branches", ["trajectory", "landmark", "hybrid"])
def test_long_clips_of_every_control(model, picture, branches):
    if branches == "hybrid":
        parts = [branch("landmark", left, 9), branch("trajectory", 1 - left, 9)]
    else:
        parts = [branch(branches, None, 9)]
    frames = render(model, picture, parts, replace(SETTINGS, window=5, stride=2), frames=9)
    assert frames.shape == (9, 3, 64, 64)


def test_slices_and_single_halves_save_memory_and_change_nothing(model, picture):
    usual = render(model, picture, HYBRID).float()
    frugal = render(model, picture, HYBRID, replace(SETTINGS, halves_at_once=1)).float()
    assert (usual - frugal).abs().max() <= 1


def test_a_cancelled_run_stops_at_the_step(model, picture):
    seen = []

    def stop(step: int, latents: torch.Tensor, clean: torch.Tensor, /) -> None:
        seen.append(step)
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        render(model, picture, HYBRID, callback=stop)
    assert seen == [0]


def test_a_branch_without_its_adapter_is_refused(model, picture):
    lone = DiffusionModel(model.video, {"trajectory": model.adapters["trajectory"]})
    with pytest.raises(InputError, match="landmark adapter"):
        render(lone, picture, HYBRID)


@pytest.mark.parametrize(("width", "height"), [(100, 70), (64, 64), (130, 190)])
def test_any_size_comes_back_as_asked(model, width, height):
    for fit in ("pad", "crop"):
        window = model.video.window(height, width, replace(SETTINGS, fit_64=fit))
        assert window.working_width % 64 == 0
        assert window.working_height % 64 == 0
        frames = torch.zeros(2, 3, window.working_height, window.working_width)
        assert asked_size(frames, window, height, width).shape == (2, 3, height, width)


CONTROLS = [{"kind": "track", "points": "20,20 40,20"}, {"kind": "camera", "move": "zoom 1.1"}]


def test_the_pipeline_from_python(model, picture, tmp_path):
    pipe = MofaPipeline(model, SETTINGS)
    first = pipe(picture, CONTROLS, num_frames=FRAMES, size=(72, 60)).frames
    assert first.shape == (FRAMES, 3, 60, 72)
    pipe.enable_model_cpu_offload("cpu")
    assert torch.equal(first, pipe(picture, CONTROLS, num_frames=FRAMES, size=(72, 60)).frames)

    pipe.save_pretrained(tmp_path)
    again = MofaPipeline.from_pretrained(tmp_path, settings=SETTINGS).to("cpu")
    assert torch.equal(first, again(picture, CONTROLS, num_frames=FRAMES, size=(72, 60)).frames)


def test_absent_weights_are_one_clear_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("MOFA_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match=r"mofa models download .*--renderer warp"):
        MofaPipeline.from_pretrained("svd-xt", settings=SETTINGS)
    with pytest.raises(WeightsError, match="no saved pipeline"):
        MofaPipeline.from_pretrained(Path(tmp_path), settings=SETTINGS)


def test_out_of_memory_says_what_would_fit(model, picture, monkeypatch):
    monkeypatch.setattr(
        "mofa.pipeline.diffusion_engine.render_diffusion",
        lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("no more")),
    )
    pipe = MofaPipeline(model, SETTINGS)
    with pytest.raises(ResourceError, match=r"--offload model.*--halves-at-once 1.*--size 64x64"):
        pipe(picture, CONTROLS, num_frames=FRAMES)


def test_with_blocks_offloaded_steps_that_reuse_work_find_the_layers_they_call(model, picture):
    """Every layer with weights that is called is, or lies in, a block that is brought to the device."""
    unet = model.video.backbone.unet
    owners = {id(weight): block for block in blocks_of(unet) for weight in block.parameters()}
    assert all(id(weight) in owners for weight in unet.parameters())
    last, first = unet.up_blocks[-1], unet.down_blocks[0]
    for layer in (last.resnets[-1], last.attentions[-1], first.resnets[0], first.attentions[0]):
        assert any(block is layer for block in blocks_of(unet))
    reusing = replace(SETTINGS, steps=9, reuse=3)
    frames = [
        render(model, picture, [branch("trajectory")], reusing, placement=Placement(CPU, offload))
        for offload in ("none", "block")
    ]
    assert torch.equal(*frames)


def test_the_warp_guides_the_model_alone_and_beside_the_adapters(model, picture):
    usual = replace(SETTINGS, steps=8)
    guided = replace(usual, guide="warp", guide_strong=0.0)
    alone = replace(guided, adapters=False)
    motion = [branch("trajectory")]
    frames = {name: render(model, picture, motion, chosen) for name, chosen in
              {"usual": usual, "guided": guided, "alone": alone}.items()}  # fmt: skip
    assert not torch.equal(frames["usual"], frames["guided"])
    assert frames["alone"].shape == frames["usual"].shape
    long = render(
        model, picture, [branch("trajectory", None, 9)], replace(alone, window=5, stride=2), frames=9
    )
    assert len(long) == 9
    still = [MotionBranch("trajectory", FlowField(torch.zeros(4, 2, 64, 64), torch.ones(4, 1, 64, 64).bool()),
                          torch.ones(1, 64, 64))]  # fmt: skip
    with pytest.raises(InputError, match="nothing to guide by"):
        render(model, picture, still, guided)
    with pytest.raises(ValueError, match="guide_strong 90"):
        replace(guided, guide_strong=90.0)


def test_guidance_stops_below_its_level_and_spares_the_other_half(model, picture, monkeypatch):
    halves = []
    predict = StableVideoDiffusion.predict
    monkeypatch.setattr(
        StableVideoDiffusion,
        "predict",
        lambda self, x, sigma, given, *rest: (
            halves.append(len(given)) or predict(self, x, sigma, given, *rest)
        ),
    )
    render(model, picture, [], replace(SETTINGS, steps=25, guidance_down_to=0.3))
    assert halves == [2] * 20 + [1] * 5
    assert sum(halves) == pytest.approx(0.9 * 50)


def test_the_initial_noise_is_the_seeds_the_generators_or_the_latents_that_are_given(
    model, picture, tmp_path
):
    pipe = MofaPipeline(model, SETTINGS)

    def clip(**more):
        return pipe(picture, CONTROLS[:1], num_frames=FRAMES, **more).frames

    drawn = clip(generator=torch.Generator().manual_seed(3))
    noise = torch.randn(FRAMES, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    assert torch.equal(drawn, clip(latents=noise))
    assert not torch.equal(drawn, clip())
    with pytest.raises(InputError, match="the latents are 2x4x8x8, but this clip needs 5x4x8x8"):
        clip(latents=noise[:2])
    with pytest.raises(InputError, match="give one of them"):
        clip(latents=noise, generator=torch.Generator())
    np.save(tmp_path / "noise.npy", noise[None].numpy())
    assert torch.equal(read_latents(tmp_path / "noise.npy"), noise)
    for wrong in ("absent.npy", "text.npy"):
        (tmp_path / "text.npy").write_text("no array")
        with pytest.raises(InputError, match=wrong):
            read_latents(tmp_path / wrong)


@torch.no_grad()
def test_features_of_a_window_are_those_of_the_whole_clip(model, picture):
    landmark = branch("landmark")
    camera = torch.eye(2, 3).repeat(FRAMES - 1, 1, 1)
    camera[:, :, 2] = torch.arange(1.0, FRAMES)[:, None]
    plan = MotionPlan((landmark,), camera, FRAMES)
    window, encoder = CropBox(0.0, 0.0, 64.0, 64.0, 64, 64), model.adapters["landmark"].encoder
    ready = adapter_branch(landmark, plan, picture, window, model, SETTINGS, Placement(CPU))

    flow = as_seen(landmark.motion, camera).over(range(FRAMES - 1)).pixels
    sketch = draw_sketch(points_as_seen(landmark.face, camera), 64, 64)
    whole = encoder(picture[None] * 2 - 1, flow, sketch)
    part, frames = ready.features.over((0, 2, 3)), [0, 2, 3]
    for level, expected in zip(part.levels, whole.levels, strict=True):
        torch.testing.assert_close(level, expected[frames], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(part.sketch, whole.sketch[frames], rtol=1e-5, atol=1e-5)


def test_the_preset_of_the_released_behaviour_repeats_what_is_known_of_it(model, picture):
    """CLIP unnormalised, halves that read each other's picture, the last window of some lengths twice."""
    released = replace(PRESETS["released"], steps=2, device="cpu", precision="float32", window=5, stride=2)
    assert not released.normalise_for_clip
    assert model.video.passes(9, released)[-2:] == ((0, 5, 6, 7, 8),) * 2
    assert model.video.passes(8, released) == model.video.passes(8, replace(released, last_window="once"))
    own = replace(released, guidance_rows="own")
    motion = [branch("trajectory")]
    assert not torch.equal(render(model, picture, motion, released), render(model, picture, motion, own))
    assert torch.equal(render(model, picture, motion, own), render(model, picture, motion, own))
    with pytest.raises(ValueError, match="both halves at once"):
        replace(released, halves_at_once=1)
