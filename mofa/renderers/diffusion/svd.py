"""Stable Video Diffusion as a video model: its condition, its guidance halves, how its v is read."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import reduce
from operator import add

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mofa.models.backbone import Backbone
from mofa.models.motion_adapter import MotionAdapter, Residuals
from mofa.models.released_guidance import interleaved_time_context
from mofa.renderers.diffusion.settings import SvdSettings
from mofa.sampling.denoiser import WindowBranch
from mofa.sampling.reuse import Memory
from mofa.sampling.schedule import preconditioning, timestep_from_sigma
from mofa.sampling.video_model import Work
from mofa.tensors.windows import Window, windows
from mofa.types import BackboneCondition, CropBox, Progress, silent

SIDE_STEP = 64
"""The UNet halves latents, an eighth of the picture, three times."""


Inputs = tuple[Float[Tensor, "B T 8 h w"], Float[Tensor, ""], Float[Tensor, "B 1 D"], Float[Tensor, "B 3"]]
"""Sample, timestep, embedding and time ids."""


@dataclass(frozen=True)
class StableVideoDiffusion:
    """The frozen backbone at work, steered by motion adapters (see `sampling.video_model.VideoModel`)."""

    backbone: Backbone
    latent_channels: int = 4
    pixel_stride: int = 8
    frame_stride: int = 1

    def networks(self, work: Work | None = None, /) -> Sequence[nn.Module]:
        """The UNet predicts; the VAE and CLIP read the picture, and the VAE decodes."""
        unet, vae, image_encoder = self.backbone.unet, self.backbone.vae, self.backbone.image_encoder
        match work:
            case "condition":
                return [vae, image_encoder]
            case "predict":
                return [unet]
            case "decode":
                return [vae]
        return [unet, vae, image_encoder]

    def window(self, height: int, width: int, settings: SvdSettings, /) -> CropBox:
        """The window of the working picture whose sides are multiples of 64."""
        if settings.fit_64 == "pad":
            sides = [SIDE_STEP * -(-side // SIDE_STEP) for side in (width, height)]
        else:
            sides = [SIDE_STEP * max(1, side // SIDE_STEP) for side in (width, height)]
        left, top = (width - sides[0]) // 2, (height - sides[1]) // 2
        return CropBox(float(left), float(top), float(sides[0]), float(sides[1]), sides[0], sides[1])

    def condition(
        self, picture: Float[Tensor, "3 H W"], settings: SvdSettings, noise: Float[Tensor, "3 H W"], /
    ) -> BackboneCondition:
        """CLIP's embedding, the noised picture's latent, and the numbers that the UNet is told."""
        return self.backbone.condition(
            picture,
            fps=settings.conditioning_fps,
            motion_bucket=settings.motion_bucket,
            noise_strength=settings.noise_strength,
            noise=noise,
            normalise_for_clip=settings.normalise_for_clip,
        )

    def encode(
        self, frames: Iterable[Float[Tensor, "3 H W"]], chunk_size: int = 8, /
    ) -> Float[Tensor, "T 4 h w"]:
        """The mode of the VAE's posterior, scaled as the UNet's latents are."""
        return self.backbone.encode(frames, chunk_size)

    def predicting(
        self, settings: SvdSettings, steering: Sequence[nn.Module], /
    ) -> AbstractContextManager[None]:
        """Guidance halves see their own picture, or each other's as in the released demos."""
        match settings.guidance_rows:
            case "own":
                return nullcontext()
            case "mixed":
                return interleaved_time_context(self.backbone.unet, *steering)

    def passes(self, num_frames: int, settings: SvdSettings, /) -> Sequence[Window]:
        """The windows, with the last one again where the released demos count it twice."""
        usual = windows(num_frames, settings.window, settings.stride)
        evenly = (num_frames - settings.window) % settings.stride == 0
        match settings.last_window:
            case "twice" if len(usual) > 1 and evenly:
                return (*usual, usual[-1])
        return usual

    def unseen(self, condition: BackboneCondition, /) -> BackboneCondition:
        """No picture, as embedding and as latent alike."""
        embedding, latent = condition.image_embedding, condition.image_latent
        return BackboneCondition(torch.zeros_like(embedding), torch.zeros_like(latent), condition.time_ids)

    def like(self, condition: BackboneCondition, /) -> Tensor:
        """The picture's latent."""
        return condition.image_latent

    def inputs(
        self, x: Float[Tensor, "T 4 h w"], sigma: Float[Tensor, ""], halves: Sequence[BackboneCondition]
    ) -> Inputs:
        """What the UNet and the adapters are both given."""
        embedding, latent, time_ids = (
            torch.cat([getattr(half, name) for half in halves])
            for name in ("image_embedding", "image_latent", "time_ids")
        )
        latent = latent[:, None].expand(-1, len(x), -1, -1, -1)
        noisy = (preconditioning(sigma).input * x).to(latent.dtype).expand_as(latent)
        sample = torch.cat([noisy, latent], dim=2)
        return sample, timestep_from_sigma(sigma), embedding, time_ids

    def predict(
        self,
        x: Float[Tensor, "T 4 h w"],
        sigma: Float[Tensor, ""],
        halves: Sequence[BackboneCondition],
        steering: Sequence[WindowBranch] = (),
        memory: Memory | None = None,
        /,
    ) -> Float[Tensor, "B T 4 h w"]:
        """The UNet's v, corrected by the adapters, whose regions are those of their branches.

        With a memory, what is not in it is kept there: all that lies below the outermost layers of UNet and
        adapters, or the adapters' residuals.
        """
        inputs = self.inputs(x, sigma, halves)
        match memory:
            case None:
                return self.backbone.predict(*inputs, corrections(steering, inputs))
            case Memory(what="residuals"):
                return self.backbone.predict(*inputs, remembered_corrections(steering, inputs, memory))
            case Memory(what="deep"):
                return self._predict_over_deep(steering, inputs, memory)
        raise AssertionError(memory.what)

    def _predict_over_deep(
        self, steering: Sequence[WindowBranch], inputs: Inputs, memory: Memory
    ) -> Float[Tensor, "B T 4 h w"]:
        held = memory.recall(inputs[0])
        if held is None:
            velocity, deep = self.backbone.predict_keeping(*inputs, corrections(steering, inputs))
            memory.keep(deep)
            return velocity
        finest = corrections(steering, inputs, MotionAdapter.outermost)
        [deep] = held
        return self.backbone.predict_from(deep, *inputs, finest)

    def clean(
        self, x: Float[Tensor, "T 4 h w"], sigma: Float[Tensor, ""], prediction: Float[Tensor, "T 4 h w"], /
    ) -> Float[Tensor, "T 4 h w"]:
        """Karras et al. 2022, equation 7, for a prediction of v."""
        factors = preconditioning(sigma)
        return factors.skip * x + factors.out * prediction

    def decode(
        self, latents: Float[Tensor, "T 4 h w"], chunk_size: int = 8, progress: Progress = silent, /
    ) -> Iterator[Float[Tensor, "t 3 H W"]]:
        """One frame per latent frame."""
        return self.backbone.decode(latents, chunk_size, progress)


def corrections(
    steering: Sequence[WindowBranch],
    inputs: Inputs,
    read: Callable[..., Residuals] = MotionAdapter.__call__,
) -> Residuals | None:
    """What all branches correct the UNet by, together; `read` is what is asked of each adapter."""
    parts = [read(branch.adapter, *inputs, branch.features).within(branch.regions) for branch in steering]
    return reduce(add, parts) if parts else None


def remembered_corrections(
    steering: Sequence[WindowBranch], inputs: Inputs, memory: Memory
) -> Residuals | None:
    """`corrections` as the memory holds them, worked out and kept where it holds none."""
    if (held := memory.recall(inputs[0])) is not None:
        return Residuals(held[:-1], held[-1])
    residuals = corrections(steering, inputs)
    if residuals is not None and residuals.mid is not None:
        memory.keep(*residuals.skips, residuals.mid)
    return residuals
