"""From noise to latents: Euler steps down the schedule, windows blended at every step."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.sampling.guide import Guide
from mofa.sampling.schedule import Schedule
from mofa.tensors.windows import Window, blend, take
from mofa.types import Progress, silent


@runtime_checkable
class Estimate(Protocol):
    """(x, sigma) -> clean: noisy latents at a noise level in, their clean estimate out."""

    def __call__(
        self, x: Float[Tensor, "T c h w"], sigma: Float[Tensor, ""], /
    ) -> Float[Tensor, "T c h w"]: ...


@runtime_checkable
class ClipDenoiser(Protocol):
    """What can be read for any window of a clip; `mofa.sampling.denoiser.Denoiser` is the one in use."""

    def over(self, frames: Window, /) -> Estimate:
        """The clean estimate of these frames, with all that the noise level cannot change worked out."""
        ...


@runtime_checkable
class StepCallback(Protocol):
    """Called after every step with its index, the latents it left and the clean estimate it used.

    Both are [T, c, h, w] and to be read only. Raise Cancelled to stop the run.
    """

    def __call__(
        self, step: int, latents: Float[Tensor, "T c h w"], clean: Float[Tensor, "T c h w"], /
    ) -> None: ...


def ignore(step: int, latents: Float[Tensor, "T c h w"], clean: Float[Tensor, "T c h w"], /) -> None:
    """The step callback of a caller who does not want one."""


def euler_step(
    x: Float[Tensor, "*s"],
    clean: Float[Tensor, "*s"],
    sigma: Float[Tensor, ""],
    sigma_next: Float[Tensor, ""],
) -> Float[Tensor, "*s"]:
    """From noise level `sigma` to `sigma_next` along the slope towards the clean estimate.

    One step of dx / dsigma = (x - clean) / sigma (Karras et al. 2022, equations 1 and 3).
    """
    slope = (x - clean) / sigma
    return x + slope * (sigma_next - sigma)


@torch.no_grad()
def sample(
    denoiser: ClipDenoiser,
    noise: Float[Tensor, "T c h w"],
    schedule: Schedule,
    windows: Sequence[Window],
    progress: Progress = silent,
    callback: StepCallback = ignore,
    guide: Guide | None = None,
) -> Float[Tensor, "T c h w"]:
    """Clean latents of a clip from standard normal noise, in the noise's dtype (float32 is advised).

    `windows` cover the clip (`mofa.tensors.windows`); a single one is the plain pass. All windows
    of a step start from the same latents and an Euler step is linear in the clean estimate, so blending
    the estimates is blending the latents that each window would have stepped to. A single window is
    prepared once; of several only one at a time is, anew in every step, so that memory does not grow with
    the clip. `progress` hears of every window of every step; it and `callback` may raise Cancelled, which
    leaves the loop at once. A `guide` says where the loop begins, and lays itself over what a step leaves.
    """
    over = lru_cache(maxsize=1)(denoiser.over)
    total = schedule.steps * len(windows)
    if guide is not None:
        schedule, x = guide.begin(noise, schedule)
        total = schedule.steps * len(windows)
    else:
        x = noise * schedule.initial_scale
    for step, (sigma, sigma_next) in enumerate(pairwise(schedule.sigmas)):
        estimates = []
        for window in windows:
            estimates.append(over(window)(take(x, window), sigma))
            progress("sample", step * len(windows) + len(estimates), total)
        clean = blend(estimates, windows, len(x))
        x = euler_step(x, clean, sigma, sigma_next)
        if guide is not None:
            x = guide.laid_over(x, noise, sigma_next)
        callback(step, x, clean)
    return x
