"""What `--dry-run` counts is what a step does: counted on the meta device, compared with a real step."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mofa.errors import InputError
from mofa.evaluation.training_cost import StepCost, count_step
from mofa.models.backbone import Backbone
from mofa.models.svd_xt import TOY, make_image_encoder, make_unet, make_vae
from mofa.training.config import Recipe, read_recipe
from mofa.training.protocol import Draws, stack
from mofa.weights.networks import save_backbone


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
    return count_step(replace(recipe, loop=replace(recipe.loop, **loop)))[0]


@pytest.mark.slow
def test_the_counted_work_and_parameters_are_those_of_a_real_step(recipe: Recipe) -> None:
    cost, trained, frozen = count_step(recipe)
    objective = recipe.objective.build(torch.device("cpu"), torch.float32)
    objective.train()
    assert trained == {name: p.numel() for name, p in objective.trained.items()}
    assert sum(frozen.values()) == sum(p.numel() for p in objective.parameters()) - sum(trained.values())
    clips = stack([recipe.data.build(0)[0]])
    with FlopCounterMode(display=False) as work, sdpa_kernel(SDPBackend.MATH):
        objective(clips, Draws(0, 0, 1, 0, 1)).per_example.mean().backward()
    assert cost.flop == pytest.approx(work.get_total_flops(), rel=0.02)


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


def test_recipes_without_an_adapter_are_told_apart() -> None:
    with pytest.raises(InputError, match="costs are counted for adapters on clips"):
        count_step(read_recipe("toy-sparse-to-dense"))


@pytest.mark.slow
def test_the_recommended_stage_1_trains_683_tensors_and_takes_the_work_that_the_page_says() -> None:
    cost, trained, _ = count_step(read_recipe("trajectory-stage1"))
    assert len(trained) == 683
    assert cost.flop == pytest.approx(103.8e12, rel=0.01)
