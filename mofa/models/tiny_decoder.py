"""TAESD's decoder: the latents of Stable Diffusion as pictures, roughly and at once.

Ollin Boer Bohan's tiny autoencoder (github.com/madebyollin/taesd, MIT); layers and names are those of its
released file. Stable Video Diffusion has the same latents.
"""

from itertools import chain

import torch
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock
from jaxtyping import Float
from torch import Tensor, nn

CHANNELS, LATENT_CHANNELS = 64, 4
REACH = 3.0
"""Latents beyond this are bent back towards it."""


class Bend(nn.Module):
    """Keeps latents within what the network learned with."""

    def forward(self, x: Float[Tensor, "*s"]) -> Float[Tensor, "*s"]:
        """In -REACH..REACH."""
        return torch.tanh(x / REACH) * REACH


class TinyDecoder(nn.Sequential):
    """Latents [N, 4, h, w], scaled as the UNet's, to pictures [N, 3, 8h, 8w] in about 0..1."""

    def __init__(self, channels: int = CHANNELS) -> None:
        first = [Bend(), nn.Conv2d(LATENT_CHANNELS, channels, 3, padding=1), nn.ReLU()]
        stages = chain.from_iterable(doubling(channels) for _ in range(3))
        last = [AutoencoderTinyBlock(channels, channels, "relu"), nn.Conv2d(channels, 3, 3, padding=1)]
        super().__init__(*first, *stages, *last)


def doubling(channels: int) -> list[nn.Module]:
    """Three blocks, then twice the height and width."""
    blocks = [AutoencoderTinyBlock(channels, channels, "relu") for _ in range(3)]
    return [*blocks, nn.Upsample(scale_factor=2), nn.Conv2d(channels, channels, 3, padding=1, bias=False)]
