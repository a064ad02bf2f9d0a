"""The sizes of Stable Video Diffusion XT (Blattmann et al. 2023, arXiv 2311.15127), weights apart.

For costs, benchmarks and reference checks, which have no weights to read a config.json from. Released
weights bring theirs, and that is what they are loaded into.
"""

from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

ATTENTION_HEADS = (5, 10, 20, 20)
"""Heads per block of the UNet, as SVD-XT's config.json has them."""


def make_unet(attention_heads: tuple[int, ...] = ATTENTION_HEADS) -> UNetSpatioTemporalConditionModel:
    """The denoiser, untrained; all its other sizes are the class's own defaults."""
    return UNetSpatioTemporalConditionModel(num_attention_heads=attention_heads)


def make_vae() -> AutoencoderKLTemporalDecoder:
    """Pictures to latents of an eighth the size and back, untrained."""
    return AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        latent_channels=4,
        sample_size=768,
    )


def make_image_encoder() -> CLIPVisionModelWithProjection:
    """CLIP ViT-H/14, untrained."""
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=1280,
            intermediate_size=5120,
            num_hidden_layers=32,
            num_attention_heads=16,
            patch_size=14,
            image_size=224,
            projection_dim=1024,
            hidden_act="gelu",
        )
    )
