"""What a step of training costs, counted on the meta device: no weights, no GPU, no arithmetic.

Activations are counted in the passes' number format; weights, gradients, optimiser and running mean follow
from how many parameters there are. Flow estimators, hints and what makes them dense are left out: they see
one clip at a time, without gradients.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mofa.errors import InputError
from mofa.evaluation.cost import FusedAttention, LiveTensors
from mofa.models.backbone import Backbone
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.motion_encoder import make_motion_encoder
from mofa.models.svd_xt import SVD_XT, make_image_encoder, make_unet, make_vae
from mofa.training.adapters import AdapterObjective, freeze
from mofa.training.clips import Clips
from mofa.training.config import Recipe
from mofa.training.denoising import denoising_loss, draw_step, noise_clips
from mofa.training.low_rank import add_low_rank
from mofa.training.objectives import AdapterRecipe, new_adapter_config, read_backbone
from mofa.training.protocol import Draws, Objective
from mofa.training.shown_motion import MotionSettings

META = torch.device("meta")


@dataclass(frozen=True)
class StepCost:
    """The work and memory of one step of one process.

    `flop` counts convolutions and matrix products of forward and backward, two per multiply-add, over all
    passes. `activation_bytes` is what the forward pass leaves for the backward one, or the most it takes
    itself; under gradient checkpointing one block's own come on top. `state_bytes` is
    trained weights, gradients, AdamW's two means, and the running mean, in float32; `frozen_bytes` the rest.
    """

    flop: int
    activation_bytes: int
    state_bytes: int
    frozen_bytes: int

    @property
    def peak_bytes(self) -> int:
        """Everything together."""
        return self.activation_bytes + self.state_bytes + self.frozen_bytes


def sketch(recipe: AdapterRecipe, dtype: torch.dtype) -> AdapterObjective:
    """The objective of an adapter's recipe without memory: beside SVD-XT's sizes, or its folder's."""
    with META:
        if Path(recipe.backbone).is_dir():
            backbone = read_backbone(recipe.backbone, torch.device("cpu"), torch.float32)
            networks = (backbone.unet, backbone.vae, backbone.image_encoder)
            backbone = Backbone(*(nn.Module.to(network, META, dtype) for network in networks))
        else:
            networks = (make_unet(SVD_XT), make_vae(SVD_XT), make_image_encoder(SVD_XT))
            backbone = Backbone(*(nn.Module.to(network, META, dtype) for network in networks))
        config = new_adapter_config(recipe, backbone)
        encoder, adapter = make_motion_encoder(recipe.adapter, config), MotionAdapter(config)
        if recipe.lora is not None:
            add_low_rank(encoder, adapter, recipe.lora)
    objective = AdapterObjective(
        backbone,
        nn.Module.to(encoder, META, dtype),
        nn.Module.to(adapter, META, dtype),
        MotionSettings("landmarks" if recipe.motion == "landmarks" else "dense"),
    )
    freeze(objective, recipe.frozen)
    return objective


def parameters_of(objective: Objective) -> tuple[dict[str, int], dict[str, int]]:
    """Trained and frozen parameters by name, and how many numbers each has; shared ones count once."""
    counts: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for name, parameter in objective.named_parameters():
        counts[0 if parameter.requires_grad else 1][name] = parameter.numel()
    return counts


def count_step(recipe: Recipe) -> tuple[StepCost, Mapping[str, int], Mapping[str, int]]:
    """A step's cost by a recipe, and its trained and frozen parameters.

    Raises InputError for recipes that train something else than an adapter on clips.
    """
    size = getattr(recipe.data, "clips", getattr(recipe.data, "scenes", recipe.data))
    if not isinstance(recipe.objective, AdapterRecipe) or not hasattr(size, "num_frames"):
        raise InputError("costs are counted for adapters on clips; of other recipes, see the recipe alone.")
    dtype = torch.float32 if recipe.loop.precision == "no" else torch.bfloat16
    objective = sketch(recipe.objective, dtype)
    objective.train()
    objective.checkpointing(recipe.loop.gradient_checkpointing)
    batch, frames = recipe.loop.batch, size.num_frames
    with META:
        clips = Clips(
            frames=torch.empty(batch, frames, 3, size.height, size.width, dtype=torch.uint8),
            flow=torch.empty(batch, frames - 1, 2, size.height, size.width),
        )
    forward, both, memory = FlopCounterMode(display=False), FlopCounterMode(display=False), LiveTensors()
    with forward, memory, FusedAttention():
        forward_pass(objective, clips, batch, dtype)
    objective.checkpointing(False)
    with both, FusedAttention():
        forward_pass(objective, clips, batch, dtype).backward()
    again = forward.get_total_flops() if recipe.loop.gradient_checkpointing else 0
    trained, frozen = parameters_of(objective)
    numbers = sum(trained.values())
    copies = 4 + (recipe.loop.average is not None)
    frozen_size = 4 if recipe.loop.frozen_precision == "float32" else 2
    cost = StepCost(
        flop=(both.get_total_flops() + again) * recipe.loop.accumulation,
        activation_bytes=memory.peak_bytes,
        state_bytes=4 * copies * numbers + (2 * numbers if dtype != torch.float32 else 0),
        frozen_bytes=frozen_size * sum(frozen.values()),
    )
    return cost, trained, frozen


def forward_pass(
    objective: AdapterObjective, clips: Clips, batch: int, dtype: torch.dtype
) -> Float[Tensor, ""]:
    """The loss of one pass; landmark drawings stand in as empty pictures."""
    pixels = clips.pixels
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
    sketches = None
    if objective.motion.kind == "landmarks":
        sketches = torch.empty_like(pixels, dtype=dtype)
    velocity = objective.predict(noised, pixels[:, 0].to(dtype), clips.flow, sketches)
    return denoising_loss(velocity, noised).mean()
