"""What recipes train, without memory: objectives on the meta device, and one pass of each.

Left out are flow estimators and what finds hints: they see one clip at a time, without gradients.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mofa.errors import InputError
from mofa.models.backbone import Backbone
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.motion_encoder import make_motion_encoder
from mofa.models.sparse_to_dense import ConditionalMotionPropagation, SparseToDenseConfig
from mofa.models.svd_xt import SVD_XT, TOY, make_image_encoder, make_unet, make_vae
from mofa.models.things import STRIDE, Prompts
from mofa.models.tiny import TINY_SPARSE_TO_DENSE
from mofa.training.adapters import AdapterObjective, freeze
from mofa.training.clips import Clips
from mofa.training.config import Recipe
from mofa.training.denoising import denoising_loss, draw_step, noise_clips
from mofa.training.low_rank import add_low_rank
from mofa.training.motion_signal import dense_flow
from mofa.training.objectives import (
    AdapterRecipe,
    BackboneRecipe,
    SparseToDenseRecipe,
    new_adapter_config,
    read_backbone,
)
from mofa.training.protocol import Draws, Objective
from mofa.training.shown_motion import MotionSettings, Told
from mofa.training.sparse_to_dense import SparseToDenseObjective
from mofa.training.things.objective import judged
from mofa.training.things.pictures import Questions
from mofa.training.things.recipe import ThingsData, ThingsObjective, ThingsRecipe
from mofa.weights.registry import SLOTS

META, CPU = torch.device("meta"), torch.device("cpu")


@dataclass(frozen=True)
class TrainingSketch:
    """An objective without memory, one pass of it to its mean loss, and what was taken for granted."""

    objective: Objective
    step: Callable[[], Float[Tensor, ""]]
    notes: tuple[str, ...] = ()


def sketch(recipe: Recipe, dtype: torch.dtype) -> TrainingSketch:
    """What a recipe trains, its passes in `dtype`. Raises InputError where it cannot be worked out."""
    wish, batch = recipe.objective, recipe.loop.batch
    objective: Any
    match wish:
        case AdapterRecipe():
            objective, notes = sketch_adapter(wish, dtype)
            clips = clips_like(recipe)
            return TrainingSketch(objective, lambda: adapter_loss(objective, clips, dtype), notes)
        case SparseToDenseRecipe():
            objective = sketch_sparse_to_dense(wish).to(META, dtype)
            clips = clips_like(recipe)
            return TrainingSketch(objective, lambda: sparse_to_dense_loss(objective, clips, dtype))
        case BackboneRecipe():
            notes = absence(("start", wish.start))
            with META:
                objective = (replace(wish, start="random") if notes else wish).build(META, dtype)
            clips = clips_like(recipe)
            # The latter of its two tasks, denoising, is the dearer.
            draws = Draws(0, wish.drawing_examples, batch, 0, batch)
            return TrainingSketch(objective, lambda: objective(clips, draws).per_example.mean(), notes)
        case ThingsRecipe():
            with META:
                objective = replace(wish, imagenet=None, start=None).build(META, dtype)
            questions = questions_like(recipe.data, batch)
            return TrainingSketch(objective, lambda: things_loss(objective, questions))
        case _:
            raise InputError(f"what {type(wish).__name__} costs is not known: it has no sketch.")


def clips_like(recipe: Recipe) -> Clips:
    """A batch of a recipe's clips, with flow; raises InputError for data that are no clips."""
    size = getattr(recipe.data, "clips", getattr(recipe.data, "scenes", recipe.data))
    if not hasattr(size, "num_frames"):
        raise InputError("the recipe's data say nothing of their size: costs are counted for clips.")
    batch, frames = recipe.loop.batch, size.num_frames
    return Clips(
        frames=torch.empty(batch, frames, 3, size.height, size.width, dtype=torch.uint8, device=META),
        flow=torch.empty(batch, frames - 1, 2, size.height, size.width, device=META),
    )


def absence(*named: tuple[str, str]) -> tuple[str, ...]:
    """A sentence for each folder that a recipe names and that is not there."""
    return tuple(
        f"objective.{key} is {source}, which is not there: counted at toy size."
        for key, source in named
        if is_absent(source)
    )


def sketch_adapter(recipe: AdapterRecipe, dtype: torch.dtype) -> tuple[AdapterObjective, tuple[str, ...]]:
    """An adapter beside SVD-XT's sizes, or those of its folder, with what makes hints dense."""
    notes = absence(("backbone", recipe.backbone), ("sparse_to_dense", recipe.sparse_to_dense))
    with META:
        backbone = sketch_backbone(recipe.backbone, dtype)
        config = new_adapter_config(recipe, backbone)
        encoder, adapter = make_motion_encoder(recipe.adapter, config), MotionAdapter(config)
        if recipe.lora is not None:
            add_low_rank(encoder, adapter, recipe.lora)
        network = None if recipe.motion == "dense" else sketch_densifier(recipe)
    if network is not None:
        nn.Module.to(network, META, dtype).requires_grad_(recipe.tune_sparse_to_dense)
    objective = AdapterObjective(
        backbone,
        nn.Module.to(encoder, META, dtype),
        nn.Module.to(adapter, META, dtype),
        MotionSettings(recipe.motion, recipe.sampling, recipe.conventions, recipe.region),
        sparse_to_dense=network,
    )
    freeze(objective, recipe.frozen)
    return objective, notes


def is_absent(source: str) -> bool:
    """Whether a recipe's word means a folder, and there is none: what another run has yet to write."""
    words = ("edge-aware", "random", *(slot.name for slot in SLOTS))
    return source not in words and not Path(source).is_dir()


def sketch_backbone(source: str, dtype: torch.dtype) -> Backbone:
    """The networks of a folder, or of SVD-XT's sizes; of toy size where a run has yet to write them."""
    if Path(source).is_dir():
        read = read_backbone(source, CPU, torch.float32)
        networks = (read.unet, read.vae, read.image_encoder)
    else:
        sizes = TOY if is_absent(source) else SVD_XT
        networks = (make_unet(sizes), make_vae(sizes), make_image_encoder(sizes))
    return Backbone(*(nn.Module.to(network, META, dtype) for network in networks))


def sketch_densifier(recipe: AdapterRecipe) -> ConditionalMotionPropagation | None:
    """What makes hints dense, where that is a network."""
    if Path(recipe.sparse_to_dense).is_dir() or recipe.sparse_to_dense == "edge-aware":
        return recipe.sparse_network(CPU)
    absent = is_absent(recipe.sparse_to_dense)
    return ConditionalMotionPropagation(TINY_SPARSE_TO_DENSE if absent else SparseToDenseConfig())


def adapter_loss(objective: AdapterObjective, clips: Clips, dtype: torch.dtype) -> Float[Tensor, ""]:
    """The loss of one pass; hints stand in as nothing, and landmark drawings as empty pictures."""
    pixels, batch = clips.pixels, len(clips.frames)
    noised = noise_clips(
        objective.backbone,
        pixels,
        draw_step(Draws(0, 0, batch, 0, batch), pixels),
        objective.motion.conventions,
    )
    noised = replace(
        noised, sample=noised.sample.to(dtype), image_embedding=noised.image_embedding.to(dtype),
        time_ids=noised.time_ids.to(dtype),
    )  # fmt: skip
    assert clips.flow is not None
    flows, pictures, network = clips.flow, pixels[:, 0].to(dtype), objective.sparse_to_dense
    if network is not None:
        hints = empty_hints(flows.shape[1], network.config.side, dtype)
        conventions = objective.motion.conventions
        flows = torch.stack([dense_flow(network, each, *hints, conventions) for each in pictures]).float()
    sketches = None
    if objective.motion.kind == "landmarks":
        sketches = torch.empty_like(pixels, dtype=dtype)
    regions = None
    if objective.motion.region is not None:
        regions = torch.empty_like(pixels[:, 0, :1], dtype=dtype)
    velocity = objective.predict(noised, pictures, Told(flows, regions), sketches)
    return denoising_loss(velocity, noised).mean()


def empty_hints(steps: int, side: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Hints on a grid, displacement and where it is known, without anything in them."""
    return (
        torch.empty(steps, 2, side, side, dtype=dtype, device=META),
        torch.empty(steps, 1, side, side, dtype=torch.bool, device=META),
    )


def sketch_sparse_to_dense(recipe: SparseToDenseRecipe) -> SparseToDenseObjective:
    """The network of a folder, or of the recipe's sizes; the released one's are the recipe's defaults."""
    if Path(recipe.start).is_dir():
        return recipe.build(CPU, torch.float32)
    with META:
        return replace(recipe, start="random").build(META, torch.float32)


def sparse_to_dense_loss(
    objective: SparseToDenseObjective, clips: Clips, dtype: torch.dtype
) -> Float[Tensor, ""]:
    """The loss of one pass."""
    batch, frames = clips.frames.shape[:2]
    hints = empty_hints(batch * (frames - 1), objective.network.config.side, dtype)
    return objective.entropy(clips, *hints).mean()


def questions_like(data: object, batch: int) -> Questions:
    """A batch of questions about things, with one click more than are asked with."""
    if not isinstance(data, ThingsData):
        raise InputError("the recipe's data are no pictures of things, which its objective learns from.")
    count, cells = data.questions, data.size // STRIDE
    with META:
        return Questions(
            picture=torch.empty(batch, 3, data.size, data.size),
            positions=torch.empty(batch, count, data.clicks, 2),
            signs=torch.empty(batch, count, data.clicks),
            targets=torch.empty(batch, count, 3, cells, cells),
            weights=torch.empty(batch, count, 3, cells, cells),
            is_thing=torch.empty(batch, count, 2),
        )


def things_loss(objective: ThingsObjective, questions: Questions) -> Float[Tensor, ""]:
    """The loss of a step that trains the second answer, which is the dearer of the two."""
    net, prompts = objective.net, Prompts(questions.positions, questions.signs)
    seen = net.embed(questions.picture)
    with torch.no_grad():
        first = net.first(seen, prompts).logits
    return judged(net.second(seen, prompts, first), questions).total.mean()
