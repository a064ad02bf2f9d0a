"""From noise to latents: steps down the schedule, windows blended at every step."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.sampling.guide import Guide
from mofa.sampling.reuse import Memory, Reuse
from mofa.sampling.schedule import Schedule
from mofa.tensors.windows import Window, blend, take
from mofa.types import Progress, silent


@runtime_checkable
class Estimate(Protocol):
    """(x, sigma) -> clean: noisy latents at a noise level in, their clean estimate out.

    A memory that is given may spare work: see `mofa.sampling.reuse`.
    """

    def __call__(
        self, x: Float[Tensor, "T c h w"], sigma: Float[Tensor, ""], memory: Memory | None = None, /
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

    Both are [T, c, h, w] and to be read only. Returns the latents to go on with, None for those it was
    shown. Raise Cancelled to stop the run.
    """

    def __call__(
        self, step: int, latents: Float[Tensor, "T c h w"], clean: Float[Tensor, "T c h w"], /
    ) -> Float[Tensor, "T c h w"] | None: ...


@runtime_checkable
class StepRule(Protocol):
    """(x, clean, sigma, sigma_next) -> latents at the next noise level; linear in the clean estimate."""

    def __call__(
        self,
        x: Float[Tensor, "*s"],
        clean: Float[Tensor, "*s"],
        sigma: Float[Tensor, ""],
        sigma_next: Float[Tensor, ""],
        /,
    ) -> Float[Tensor, "*s"]: ...


ALL_WHOLE = Reuse()
"""The reuse of a caller who wants every step worked out whole."""


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


def consistency_step(fresh: Iterator[Float[Tensor, "T c h w"]]) -> StepRule:
    """The step of a consistency model: to the clean estimate, and back to the next level by fresh noise.

    AnimateLCM-SVD's (Wang et al. 2024, arXiv 2402.00769). `fresh` yields standard normal noise for the whole
    clip, one for every step but the last.
    """

    def step(x: Tensor, clean: Tensor, sigma: Tensor, sigma_next: Tensor, /) -> Tensor:
        return clean + sigma_next * next(fresh) if sigma_next > 0 else clean

    return step


@runtime_checkable
class StepEstimates(Protocol):
    """(x, sigma, whole) -> the clean estimate of every window; a step that is `whole` takes nothing over."""

    def __call__(
        self, x: Float[Tensor, "T c h w"], sigma: Float[Tensor, ""], whole: bool, /
    ) -> Iterable[Float[Tensor, "t c h w"]]: ...


def in_turn(
    denoiser: ClipDenoiser, windows: Sequence[Window], reuse: Reuse, device: torch.device
) -> StepEstimates:
    """One window after the other, on the caller's device."""
    over = lru_cache(maxsize=1)(denoiser.over)
    memories = reuse.memories(windows, device)

    def estimates(x: Tensor, sigma: Tensor, whole: bool, /) -> Iterator[Tensor]:
        for window, memory in zip(windows, memories, strict=True):
            if memory is not None and whole:
                memory.forget()
            yield over(window)(take(x, window), sigma, memory)

    return estimates


@torch.no_grad()
def sample_latents(
    denoiser: ClipDenoiser,
    noise: Float[Tensor, "T c h w"],
    schedule: Schedule,
    windows: Sequence[Window],
    progress: Progress = silent,
    callback: StepCallback = ignore,
    guide: Guide | None = None,
    reuse: Reuse = ALL_WHOLE,
    rule: StepRule = euler_step,
    estimates: StepEstimates | None = None,
) -> Float[Tensor, "T c h w"]:
    """Clean latents of a clip from standard normal noise, in the noise's dtype (float32 is advised).

    `windows` cover the clip (`mofa.tensors.windows`); a single one is the plain pass. All windows
    of a step start from the same latents and a step is linear in the clean estimate, so blending
    the estimates is blending the latents that each window would have stepped to. A single window is
    prepared once; of several only one at a time is, anew in every step, so that memory does not grow with
    the clip. `progress` hears of every window of every step; it and `callback` may raise Cancelled, which
    leaves the loop at once. A `guide` says where the loop begins, and lays itself over what a step leaves.
    `rule` makes a step of an estimate. `reuse` lets steps use what an earlier one has worked out; of several
    windows it waits in main memory. `estimates` reads the windows of a step in another way than one after
    the other (`mofa.sampling.spread`).
    """
    estimates = estimates or in_turn(denoiser, windows, reuse, noise.device)
    total = schedule.steps * len(windows)
    if guide is not None:
        schedule, x = guide.begin(noise, schedule)
        total = schedule.steps * len(windows)
    else:
        x = noise * schedule.initial_scale
    for step, (sigma, sigma_next) in enumerate(pairwise(schedule.sigmas)):
        found = []
        for estimate in estimates(x, sigma, reuse.whole(step, schedule.steps)):
            found.append(estimate)
            progress("sample", step * len(windows) + len(found), total)
        clean = blend(found, windows, len(x))
        x = rule(x, clean, sigma, sigma_next)
        if guide is not None:
            x = guide.laid_over(x, noise, sigma_next)
        replaced = callback(step, x, clean)
        x = x if replaced is None else replaced
    return x
