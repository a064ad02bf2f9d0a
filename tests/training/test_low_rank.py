"""A low-rank change of an adapter: few numbers are trained, it is small, and it is used as any adapter."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mofa.errors import InputError, WeightsError
from mofa.models.backbone import Backbone
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.motion_encoder import make_motion_encoder
from mofa.models.svd_xt import TOY, make_image_encoder, make_unet, make_vae
from mofa.models.tiny import TINY_ADAPTER
from mofa.training.config import Recipe, read_recipe
from mofa.training.loop import train
from mofa.weights.low_rank import LOW_RANK_SETTINGS, LOW_RANK_WEIGHTS, product, read_merged
from mofa.weights.networks import load_adapter_halves, save_adapter_halves, save_backbone
from mofa.weights.store import own_files, require, standing_in

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A folder with a backbone and an adapter that does something."""
    home = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    sizes = replace(TOY, vae_layers=1)
    save_backbone(Backbone(make_unet(sizes), make_vae(sizes), make_image_encoder(sizes)), home / "backbone")
    encoder, adapter = make_motion_encoder("trajectory", TINY_ADAPTER), MotionAdapter(TINY_ADAPTER)
    save_adapter_halves(encoder, adapter, home / "adapter")
    return home


def recipe(home: Path, *more: str) -> Recipe:
    changes = [f"objective.backbone={home / 'backbone'}", f"objective.start={home / 'adapter'}"]
    changes += ["loop.batch=2", "data.scenes.num_frames=3", "optimiser.warmup_steps=0", "loop.average=null"]
    return read_recipe("toy-stage1", [*changes, "objective.lora.rank=4", *more])


@pytest.fixture(scope="module")
def checkpoint(home: Path, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "lora"
    return train(recipe(home, "loop.steps=2", "optimiser.learning_rate=0.01"), run, on_cpu=True)


def test_only_the_factors_are_trained_and_the_loss_falls(home: Path, tmp_path: Path) -> None:
    learner = recipe(home).objective.build(torch.device("cpu"), torch.float32)
    assert learner.trained
    assert all(".lora_" in name for name in learner.trained)
    assert all(name.startswith(("adapter.", "encoder.")) for name in learner.trained)
    # The same two clips with the same noise every step: what is left is learning.
    from mofa.training.protocol import Draws, stack

    source = recipe(home).data.build(0)
    clips, draws = stack([source[i] for i in range(2)]), Draws(0, 0, 2, 0, 2)
    optimiser = torch.optim.AdamW(learner.trained.values(), lr=0.01)
    losses = []
    for _ in range(8):
        loss = learner(clips, draws).per_example.mean()
        losses.append(float(loss.detach()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert losses[-1] < 0.9 * losses[0]


def test_a_checkpoint_is_small_and_names_what_it_changes(home: Path, checkpoint: Path) -> None:
    assert json.loads((checkpoint / LOW_RANK_SETTINGS).read_text())["base_model_name_or_path"] == str(
        home / "adapter"
    )
    whole = (home / "adapter/diffusion_pytorch_model.safetensors").stat().st_size
    assert (checkpoint / LOW_RANK_WEIGHTS).stat().st_size < whole / 2
    assert not (checkpoint / "diffusion_pytorch_model.safetensors").exists()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(6, 5), (3, 6)),
        (nn.Conv2d(6, 5, 3, padding=1), (2, 6, 7, 7)),
        (nn.Conv3d(6, 5, (3, 1, 1), padding=(1, 0, 0)), (2, 6, 4, 3, 3)),
    ],
)
def test_the_product_added_is_what_peft_computes(layer: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(layer)
    x, own = torch.randn(shape), layer.weight.detach().clone()
    inject_adapter_in_model(
        LoraConfig(r=2, lora_alpha=6, target_modules=["0"], init_lora_weights=False), network
    )
    wanted = network(x)
    factors: dict[str, Tensor] = {
        name.replace(".default.", "."): p.detach() for name, p in network.named_parameters() if "lora" in name
    }
    layer.weight.data = own + 3 * product(factors, "0", Path("x")).reshape(own.shape)
    assert torch.allclose(layer(x), wanted, atol=1e-4)
    assert not torch.allclose(wanted, nn.Sequential(layer)(x) * 0, atol=1e-3)


def test_the_trained_network_is_the_merged_one(home: Path, checkpoint: Path) -> None:
    learner = recipe(home).objective.build(torch.device("cpu"), torch.float32)
    from mofa.training.checkpoint import read_checkpoint_into

    read_checkpoint_into(checkpoint, learner, torch.optim.AdamW(learner.trained.values()))
    merged_encoder, merged = load_adapter_halves("trajectory", own_files(checkpoint), torch.float32)
    source = recipe(home).data.build(3)
    from mofa.training.protocol import Draws, stack

    clips, draws = stack([source[0]]), Draws(0, 0, 1, 0, 1)
    with torch.no_grad():
        trained = learner(clips, draws).per_example
        learner.encoder, learner.adapter = merged_encoder, merged
        assert torch.allclose(learner(clips, draws).per_example, trained, rtol=1e-4)


def test_animate_with_it_makes_what_the_merged_adapter_makes(
    home: Path, checkpoint: Path, tmp_path: Path, capsys
) -> None:
    from mofa.apps.cli import main
    from mofa.media.image import read_picture, save_png

    assert main(["models", "export", str(checkpoint), "-o", str(tmp_path / "whole")]) == 0
    save_png(tmp_path / "photo.png", torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8))
    clips = []
    for name, folder in (("change", checkpoint), ("merged", tmp_path / "whole"), ("base", home / "adapter")):
        arguments = ["animate", str(tmp_path / "photo.png"), "--track", "20,20 40,30", "--quiet"]
        arguments += ["--renderer", "diffusion", "--densifier", "edge-aware", "--steps", "1", "--frames", "3"]
        arguments += ["--size", "64x64", "--device", "cpu", "-o", str(tmp_path / name)]
        arguments += ["--adapter", str(folder), "--adapter", str(home / "backbone")]
        assert main(arguments) == 0, capsys.readouterr().err
        frames = [read_picture(path) for path in sorted((tmp_path / name).glob("*.png"))]
        clips.append(torch.stack(frames) * 255)
    change, merged, base = clips
    assert len(change) == 3
    # Weights that were read and weights that were worked out may be added up in another order.
    assert (change - merged).abs().max() < 1.5
    assert (change - merged).abs().mean() < 0.01 * (change - base).abs().mean()


def test_a_base_that_is_gone_is_named(home: Path, checkpoint: Path, tmp_path: Path) -> None:
    copy = copied(checkpoint, tmp_path / "copy", base=str(tmp_path / "gone"))
    with (
        pytest.raises(WeightsError, match=r"changes the adapter in .*gone, which is not there"),
        standing_in([copy]),
    ):
        require(["trajectory"])


def test_a_base_of_the_store_that_is_absent_is_named(checkpoint: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MOFA_HOME", str(tmp_path / "empty"))
    copy = copied(checkpoint, tmp_path / "copy", base="trajectory")
    with pytest.raises(WeightsError, match=r"not on this machine: trajectory"), standing_in([copy]):
        require(["trajectory"])


def test_a_base_of_another_architecture_is_named(home: Path, checkpoint: Path, tmp_path: Path) -> None:
    change = load_file(checkpoint / LOW_RANK_WEIGHTS)
    name = next(iter(change)).removesuffix(".lora_A.weight").removesuffix(".lora_B.weight")
    change[f"{name}.lora_B.weight"] = torch.zeros(7, 4)
    copy = copied(checkpoint, tmp_path / "copy", base=str(home / "adapter"))
    (copy / LOW_RANK_WEIGHTS).unlink()
    save_file(change, copy / LOW_RANK_WEIGHTS)
    with pytest.raises(WeightsError, match="another architecture"):
        read_merged(home / "adapter/diffusion_pytorch_model.safetensors", copy / LOW_RANK_WEIGHTS)


def test_a_change_of_a_change_is_refused(home: Path, checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="an adapter that is there"):
        recipe(home, f"objective.start={checkpoint}").objective.build(torch.device("cpu"), torch.float32)
    with pytest.raises(WeightsError, match="low-rank change itself"):
        own_files(copied(checkpoint, tmp_path / "copy", base=str(checkpoint)))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("objective.start=backbone", "an adapter that is there"),
        ("objective.lora.rank=0", "a rank is 1 or more"),
        ("objective.lora.layers=[nothing]", "means no layer"),
    ],
)
def test_what_cannot_be_changed_is_told(home: Path, change: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        recipe(home, change).objective.build(torch.device("cpu"), torch.float32)


def copied(checkpoint: Path, target: Path, base: str) -> Path:
    """The change, said to be of another base."""
    target.mkdir()
    (target / LOW_RANK_WEIGHTS).write_bytes((checkpoint / LOW_RANK_WEIGHTS).read_bytes())
    settings = json.loads((checkpoint / LOW_RANK_SETTINGS).read_text())
    settings["base_model_name_or_path"] = base
    (target / LOW_RANK_SETTINGS).write_text(json.dumps(settings))
    return target
