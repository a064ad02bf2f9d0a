"""A training task small enough to train in a second: a line through points."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor, nn

from mofa.training.protocol import Draws, Loss, Objective


@dataclass(frozen=True)
class Points:
    """Places and values."""

    x: Float[Tensor, "*b 3"]
    y: Float[Tensor, "*b 1"]
    name: str | tuple[str, ...] = ""


@dataclass(frozen=True)
class PointSource:
    """Points on a plane; `poisoned` is one whose value is no number."""

    seed: int
    poisoned: int = -1

    def __getitem__(self, number: int) -> Points:
        x = torch.randn(3, generator=torch.Generator().manual_seed(1000 * self.seed + number))
        y = (x @ torch.tensor([1.0, -2.0, 0.5]))[None]
        return Points(x, y * float("nan") if number == self.poisoned else y, f"point {number}")


@dataclass(frozen=True)
class PointData:
    """Points, as a recipe names them."""

    poisoned: int = -1

    def build(self, seed: int) -> PointSource:
        return PointSource(seed, self.poisoned)


class LineObjective(Objective):
    """A linear layer behind a norm that keeps running means, on noisy places."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.middle, self.line = nn.BatchNorm1d(3), nn.Linear(3, 1)

    def forward(self, batch: Points, draws: Draws) -> Loss:
        noise = draws.normal("noise", (3,), batch.x)
        kept = (draws.uniform("dropped", batch.x) > 0.1)[:, None]
        predicted = self.line(self.middle((batch.x + 0.1 * noise) * kept))
        return Loss((predicted - batch.y).square()[:, 0])

    def write(self, folder: Path) -> None:
        save_file({k: v.contiguous() for k, v in self.state_dict().items()}, folder / "line.safetensors")


@dataclass(frozen=True)
class LineRecipe:
    """The line, as a recipe names it."""

    def build(self, device: torch.device, dtype: torch.dtype) -> LineObjective:
        return LineObjective().to(device)


class PlainLineObjective(LineObjective):
    """Without the norm, whose means depend on how a batch is shared out."""

    def forward(self, batch: Points, draws: Draws) -> Loss:
        noise = draws.normal("noise", (3,), batch.x)
        share = draws.stratified("level", batch.x)[:, None]
        return Loss((self.line(batch.x + share * noise) - batch.y).square()[:, 0])


@dataclass(frozen=True)
class PlainLineRecipe:
    """The plain line, as a recipe names it."""

    def build(self, device: torch.device, dtype: torch.dtype) -> LineObjective:
        return PlainLineObjective().to(device)
