"""Noise levels, and how a network that predicts v is read at each of them.

Latents at noise level sigma are x = clean + sigma * noise (Karras et al. 2022, arXiv 2206.00364).
Stable Video Diffusion predicts v (Salimans and Ho 2022, arXiv 2202.00512) with data of deviation 1.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.errors import InputError
from mofa.sampling.names import CONSISTENCY_POINTS


@dataclass(frozen=True)
class Schedule:
    """The noise levels a sampler visits: strictly falling, the last one 0, one step between two."""

    sigmas: Float[Tensor, " N"]

    def __post_init__(self) -> None:
        falls = bool((self.sigmas.diff() < 0).all())
        if len(self.sigmas) < 2 or not falls or self.sigmas[-1] != 0:
            raise InputError(
                f"The noise levels {self.sigmas.tolist()} are no schedule: list them falling strictly to 0.",
                key="internal",
            )

    @property
    def steps(self) -> int:
        """How many steps lead down to 0."""
        return len(self.sigmas) - 1

    @property
    def initial_scale(self) -> Float[Tensor, ""]:
        """What standard normal noise is multiplied with to stand for latents at the first level.

        The deviation of clean latents and noise together: data of variance 1 plus sigma^2.
        """
        return (self.sigmas[0] ** 2 + 1).sqrt()

    def down_from(self, level: float) -> "Schedule":
        """The rest of it from the first noise level that is not above `level`; one step at least."""
        first = min(int((self.sigmas > level).sum()), self.steps - 1)
        return Schedule(self.sigmas[first:])


def karras_sigmas(
    steps: int, lowest: float = 0.002, highest: float = 700.0, rho: float = 7.0
) -> Float[Tensor, " N"]:
    """Noise levels evenly spaced in sigma^(1 / rho), highest first, then 0: `steps` + 1 of them, float32.

    Karras et al. 2022, equation 5; the defaults are those of Stable Video Diffusion. A single step
    starts at the highest. Raises InputError for less than one step.
    """
    if steps < 1:
        raise InputError(
            f"Sampling needs at least 1 step, not {steps}: raise the number of steps.",
            key="steps.range",
            least=1,
            most=1000,
        )
    fraction = torch.linspace(0, 1, steps, dtype=torch.float64)
    levels = (highest ** (1 / rho) + fraction * (lowest ** (1 / rho) - highest ** (1 / rho))) ** rho
    return torch.cat([levels, levels.new_zeros(1)]).float()


def consistency_sigmas(steps: int) -> Float[Tensor, " N"]:
    """Every so manyth of the noise levels that a consistency model was distilled on, then 0.

    AnimateLCM-SVD (Wang et al. 2024, arXiv 2402.00769): one step is from 700, two from 700 and 13.7,
    four from 700, 129, 13.7 and 0.5.
    Raises InputError for less than one step or more than there are levels.
    """
    if not 1 <= steps <= CONSISTENCY_POINTS:
        raise InputError(
            f"The consistency sampler takes 1 to {CONSISTENCY_POINTS} steps, not {steps}.",
            key="steps.range",
            least=1,
            most=CONSISTENCY_POINTS,
        )
    levels = karras_sigmas(CONSISTENCY_POINTS)[:-1]
    visited = levels[:: CONSISTENCY_POINTS // steps][:steps]
    return torch.cat([visited, levels.new_zeros(1)])


def timestep_from_sigma(sigma: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """The number the networks know a noise level by: ln(sigma) / 4 (Karras et al. 2022, table 1, c_noise)."""
    return 0.25 * sigma.log()


@dataclass(frozen=True)
class Preconditioning:
    """clean = skip * x + out * network(input * x), with one value per noise level."""

    skip: Float[Tensor, "*b"]
    out: Float[Tensor, "*b"]
    input: Float[Tensor, "*b"]


def preconditioning(sigma: Float[Tensor, "*b"]) -> Preconditioning:
    """The factors that make a v-prediction a clean estimate (Karras et al. 2022, equation 7)."""
    variance = sigma**2 + 1
    return Preconditioning(skip=1 / variance, out=-sigma / variance.sqrt(), input=1 / variance.sqrt())


def guidance_scales(num_frames: int, lowest: float = 1.0, highest: float = 3.0) -> Float[Tensor, " T"]:
    """Guidance scale per frame, rising evenly from `lowest` at frame 0 to `highest` at the last frame."""
    return torch.linspace(lowest, highest, num_frames)
