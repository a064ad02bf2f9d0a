"""How fast the diffusion renderer runs on a device: per stage, beside its cost and the device's own rate."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mofa.devices import peak_memory, product_rate, reset_peak_memory, synchronise, timed
from mofa.evaluation.cost import Cost, count
from mofa.evaluation.stages import ClipSize, Stage, stages, weight_bytes
from mofa.renderers.diffusion.render import DiffusionModel
from mofa.types import Progress, silent

MakeNetworks = Callable[[torch.device, torch.dtype], DiffusionModel]
META = torch.device("meta")


@dataclass(frozen=True)
class CountedStage:
    """A stage and its cost."""

    stage: str
    cost: Cost


@dataclass(frozen=True)
class MeasuredStage:
    """A stage, its cost, its median wall seconds and the most memory it took.

    The memory is what the device had taken while the stage ran, less the weights that the stage does not
    read: what it takes when idle networks wait elsewhere. It is None where the device keeps no count.
    """

    stage: str
    cost: Cost
    seconds: float
    peak_bytes: int | None

    @property
    def flop_per_second(self) -> float:
        """Counted work per second."""
        return self.cost.flop / self.seconds


def count_diffusion(make: MakeNetworks, size: ClipSize, dtype: torch.dtype) -> list[CountedStage]:
    """What every stage costs for a clip of `size`: counted, nothing is computed."""
    return [
        CountedStage(stage.name, count(stage.function, *stage.arguments))
        for stage in stages(make(META, dtype), size)
    ]


def bench_diffusion(
    make: MakeNetworks,
    size: ClipSize,
    device: torch.device,
    dtype: torch.dtype,
    repeats: int = 3,
    progress: Progress = silent,
) -> list[MeasuredStage]:
    """What every stage costs and takes on `device` for a clip of `size`, with random weights."""
    counted = count_diffusion(make, size, dtype)
    model = make(device, dtype)
    listed = stages(model, size)
    rows = []
    for stage, known in zip(listed, counted, strict=True):
        seconds, peak_bytes = measure(stage, device, repeats)
        if peak_bytes is not None:
            peak_bytes -= weight_bytes(model) - known.cost.parameter_bytes
        rows.append(MeasuredStage(stage.name, known.cost, seconds, peak_bytes))
        progress("bench", len(rows), len(listed))
    return rows


def measure(stage: Stage, device: torch.device, repeats: int) -> tuple[float, int | None]:
    """Median seconds of `repeats` runs after one that warms up, and the peak memory of those runs."""
    run_stage(stage)
    synchronise(device)
    reset_peak_memory(device)
    seconds = [timed(lambda: run_stage(stage), device) for _ in range(repeats)]
    return statistics.median(seconds), peak_memory(device)


@torch.no_grad()
def run_stage(stage: Stage) -> Any:
    """The stage's result, without a graph for its gradients."""
    return stage.function(*stage.arguments)


def matrix_product_rate(
    device: torch.device, dtype: torch.dtype, sides: Sequence[int], repeats: int = 10
) -> float:
    """FLOP per second of square matrix products: the best of `sides`, the yardstick for everything else."""
    return max(product_rate(side, device, dtype, repeats) for side in sides)
