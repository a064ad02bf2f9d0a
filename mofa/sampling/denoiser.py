"""From noisy latents and their noise level to a clean estimate: adapters and guidance live in here.

`Denoiser` says what is animated and how. `Denoiser.over(frames)` works out, once, everything the noise
level cannot change for one window of frames; what it returns is called at every step: (x, sigma) -> clean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mofa.models.backbone import Backbone
from mofa.models.motion_adapter import MotionAdapter
from mofa.sampling.schedule import guidance_scales, preconditioning, timestep_from_sigma
from mofa.tensors.windows import Window
from mofa.types import BackboneCondition, MotionFeatures

LEVELS = 8, 16, 32, 64
"""How much smaller than the picture the levels are at which an adapter corrects the backbone."""

RegionLevels = Mapping[tuple[int, int], Float[Tensor, "1 1 h w"]]
"""A region, 0..1 times its strength, by the height and width of the levels that it is needed at."""


@runtime_checkable
class ClipFeatures(Protocol):
    """A clip's motion features, for any of its frames: MotionFeatures, or what encodes them when asked."""

    def over(self, frames: Sequence[int], /) -> MotionFeatures:
        """The features of these frames."""
        ...


@dataclass(frozen=True)
class WindowBranch:
    """An adapter, the features of one window's frames, and where they act how strongly."""

    adapter: MotionAdapter
    features: MotionFeatures
    regions: RegionLevels


@dataclass(frozen=True)
class AdapterBranch:
    """One adapter at work: its features for the whole clip, where it rules (0..1), and how strongly.

    `region` has the size of the picture; its nearest pixel counts at every level of the adapter.
    """

    adapter: MotionAdapter
    features: ClipFeatures
    region: Float[Tensor, "1 H W"]
    strength: float = 1.0

    @property
    def acts(self) -> bool:
        """False where the branch can change nothing, so that its adapter need not run."""
        return self.strength != 0 and bool(self.region.any())

    @cached_property
    def regions(self) -> RegionLevels:
        """The region at every level, resized once."""
        height, width = self.region.shape[-2:]
        sizes = [(height // level, width // level) for level in LEVELS]
        whole = self.strength * self.region[None].float()
        return {size: F.interpolate(whole, size, mode="nearest") for size in sizes}

    def over(self, frames: Window, like: Tensor) -> WindowBranch:
        """The branch for these frames, its regions with the dtype and device of `like`."""
        regions = {size: region.to(like) for size, region in self.regions.items()}
        return WindowBranch(self.adapter, self.features.over(frames), regions)


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598), rising over the frames of a window.

    `lowest` is the scale of the window's first frame and `highest` that of its last; 1 and 1 is no
    guidance and half the work. `halves_at_once` is 2 to send the unconditional and the conditional
    half through the networks as one batch, 1 to send them one after the other in less memory.
    """

    lowest: float = 1.0
    highest: float = 3.0
    halves_at_once: Literal[1, 2] = 2

    @property
    def acts(self) -> bool:
        """False where the scale is 1 in every frame: the conditional half alone is the answer."""
        return (self.lowest, self.highest) != (1, 1)


@dataclass(frozen=True)
class Batch:
    """What goes through the networks at once: B guidance halves of the same T frames."""

    image_embedding: Float[Tensor, "B 1 D"]
    image_latent: Float[Tensor, "B T 4 h w"]
    time_ids: Float[Tensor, "B 3"]


@dataclass(frozen=True)
class WindowDenoiser:
    """(x, sigma) -> clean for one window; everything but x and sigma is fixed. Made by `Denoiser.over`.

    `batches` hold the unconditional half first, or the conditional one alone; `branches` have at least some
    effect.
    """

    backbone: Backbone
    batches: tuple[Batch, ...]
    branches: tuple[WindowBranch, ...]
    scales: Float[Tensor, "T 1 1 1"]

    def __call__(self, x: Float[Tensor, "T 4 h w"], sigma: Float[Tensor, ""], /) -> Float[Tensor, "T 4 h w"]:
        """The clean estimate of x, in its dtype; the networks run in that of the picture's latent."""
        factors = preconditioning(sigma)
        scaled, timestep = factors.input * x, timestep_from_sigma(sigma)
        halves = torch.cat([self._velocity(scaled, timestep, batch) for batch in self.batches]).to(x.dtype)
        unconditional, conditional = halves[0], halves[-1]
        velocity = unconditional + self.scales * (conditional - unconditional)
        return factors.skip * x + factors.out * velocity

    def _velocity(
        self, scaled: Float[Tensor, "T 4 h w"], timestep: Float[Tensor, ""], batch: Batch
    ) -> Float[Tensor, "B T 4 h w"]:
        noisy = scaled.to(batch.image_latent.dtype).expand_as(batch.image_latent)
        sample = torch.cat([noisy, batch.image_latent], dim=2)
        told = (sample, timestep, batch.image_embedding, batch.time_ids)
        corrections = [
            branch.adapter(*told, branch.features).within(branch.regions) for branch in self.branches
        ]
        return self.backbone.predict(*told, reduce(add, corrections) if corrections else None)


@dataclass(frozen=True)
class Denoiser:
    """A picture's condition and its motion, to be read for any window of the clip's frames.

    Branches whose regions sum to one share the picture between them; where regions overlap, their
    corrections add up. Without branches it is the plain backbone.
    """

    backbone: Backbone
    condition: BackboneCondition
    branches: tuple[AdapterBranch, ...] = ()
    guidance: Guidance = Guidance()

    def over(self, frames: Window, /) -> WindowDenoiser:
        """The clean estimate of these frames, with all that the noise level cannot change worked out."""
        latent = self.condition.image_latent
        scales = guidance_scales(len(frames), self.guidance.lowest, self.guidance.highest)
        return WindowDenoiser(
            backbone=self.backbone,
            batches=_batches(self.condition, self.guidance, len(frames)),
            branches=tuple(branch.over(frames, latent) for branch in self.branches if branch.acts),
            scales=scales.to(latent.device).view(-1, 1, 1, 1),
        )


def _batches(condition: BackboneCondition, guidance: Guidance, num_frames: int) -> tuple[Batch, ...]:
    """The guidance halves: the unconditional one is shown no picture, as embedding and as latent alike."""
    embedding, latent, time_ids = condition.image_embedding, condition.image_latent, condition.time_ids
    if guidance.acts:
        embedding = torch.cat([torch.zeros_like(embedding), embedding])
        latent = torch.cat([torch.zeros_like(latent), latent])
        time_ids = torch.cat([time_ids, time_ids])
    latent = latent[:, None].expand(-1, num_frames, -1, -1, -1)
    parts = (value.split(guidance.halves_at_once) for value in (embedding, latent, time_ids))
    return tuple(Batch(*part) for part in zip(*parts, strict=True))
