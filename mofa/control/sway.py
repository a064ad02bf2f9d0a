"""Motion of a region without any track: what wind, water and breath do, seamless in time.

Travelling waves of a few lengths, whose phases a seed draws, summed and faded to nothing at the region's
border. Every wave runs through a whole number of periods in the clip, so that it ends as it began; and the
waves' state in the first frame is taken off, so that the clip begins with the photo itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mofa.tensors.geometry import pixel_grid
from mofa.tensors.smoothstep import smoothstep
from mofa.types import FlowField

Kind = Literal["wind", "water", "breath"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Waves:
    """How a kind of sway looks.

    `lengths` of its waves in the region's own size (the square root of its area), each with its `weight`;
    `periods` how often each runs through while the sway does so once. `across`: the share of the motion
    across the sway's direction. `fade`: on what share of the way from the border to the deepest point of the
    region the motion grows to its full size.
    """

    lengths: tuple[float, ...]
    weights: tuple[float, ...]
    periods: tuple[int, ...]
    across: float
    fade: float


# Chosen by what such things do; measured on nothing.
STYLES: dict[Kind, Waves] = {
    # A gust bends all of it; leaves follow, smaller and faster.
    "wind": Waves((3.0, 1.2, 0.5), (0.7, 0.25, 0.12), (1, 2, 3), 0.25, 0.6),
    # Short waves, none of which rules.
    "water": Waves((0.7, 0.4, 0.22), (0.4, 0.35, 0.25), (1, 1, 2), 0.5, 0.25),
    # Everything away from the middle and back.
    "breath": Waves((), (), (), 0.0, 1.0),
}


@dataclass(frozen=True)
class Sway:
    """The motion [2, H, W] of a region at every step of a clip; a `types.DenseMotion`.

    `amount` is the largest displacement in pixels, `direction` its angle in degrees (0: right, 90: down),
    `rounds` how often it sways in the clip. The clip's `num_steps` steps lead from frame 0 to each later
    frame; the step after the last, if it is asked for, would be frame 0 again.
    """

    region: Float[Tensor, "1 H W"]
    kind: Kind
    amount: float
    direction: float
    rounds: int
    period_frames: int
    seed: int = 0

    def over(self, steps: Sequence[int], /) -> FlowField:
        """The flow at these steps."""
        swing = torch.stack([self._at(step + 1) for step in steps])
        valid = (self.region > 0)[None].expand(len(steps), -1, -1, -1)
        return FlowField(swing * valid, valid)

    def _at(self, frame: int) -> Float[Tensor, "2 H W"]:
        time = self.rounds * frame / self.period_frames
        if self.kind == "breath":
            return self.amount * self._envelope() * self._outwards() * (1 - math.cos(2 * math.pi * time)) / 2
        return self.amount * self._envelope() * (self._waves(time) - self._waves(0.0))

    def _waves(self, time: float) -> Float[Tensor, "2 H W"]:
        """The waves' displacement at a time (in rounds), about 1 at most."""
        style, height, width = STYLES[self.kind], *self.region.shape[1:]
        random = np.random.default_rng(self.seed)
        grid = pixel_grid(height, width, self.region)
        size = max(1.0, float(self.region.sum()) ** 0.5)
        along = torch.zeros(height, width)
        across = torch.zeros(height, width)
        for length, weight, periods in zip(style.lengths, style.weights, style.periods, strict=True):
            for into, share in ((along, 1.0), (across, style.across)):
                turn = math.radians(self.direction) + random.uniform(-0.5, 0.5)
                phase = random.uniform(0, 2 * math.pi)
                place = (grid[0] * math.cos(turn) + grid[1] * math.sin(turn)) / (length * size)
                into += share * weight * torch.sin(2 * math.pi * (periods * time - place) + phase)
        angle = math.radians(self.direction)
        return 0.5 * torch.stack(
            [
                along * math.cos(angle) - across * math.sin(angle),
                along * math.sin(angle) + across * math.cos(angle),
            ]
        )

    def _outwards(self) -> Float[Tensor, "2 H W"]:
        """Away from the region's middle, 1 at its outermost; mostly along the sway's direction."""
        grid = pixel_grid(self.region.shape[1], self.region.shape[2], self.region)
        weight = self.region[0] / self.region.sum().clamp(min=1)
        away = grid - (grid * weight).sum((1, 2), keepdim=True)
        inside = self.region[0] >= 0.5
        reach = away[:, inside].abs().amax(1).clamp(min=1) if inside.any() else 1
        angle = math.radians(self.direction)
        # A chest rises more than it widens.
        stretch = torch.tensor([0.4 + 0.6 * abs(math.cos(angle)), 0.4 + 0.6 * abs(math.sin(angle))])
        return away / torch.as_tensor(reach).reshape(-1, 1, 1) * stretch[:, None, None]

    def _envelope(self) -> Float[Tensor, "1 H W"]:
        """0 at the region's border and outside, 1 deep inside."""
        # Few scenes sway, and SciPy takes a quarter of a second to import.
        from scipy.ndimage import distance_transform_edt

        inside = np.pad((self.region[0] >= 0.5).numpy(), 1)  # the picture's own border is one, too
        depth = torch.from_numpy(distance_transform_edt(inside)[1:-1, 1:-1]).to(self.region) - 1
        return smoothstep(depth / (STYLES[self.kind].fade * max(1.0, float(depth.max()))))[None]
