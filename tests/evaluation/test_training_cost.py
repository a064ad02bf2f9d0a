"""What `--dry-run` counts is what a step does: counted on the meta device, compared with a real step."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mofa.apps.cli import main
from mofa.evaluation.training_cost import StepCost, count_step
from mofa.models.backbone import Backbone
from mofa.models.sparse_to_dense import ConditionalMotionPropagation
from mofa.models.svd_xt import TOY, make_image_encoder, make_unet, make_vae
from mofa.models.tiny import TINY_SPARSE_TO_DENSE
from mofa.training.config import Recipe, plain, read_recipe, recipe_names
from mofa.training.conventions import RELEASED, RELEASED_SPARSE
from mofa.training.hint_sampling import HintSampling
from mofa.training.protocol import Draws, stack
from mofa.weights.networks import save_backbone, save_sparse_to_dense

NEED_ANOTHER_RUN = ("toy-backbone", "toy-stage1", "toy-stage2", "toy-landmark")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Stage 1 at toy size beside a backbone with random weights."""
    folder = tmp_path_factory.mktemp("backbone")
    sizes = replace(TOY, vae_layers=1)
    save_backbone(Backbone(make_unet(sizes), make_vae(sizes), make_image_encoder(sizes)), folder)
    return read_recipe(
        "toy-stage1", [f"objective.backbone={folder}", "data.scenes.num_frames=3", "loop.batch=1"]
    )


def counted(recipe: Recipe, **loop: object) -> StepCost:
    return count_step(replace(recipe, loop=replace(recipe.loop, **loop))).cost


@pytest.mark.slow
def test_the_counted_work_and_parameters_are_those_of_a_real_step(recipe: Recipe) -> None:
    count = count_step(recipe)
    objective = recipe.objective.build(torch.device("cpu"), torch.float32)
    objective.train()
    assert count.trained == {name: p.numel() for name, p in objective.trained.items()}
    everything = sum(p.numel() for p in objective.parameters())
    assert sum(count.frozen.values()) == everything - sum(count.trained.values())
    clips = stack([recipe.data.build(0)[0]])
    with FlopCounterMode(display=False) as work, sdpa_kernel(SDPBackend.MATH):
        objective(clips, Draws(0, 0, 1, 0, 1)).per_example.mean().backward()
    assert count.cost.flop == pytest.approx(work.get_total_flops(), rel=0.02)


@pytest.mark.slow
def test_what_the_backward_pass_needs_is_among_the_counted_activations(recipe: Recipe) -> None:
    objective = recipe.objective.build(torch.device("cpu"), torch.float32)
    objective.train()
    weights = {p.untyped_storage().data_ptr() for p in objective.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    clips = stack([recipe.data.build(0)[0]])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = objective(clips, Draws(0, 0, 1, 0, 1)).per_example.mean()
    needed = sum(kept.values())
    assert torch.isfinite(loss)
    assert needed <= 1.15 * counted(recipe).activation_bytes
    assert needed >= 0.5 * counted(recipe).activation_bytes


@pytest.mark.slow
def test_the_counted_step_of_a_sparse_to_dense_network_is_a_real_one() -> None:
    recipe = read_recipe("toy-sparse-to-dense", ["loop.batch=2"])
    count = count_step(recipe)
    objective = recipe.objective.build(torch.device("cpu"), torch.float32)
    assert count.trained == {name: p.numel() for name, p in objective.trained.items()}
    clips = stack([recipe.data.build(0)[i] for i in range(2)])
    with FlopCounterMode(display=False) as work:
        objective(clips, Draws(0, 0, 2, 0, 2)).per_example.mean().backward()
    assert count.cost.flop == work.get_total_flops()


@pytest.mark.slow
def test_a_network_that_is_tuned_along_is_counted_as_it_is_trained(recipe: Recipe, tmp_path: Path) -> None:
    save_sparse_to_dense(ConditionalMotionPropagation(TINY_SPARSE_TO_DENSE), tmp_path)
    wish = replace(
        recipe.objective, motion="sparse", sparse_to_dense=str(tmp_path), tune_sparse_to_dense=True,
        sampling=HintSampling(grid=16, window=7, apart=3),
    )  # fmt: skip
    count = count_step(replace(recipe, objective=wish))
    objective = wish.build(torch.device("cpu"), torch.float32)
    objective.train()
    assert count.trained == {name: p.numel() for name, p in objective.trained.items()}
    assert any(name.startswith("sparse_to_dense.") for name in count.trained)
    clips = stack([recipe.data.build(0)[0]])
    with FlopCounterMode(display=False) as work, sdpa_kernel(SDPBackend.MATH):
        objective(clips, Draws(0, 0, 1, 0, 1)).per_example.mean().backward()
    assert count.cost.flop == pytest.approx(work.get_total_flops(), rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_can_be_looked_at_before_it_is_run(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", name, "--dry-run", "--rate", "100"]) == 0
    content, _, said = capsys.readouterr().out.partition("\n\n")
    assert plain(read_recipe(name)) == yaml.safe_load(content)
    numbers = {
        key: float(value)
        for key, value in re.findall(r"^(work|memory|seconds)[^:\n]*: ([\d.e-]+)", said, re.M)
    }
    assert numbers["memory"] > 0
    assert numbers["work"] > 0
    assert numbers["seconds"] == pytest.approx(numbers["work"] / 100, rel=0.01)
    counts = dict(re.findall(r"^(trained|frozen): (\d+) tensors", said, re.M))
    assert int(counts["trained"]) > 100
    assert len(re.findall(r"^  \S+ \d+$", said, re.M)) == sum(int(count) for count in counts.values())
    # Only what another toy run writes may be absent, and it is said.
    assert ("which is not there: counted at toy size" in said) == (name in NEED_ANOTHER_RUN)


@pytest.mark.parametrize("stem", ["trajectory-stage1", "trajectory-stage2", "landmark", "sparse-to-dense"])
def test_every_kind_of_training_comes_as_ours_as_the_papers_and_as_released(stem: str) -> None:
    assert {stem, f"{stem}-paper", f"{stem}-released"} <= set(recipe_names())
    ours, released = (read_recipe(name).objective.conventions for name in (stem, f"{stem}-released"))
    assert ours == type(ours)()
    assert released == (RELEASED_SPARSE if stem == "sparse-to-dense" else RELEASED)


@pytest.mark.slow
def test_the_recommended_stage_1_trains_683_tensors_and_takes_the_work_that_the_page_says() -> None:
    count = count_step(read_recipe("trajectory-stage1"))
    assert len(count.trained) == 683
    assert count.cost.flop == pytest.approx(103.8e12, rel=0.01)
