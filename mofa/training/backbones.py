"""Training a backbone from nothing, at toy size: what adapters are tried on where there are no weights.

An image-to-video model as Stable Video Diffusion is (Blattmann et al. 2023, arXiv 2311.15127): a VAE that
learns to draw pictures again, and a UNet that learns to denoise the VAE's latents of clips.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mofa.models.backbone import Backbone
from mofa.training.clips import Clips
from mofa.training.conventions import OURS, Conventions
from mofa.training.denoising import as_seen, denoising_loss, draw_step, noise_clips
from mofa.training.protocol import Draws, Loss, Objective
from mofa.weights.networks import save_backbone


class BackboneObjective(Objective):
    """The VAE on the first `drawing_examples` examples, then the UNet on its latents."""

    def __init__(
        self,
        backbone: Backbone,
        conventions: Conventions = OURS,
        crop: int = 32,
        drawing_examples: int = 1600,
    ) -> None:
        super().__init__()
        self.backbone, self.conventions = backbone, conventions
        self.crop, self.drawing_examples = crop, drawing_examples
        self.unet, self.vae, self.image_encoder = backbone.unet, backbone.vae, backbone.image_encoder
        self.image_encoder.requires_grad_(False)

    def forward(self, batch: Clips, draws: Draws) -> Loss:
        """The error of pictures drawn again, and later that of clips denoisy."""
        pixels = batch.pixels
        if draws.first < self.drawing_examples:
            return Loss(self.drawing_loss(self.windows(pixels, draws)))
        noisy = noise_clips(self.backbone, pixels, draw_step(draws, pixels), self.conventions)
        velocity = self.backbone.predict(noisy.sample, noisy.timestep, noisy.image_embedding, noisy.time_ids)
        return Loss(denoising_loss(velocity, noisy))

    def windows(self, pixels: Float[Tensor, "B T 3 H W"], draws: Draws) -> Float[Tensor, "B T 3 h w"]:
        """A small window of every clip: a VAE learns as much from it in a quarter of the time."""
        side = self.crop
        places = [
            (g.integers(0, pixels.shape[3] - side + 1), g.integers(0, pixels.shape[4] - side + 1))
            for g in draws.numpy("window")
        ]
        return torch.stack(
            [clip[..., y : y + side, x : x + side] for clip, (y, x) in zip(pixels, places, strict=True)]
        )

    def drawing_loss(self, pixels: Float[Tensor, "B T 3 h w"]) -> Float[Tensor, " B"]:
        """Absolute error of frames that went through the VAE; latents are held near deviation 1.

        The decoder is one for clips, and is shown them as clips.
        """
        seen = as_seen(pixels, self.conventions)
        batch, num_frames = seen.shape[:2]
        posterior = self.vae.encode(seen.flatten(0, 1)).latent_dist
        drawn = self.vae.decode(posterior.mean, num_frames=num_frames).sample
        scaled = self.vae.config.scaling_factor * posterior.mean
        spread = (scaled.square().mean() - 1).square() + scaled.mean().square()
        # The posterior's own deviation has no use here: it is driven towards nothing.
        width = F.relu(posterior.logvar + 8).mean()
        error = (drawn - seen.flatten(0, 1)).abs().reshape(batch, -1).mean(dim=1)
        return error + 0.02 * spread + 0.002 * width

    def write(self, folder: Path) -> None:
        """The three networks, laid out as the store has them."""
        save_backbone(self.backbone, folder)
