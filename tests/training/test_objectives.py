"""Backbone, adapters and sparse-to-dense network at toy size: trained, written, used by the renderer."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from mofa.errors import WeightsError
from mofa.media.image import save_png
from mofa.models.backbone import Backbone
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.motion_encoder import make_motion_encoder
from mofa.models.svd_xt import TOY, make_image_encoder, make_unet, make_vae
from mofa.models.tiny import TINY_ADAPTER
from mofa.training.adapters import (
    STAGE_2_FROZEN,
    AdapterObjective,
    adapter_config_beside,
    freeze,
    start_from_backbone,
)
from mofa.training.config import read_recipe
from mofa.training.conventions import OURS
from mofa.training.loop import train
from mofa.training.protocol import Draws, stack
from mofa.training.shown_motion import MotionSettings
from mofa.training.sources import SyntheticClips
from mofa.training.sparse_to_dense import bins_of
from mofa.training.synthetic import SceneSettings
from mofa.training.synthetic_faces import SyntheticFaces
from mofa.weights.networks import files_in, load_adapter_halves, save_backbone
from mofa.weights.store import require, standing_in

SCENES = SceneSettings(height=64, width=64, num_frames=3)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    torch.manual_seed(0)
    sizes = replace(TOY, vae_layers=1)
    return Backbone(make_unet(sizes), make_vae(sizes), make_image_encoder(sizes))


def objective(backbone: Backbone, adapter: str = "trajectory", kind: str = "dense") -> AdapterObjective:
    torch.manual_seed(1)
    config = adapter_config_beside(backbone, OURS, TINY_ADAPTER)
    encoder, trunk = make_motion_encoder(adapter, config), MotionAdapter(config)
    start_from_backbone(encoder, trunk, backbone, OURS)
    return AdapterObjective(backbone, encoder, trunk, MotionSettings(kind))


@pytest.mark.slow
def test_a_new_adapter_changes_nothing_and_its_first_gradients_reach_the_outputs_alone(backbone) -> None:
    fresh = objective(backbone)
    clip = stack([SyntheticClips(SCENES).build(0)[0]])
    fresh(clip, Draws(0, 0, 1, 0, 1)).per_example.mean().backward()
    reached = {name for name, p in fresh.trained.items() if p.grad is not None and p.grad.any()}
    assert reached
    assert all("controlnet_down_blocks" in name or "controlnet_mid_block" in name for name in reached)


def test_a_new_toy_adapter_changes_nothing_yet_and_is_shown_the_picture() -> None:
    # Released sizes let the picture in by a zero convolution; at toy size there is no time to wait for it.
    small = objective(read_recipe("toy-vae").objective.random())
    assert not small.adapter.config.normalised
    pixels = stack([SyntheticClips(SCENES).build(0)[i] for i in range(4)]).pixels
    with torch.no_grad():
        features = small.encoder.controlnet_cond_embedding(pixels[:, 0] * 2 - 1)
        cells = F.avg_pool2d(pixels[:, 0] * 2 - 1, 8)
    # What each cell's colour is can be read from its features.
    known, wanted = (x.permute(0, 2, 3, 1).flatten(0, 2) for x in (features, cells))
    known = torch.cat([known, torch.ones(len(known), 1)], dim=1)
    left = wanted - known @ torch.linalg.lstsq(known, wanted).solution
    assert left.var() < 0.4 * wanted.var()
    assert features.std() > 0.1
    leaving = [*small.adapter.controlnet_down_blocks, small.adapter.controlnet_mid_block]
    assert not any(parameter.any() for convolution in leaving for parameter in convolution.parameters())


def test_the_frozen_backbone_stays_and_stage_2_keeps_the_pictures_branch(backbone) -> None:
    whole = objective(backbone)
    assert all(name.startswith(("encoder.", "adapter.")) for name in whole.trained)
    before = set(whole.trained)
    freeze(whole, STAGE_2_FROZEN)
    kept = before - set(whole.trained)
    assert kept
    assert all("flow_encoder" in name or "controlnet_cond_embedding" in name for name in kept)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_a_batch_of_clips_has_the_losses_of_its_clips(backbone, kind: str) -> None:
    # Diffusers before 0.28 handed clips' embeddings to each other's frames.
    both = objective(backbone, kind=kind)
    with torch.no_grad():
        for parameter in both.trained.values():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    source = SyntheticClips(SCENES).build(7)
    clips = [source[i] for i in range(3)]
    together = both(stack(clips), Draws(5, 0, 3, 0, 3)).per_example
    alone = [both(stack([clip]), Draws(5, i, 1, i, 3)).per_example[0] for i, clip in enumerate(clips)]
    assert torch.allclose(together, torch.stack(alone), rtol=1e-4)
    assert together.std() > 0


@pytest.mark.slow
def test_the_landmark_adapter_sees_drawings_and_its_heads_learn(backbone) -> None:
    faces = objective(backbone, "landmark", "landmarks")
    with torch.no_grad():
        for parameter in faces.trained.values():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    clips = stack([SyntheticFaces(num_frames=3).build(0)[i] for i in range(2)])
    faces(clips, Draws(0, 0, 2, 0, 2)).per_example.mean().backward()
    still = [name for name, p in faces.trained.items() if p.grad is None or not p.grad.any()]
    assert not [name for name in still if "occlusions" in name or "ldmk_embedding" in name]


@pytest.mark.slow
def test_checkpointed_gradients_are_the_same(backbone) -> None:
    one = objective(backbone)
    with torch.no_grad():
        for parameter in one.trained.values():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    clip = stack([SyntheticClips(SCENES).build(0)[0]])
    gradients = []
    for on in (False, True):
        one.train()
        one.checkpointing(on)
        one.zero_grad()
        one(clip, Draws(0, 0, 1, 0, 1)).per_example.mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in one.trained.values() if p.grad is not None]))
    assert torch.allclose(*gradients, atol=1e-6, rtol=1e-4)


def test_latents_get_deviation_1_and_what_is_drawn_of_them_stays() -> None:
    # Noise levels are meant for that deviation; a VAE that learns to draw makes its latents as it likes.
    learner = read_recipe("toy-vae").objective.build(torch.device("cpu"), torch.float32)
    vae = learner.backbone.vae
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        learner.log_factor.fill_(0.1)
        factor = float(learner.factor)
        before = vae.encode(picture).latent_dist
        drawn = vae.decode(before.mean, num_frames=1).sample
        learner.settle()
        after = vae.encode(picture).latent_dist
        again = vae.decode(after.mean, num_frames=1).sample
        learner.settle()  # a second time there is nothing left to do
    assert factor > 2
    assert torch.allclose(after.mean, factor * before.mean, rtol=1e-4, atol=1e-5)
    assert torch.allclose(after.std, factor * before.std, rtol=1e-4)
    assert torch.allclose(again, drawn, atol=1e-4)
    assert torch.equal(vae.encode(picture).latent_dist.mean, after.mean)


@pytest.mark.slow
def test_the_factor_is_learned_until_latents_have_deviation_1() -> None:
    learner = read_recipe("toy-vae").objective.build(torch.device("cpu"), torch.float32)
    with torch.no_grad():
        learner.vae.quant_conv.weight *= 0.1
        learner.vae.decoder.conv_in.weight *= 10
    source = read_recipe("toy-vae").data.build(0)
    clips = stack([source[i] for i in range(4)])
    optimiser = torch.optim.AdamW([learner.log_factor], lr=0.03)
    for _ in range(20):
        learner(clips, Draws(0, 0, 4, 0, 4)).per_example.mean().backward()
        optimiser.step()
        optimiser.zero_grad()
    assert learner.factor > 5


def test_the_last_pictures_that_a_vae_learns_from_are_whole() -> None:
    learner = read_recipe("toy-vae").objective.build(torch.device("cpu"), torch.float32)
    pixels = torch.rand(2, 4, 3, 64, 64)
    last = learner.drawing_examples - 2
    assert learner.windows(pixels, Draws(0, 0, 2, 0, 2)).shape == (2, 2, 3, 32, 32)
    assert learner.windows(pixels, Draws(0, last, 2, 0, 2)).shape == (2, 2, 3, 64, 64)


@pytest.mark.slow
def test_a_backbone_on_a_vae_that_was_taught_leaves_it_as_it_is(backbone, tmp_path: Path) -> None:
    save_backbone(backbone, tmp_path / "vae")
    changes = [f"objective.start={tmp_path / 'vae'}", "loop.steps=1", "loop.batch=1"]
    written = train(read_recipe("toy-backbone", changes), tmp_path / "run", on_cpu=True)
    before, after = (
        load_file(folder / "vae/diffusion_pytorch_model.safetensors")
        for folder in (tmp_path / "vae", written)
    )
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    before, after = (
        load_file(folder / "unet/diffusion_pytorch_model.safetensors")
        for folder in (tmp_path / "vae", written)
    )
    assert any(not torch.equal(value, after[name]) for name, value in before.items())


def test_bins_tile_the_reach_and_hold_what_is_beyond() -> None:
    flow = torch.tensor([-60.0, -50.0, -0.1, 0.0, 49.9, 70.0]).reshape(1, 1, 1, 6).expand(1, 2, 1, 6)
    assert bins_of(flow, 99, 50.0)[0, 0, 0].tolist() == [0, 0, 49, 49, 98, 98]


@pytest.mark.slow
def test_the_sparse_to_dense_network_learns_and_is_as_good_when_its_norms_rest() -> None:
    recipe = read_recipe("toy-sparse-to-dense", ["objective.width=8"])
    learner = recipe.objective.build(torch.device("cpu"), torch.float32)
    source = recipe.data.build(0)
    clips = stack([source[i] for i in range(4)])
    optimiser = torch.optim.AdamW(learner.trained.values(), lr=3e-3)
    learner.train()
    losses = []
    for _ in range(25):
        loss = learner(clips, Draws(0, 0, 4, 0, 4)).per_example.mean()
        losses.append(float(loss.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    learner.eval()
    with torch.no_grad():
        resting = float(learner(clips, Draws(0, 0, 4, 0, 4)).per_example.mean())
    assert losses[-1] < 0.8 * losses[0]
    assert resting < losses[0]


@pytest.fixture(scope="module")
def trained(backbone, tmp_path_factory) -> tuple[Path, Path]:
    """A backbone's folder, and an adapter's checkpoint that was trained on it."""
    home = tmp_path_factory.mktemp("runs")
    save_backbone(backbone, home / "backbone")
    changes = [f"objective.backbone={home / 'backbone'}", "loop.steps=2", "loop.batch=1"]
    changes += ["data.scenes.num_frames=3", "loop.gradient_checkpointing=true", "optimiser.warmup_steps=0"]
    checkpoint = train(read_recipe("toy-stage1", changes), home / "adapter", on_cpu=True)
    return home / "backbone", checkpoint


@pytest.mark.slow
def test_the_result_is_an_adapter_as_any_other(trained) -> None:
    _, checkpoint = trained
    _, adapter = load_adapter_halves("trajectory", files_in(checkpoint), torch.float32)
    assert adapter.controlnet_mid_block.weight.abs().max() > 0, "two steps have moved it"
    with standing_in([checkpoint]):
        files = require(["trajectory"])["trajectory"]
    assert files["diffusion_pytorch_model.safetensors"].parent == checkpoint
    assert json.loads((checkpoint / "training/state.json").read_text())["step"] == 2


@pytest.mark.slow
def test_animate_uses_weights_of_ones_own(trained, tmp_path: Path, capsys) -> None:
    from mofa.apps.cli import main

    backbone, checkpoint = trained
    save_png(tmp_path / "photo.png", torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8))
    arguments = [
        "animate",
        str(tmp_path / "photo.png"),
        "--track",
        "20,20 40,30",
        "-o",
        str(tmp_path / "c.mp4"),
    ]
    arguments += ["--renderer", "diffusion", "--densifier", "edge-aware", "--steps", "1", "--frames", "3"]
    arguments += ["--size", "64x64", "--device", "cpu", "--quiet"]
    arguments += ["--adapter", str(checkpoint), "--adapter", str(backbone)]
    assert main(arguments) == 0, capsys.readouterr().err
    assert (tmp_path / "c.mp4").stat().st_size > 500


def test_a_folder_without_weights_does_not_stand_in(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds no weights that mofa uses"), standing_in([tmp_path]):
        pass
