"""Steps that work less: what a whole step has worked out serves the steps after it, too.

Hidden states of a video model change little from one noise level to the next, the coarser the less
(DeepCache, Ma et al. 2024, arXiv 2312.00858). The sampler says which steps are whole; what is kept between
them, and what is worked out anew in every step, is a video model's own affair.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mofa.sampling.names import Reused
from mofa.tensors.windows import Window

FIRST, LAST = 3, 2
"""How many steps are whole at the beginning, where the clip's layout forms, and at its end, where details do.

The usual care with caches of this kind; DeepCache itself keeps to its interval alone.
"""


@dataclass(frozen=True)
class Reuse:
    """Every `interval`-th step is whole, the first and the last ones, too; 1 makes all of them whole."""

    interval: int = 1
    what: Reused = "deep"

    def whole(self, step: int, steps: int) -> bool:
        """Whether step `step` of `steps` is worked out whole."""
        return step % self.interval == 0 or step < FIRST or step >= steps - LAST

    def memories(self, windows: Sequence[Window], device: torch.device) -> "list[Memory | None]":
        """A memory for each of the windows; None where nothing is used again.

        That of a single window keeps tensors on the device, those of several in main memory: they grow with
        the clip.
        """
        home = device if len(windows) == 1 else torch.device("cpu")
        return [None if self.interval == 1 else Memory(self.what, home) for _ in windows]


@dataclass
class Memory:
    """What one window's last whole step left; the sampler forgets it before the next whole step.

    It waits on `home`. A memory has parts, one for each call of the network in a step.
    """

    what: Reused
    home: torch.device
    held: tuple[Tensor, ...] | None = None
    parts: dict[Hashable, "Memory"] = field(default_factory=dict)

    def part(self, key: Hashable) -> "Memory":
        """The memory of one call among several in a step."""
        return self.parts.setdefault(key, Memory(self.what, self.home))

    def forget(self) -> None:
        """Makes the next step a whole one."""
        self.held = None
        self.parts.clear()

    def keep(self, *tensors: Tensor) -> None:
        """Holds these until they are forgotten."""
        self.held = tuple(tensor.to(self.home) for tensor in tensors)

    def recall(self, like: Tensor, /) -> tuple[Tensor, ...] | None:
        """What is held, on the device of `like`; None where nothing is."""
        return None if self.held is None else tuple(tensor.to(like.device) for tensor in self.held)
