"""From noisy latents and their noise level to a clean estimate: steering and guidance live in here.

`Denoiser` says what is animated and how. `Denoiser.over(frames)` works out, once, everything the noise
level cannot change for one window of frames; what it returns is called at every step: (x, sigma) -> clean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mofa.models.motion_adapter import MotionAdapter
from mofa.sampling.reuse import Memory
from mofa.sampling.schedule import guidance_scales
from mofa.sampling.video_model import AnyVideoModel, Steering
from mofa.tensors.windows import Window
from mofa.types import MotionFeatures

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

    def over(self, frames: Window, like: Tensor, /) -> WindowBranch:
        """The branch for these frames, its regions with the dtype and device of `like`."""
        regions = {size: region.to(like) for size, region in self.regions.items()}
        return WindowBranch(self.adapter, self.features.over(frames), regions)


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance (Ho and Salimans 2022, arXiv 2207.12598), rising over the frames of a window.

    `lowest` is the scale of the window's first frame and `highest` that of its last; 1 and 1 is no
    guidance and half the work. `halves_at_once` is 2 to send the unconditional and the conditional
    half through the networks as one batch, 1 to send them one after the other in less memory. Below the
    noise level `down_to` there is no guidance: it is useless there, and costs half the work (Kynkäänniemi
    et al. 2024, arXiv 2404.07724).
    """

    lowest: float = 1.0
    highest: float = 3.0
    halves_at_once: Literal[1, 2] = 2
    down_to: float = 0.0

    @property
    def acts(self) -> bool:
        """False where the scale is 1 in every frame: the conditional half alone is the answer."""
        return (self.lowest, self.highest) != (1, 1)


@dataclass(frozen=True)
class WindowDenoiser:
    """(x, sigma) -> clean for one window; everything but x and sigma is fixed. Made by `Denoiser.over`.

    `batches` are the conditions that go through the networks together, the unconditional half first or the
    conditional one alone; `steering` is what has an effect on these frames.
    """

    model: AnyVideoModel
    batches: tuple[tuple[Any, ...], ...]
    steering: tuple[Any, ...]
    scales: Float[Tensor, "T 1 1 1"]
    guided_down_to: float = 0.0

    def __call__(
        self, x: Float[Tensor, "T c h w"], sigma: Float[Tensor, ""], memory: Memory | None = None, /
    ) -> Float[Tensor, "T c h w"]:
        """The clean estimate of x, in its dtype; the networks run in that of their weights."""
        calls = range(len(self.batches_at(sigma)))
        predictions = [self.prediction(place, x, sigma, memory) for place in calls]
        return guided(self.model, self.scales, x, sigma, predictions)

    def batches_at(self, sigma: Float[Tensor, ""]) -> tuple[tuple[Any, ...], ...]:
        """The batches that this noise level needs: the conditional half alone where guidance has stopped."""
        unguided = self.guided_down_to > 0 and bool(sigma < self.guided_down_to)
        return (self.batches[-1][-1:],) if unguided else self.batches

    def prediction(
        self, place: int, x: Float[Tensor, "T c h w"], sigma: Float[Tensor, ""], memory: Memory | None = None
    ) -> Float[Tensor, "B T c h w"]:
        """What the networks say of the batch at `place` among those of this noise level."""
        batch = self.batches_at(sigma)[place]
        part = memory and memory.part((place, len(batch)))
        return self.model.predict(x, sigma, batch, self.steering, part)


def guided(
    model: AnyVideoModel,
    scales: Float[Tensor, "T 1 1 1"],
    x: Float[Tensor, "T c h w"],
    sigma: Float[Tensor, ""],
    predictions: Sequence[Float[Tensor, "B T c h w"]],
) -> Float[Tensor, "T c h w"]:
    """The clean estimate that the predictions of all batches stand for, the unconditional half first."""
    halves = torch.cat(list(predictions)).to(x.dtype)
    unconditional, conditional = halves[0], halves[-1]
    return model.clean(x, sigma, unconditional + scales * (conditional - unconditional))


@dataclass(frozen=True)
class Denoiser:
    """A picture's condition and its motion, to be read for any window of the clip's frames.

    Steering whose regions sum to one shares the picture; where regions overlap, the corrections add up.
    Without any it is the plain model. `condition` is of the model's own kind.
    """

    model: AnyVideoModel
    condition: Any
    steering: tuple[Steering, ...] = ()
    guidance: Guidance = Guidance()

    def over(self, frames: Window, /) -> WindowDenoiser:
        """The clean estimate of these frames, with all that the noise level cannot change worked out."""
        halves: tuple[Any, ...] = (self.condition,)
        if self.guidance.acts:
            halves = (self.model.unseen(self.condition), self.condition)
        at_once, like = self.guidance.halves_at_once, self.model.like(self.condition)
        return WindowDenoiser(
            model=self.model,
            batches=tuple(halves[first : first + at_once] for first in range(0, len(halves), at_once)),
            steering=tuple(one.over(frames, like) for one in self.steering if one.acts),
            scales=self.scales(len(frames)).to(like.device),
            guided_down_to=self.guidance.down_to,
        )

    def scales(self, num_frames: int) -> Float[Tensor, "T 1 1 1"]:
        """The guidance scales of a window of so many frames."""
        return guidance_scales(num_frames, self.guidance.lowest, self.guidance.highest).view(-1, 1, 1, 1)
