"""What a run says about itself: held-out losses, and clips that its networks make, with numbers."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from mofa.training.adherence import asked_of
from mofa.training.clips import Clips
from mofa.training.config import Recipe, read_recipe
from mofa.training.held_out import at_mean
from mofa.training.loop import train
from mofa.training.objectives import read_backbone
from mofa.training.sources import SceneClips
from mofa.training.synthetic import SceneSettings, SyntheticScenes
from mofa.training.synthetic_faces import SyntheticFaces


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy backbone that has seen two steps."""
    changes = ["loop.steps=2", "loop.batch=1", "objective.drawing_examples=1", "optimiser.warmup_steps=0"]
    changes += ["optimiser.schedule=constant", "objective.start=random"]
    return train(read_recipe("toy-backbone", changes), tmp_path_factory.mktemp("runs") / "run", on_cpu=True)


def adapter_recipe(backbone: Path, *changes: str) -> Recipe:
    own = [f"objective.backbone={backbone}", "loop.steps=2", "loop.batch=1", "loop.checkpoint_every=2"]
    own += ["loop.validate_every=2", "loop.validation_examples=1", "optimiser.warmup_steps=0"]
    own += ["loop.generation.examples=2", "loop.generation.steps=2"]
    return read_recipe("toy-stage1", [*own, *changes])


def validations(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "validation/loss" in line]


@pytest.mark.slow
def test_a_validation_leaves_numbers_and_a_picture_of_clips_beside_their_truth(
    backbone: Path, tmp_path: Path
) -> None:
    train(adapter_recipe(backbone), tmp_path / "run", on_cpu=True)
    lines = validations(tmp_path / "run")
    assert [line["step"] for line in lines] == [0, 2]
    assert all(line["validation/trajectory error"] > 0 for line in lines)
    # The untrained adapter and the trained one were asked the same.
    assert len({line["validation/trajectory error of still clips"] for line in lines}) == 1
    for step in (0, 2):
        with Image.open(tmp_path / "run" / "figures" / f"step-{step:07d}.png") as picture:
            assert picture.size == (2 * 4 * 64 + 2, 2 * 64)


@pytest.mark.slow
def test_looking_on_the_way_changes_nothing_that_is_learned(backbone: Path, tmp_path: Path) -> None:
    weights = []
    for name, changes in {
        "looked": (),
        "blind": ("loop.validate_every=0", "loop.generation.examples=0"),
    }.items():
        last = train(adapter_recipe(backbone, *changes), tmp_path / name, on_cpu=True)
        weights.append(load_file(last / "training/weights.safetensors"))
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


@pytest.mark.slow
def test_validation_reads_the_mean_and_leaves_the_weights(backbone: Path) -> None:
    objective = adapter_recipe(backbone).objective.build(torch.device("cpu"), torch.float32)
    before = {name: p.detach().clone() for name, p in objective.trained.items()}
    mean = {name: torch.full_like(value, 0.5) for name, value in before.items()}
    with at_mean(objective, mean):
        assert all(bool((p == 0.5).all()) for p in objective.trained.values())
    assert all(torch.equal(p, before[name]) for name, p in objective.trained.items())


@pytest.mark.slow
def test_the_truth_is_read_at_less_than_a_quarter_of_a_still_clips_error() -> None:
    scenes = SceneClips(SyntheticScenes(read_recipe("toy-stage1").data.scenes, 1))
    for source in (scenes, SyntheticFaces().build(1)):
        truths, stills = [], []
        for clip in (source[i] for i in range(8)):
            asked = asked_of(clip)
            assert asked is not None
            still = asked.read(clip.frames[:1].expand_as(clip.frames).contiguous())
            assert still.error == pytest.approx(still.still, abs=0.1)
            truths.append(asked.read(clip.frames).error)
            stills.append(still.still)
        assert sum(truths) < 0.25 * sum(stills)


def test_a_clip_in_which_nothing_moves_asks_for_nothing() -> None:
    frames = torch.zeros(3, 3, 32, 32, dtype=torch.uint8)
    assert asked_of(Clips(frames, flow=torch.zeros(2, 2, 32, 32))) is None
    assert asked_of(Clips(frames)) is None


@pytest.mark.slow
def test_a_toy_backbone_draws_the_same_after_it_was_written(backbone: Path) -> None:
    # Its norms are left out, which its config.json has to say.
    recipe = adapter_recipe(backbone).objective
    written = read_backbone(str(backbone), torch.device("cpu"), torch.float32)
    assert not any(isinstance(m, torch.nn.GroupNorm) for m in written.vae.modules())
    # diffusers would read its own 0.18 for what it believes to be a default.
    assert written.vae.config.scaling_factor == 1
    adapter = recipe.build(torch.device("cpu"), torch.float32).adapter
    assert not adapter.config.normalised
    assert not any(isinstance(m, torch.nn.GroupNorm) for m in adapter.modules())
    picture = SceneClips(SyntheticScenes(SceneSettings(height=64, width=64), 0))[0].frames[0] / 255
    # Colours come through: brighter pictures have other latents, which norms of one channel would not let by.
    latents = [written.encode([share * picture]) for share in (0.5, 1.0)]
    assert (latents[0] - latents[1]).abs().mean() > 0.01
