"""Stable Video Diffusion (Blattmann et al. 2023, arXiv 2311.15127) by its sizes alone, untrained.

For costs, benchmarks and reference checks, which have no weights to read a config.json from. Released
weights bring theirs, and that is what they are loaded into.
"""

from dataclasses import dataclass

from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection


@dataclass(frozen=True)
class BackboneSizes:
    """Widths and depths of the three networks; the defaults are SVD-XT's, with CLIP ViT-H/14.

    `attention_heads` are those of the UNet's blocks; they change what it computes, not its weights'
    shapes.
    """

    attention_heads: tuple[int, ...] = (5, 10, 20, 20)
    unet_widths: tuple[int, ...] = (320, 640, 1280, 1280)
    time_id_width: int = 256
    vae_widths: tuple[int, ...] = (128, 256, 512, 512)
    vae_layers: int = 2
    clip_width: int = 1280
    clip_layers: int = 32
    clip_heads: int = 16
    clip_side: int = 224
    embedding_width: int = 1024


SVD_XT = BackboneSizes()
TOY = BackboneSizes(
    attention_heads=(1, 1, 2, 2),
    unet_widths=(32, 32, 64, 64),
    time_id_width=8,
    vae_widths=(32, 32, 32, 32),
    clip_width=32,
    clip_layers=2,
    clip_heads=2,
    clip_side=28,
    embedding_width=32,
)


def make_unet(sizes: BackboneSizes = SVD_XT) -> UNetSpatioTemporalConditionModel:
    """The denoiser; whatever the sizes do not say is the class's own default, which is SVD's."""
    return UNetSpatioTemporalConditionModel(
        block_out_channels=sizes.unet_widths,
        num_attention_heads=sizes.attention_heads,
        cross_attention_dim=sizes.embedding_width,
        addition_time_embed_dim=sizes.time_id_width,
        projection_class_embeddings_input_dim=3 * sizes.time_id_width,
    )


def make_vae(sizes: BackboneSizes = SVD_XT) -> AutoencoderKLTemporalDecoder:
    """Pictures to latents of an eighth the size and back."""
    return AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * len(sizes.vae_widths),
        block_out_channels=sizes.vae_widths,
        layers_per_block=sizes.vae_layers,
        latent_channels=4,
        sample_size=768,
    )


def make_image_encoder(sizes: BackboneSizes = SVD_XT) -> CLIPVisionModelWithProjection:
    """CLIP's image encoder."""
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=sizes.clip_width,
            intermediate_size=4 * sizes.clip_width,
            num_hidden_layers=sizes.clip_layers,
            num_attention_heads=sizes.clip_heads,
            patch_size=14,
            image_size=sizes.clip_side,
            projection_dim=sizes.embedding_width,
            hidden_act="gelu",
        )
    )
