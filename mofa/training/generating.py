"""Clips that networks under training make, by the sampler that `mofa animate` uses."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.media.image import to_bytes
from mofa.models.backbone import Backbone
from mofa.models.motion_adapter import MotionAdapter
from mofa.renderers.diffusion.settings import SvdSettings
from mofa.renderers.diffusion.svd import StableVideoDiffusion
from mofa.sampling.denoiser import AdapterBranch, Denoiser, Guidance
from mofa.sampling.sampler import sample_latents
from mofa.sampling.schedule import Schedule, karras_sigmas
from mofa.training.config import GenerationSettings
from mofa.training.protocol import Draws
from mofa.types import MotionFeatures


def make_clips(
    backbone: Backbone,
    pictures: Float[Tensor, "B 3 H W"],
    num_frames: int,
    draws: Draws,
    settings: GenerationSettings,
    adapter: MotionAdapter | None = None,
    features: MotionFeatures | None = None,
) -> UInt8[Tensor, "B T 3 H W"]:
    """A clip of each picture (0..1), with the conventions of inference, the same for the same draws.

    With an adapter, steered by its features, which have a clip's axis in front.
    """
    height, width = pictures.shape[-2:]
    noise = draws.normal("made", (num_frames, 4, height // 8, width // 8), pictures)
    blur = draws.normal("seen", (3, height, width), pictures)
    made = []
    for i, picture in enumerate(pictures):
        branches = []
        if adapter is not None and features is not None:
            own = MotionFeatures(
                tuple(level[i] for level in features.levels),
                None if features.sketch is None else features.sketch[i],
            )
            branches.append(AdapterBranch(adapter, own, picture.new_ones(1, height, width)))
        made.append(_clip(backbone, picture, noise[i], blur[i], tuple(branches), settings))
    return torch.stack(made)


def _clip(
    backbone: Backbone,
    picture: Float[Tensor, "3 H W"],
    noise: Float[Tensor, "T 4 h w"],
    blur: Float[Tensor, "3 H W"],
    branches: tuple[AdapterBranch, ...],
    settings: GenerationSettings,
) -> UInt8[Tensor, "T 3 H W"]:
    video = StableVideoDiffusion(backbone)
    condition = video.condition(picture, SvdSettings(), blur)
    denoiser = Denoiser(video, condition, branches, Guidance(*settings.guidance))
    schedule = Schedule(karras_sigmas(settings.steps).to(noise.device))
    latents = sample_latents(denoiser, noise, schedule, [tuple(range(len(noise)))])
    decoded = torch.cat(list(video.decode(latents)))
    return torch.stack([to_bytes(frame) for frame in (decoded / 2 + 0.5).clamp(0, 1).cpu()])
