"""One denoising step of training: clips to noisy latents and what is told about them, predictions to losses.

Karras et al. 2022 (arXiv 2206.00364), equations 1, 2 and 7 with data of deviation 1; the order of things and
every convention are those of `docs/training.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.models.backbone import Backbone, clip_normalised, resize_antialiased
from mofa.sampling.schedule import preconditioning, timestep_from_sigma
from mofa.training.conventions import Conventions
from mofa.training.noise_levels import noise_levels
from mofa.training.protocol import Draws

FRAMES_AT_ONCE = 8
"""Frames that the VAE encodes together; more take memory and change nothing."""


@dataclass(frozen=True)
class StepDraws:
    """What is random about B clips in one step.

    `share` (0..1, spread over the batch) picks the noise level, `dropped` (0..1) what the networks are not
    shown; `picture` is noise on the source picture, for conventions that put some there.
    """

    posterior: Float[Tensor, "B T 4 h w"]
    noise: Float[Tensor, "B T 4 h w"]
    share: Float[Tensor, " B"]
    dropped: Float[Tensor, " B"]
    picture: Float[Tensor, "B 3 H W"]


def draw_step(draws: Draws, pixels: Float[Tensor, "B T 3 H W"]) -> StepDraws:
    """The random numbers of a step for clips of this size."""
    _, num_frames, _, height, width = pixels.shape
    latent = (num_frames, 4, height // 8, width // 8)
    like = pixels.new_empty(0, dtype=torch.float32)
    return StepDraws(
        posterior=draws.normal("posterior", latent, like),
        noise=draws.normal("noise", latent, like),
        share=draws.stratified("level", like),
        dropped=draws.uniform("dropped", like),
        picture=draws.normal("picture", (3, height, width), like),
    )


@dataclass(frozen=True)
class Posterior:
    """What the VAE makes of every frame: a normal distribution of unscaled latents."""

    mean: Float[Tensor, "B T 4 h w"]
    deviation: Float[Tensor, "B T 4 h w"]


@dataclass(frozen=True)
class NoisyClips:
    """What the networks are told about B clips, and what they shall find.

    `latents` are the clean ones (scaled), `noisy` those at noise level `sigma`; `sample` is the networks'
    input, the picture's latent behind the scaled noisy ones; `timestep` is the level as they know it.
    """

    latents: Float[Tensor, "B T 4 h w"]
    noisy: Float[Tensor, "B T 4 h w"]
    sigma: Float[Tensor, " B"]
    sample: Float[Tensor, "B T 8 h w"]
    timestep: Float[Tensor, " B"]
    image_embedding: Float[Tensor, "B 1 D"]
    time_ids: Float[Tensor, "B 3"]


def noise_clips(
    backbone: Backbone,
    pixels: Float[Tensor, "B T 3 H W"],
    draws: StepDraws,
    conventions: Conventions,
    posterior: Posterior | None = None,
    embedding: Float[Tensor, "B 1 D"] | None = None,
) -> NoisyClips:
    """Clips (0..1) with noise on them, and their first frames as the networks are told about them.

    `posterior` and `embedding` are used where they were worked out before (`mofa data prepare`).
    """
    posterior = encode_frames(backbone, pixels, conventions) if posterior is None else posterior
    embedding = embed_pictures(backbone, pixels[:, 0]) if embedding is None else embedding
    scale = backbone.vae.config.scaling_factor
    latents = scale * (posterior.mean + posterior.deviation * draws.posterior)
    sigma = conventions.noise_factor * noise_levels(draws.share)
    level = sigma.view(-1, 1, 1, 1, 1)
    noisy = latents + level * draws.noise
    picture = picture_latents(backbone, pixels[:, 0], latents, draws, conventions)
    # r < p: no embedding; p..2p: neither; 2p..3p: no latent.
    share, chance = draws.dropped.view(-1, 1, 1), conventions.dropout
    embedding = embedding * (share >= 2 * chance)
    picture = picture * ((share < chance) | (share >= 3 * chance))[..., None]
    shown = picture[:, None].expand_as(latents)
    return NoisyClips(
        latents=latents,
        noisy=noisy,
        sigma=sigma,
        sample=torch.cat([preconditioning(level).input * noisy, shown], dim=2),
        timestep=timestep_from_sigma(sigma),
        image_embedding=embedding,
        time_ids=time_ids(conventions, latents),
    )


def picture_latents(
    backbone: Backbone,
    pictures: Float[Tensor, "B 3 H W"],
    latents: Float[Tensor, "B T 4 h w"],
    draws: StepDraws,
    conventions: Conventions,
) -> Float[Tensor, "B 4 h w"]:
    """The source pictures' latents, not scaled, as the networks are shown them."""
    strength = conventions.noise_strength
    if conventions.picture_latent == "noised-sample":
        return (latents[:, 0] + strength * draws.noise[:, 0]) / backbone.vae.config.scaling_factor
    seen = as_seen(pictures, conventions)
    return next(_encoded(backbone, seen + strength * draws.picture)).mean


def as_seen(pixels: Float[Tensor, "*b 3 H W"], conventions: Conventions) -> Float[Tensor, "*b 3 H W"]:
    """Pictures (0..1) in the range that VAE and adapter are shown."""
    return pixels * 2 - 1 if conventions.pixels == "signed" else pixels


def time_ids(conventions: Conventions, like: Float[Tensor, "B T 4 h w"]) -> Float[Tensor, "B 3"]:
    """What every clip is told about rate, motion and noise."""
    fps, motion, noise = conventions.fps_id, conventions.motion_bucket, conventions.noise_strength
    ids = (fps, motion, noise) if conventions.time_ids == "svd" else (fps, noise, motion)
    return like.new_tensor(ids).expand(len(like), 3)


@torch.no_grad()
def encode_frames(
    backbone: Backbone, pixels: Float[Tensor, "B T 3 H W"], conventions: Conventions
) -> Posterior:
    """The VAE's distribution of every frame's latents."""
    parts = list(_encoded(backbone, as_seen(pixels, conventions).flatten(0, 1)))
    mean = torch.cat([part.mean for part in parts]).float()
    deviation = torch.cat([part.std for part in parts]).float()
    return Posterior(*(x.unflatten(0, pixels.shape[:2]) for x in (mean, deviation)))


@torch.no_grad()
def _encoded(backbone: Backbone, seen: Float[Tensor, "N 3 H W"]) -> Iterator[Any]:
    for chunk in seen.split(FRAMES_AT_ONCE):
        yield backbone.vae.encode(chunk.to(backbone.vae.dtype)).latent_dist


@torch.no_grad()
def embed_pictures(backbone: Backbone, pictures: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1 D"]:
    """CLIP's embedding of pictures in 0..1, as CLIP was trained to see them."""
    encoder = backbone.image_encoder
    seen = clip_normalised(resize_antialiased(pictures, encoder.config.image_size))
    return encoder(seen.to(encoder.dtype)).image_embeds[:, None].float()


def denoised(velocity: Float[Tensor, "B T 4 h w"], noised: NoisyClips) -> Float[Tensor, "B T 4 h w"]:
    """The clean estimate that a v-prediction stands for."""
    factors = preconditioning(noised.sigma.view(-1, 1, 1, 1, 1))
    return factors.skip * noised.noisy + factors.out * velocity.float()


def denoising_loss(velocity: Float[Tensor, "B T 4 h w"], noised: NoisyClips) -> Float[Tensor, " B"]:
    """Squared error of the clean estimate, weighted so that every noise level counts alike, per clip."""
    weight = (1 + noised.sigma**2) / noised.sigma**2
    error = (denoised(velocity, noised) - noised.latents).square()
    return weight * error.flatten(1).mean(dim=1)
