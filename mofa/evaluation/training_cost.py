"""What a step of training costs, counted on the meta device: no weights, no GPU, no arithmetic.

Activations are counted in the passes' number format; weights, gradients, optimiser and running mean follow
from how many parameters there are. `training_sketches` says what is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from mofa.evaluation.cost import FusedAttention, LiveTensors
from mofa.evaluation.training_sketches import sketch
from mofa.training.config import OptimiserSettings, Recipe
from mofa.training.protocol import Objective


@dataclass(frozen=True)
class StepCost:
    """The work and memory of one step of one process.

    `flop` counts convolutions and matrix products of forward and backward, two per multiply-add, over all
    passes. `activation_bytes` is what the forward pass leaves for the backward one, or the most it takes
    itself; under gradient checkpointing one block's own come on top. `state_bytes` is trained weights,
    gradients, what the optimiser remembers, and the running mean; `frozen_bytes` the rest.
    """

    flop: int
    activation_bytes: int
    state_bytes: int
    frozen_bytes: int

    @property
    def peak_bytes(self) -> int:
        """Everything together."""
        return self.activation_bytes + self.state_bytes + self.frozen_bytes


@dataclass(frozen=True)
class StepCount:
    """What a step costs, how many numbers each trained and frozen parameter has, and what was assumed."""

    cost: StepCost
    trained: Mapping[str, int]
    frozen: Mapping[str, int]
    notes: tuple[str, ...] = ()


def parameters_of(objective: Objective) -> tuple[dict[str, int], dict[str, int]]:
    """Trained and frozen parameters by name, and how many numbers each has; shared ones count once."""
    counts: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for name, parameter in objective.named_parameters():
        counts[0 if parameter.requires_grad else 1][name] = parameter.numel()
    return counts


def optimiser_bytes(settings: OptimiserSettings) -> int:
    """What the optimiser remembers of each number: AdamW two means, SGD one; in float32 or in bytes."""
    return {"adamw": 8, "adamw-8bit": 2, "sgd": 4 if settings.momentum else 0}[settings.name]


def count_step(recipe: Recipe) -> StepCount:
    """A step's cost by a recipe, and its parameters. Raises InputError where it cannot be worked out."""
    dtype = torch.float32 if recipe.loop.precision == "no" else torch.bfloat16
    drawn = sketch(recipe, dtype)
    objective = drawn.objective
    objective.train()
    objective.checkpointing(recipe.loop.gradient_checkpointing)
    forward, both, memory = FlopCounterMode(display=False), FlopCounterMode(display=False), LiveTensors()
    with forward, memory, FusedAttention():
        drawn.step()
    objective.checkpointing(False)
    with both, FusedAttention():
        drawn.step().backward()
    again = forward.get_total_flops() if recipe.loop.gradient_checkpointing else 0
    trained, frozen = parameters_of(objective)
    # Weights and gradients, the optimiser's memory, the mean; and a copy of the weights for the passes.
    each = 8 + optimiser_bytes(recipe.optimiser) + 4 * (recipe.loop.average is not None)
    each += 2 if dtype != torch.float32 else 0
    frozen_size = 4 if recipe.loop.frozen_precision == "float32" else 2
    cost = StepCost(
        flop=(both.get_total_flops() + again) * recipe.loop.accumulation,
        activation_bytes=memory.peak_bytes,
        state_bytes=each * sum(trained.values()),
        frozen_bytes=frozen_size * sum(frozen.values()),
    )
    return StepCount(cost, trained, frozen, drawn.notes)
