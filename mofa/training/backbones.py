"""Training a backbone from nothing, at toy size: what adapters are tried on where there are no weights.

An image-to-video model as Stable Video Diffusion is (Blattmann et al. 2023, arXiv 2311.15127): a VAE that
learns to draw pictures again, and a UNet that learns to denoise the VAE's latents of clips.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from mofa.models.backbone import Backbone
from mofa.training.clips import Clips
from mofa.training.config import GenerationSettings
from mofa.training.conventions import OURS, Conventions
from mofa.training.denoising import as_seen, denoising_loss, draw_step, noise_clips
from mofa.training.generating import make_clips
from mofa.training.protocol import Draws, Loss, Objective
from mofa.weights.networks import save_backbone

QUICKER = 10.0
"""How much quicker the latents' factor is learned than a weight: it has further to go."""

WHOLE_SHARE = 0.15
"""Of the examples that teach the VAE, how many at the end are whole pictures."""


class BackboneObjective(Objective):
    """The VAE on the first `drawing_examples` examples, then the UNet on its latents.

    Noise levels are meant for latents of deviation 1, and a VAE that learns to draw makes them as small as it
    likes. What they have to be multiplied by is learned beside it (`log_factor`, in units of `QUICKER`), and
    becomes part of its weights before the UNet's first step.
    """

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
        self.unet.requires_grad_(True)
        self.vae.requires_grad_(drawing_examples > 0)
        zero = torch.zeros((), device=self.vae.device)
        self.log_factor = nn.Parameter(zero, requires_grad=drawing_examples > 0)

    @property
    def factor(self) -> Float[Tensor, ""]:
        """What brings the VAE's latents to deviation 1."""
        return (QUICKER * self.log_factor).exp()

    def forward(self, batch: Clips, draws: Draws) -> Loss:
        """The error of pictures drawn again, and later that of clips denoisy."""
        pixels = batch.pixels
        if draws.first < self.drawing_examples:
            return Loss(self.drawing_loss(self.windows(pixels, draws)))
        self.settle()
        noisy = noise_clips(self.backbone, pixels, draw_step(draws, pixels), self.conventions)
        velocity = self.backbone.predict(noisy.sample, noisy.timestep, noisy.image_embedding, noisy.time_ids)
        return Loss(denoising_loss(velocity, noisy))

    def settle(self) -> None:
        """Makes the factor part of the VAE's weights, once: what it draws stays the same."""
        with torch.no_grad():
            factor = self.factor
            if factor.is_meta or factor == 1:
                return
            mean, spread = self.vae.quant_conv.weight.chunk(2)[0], self.vae.quant_conv.bias.chunk(2)
            mean *= factor
            spread[0].mul_(factor)
            spread[1].add_(2 * factor.log())
            self.vae.decoder.conv_in.weight /= factor
            self.log_factor.zero_()

    def windows(self, pixels: Float[Tensor, "B T 3 H W"], draws: Draws) -> Float[Tensor, "B 2 3 h w"]:
        """A small window of two frames of each clip: as much to learn from, in an eighth of the time.

        The last ones are whole: far from a border, and where the middle's attention reads more cells than it
        did, what was learned from windows is a shade off everywhere.
        """
        whole = draws.first >= (1 - WHOLE_SHARE) * self.drawing_examples
        height, width = pixels.shape[-2:] if whole else (self.crop, self.crop)
        sides = (2, height, width)
        free = [size - side + 1 for size, side in zip(pixels[0, :, 0].shape, sides, strict=True)]
        cut = []
        for clip, g in zip(pixels, draws.numpy("window"), strict=True):
            t, y, x = (int(g.integers(0, number)) for number in free)
            cut.append(clip[t : t + 2, :, y : y + height, x : x + width])
        return torch.stack(cut)

    def drawing_loss(self, pixels: Float[Tensor, "B T 3 h w"]) -> Float[Tensor, " B"]:
        """Absolute error of frames that went through the VAE; latents are held near deviation 1.

        The decoder is one for clips, and is shown them as clips.
        """
        seen = as_seen(pixels, self.conventions)
        batch, num_frames = seen.shape[:2]
        posterior = self.vae.encode(seen.flatten(0, 1)).latent_dist
        drawn = self.vae.decode(posterior.mean, num_frames=num_frames).sample
        scaled = self.factor * posterior.mean
        # Of every channel: constants that differ between channels would tell nothing, and satisfy a mean.
        variance, middle = torch.var_mean(scaled, dim=(0, 2, 3))
        spread = (variance - 1).square().mean() + middle.square().mean()
        # The posterior's own deviation has no use here: it is driven towards nothing.
        width = F.relu(posterior.logvar + 8).mean()
        error = (drawn - seen.flatten(0, 1)).abs().reshape(batch, -1).mean(dim=1)
        return error + 0.02 * spread + 0.002 * width

    def generate(
        self, batch: Clips, draws: Draws, settings: GenerationSettings
    ) -> UInt8[Tensor, "B T 3 H W"]:
        """A clip of every first frame, moved as the backbone likes."""
        self.settle()
        return make_clips(self.backbone, batch.pixels[:, 0], batch.frames.shape[1], draws, settings)

    def write(self, folder: Path) -> None:
        """The three networks, laid out as the store has them."""
        self.settle()
        save_backbone(self.backbone, folder)
