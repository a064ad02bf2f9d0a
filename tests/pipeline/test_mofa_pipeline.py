"""The whole diffusion renderer at toy size: same classes, random weights, 64 x 64, 5 frames, 2 steps."""

import inspect
import json
import shutil
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from diffusers import StableVideoDiffusionPipeline

from mofa.errors import Cancelled, InputError, ResourceError, WeightsError
from mofa.evaluation.stages import toy_networks
from mofa.faces.sketch import draw_sketch
from mofa.media.image import to_bytes, to_pillow
from mofa.pipeline.mofa_adapter import MofaAdapter
from mofa.pipeline.mofa_pipeline import MofaPipeline
from mofa.pipeline.networks import Running
from mofa.renderers.diffusion.latents import read_latents
from mofa.renderers.diffusion.placement import Placement, blocks_of
from mofa.renderers.diffusion.render import (
    DiffusionModel,
    adapter_branch,
    asked_size,
    decode,
    denoise,
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
    latents = denoise(source, plan, model, settings, placement, seed, **more)
    return torch.stack(list(decode(latents, source, frames, model, settings, placement)))


left = torch.zeros(1, 64, 64)
left[..., :32] = 1
HYBRID = [branch("landmark", left), branch("trajectory", 1 - left)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "branches",
    [[branch("trajectory")], [branch("landmark")], HYBRID],
    ids=["trajectory", "landmark", "hybrid"],
)
@pytest.mark.parametrize("offload", ["none", "model", "block", "stream"])
def test_every_control_renders_and_offloading_changes_nothing(model, picture, branches, offload):
    frames = render(model, picture, branches, placement=Placement(CPU, offload))
    assert frames.shape == (FRAMES, 3, 64, 64)
    assert torch.equal(frames, render(model, picture, branches))


@pytest.mark.slow
def test_networks_are_as_they_were_when_their_layers_have_streamed(model):
    unet = model.video.backbone.unet
    before = {name: id(weight) for name, weight in unet.named_parameters()}
    with Placement(CPU, "stream").using(unet):
        layer = unet.down_blocks[0].resnets[0].spatial_res_block.conv1
        assert layer._diffusers_hook.hooks
    assert {name: id(weight) for name, weight in unet.named_parameters()} == before
    assert not layer._diffusers_hook.hooks


def test_layers_cannot_stream_to_a_device_that_computes_in_main_memory():
    with pytest.raises(ResourceError, match="and this is cpu: use --offload block"):
        Running.of(SvdSettings(device="cpu", offload="stream"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_layers_that_stream_to_a_gpu_make_the_same_clip(model, picture):
    here = torch.device("cuda")
    parts = {name: Placement(here, name) for name in ("stream", "none")}
    frames = []
    for placement in parts.values():
        placement.settle(*model.networks())
        frames.append(render(model, picture, HYBRID, placement=placement))
    Placement(CPU).settle(*model.networks())
    assert torch.equal(*frames)


@pytest.mark.slow
def test_adapters_act_and_at_strength_zero_they_do_not(model, picture):
    plain = render(model, picture, [])
    assert not torch.equal(plain, render(model, picture, [branch("trajectory")]))
    silent = replace(SETTINGS, trajectory_strength=0.0)
    assert torch.equal(plain, render(model, picture, [branch("trajectory")], silent))


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_clip_no_longer_than_the_window_is_the_plain_pass(model, picture):
    plain = render(model, picture, HYBRID, replace(SETTINGS, window=FRAMES, stride=2))
    assert torch.equal(plain, render(model, picture, HYBRID, replace(SETTINGS, window=25)))


@pytest.mark.slow
@pytest.mark.parametrize("branches", ["trajectory", "landmark", "hybrid"])
def test_long_clips_of_every_control(model, picture, branches):
    if branches == "hybrid":
        parts = [branch("landmark", left, 9), branch("trajectory", 1 - left, 9)]
    else:
        parts = [branch(branches, None, 9)]
    frames = render(model, picture, parts, replace(SETTINGS, window=5, stride=2), frames=9)
    assert frames.shape == (9, 3, 64, 64)


@pytest.mark.slow
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


SHAPE = {"num_frames": FRAMES, "height": 60, "width": 72, "output_type": "pt"}


@pytest.fixture
def pipe(model):
    return MofaPipeline(model, SETTINGS)


@pytest.mark.slow
def test_the_pipeline_from_python_is_the_same_offloaded_and_saved(pipe, picture, tmp_path):
    first = pipe(picture, CONTROLS, **SHAPE).frames
    assert first.shape == (1, FRAMES, 3, 60, 72)
    pipe.enable_model_cpu_offload(device="cpu")
    assert torch.equal(first, pipe(picture, CONTROLS, **SHAPE).frames)

    pipe.save_pretrained(tmp_path)
    again = MofaPipeline.from_pretrained(tmp_path, settings=SETTINGS).to("cpu")
    assert torch.equal(first, again(picture, CONTROLS, **SHAPE).frames)
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert {name for name in index if not name.startswith("_")} == pipe.components.keys()
    assert all((tmp_path / name / "config.json").is_file() for name in pipe.components)


def test_what_diffusers_pipelines_take_ours_takes_by_the_same_name():
    """Left out: what only a scheduler of diffusers' own could follow."""
    theirs = inspect.signature(StableVideoDiffusionPipeline.__call__).parameters.keys() - {"sigmas"}
    assert theirs <= inspect.signature(MofaPipeline.__call__).parameters.keys()


@pytest.mark.slow
def test_pictures_arrays_and_tensors_are_the_same_clip(pipe, picture):
    shape = SHAPE | {"output_type": "pil"}
    tensor = pipe(picture, CONTROLS, **SHAPE).frames
    [pictures] = pipe(picture, CONTROLS, **shape).frames
    assert [one.size for one in pictures] == [(72, 60)] * FRAMES
    stacked = np.stack([np.asarray(one) for one in pictures])
    assert np.array_equal(stacked, (tensor[0].permute(0, 2, 3, 1) * 255).round().numpy())
    [array] = pipe(picture, CONTROLS, **shape | {"output_type": "np"}).frames
    assert array.shape == (FRAMES, 60, 72, 3)
    assert np.allclose(array * 255, stacked)
    (frames,) = pipe(picture, CONTROLS, **SHAPE, return_dict=False)
    assert torch.equal(frames, tensor)
    as_pillow = to_pillow(to_bytes(picture))
    assert torch.equal(
        pipe(as_pillow, CONTROLS, **SHAPE).frames,
        pipe(to_bytes(picture).float() / 255, CONTROLS, **SHAPE).frames,
    )


@pytest.mark.slow
def test_latents_are_what_the_last_step_left_and_are_not_decoded(pipe, picture, monkeypatch):
    monkeypatch.setattr(StableVideoDiffusion, "decode", lambda *_: pytest.fail("decoded"))
    told = []

    def keep(same, step, timestep, tensors):
        assert same is pipe
        told.append((step, timestep.item(), tensors["latents"]))
        return tensors

    latents = pipe(
        picture, CONTROLS, num_frames=FRAMES, output_type="latent", callback_on_step_end=keep
    ).frames
    assert latents.shape == (1, FRAMES, 4, 8, 8)
    assert torch.equal(latents, told[-1][2])
    assert [step for step, *_ in told] == [0, 1]
    assert told[0][1] == pytest.approx(0.25 * np.log(700))


@pytest.mark.slow
def test_a_callback_may_replace_the_latents(pipe, picture):
    def blank(_, step, timestep, tensors):
        return {"latents": torch.zeros_like(tensors["latents"])}

    latents = pipe(
        picture, CONTROLS, num_frames=FRAMES, output_type="latent", callback_on_step_end=blank
    ).frames
    assert not latents.any()
    with pytest.raises(InputError, match="shown latents, not noise_pred"):
        pipe(picture, CONTROLS, callback_on_step_end_tensor_inputs=["noise_pred"])


@pytest.mark.slow
def test_settings_of_one_call_are_those_of_the_pipeline_built_with_them(pipe, model, picture):
    told = pipe(picture, CONTROLS, **SHAPE, motion_bucket_id=10, max_guidance_scale=2.0, decode_chunk_size=2)
    other = MofaPipeline(model, replace(SETTINGS, motion_bucket=10, guidance_highest=2.0, decode_chunk=2))
    assert torch.equal(told.frames, other(picture, CONTROLS, **SHAPE).frames)


@pytest.mark.slow
def test_several_clips_have_their_own_noise(pipe, picture):
    clips = pipe(picture, CONTROLS, **SHAPE, num_videos_per_prompt=2, seed=4).frames
    assert torch.equal(clips[1:], pipe(picture, CONTROLS, **SHAPE, seed=5).frames)
    generators = [torch.Generator().manual_seed(n) for n in (8, 9)]
    drawn = pipe(picture, CONTROLS, **SHAPE, num_videos_per_prompt=2, generator=generators).frames
    alone = pipe(picture, CONTROLS, **SHAPE, generator=torch.Generator().manual_seed(9), seed=1).frames
    assert torch.equal(drawn[1:], alone)
    with pytest.raises(InputError, match="2 generators for 3 clips"):
        pipe(picture, CONTROLS, num_videos_per_prompt=3, generator=generators)


@pytest.mark.slow
def test_attention_is_sliced_on_demand_and_xformers_refused(model, picture):
    pipe = MofaPipeline(model, SETTINGS)
    whole = pipe(picture, CONTROLS, **SHAPE).frames
    pipe.enable_attention_slicing()
    assert pipe.settings.attention_slices == 2
    assert (pipe(picture, CONTROLS, **SHAPE).frames - whole).abs().max() <= 1 / 255 + 1e-6
    pipe.enable_attention_slicing("max")
    assert pipe.settings.attention_slices == 2, "one of two heads"
    pipe.enable_attention_slicing(2)
    assert pipe.settings.attention_slices == 1
    pipe.disable_attention_slicing()
    assert torch.equal(pipe(picture, CONTROLS, **SHAPE).frames, whole)
    with pytest.raises(ResourceError, match="torch's own attention"):
        pipe.enable_xformers_memory_efficient_attention()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["trajectory", "landmark"])
def test_adapters_are_folders_of_their_own_and_take_their_places(pipe, model, picture, name, tmp_path):
    MofaAdapter(name, model.adapters[name]).save_pretrained(tmp_path / "mine", variant="fp16")
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        "config.json",
        "diffusion_pytorch_model.fp16.safetensors",
    ]
    with pytest.raises(WeightsError, match="no weights of variant none, but of fp16"):
        MofaAdapter.from_pretrained(tmp_path / "mine")
    mine = MofaAdapter.from_pretrained(tmp_path / "mine", variant="fp16")
    assert mine.name == name

    pipe.save_pretrained(tmp_path / "all")
    for part in mine.halves.adapter.parameters():
        part.data.zero_()
    other = MofaPipeline.from_pretrained(tmp_path / "all", settings=SETTINGS, **{name: mine})
    assert other.components[name].halves is mine.halves
    assert other.components["unet"] is other.model.video.backbone.unet
    with pytest.raises(WeightsError, match="not like a motion adapter"):
        MofaAdapter.from_pretrained(tmp_path / "all" / "unet")


@pytest.mark.slow
def test_adapters_and_pipelines_go_to_the_hub_and_come_back(pipe, model, monkeypatch, tmp_path):
    """The hub's own client, its two calls replaced by a folder."""
    shelf = tmp_path / "hub"

    def upload(api, *, repo_id, folder_path, commit_message):
        shutil.copytree(folder_path, shelf / repo_id)

    def create(api, repo_id, *, private, exist_ok):
        return huggingface_hub.RepoUrl(f"https://huggingface.co/{repo_id}")

    def snapshot(repo_id, *, revision, allow_patterns, **_):
        assert revision == "v1"
        assert "*.json" in allow_patterns
        return str(shelf / repo_id)

    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload)
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    adapter = MofaAdapter("trajectory", model.adapters["trajectory"])
    assert adapter.push_to_hub("me/adapter") == "https://huggingface.co/me/adapter"
    again = MofaAdapter.from_pretrained("me/adapter", revision="v1")
    same = zip(again.halves.adapter.parameters(), adapter.halves.adapter.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in same)

    pipe.push_to_hub("me/pipe", variant="fp16")
    back = MofaPipeline.from_pretrained("me/pipe", settings=SETTINGS, revision="v1", variant="fp16")
    assert back.components.keys() == pipe.components.keys()

    def offline(*_, **__):
        raise huggingface_hub.errors.LocalEntryNotFoundError("not in the cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", offline)
    with pytest.raises(WeightsError, match="did not serve me/absent"):
        MofaAdapter.from_pretrained("me/absent", local_files_only=True)


def test_a_folder_of_the_video_model_alone_is_completed_from_the_store(pipe, monkeypatch, tmp_path):
    pipe.save_pretrained(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableVideoDiffusionPipeline"}')
    for room in ("trajectory", "landmark", "sparse_to_dense"):
        shutil.move(tmp_path / room, tmp_path.with_name(f"{tmp_path.name}-{room}"))
    monkeypatch.setenv("MOFA_HOME", str(tmp_path / "none"))
    with pytest.raises(WeightsError, match="mofa models download trajectory"):
        MofaPipeline.from_pretrained(tmp_path, settings=SETTINGS)


def test_absent_weights_are_one_clear_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("MOFA_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match=r"mofa models download .*--renderer warp"):
        MofaPipeline.from_pretrained("svd-xt", settings=SETTINGS)
    with pytest.raises(WeightsError, match="no saved pipeline"):
        MofaPipeline.from_pretrained(Path(tmp_path), settings=SETTINGS)


def test_out_of_memory_says_what_would_fit(model, picture, monkeypatch):
    monkeypatch.setattr(
        "mofa.pipeline.mofa_pipeline.denoise",
        lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("no more")),
    )
    pipe = MofaPipeline(model, SETTINGS)
    with pytest.raises(ResourceError, match=r"--offload model.*--halves-at-once 1.*--size 64x64"):
        pipe(picture, CONTROLS, num_frames=FRAMES, output_type="latent")


@pytest.mark.slow
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
        for offload in ("none", "block", "stream")
    ]
    assert torch.equal(frames[0], frames[1])
    assert torch.equal(frames[0], frames[2])


@pytest.mark.slow
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


def test_a_guide_that_holds_everything_is_told_and_one_that_leaves_something_is_not(model, picture, caplog):
    """Nothing is uncovered by a camera that goes nearer, and much by one that draws back."""
    guided = replace(SETTINGS, steps=3, guide="warp", adapters=False)
    source = SourceImage(picture, CropBox(0.0, 0.0, 64.0, 64.0, 64, 64))
    flow = FlowField(torch.zeros(4, 2, 64, 64), torch.ones(4, 1, 64, 64).bool())
    still = MotionBranch("trajectory", flow, torch.ones(1, 64, 64))
    told = []
    for scale in (1.3, 0.7):
        caplog.clear()
        middle = 31.5 * (1 - scale)
        camera = torch.tensor([[scale, 0.0, middle], [0.0, scale, middle]]).expand(FRAMES - 1, 2, 3)
        plan = MotionPlan((still,), camera, FRAMES)
        denoise(source, plan, model, guided, Placement(CPU), 3)
        told.append("the whole picture follows the guide down to noise level 31" in caplog.text)
    assert told == [True, False]


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_initial_noise_is_the_seeds_the_generators_or_the_latents_that_are_given(
    model, picture, tmp_path
):
    pipe = MofaPipeline(model, SETTINGS)

    def clip(**more):
        return pipe(picture, CONTROLS[:1], num_frames=FRAMES, output_type="pt", **more).frames

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


@pytest.mark.slow
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
