"""What the trainer asks of a thing to be learned (`Objective`) and of what it is learned from (`Source`).

A new kind of training is two classes and a recipe; nothing else of the trainer changes:

1. A frozen dataclass of tensors is an example; a batch is the same dataclass with one axis more in front
   (`stack`). Fields that are no tensors become tuples. One field, `name`, says where the example came from.
2. A `Source` makes example i from i alone: `SyntheticScenes` wrapped by a few lines is one.
3. An `Objective` is a module whose `forward(batch, draws)` returns a `Loss`; all that is random in it comes
   from `draws`. Parameters that shall stay as they are have `requires_grad` False. `write(folder)` leaves
   the result in the layout that mofa reads.
4. Two frozen dataclasses describe them in YAML: one with `build() -> Source`, one with
   `build(device, dtype) -> Objective`. `training.registry` lists both under the word that stands at `kind`.
5. `mofa/training/recipes/NAME.yaml` puts them together: `mofa train NAME`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mofa.training.config import GenerationSettings
from mofa.training.noise_levels import stratified

Example = TypeVar("Example")


@dataclass(frozen=True)
class Draws:
    """All randomness of one step, keyed: the same example gets the same numbers wherever it is trained.

    `seed` is the run's; `first` is the number of the batch's first example since training began, `count` its
    size. `place` and `total` say where the batch lies in the step's whole batch, which several processes may
    share. Nothing here has a state, so there is none to save.
    """

    seed: int
    first: int
    count: int
    place: int
    total: int

    def normal(self, name: str, shape: Sequence[int], like: Tensor) -> Float[Tensor, "B ..."]:
        """Standard normal numbers, [count, *shape], with the dtype and device of `like`."""
        rows = [torch.randn(*shape, generator=generator) for generator in self._generators(name)]
        return torch.stack(rows).to(like)

    def uniform(self, name: str, like: Tensor) -> Float[Tensor, " B"]:
        """One number 0..1 per example."""
        return torch.cat([torch.rand(1, generator=g) for g in self._generators(name)]).to(like.device)

    def stratified(self, name: str, like: Tensor) -> Float[Tensor, " B"]:
        """One number 0..1 per example, one in each equal part of 0..1 over the step's whole batch."""
        return stratified(self.uniform(name, like), self.place, self.total)

    def numpy(self, name: str) -> list[np.random.Generator]:
        """A generator per example, for what is drawn one by one."""
        return [np.random.Generator(np.random.Philox(key=self._key(name, i))) for i in range(self.count)]

    def _generators(self, name: str) -> Iterator[torch.Generator]:
        for generator in self.numpy(name):
            yield torch.Generator().manual_seed(int(generator.integers(2**63)))

    def _key(self, name: str, i: int) -> list[int]:
        # Philox takes two words: the run and the use, and the example.
        use = int.from_bytes(name.encode()[:7].ljust(7, b"\0"), "little")
        return [(self.seed * 0x9E3779B97F4A7C15 + use) % 2**64, self.first + i]


@dataclass(frozen=True)
class Loss:
    """The loss of every example, whose mean is made small, and named parts of it to watch."""

    per_example: Float[Tensor, " B"]
    parts: Mapping[str, float] = field(default_factory=dict)


class Objective(nn.Module, ABC):
    """Networks, some of them trained, and what they are trained to do."""

    @abstractmethod
    def forward(self, batch: Any, draws: Draws) -> Loss:
        """The loss of a batch; gradients reach every parameter that `requires_grad`."""

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Writes the result into a folder that is empty, as files that mofa's loaders read."""

    @property
    def trained(self) -> dict[str, nn.Parameter]:
        """The trained parameters by name, in the order of the module."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def follow(self, average: Mapping[str, Tensor]) -> None:
        """Puts other values, such as running means, into the trained parameters."""
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(average[name])

    def measure(self, batch: Any, draws: Draws) -> Mapping[str, float]:
        """Numbers of a held-out batch beside the loss; none by default."""
        return {}

    def generate(self, batch: Any, draws: Draws, settings: GenerationSettings) -> Tensor | None:
        """Clips [B, T, 3, H, W] in bytes that the networks make of a held-out batch; none by default."""
        return None

    def checkpointing(self, on: bool) -> None:
        """Works activations out again in the backward pass, which takes less memory; nothing by default."""


@runtime_checkable
class Source(Protocol):
    """An endless row of examples, the same every time it is read."""

    def __getitem__(self, number: int) -> Any:
        """Example `number` (0, 1, 2, ...): a frozen dataclass of tensors."""
        ...


@runtime_checkable
class Stream(Protocol):
    """A row of examples that can only be read in order: shards behind an address."""

    def share(self, part: int, parts: int, skip: int) -> Iterator[Any]:
        """The endless row of one of `parts` readers, which together read everything, after `skip` of it."""
        ...


class ObjectiveConfig(Protocol):
    """A frozen dataclass that a recipe fills in; see the module's words."""

    def build(self, device: torch.device, dtype: torch.dtype) -> Objective:
        """The objective, its frozen networks in `dtype`, its trained ones in float32."""
        ...


class SourceConfig(Protocol):
    """A frozen dataclass that a recipe fills in; see the module's words."""

    def build(self, seed: int) -> Source | Stream:
        """The source; raises InputError where there is nothing to read."""
        ...


def stack(examples: Sequence[Example]) -> Example:
    """The batch of these examples: tensors stacked, absent fields absent, everything else in tuples."""
    first: Any = examples[0]
    columns = {f.name: [getattr(example, f.name) for example in examples] for f in fields(first)}
    return replace(first, **{name: _column(values) for name, values in columns.items()})


def _column(values: list[Any]) -> Any:
    if values[0] is None:
        return None
    return torch.stack(values) if isinstance(values[0], Tensor) else tuple(values)


def moved(batch: Example, move: Callable[[Tensor], Tensor]) -> Example:
    """The batch with every tensor moved (to a device)."""
    everything: Any = batch
    tensors = {
        f.name: move(value) for f in fields(everything) if isinstance(value := getattr(batch, f.name), Tensor)
    }
    return replace(everything, **tensors)
