"""The adapter's second half: noisy latents and motion features to what the backbone's skips are corrected by.

A copy of the backbone's encoder and middle (as in ControlNet, Zhang et al. 2023, arXiv 2302.05543) that has
the warped features added to its hidden states on the way. Runs once per denoising step. Module names are
the released checkpoints', which hold this half and `motion_encoder`'s in one file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.unets.unet_3d_blocks import UNetMidBlockSpatioTemporal, get_down_block
from jaxtyping import Float
from torch import Tensor, nn

from mofa.models.adapter_config import AdapterConfig
from mofa.models.norms import without_norms
from mofa.models.spatio_temporal import condition_frames
from mofa.types import MotionFeatures


@dataclass(frozen=True)
class Residuals:
    """What is added to the backbone's skip connections (finest first) and to its middle.

    Batch and frames are one axis, frames fastest. The backbone adds a skip's residual more than once:
    see `backbone.skip_multiplicities`. Of a step that reuses the deep layers there are only the finest skips
    and no middle.
    """

    skips: tuple[Float[Tensor, "BT _ _ _"], ...]
    mid: Float[Tensor, "BT c h w"] | None

    def scaled(self, strength: float) -> "Residuals":
        """These residuals times one number."""
        mid = None if self.mid is None else self.mid * strength
        return Residuals(tuple(skip * strength for skip in self.skips), mid)

    def within(self, regions: Mapping[tuple[int, int], Float[Tensor, "1 1 h w"]]) -> "Residuals":
        """These residuals times a region, which is given at the height and width of every level."""

        def cut(x: Tensor) -> Tensor:
            return x * regions[x.shape[-2], x.shape[-1]].to(x)

        return Residuals(tuple(cut(skip) for skip in self.skips), None if self.mid is None else cut(self.mid))

    def __add__(self, other: "Residuals") -> "Residuals":
        """Both corrections together."""
        skips = tuple(a + b for a, b in zip(self.skips, other.skips, strict=True))
        mid = None if self.mid is None or other.mid is None else self.mid + other.mid
        return Residuals(skips, mid)


class MotionAdapter(nn.Module):
    """The trunk with a 1x1 output per skip and for the middle."""

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        widths = config.block_out_channels
        embedding = 4 * widths[0]
        self.config = config
        self.conv_in = nn.Conv2d(config.in_channels, widths[0], 3, padding=1)
        self.time_proj = Timesteps(widths[0], flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(widths[0], embedding)
        self.add_time_proj = Timesteps(
            config.addition_time_embed_dim, flip_sin_to_cos=True, downscale_freq_shift=0
        )
        self.add_embedding = TimestepEmbedding(config.projection_class_embeddings_input_dim, embedding)
        self.down_blocks = nn.ModuleList(
            get_down_block(
                config.down_block_types[i],
                num_layers=config.layers_per_block[i],
                transformer_layers_per_block=config.transformer_layers_per_block[i],
                in_channels=widths[max(i - 1, 0)],
                out_channels=widths[i],
                temb_channels=embedding,
                add_downsample=i < config.num_blocks - 1,
                resnet_eps=1e-5,
                cross_attention_dim=config.cross_attention_dim[i],
                num_attention_heads=config.num_attention_heads[i],
                resnet_act_fn="silu",
            )
            for i in range(config.num_blocks)
        )
        self.mid_block = UNetMidBlockSpatioTemporal(
            widths[-1],
            temb_channels=embedding,
            transformer_layers_per_block=config.transformer_layers_per_block[-1],
            cross_attention_dim=config.cross_attention_dim[-1],
            num_attention_heads=config.num_attention_heads[-1],
        )
        self.controlnet_down_blocks = nn.ModuleList(nn.Conv2d(c, c, 1) for c in skip_channels(config))
        self.controlnet_mid_block = nn.Conv2d(widths[-1], widths[-1], 1)
        if not config.normalised:
            without_norms(self)

    def forward(
        self,
        sample: Float[Tensor, "B T 8 h w"],
        timestep: Float[Tensor, "*clip"],
        image_embedding: Float[Tensor, "B 1 D"],
        time_ids: Float[Tensor, "B 3"],
        features: MotionFeatures,
    ) -> Residuals:
        """Residuals at strength 1.

        `sample` holds scaled noisy latents and the picture's latent, H/8 x W/8; `timestep` is a quarter of
        the logarithm of the noise level, one or one per clip; `features` are those of the same T frames,
        shared by the batch or one set per clip.
        """
        condition = condition_frames(self, sample, timestep, image_embedding, time_ids)

        def add(x: Tensor, feature: Tensor) -> Tensor:
            return plus(x, feature, sample)

        coarser = features.levels[1:]
        skips = [x := self._entering(sample, features)]
        # The last block does not shrink: it reads the coarsest level a second time.
        for block, level in zip(self.down_blocks, [*coarser, coarser[-1]], strict=True):
            x, block_skips = condition.run(block, x)
            skips += block_skips
            x = add(x, level)
            if features.sketch is not None and x.shape[1] == features.sketch.shape[1]:
                x = add(x, shrunk_frames(features.sketch, x.shape[-2:]))
        x = condition.run(self.mid_block, add(x, coarser[-1]))
        return Residuals(
            skips=tuple(conv(skip) for conv, skip in zip(self.controlnet_down_blocks, skips, strict=True)),
            mid=self.controlnet_mid_block(x),
        )

    def outermost(
        self,
        sample: Float[Tensor, "B T 8 h w"],
        timestep: Float[Tensor, "*clip"],
        image_embedding: Float[Tensor, "B 1 D"],
        time_ids: Float[Tensor, "B 3"],
        features: MotionFeatures,
    ) -> Residuals:
        """The residuals of the two finest skips alone, equal to those of the whole adapter."""
        condition = condition_frames(self, sample, timestep, image_embedding, time_ids)
        x = self._entering(sample, features)
        skips = x, condition.run_layer(self.down_blocks[0], 0, x)
        convs = self.controlnet_down_blocks[: len(skips)]
        return Residuals(tuple(conv(skip) for conv, skip in zip(convs, skips, strict=True)), None)

    def _entering(self, sample: Float[Tensor, "B T 8 h w"], features: MotionFeatures) -> Tensor:
        x = plus(self.conv_in(sample.flatten(0, 1)), features.levels[0], sample)
        return x if features.sketch is None else plus(x, features.sketch, sample)


def plus(
    x: Float[Tensor, "BT C h w"], feature: Float[Tensor, "*b T C h w"], like: Float[Tensor, "B T _ _ _"]
) -> Float[Tensor, "BT C h w"]:
    """Hidden states, whose batch and frames are one axis, with features of the same frames added."""
    return (x.unflatten(0, like.shape[:2]) + feature.to(x.dtype)).flatten(0, 1)


def shrunk_frames(x: Float[Tensor, "*bt C H W"], size: torch.Size) -> Float[Tensor, "*bt C h w"]:
    """Feature maps at another size, read at the nearest pixel."""
    return F.interpolate(x.flatten(0, -4), size, mode="nearest").unflatten(0, x.shape[:-3])


def skip_channels(config: AdapterConfig) -> Sequence[int]:
    """Channels of every skip connection: the input's, then per block one per layer and one per shrinking."""
    channels = [config.block_out_channels[0]]
    for i, width in enumerate(config.block_out_channels):
        shrinks = i < config.num_blocks - 1
        channels += [width] * (config.layers_per_block[i] + shrinks)
    return channels
