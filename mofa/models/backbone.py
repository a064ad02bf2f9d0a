"""Stable Video Diffusion, frozen: what it is told about the picture, one denoising prediction, decoding.

Blattmann et al. 2023, arXiv 2311.15127. The networks are diffusers' and transformers'; what is ours is how
an adapter's residuals enter the UNet.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from jaxtyping import Float
from torch import Tensor, nn
from transformers import CLIPVisionModelWithProjection

from mofa.models.motion_adapter import Residuals
from mofa.models.spatio_temporal import FrameCondition, condition_frames
from mofa.types import BackboneCondition, Progress, silent

# Mean and deviation of the pictures that CLIP was trained on (Radford et al. 2021, arXiv 2103.00020).
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)

OUTERMOST = 2
"""Layers at the end that `predict_from` works out anew, and the skips that they read."""


@dataclass(frozen=True)
class Backbone:
    """The three frozen networks of Stable Video Diffusion.

    A VAE with float16 weights is turned into float32 if its config asks for it (`force_upcast`): its
    activations leave the range of float16.
    """

    unet: UNetSpatioTemporalConditionModel
    vae: AutoencoderKLTemporalDecoder
    image_encoder: CLIPVisionModelWithProjection

    def __post_init__(self) -> None:
        if self.vae.dtype == torch.float16 and self.vae.config.force_upcast:
            self.vae.float()

    @torch.no_grad()
    def condition(
        self,
        picture: Float[Tensor, "3 H W"],
        fps: int = 7,
        motion_bucket: int = 128,
        noise_strength: float = 0.02,
        noise: Float[Tensor, "3 H W"] | None = None,
        normalise_for_clip: bool = True,
    ) -> BackboneCondition:
        """What the UNet is told about the picture (0..1, H and W multiples of 64).

        `noise` is standard normal; `noise_strength` times it is added to the picture in -1..1, and
        without it the strength is only told. The defaults of `fps` (at least 1), `motion_bucket` (0..255)
        and `noise_strength` are what the released adapters always saw. `normalise_for_clip` is how CLIP
        and the adapters were trained; the released inference fed CLIP the picture in 0..1 as it is.
        """
        small = resize_antialiased(picture[None], self.image_encoder.config.image_size)
        seen = clip_normalised(small) if normalise_for_clip else small
        signed = picture[None] * 2 - 1
        noisy = signed if noise is None else signed + noise_strength * noise
        embedding = self.image_encoder(seen.to(self.image_encoder.dtype)).image_embeds
        latent = self.vae.encode(noisy.to(self.vae.dtype)).latent_dist.mode()
        return BackboneCondition(
            image_embedding=embedding[:, None].to(self.unet.dtype),
            image_latent=latent.to(self.unet.dtype),
            time_ids=picture.new_tensor([[fps - 1, motion_bucket, noise_strength]]).to(self.unet.dtype),
        )

    def predict(
        self,
        sample: Float[Tensor, "B T 8 h w"],
        timestep: Float[Tensor, "*clip"],
        image_embedding: Float[Tensor, "B 1 D"],
        time_ids: Float[Tensor, "B 3"],
        residuals: Residuals | None = None,
    ) -> Float[Tensor, "B T 4 h w"]:
        """The UNet's v-prediction, corrected by the adapters' residuals.

        `sample` holds scaled noisy latents and the picture's latent; `timestep` is a quarter of the
        logarithm of the noise level, one or one per clip. Without residuals this is the plain UNet, bit for
        bit.
        """
        condition = condition_frames(self.unet, sample, timestep, image_embedding, time_ids)
        x, skips = self._inner(condition, sample, residuals)
        x = condition.run(self.unet.up_blocks[-1], x, res_hidden_states_tuple=tuple(skips))
        return self._velocity(x, sample)

    def predict_keeping(
        self,
        sample: Float[Tensor, "B T 8 h w"],
        timestep: Float[Tensor, "*clip"],
        image_embedding: Float[Tensor, "B 1 D"],
        time_ids: Float[Tensor, "B 3"],
        residuals: Residuals | None = None,
    ) -> tuple[Float[Tensor, "B T 4 h w"], Float[Tensor, "BT c h w"]]:
        """`predict`, and what its two outermost layers got from below, for `predict_from`."""
        condition = condition_frames(self.unet, sample, timestep, image_embedding, time_ids)
        x, skips = self._inner(condition, sample, residuals)
        last = self.unet.up_blocks[-1]
        deep = grow(condition, last, x, skips[OUTERMOST:], range(len(last.resnets) - OUTERMOST))
        return self._outermost(condition, deep, skips[:OUTERMOST], sample), deep

    def predict_from(
        self,
        deep: Float[Tensor, "BT c h w"],
        sample: Float[Tensor, "B T 8 h w"],
        timestep: Float[Tensor, "*clip"],
        image_embedding: Float[Tensor, "B 1 D"],
        time_ids: Float[Tensor, "B 3"],
        residuals: Residuals | None = None,
    ) -> Float[Tensor, "B T 4 h w"]:
        """`predict` by the two outermost layers alone, all that lies below being `deep` of an earlier step.

        DeepCache's innermost cost, branch 0 (Ma et al. 2024, arXiv 2312.00858): a fifth of the work.
        `residuals` are those of the two finest skips.
        """
        condition = condition_frames(self.unet, sample, timestep, image_embedding, time_ids)
        x = self.unet.conv_in(sample.flatten(0, 1))
        skips = [x, condition.run_layer(self.unet.down_blocks[0], 0, x)]
        return self._outermost(condition, deep, self._corrected(skips, residuals), sample)

    def _inner(
        self, condition: FrameCondition, sample: Tensor, residuals: Residuals | None
    ) -> tuple[Tensor, list[Tensor]]:
        """What the last block that grows takes: hidden states, and the skips that are left for it."""
        unet = self.unet
        x = unet.conv_in(sample.flatten(0, 1))
        skips = [x]
        for block in unet.down_blocks:
            x, block_skips = condition.run(block, x)
            skips += block_skips
        x = condition.run(unet.mid_block, x)
        if residuals is not None and residuals.mid is not None:
            x = x + residuals.mid
        skips = self._corrected(skips, residuals)
        for block in unet.up_blocks[:-1]:
            taken = len(block.resnets)
            skips, block_skips = skips[:-taken], tuple(skips[-taken:])
            # Sizes that do not halve evenly have to grow back to exactly what they were.
            size = skips[-1].shape[-2:]
            x = condition.run(block, x, res_hidden_states_tuple=block_skips, upsample_size=size)
        return x, skips

    def _corrected(self, skips: list[Tensor], residuals: Residuals | None) -> list[Tensor]:
        if residuals is None:
            return skips
        counts = skip_multiplicities(self.unet)[: len(skips)]
        return [
            skip + count * residual
            for skip, count, residual in zip(skips, counts, residuals.skips, strict=True)
        ]

    def _outermost(
        self, condition: FrameCondition, deep: Tensor, skips: list[Tensor], sample: Tensor
    ) -> Tensor:
        last = self.unet.up_blocks[-1]
        layers = range(len(last.resnets) - OUTERMOST, len(last.resnets))
        return self._velocity(grow(condition, last, deep, skips, layers), sample)

    def _velocity(self, x: Tensor, sample: Tensor) -> Tensor:
        unet = self.unet
        x = unet.conv_out(unet.conv_act(unet.conv_norm_out(x)))
        return x.unflatten(0, sample.shape[:2])

    @torch.no_grad()
    def encode(
        self, frames: Iterable[Float[Tensor, "3 H W"]], chunk_size: int = 8
    ) -> Float[Tensor, "T 4 h w"]:
        """Frames (0..1) to clean latents, float32, `chunk_size` at a time: what `decode` takes back."""
        like = next(self.vae.parameters())
        pictures = iter(frames)
        latents = []
        while chunk := list(islice(pictures, chunk_size)):
            signed = torch.stack(chunk).to(like) * 2 - 1
            latents.append(self.vae.encode(signed).latent_dist.mode().float())
        return torch.cat(latents) * self.vae.config.scaling_factor

    @torch.no_grad()
    def decode(
        self, latents: Float[Tensor, "T 4 h w"], chunk_size: int = 8, progress: Progress = silent
    ) -> Iterator[Float[Tensor, "t 3 H W"]]:
        """Latents to frames, about -1..1, float32, chunk by chunk.

        Frames are decoded `chunk_size` at a time: the decoder smooths over the frames of a chunk and
        knows nothing of the others, so the size changes the frames a little.
        """
        unscaled = (latents / self.vae.config.scaling_factor).to(self.vae.dtype)
        done = 0
        for chunk in unscaled.split(chunk_size):
            yield self.vae.decode(chunk, num_frames=len(chunk)).sample.float()
            done += len(chunk)
            progress("decode", done, len(latents))


def grow(
    condition: FrameCondition, block: nn.Module, x: Tensor, skips: Sequence[Tensor], layers: range
) -> Tensor:
    """Some layers of a block that grows, each with the last skip that is left (finest first)."""
    for layer, skip in zip(layers, reversed(skips), strict=True):
        x = condition.run_layer(block, layer, torch.cat([x, skip], dim=1))
    return x


def skip_multiplicities(unet: UNetSpatioTemporalConditionModel) -> list[int]:
    """How often each skip's residual enters.

    The released adapters were trained in a UNet that, after every down block, corrected all skips
    collected so far once more: what the input convolution gave gets its residual once per block, what
    the last block gave only once. With less the adapters control far too weakly.
    """
    num_blocks = len(unet.down_blocks)
    multiplicities = [num_blocks]
    for i, block in enumerate(unet.down_blocks):
        num_skips = len(block.resnets) + len(block.downsamplers or ())
        multiplicities += [num_blocks - i] * num_skips
    return multiplicities


def clip_normalised(picture: Float[Tensor, "B 3 h w"]) -> Float[Tensor, "B 3 h w"]:
    """A picture (0..1) as CLIP was trained to see it."""
    mean, deviation = (picture.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_DEVIATION))
    return (picture - mean) / deviation


def resize_antialiased(picture: Float[Tensor, "B 3 H W"], size: int) -> Float[Tensor, "B 3 {size} {size}"]:
    """The picture on a square grid the way Stable Video Diffusion brings it to CLIP.

    A Gaussian of half the excess of the shrinking factor, cut at two deviations, then bicubic with the
    corner pixels' centres on each other. The aspect is not kept.
    """
    for axis in (-1, -2):
        picture = blur_axis(picture, axis, deviation=max((picture.shape[axis] / size - 1) / 2, 0.001))
    return F.interpolate(picture, (size, size), mode="bicubic", align_corners=True)


def blur_axis(picture: Float[Tensor, "B 3 H W"], axis: int, deviation: float) -> Float[Tensor, "B 3 H W"]:
    """Gaussian blur along one axis (-1 or -2), mirrored at the border without repeating its pixel."""
    radius = int(max(4 * deviation, 3)) // 2
    offsets = torch.arange(-radius, radius + 1, dtype=picture.dtype, device=picture.device)
    kernel = torch.exp(-(offsets**2) / (2 * deviation**2))
    kernel = kernel / kernel.sum()
    lines = picture.movedim(axis, -1)
    padded = F.pad(lines.flatten(0, -2)[:, None], (radius, radius), mode="reflect")
    return F.conv1d(padded, kernel[None, None]).reshape(lines.shape).movedim(-1, axis)
