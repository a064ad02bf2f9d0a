"""A crude animation guides the model: dual-clock denoising (Time-to-Move, ICLR 2026, arXiv 2511.08633).

Outside of what the crude animation moves, denoising begins at a high noise level; inside, latents are
replaced by the crude ones, noised, down to a lower level, and are the model's own from there on.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.sampling.schedule import Schedule

RHO = 7.0
"""The power that Karras noise levels are evenly spaced in: shares of a soft mask go by it."""


@dataclass(frozen=True)
class Guide:
    """A clip's crude latents, the noise level down to which each cell follows them, and where to begin.

    `levels` is infinite where the model is free from the start.
    """

    latents: Float[Tensor, "T c h w"]
    levels: Float[Tensor, "T 1 h w"]
    weak: float

    def begin(
        self, noise: Float[Tensor, "T c h w"], schedule: Schedule
    ) -> tuple[Schedule, Float[Tensor, "T c h w"]]:
        """The rest of the schedule from the level `weak` on, and the crude latents at its noise level.

        From the schedule's highest level on, or above it, it is pure noise, as without a guide.
        """
        if self.weak >= schedule.sigmas[0]:
            return schedule, noise * schedule.initial_scale
        left = schedule.down_from(self.weak)
        return left, self.latents + left.sigmas[0] * noise

    def laid_over(
        self, x: Float[Tensor, "T c h w"], noise: Float[Tensor, "T c h w"], sigma: Float[Tensor, ""]
    ) -> Float[Tensor, "T c h w"]:
        """The latents at a noise level, with the crude ones in the cells that still follow them."""
        return torch.where(self.levels <= sigma, self.latents + sigma * noise, x)


def levels_of(mask: Float[Tensor, "T 1 h w"], weak: float, strong: float) -> Float[Tensor, "T 1 h w"]:
    """The level down to which every cell follows the guide: `strong` where the mask is 1, infinite where 0.

    A share in between means a level in between, on the schedule's own scale. Frame 0 is the photo: it
    follows to the end.
    """
    root = (1 - mask) * weak ** (1 / RHO) + mask * strong ** (1 / RHO)
    levels = torch.where(mask > 0, torch.where(mask < 1, root**RHO, strong), torch.inf)
    return torch.cat([torch.zeros_like(levels[:1]), levels[1:]])
