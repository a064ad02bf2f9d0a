"""Adapters that are told what may move: nothing new at first, then used, kept, given a scene's region."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from mofa.apps.cli import main
from mofa.errors import InputError, WeightsError
from mofa.evaluation.training_cost import count_step
from mofa.media.image import save_png
from mofa.models.motion_encoder import RegionChannel
from mofa.training.config import Recipe, read_recipe
from mofa.training.loop import train
from mofa.training.objectives import read_adapter, read_backbone
from mofa.training.painted import RegionSettings, heard, painted_region
from mofa.training.protocol import Draws, stack
from mofa.training.shown_motion import Told
from mofa.types import SparseMotion
from mofa.weights.exporting import export_weights
from mofa.weights.networks import files_in, load_adapter_halves, save_backbone

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
REGION = "objective.region.whole=0.3"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy backbone, an adapter trained for two steps beside it, and one that was told what may move."""
    home = tmp_path_factory.mktemp("weights")
    # Beside this one an adapter sees its picture from the first step, so that there is something to change.
    backbone = read_recipe("toy-vae").objective.random()
    torch.manual_seed(0)
    torch.nn.init.normal_(backbone.unet.conv_out.weight, std=0.1)  # what predicts nothing teaches nothing
    save_backbone(backbone, home / "backbone")
    train(recipe(home, "loop.steps=2"), home / "untold", on_cpu=True)
    start = f"objective.start={home / 'untold/checkpoint-2'}"
    quick = ["loop.steps=3", "optimiser.learning_rate=0.01", "optimiser.schedule=constant"]
    train(recipe(home, REGION, start, *quick), home / "told", on_cpu=True)
    return home


def recipe(home: Path, *more: str) -> Recipe:
    changes = [f"objective.backbone={home / 'backbone'}", "loop.batch=1", "data.scenes.num_frames=3"]
    changes += ["optimiser.warmup_steps=0", "loop.average=null", "data.scenes.camera_chance=0"]
    return read_recipe("toy-stage1", [*changes, *more])


def square() -> Tensor:
    region = torch.zeros(1, 64, 64)
    region[:, 16:40, 8:32] = 1
    return region


@pytest.mark.parametrize("start", ["backbone", "adapter"])
def test_a_new_input_changes_nothing_until_something_is_learned(home: Path, start: str) -> None:
    source = "backbone" if start == "backbone" else home / "untold/checkpoint-2"
    backbone = read_backbone(str(home / "backbone"), CPU, torch.float32)
    picture, flow = torch.rand(1, 3, 64, 64) * 2 - 1, 3 * torch.randn(2, 2, 64, 64)
    features: list[tuple[tuple[Tensor, ...], dict[str, Tensor], dict[str, Tensor]]] = []
    for wish, region in (([], None), ([REGION], square())):
        encoder, adapter = read_adapter(recipe(home, f"objective.start={source}", *wish).objective, backbone)
        weights = {name: value for name, value in encoder.state_dict().items() if name != "region_in.weight"}
        features.append((encoder(picture, flow, region=region).levels, weights, adapter.state_dict()))
    (levels, *plain), (told_levels, *told) = features
    assert levels[0].std() > 0.05
    assert all(torch.equal(a, b) for a, b in zip(levels, told_levels, strict=True))
    for own, other in zip(plain, told, strict=True):
        assert own.keys() == other.keys()
        assert all(torch.equal(value, other[name]) for name, value in own.items())


@torch.no_grad()
def test_after_a_few_steps_the_region_changes_what_the_adapter_makes(home: Path) -> None:
    wish = recipe(home, REGION, f"objective.start={home / 'told/checkpoint-3'}")
    learner = wish.objective.build(CPU, torch.float32)
    clip = stack([wish.data.build(0)[0]])
    told = learner.shown.told(clip, Draws(0, 0, 1, 0, 1))
    features = [
        learner.encode(clip.pixels[:, 0], Told(told.flows, region), None).levels
        for region in (None, square()[None])
    ]
    assert float((features[0][0] - features[1][0]).abs().max()) > 0.01
    assert all(not torch.equal(a, b) for a, b in zip(*features, strict=True))
    # Everywhere is what None means.
    whole = learner.encode(clip.pixels[:, 0], Told(told.flows, torch.ones(1, 1, 64, 64)), None).levels
    assert all(torch.equal(a, b) for a, b in zip(features[0], whole, strict=True))


def test_stage_2_learns_the_region_though_it_keeps_the_pictures_branch(home: Path) -> None:
    changes = [f"objective.backbone={home / 'backbone'}", "data.scenes.num_frames=3", REGION]
    changes += [f"objective.start={home / 'untold/checkpoint-2'}"]
    learner = read_recipe("toy-stage2", changes).objective.build(CPU, torch.float32)
    assert [name for name in learner.trained if name.startswith("encoder.")] == ["encoder.region_in.weight"]
    clip = stack([read_recipe("toy-stage2", changes).data.build(0)[0]])
    learner(clip, Draws(0, 0, 1, 0, 1)).per_example.mean().backward()
    assert learner.encoder.region_in.weight.grad.any()


def test_the_config_says_so_and_the_loader_reads_it_back(home: Path, tmp_path: Path) -> None:
    checkpoint = home / "told/checkpoint-3"
    assert json.loads((checkpoint / "config.json").read_text())["reads_region"] is True
    assert "reads_region" not in json.loads((home / "untold/checkpoint-2/config.json").read_text())
    encoder, adapter = load_adapter_halves("trajectory", files_in(checkpoint), torch.float32)
    assert adapter.config.reads_region
    assert encoder.region_in is not None
    assert encoder.region_in.weight.any()
    export_weights(checkpoint, tmp_path / "exported")
    before, after = (
        load_file(folder / "diffusion_pytorch_model.safetensors")
        for folder in (checkpoint, tmp_path / "exported")
    )
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert load_adapter_halves("trajectory", files_in(tmp_path / "exported"), torch.float32)[1].config == (
        adapter.config
    )
    with pytest.raises(WeightsError, match="no input for it: export with --layout diffusers"):
        export_weights(checkpoint, tmp_path / "released", "released")


def test_animate_gives_the_scenes_region_to_it(home: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    given = []
    forward = RegionChannel.forward

    def seen(self: RegionChannel, region: Tensor) -> Tensor:
        given.append(region)
        return forward(self, region)

    monkeypatch.setattr(RegionChannel, "forward", seen)
    save_png(tmp_path / "photo.png", torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8))
    save_png(tmp_path / "mask.png", (square() * 255).to(torch.uint8).expand(3, -1, -1))
    arguments = ["animate", str(tmp_path / "photo.png"), "--track", "20,20 28,30", "--frames", "3"]
    arguments += ["--renderer", "diffusion", "--densifier", "edge-aware", "--steps", "1", "--size", "64x64"]
    arguments += ["--device", "cpu", "--quiet", "--overwrite", "-o", str(tmp_path / "clip.mp4")]
    arguments += ["--adapter", str(home / "told/checkpoint-3"), "--adapter", str(home / "backbone")]
    assert main([*arguments, "--brush", str(tmp_path / "mask.png")]) == 0, capsys.readouterr().err
    assert given
    assert all(torch.equal(region, square()[None]) for region in given)
    given.clear()
    assert main(arguments) == 0, capsys.readouterr().err
    assert given
    assert all(bool((region == 1).all()) for region in given), "nobody painted: everything may move"


def test_dry_run_counts_it(home: Path) -> None:
    plain, told = (count_step(recipe(home, *wish)) for wish in ([], [REGION]))
    new = told.trained.keys() - plain.trained.keys()
    assert new == {"encoder.region_in.weight"}
    assert told.trained["encoder.region_in.weight"] == 9 * 4
    # A convolution of one channel over 64 x 64 pixels, there and back to its weights: 2 FLOP a product.
    assert told.cost.flop - plain.cost.flop == 2 * 2 * 9 * 4 * 64 * 64


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ([REGION, "objective.lora.rank=2", "START=untold/checkpoint-2"], "cannot hold a new one"),
        (["START=told/checkpoint-3"], "the recipe tells it nothing"),
        ([REGION, "objective.motion=landmarks"], "is painted around what a clip's flow moves"),
        (["objective.region.least=0"], "least has to be above 0"),
    ],
)
def test_what_is_asked_for_wrongly_is_told(home: Path, changes: list[str], sentence: str) -> None:
    own = [change.replace("START=", f"objective.start={home}/") for change in changes]
    with pytest.raises(InputError, match=sentence):
        recipe(home, *own).objective.build(CPU, torch.float32)


def test_an_adapter_that_was_never_told_takes_no_region(home: Path) -> None:
    encoder, _ = load_adapter_halves("trajectory", files_in(home / "untold/checkpoint-2"), torch.float32)
    with pytest.raises(InputError, match=r"trained with objective\.region"):
        encoder(torch.zeros(1, 3, 64, 64), torch.zeros(2, 2, 64, 64), region=square())


def test_what_moves_is_painted_with_a_margin_and_sometimes_nobody_paints() -> None:
    flow = torch.zeros(2, 2, 40, 60)
    flow[1, 0, 10:20, 30:40] = -2.0
    settings = RegionSettings(least=1.0, margin=0.1, whole=0.3)
    exact = painted_region(flow, settings, chance=0.3, breadth=0.0)
    assert exact.sum() == 100
    broad = painted_region(flow, settings, chance=0.9, breadth=1.0)  # 0.1 of 40 pixels on every side
    assert broad[0, 6:24, 26:44].all()
    assert broad.sum() == 18 * 18
    assert painted_region(flow, settings, chance=0.29, breadth=0.0).all()
    assert painted_region(0.4 * flow, settings, chance=0.9, breadth=0.0).all(), "nothing moves a pixel"


def test_hints_outside_the_paint_are_not_heard_and_an_empty_paint_hears_all() -> None:
    positions = torch.tensor([[10.0, 20.0], [50.0, 20.0], [30.0, 39.0]])
    hints = SparseMotion(positions, torch.randn(2, 3, 2), torch.ones(2, 3, dtype=torch.bool), 64, 64)
    kept = heard(hints, square())
    assert torch.equal(kept.positions, positions[[0, 2]])
    assert torch.equal(kept.displacement, hints.displacement[:, [0, 2]])
    # The paint may be on another grid than the hints.
    assert torch.equal(heard(hints, square()[:, ::2, ::2]).positions, kept.positions)
    assert heard(hints, torch.zeros(1, 64, 64)) is hints


def test_what_an_adapter_is_shown_ends_where_the_paint_does(home: Path) -> None:
    wish = recipe(home, "objective.region.whole=0", "objective.region.margin=0", "objective.region.least=2")
    learner = wish.objective.build(CPU, torch.float32)
    batch = stack([wish.data.build(0)[i] for i in range(2)])
    told = learner.shown.told(batch, Draws(0, 0, 2, 0, 2))
    assert told.regions is not None
    assert 0 < told.regions.mean() < 1
    assert torch.equal(told.flows, batch.flow * told.regions[:, None])
    assert torch.equal(told.regions[0], learner.shown.told(batch, Draws(0, 0, 2, 0, 2)).regions[0])
