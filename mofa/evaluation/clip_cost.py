"""What a whole clip asks of a machine under given settings: the loop's own calls, each counted once.

The sampler runs with a model that does nothing but note what it is asked; what each kind of call costs is
counted on the meta device. So the figures follow the code, whatever settings come to mean.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from mofa.evaluation.cost import count
from mofa.evaluation.stages import ClipSize, made_up_condition, svd_of
from mofa.renderers.diffusion.render import DiffusionModel, guidance_of, path_down, reuse_of
from mofa.renderers.diffusion.settings import SvdSettings
from mofa.renderers.diffusion.svd import StableVideoDiffusion
from mofa.sampling.denoiser import AdapterBranch, Denoiser
from mofa.sampling.guide import Guide
from mofa.sampling.reuse import Memory
from mofa.sampling.sampler import sample_latents
from mofa.types import AdapterName, BackboneCondition, MotionFeatures


@dataclass(frozen=True)
class Call:
    """One call of the video model: how many guidance halves at once, and what it takes over from a memory."""

    halves: int
    reuses: Literal["nothing", "deep", "residuals"] = "nothing"


@dataclass(frozen=True)
class ClipCost:
    """A clip's denoising: how many halves were predicted, and the counted work."""

    evaluations: int
    flop: int


@dataclass(frozen=True)
class Noting(StableVideoDiffusion):
    """Notes what it is asked to predict, and predicts nothing."""

    calls: list[Call] = field(default_factory=list)

    def predict(
        self,
        x: Tensor,
        sigma: Tensor,
        halves: Sequence[BackboneCondition],
        steering: Sequence[Any] = (),
        memory: Memory | None = None,
        /,
    ) -> Tensor:
        """Zeros, once per half."""
        held = None if memory is None else memory.recall(x)
        if memory is not None and held is None:
            memory.keep(x)
        self.calls.append(Call(len(halves), "nothing" if memory is None or held is None else memory.what))
        return torch.zeros(len(halves), *x.shape)


def calls_of(video: StableVideoDiffusion, settings: SvdSettings, num_frames: int) -> Counter[Call]:
    """Every call that the sampler makes of a video model for a clip of so many frames."""
    noise = torch.zeros(num_frames, 4, 1, 1)
    latent = noise[:1]
    condition = BackboneCondition(torch.zeros(1, 1, 1), latent, torch.zeros(1, 3))
    model = Noting(video.backbone)
    denoiser = Denoiser(model, condition, (), guidance_of(settings))
    guide = None
    if settings.guide == "warp":
        guide = Guide(noise, torch.full_like(noise[:, :1], torch.inf), settings.guide_weak)
    schedule, rule = path_down(settings, 0, noise)
    passes = model.passes(num_frames, settings)
    reuse = reuse_of(settings)
    sample_latents(denoiser, noise, schedule, passes, guide=guide, reuse=reuse, rule=rule)
    return Counter(model.calls)


@torch.no_grad()
def call_flop(model: DiffusionModel, call: Call, adapters: Sequence[AdapterName], size: ClipSize) -> int:
    """The work of one call with these adapters; the model is on the meta device."""
    video = svd_of(model)
    latent = video.backbone.unet.conv_in.weight
    x = torch.empty(size.num_frames, 4, size.height // 8, size.width // 8, device=latent.device)
    sigma = x.new_ones(())
    halves = [made_up_condition(video.backbone, x) for _ in range(call.halves)]
    picture = torch.empty(1, 3, size.height, size.width, device=latent.device, dtype=latent.dtype)
    steering = [branch_of(model, name, picture, size).over(range_of(size), latent) for name in adapters]
    if call.reuses == "nothing":
        return count(video.predict, x, sigma, halves, steering).flop
    memory = Memory(call.reuses, latent.device)
    video.predict(x, sigma, halves, steering, memory)
    return count(video.predict, x, sigma, halves, steering, memory).flop


def branch_of(model: DiffusionModel, name: AdapterName, picture: Tensor, size: ClipSize) -> AdapterBranch:
    """An adapter that rules the whole picture, with features of the right shapes."""
    flow = picture.new_empty(size.num_frames - 1, 2, size.height, size.width, dtype=torch.float32)
    sketch = picture.expand(size.num_frames, -1, -1, -1) if name == "landmark" else None
    features: MotionFeatures = model.adapters[name].encoder(picture, flow, sketch)
    return AdapterBranch(model.adapters[name].adapter, features, torch.ones(1, size.height, size.width))


def range_of(size: ClipSize) -> tuple[int, ...]:
    """The one window of a clip that is no longer than a window."""
    return tuple(range(size.num_frames))


def denoising_cost(
    model: DiffusionModel, settings: SvdSettings, adapters: Sequence[AdapterName], size: ClipSize
) -> ClipCost:
    """What denoising a clip costs with these adapters at work; the model is on the meta device."""
    calls = calls_of(svd_of(model), settings, size.num_frames)
    flop = sum(times * call_flop(model, call, adapters, size) for call, times in calls.items())
    return ClipCost(sum(times * call.halves for call, times in calls.items()), flop)
