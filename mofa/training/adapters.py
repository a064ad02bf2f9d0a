"""Training a motion-field adapter on a frozen backbone: both stages, both adapters, and the joint tuning.

MOFA-Video (Niu et al., ECCV 2024, arXiv 2405.20222), sections 3.2 and 3.3. Stage 1 shows the adapter dense
flow, stage 2 what a sparse-to-dense network makes of samples of it; the landmark adapter is shown what that
network makes of 68 points, and their drawing.
"""

from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from mofa.faces.sketch import draw_sketch
from mofa.models.adapter_config import AdapterConfig
from mofa.models.backbone import Backbone
from mofa.models.beginnings import begin_picture_embedding
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.motion_encoder import MotionEncoder
from mofa.models.norms import NORMALISED_FIELD
from mofa.models.sparse_to_dense import ConditionalMotionPropagation
from mofa.training.clips import Clips
from mofa.training.config import GenerationSettings
from mofa.training.conventions import Conventions
from mofa.training.denoising import (
    NoisyClips,
    Posterior,
    as_seen,
    denoising_loss,
    draw_step,
    noise_clips,
)
from mofa.training.generating import make_clips
from mofa.training.motion_signal import PairFlow
from mofa.training.protocol import Draws, Loss, Objective
from mofa.training.shown_motion import MotionSettings, ShownMotion, Told, landmarks_of
from mofa.types import MotionFeatures
from mofa.weights.low_rank import LowRank, save_low_rank
from mofa.weights.networks import save_adapter_halves, save_sparse_to_dense


class AdapterObjective(Objective):
    """An adapter that corrects a frozen backbone's denoising.

    `sparse_to_dense` makes hints dense (None: `densify.edge_aware`); it is trained along if its parameters
    ask for gradients. `estimate` measures flow where clips bring none. `low_rank` says what a change is of,
    whose factors `training.low_rank` has put into the adapter.
    """

    def __init__(
        self,
        backbone: Backbone,
        encoder: MotionEncoder,
        adapter: MotionAdapter,
        motion: MotionSettings,
        sparse_to_dense: ConditionalMotionPropagation | None = None,
        estimate: PairFlow | None = None,
        low_rank: LowRank | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.motion, self.estimate, self.low_rank = backbone, motion, estimate, low_rank
        self.unet, self.vae, self.image_encoder = backbone.unet, backbone.vae, backbone.image_encoder
        self.encoder, self.adapter, self.sparse_to_dense = encoder, adapter, sparse_to_dense
        for network in (self.unet, self.vae, self.image_encoder):
            network.requires_grad_(False)

    def forward(self, batch: Clips, draws: Draws) -> Loss:
        """The denoising loss of every clip."""
        pixels, conventions = batch.pixels, self.motion.conventions
        noised = noise_clips(
            self.backbone,
            pixels,
            draw_step(draws, pixels),
            conventions,
            posterior=known_posterior(batch),
            embedding=batch.embedding,
        )
        told = self.shown.told(batch, draws)
        velocity = self.predict(noised, pixels[:, 0], told, self.sketches(batch))
        return Loss(denoising_loss(velocity, noised))

    @property
    def shown(self) -> ShownMotion:
        """What stands for the user, with the networks as they are now."""
        return ShownMotion(self.motion, self.sparse_to_dense, self.estimate)

    def sketches(self, batch: Clips) -> Float[Tensor, "B T 3 H W"] | None:
        """Landmark drawings of every frame, for the adapter that reads them."""
        if self.motion.kind != "landmarks":
            return None
        height, width = batch.frames.shape[-2:]
        return torch.stack([draw_sketch(points, height, width) for points in landmarks_of(batch)])

    def predict(
        self,
        noised: NoisyClips,
        pictures: Float[Tensor, "B 3 H W"],
        told: Told,
        sketches: Float[Tensor, "B T 3 H W"] | None = None,
    ) -> Float[Tensor, "B T 4 h w"]:
        """The backbone's v-prediction, corrected by the adapter at strength 1."""
        features = self.encode(pictures, told, sketches)
        arguments = (noised.sample, noised.timestep, noised.image_embedding, noised.time_ids)
        residuals = self.adapter(*arguments, features)
        dtype = self.unet.dtype
        sample, timestep, embedding, ids = (value.to(dtype) for value in arguments)
        return self.backbone.predict(sample, timestep, embedding, ids, residuals)

    def encode(
        self,
        pictures: Float[Tensor, "B 3 H W"],
        told: Told,
        sketches: Float[Tensor, "B T 3 H W"] | None,
    ) -> MotionFeatures:
        """Every clip's warped features."""
        seen = as_seen(pictures, self.motion.conventions)
        each = [
            self.encoder(
                seen[i : i + 1],
                told.flows[i],
                None if sketches is None else sketches[i],
                None if told.regions is None else told.regions[i].to(seen),
            )
            for i in range(len(seen))
        ]
        levels = tuple(torch.stack(level) for level in zip(*(one.levels for one in each), strict=True))
        drawn = [one.sketch for one in each if one.sketch is not None]
        return MotionFeatures(levels, torch.stack(drawn) if drawn else None)

    def generate(
        self, batch: Clips, draws: Draws, settings: GenerationSettings
    ) -> UInt8[Tensor, "B T 3 H W"]:
        """A clip of every first frame, moved as the batch's motion is shown to the adapter."""
        pictures, num_frames = batch.pixels[:, 0], batch.frames.shape[1]
        features = self.encode(pictures, self.shown.told(batch, draws), self.sketches(batch))
        return make_clips(self.backbone, pictures, num_frames, draws, settings, self.adapter, features)

    def write(self, folder: Path) -> None:
        """The adapter or its change, and beside it the sparse-to-dense network if it was trained."""
        if self.low_rank is None:
            save_adapter_halves(self.encoder, self.adapter, folder)
        else:
            save_low_rank((self.encoder, self.adapter), self.low_rank, folder)
        if self.sparse_to_dense is not None and is_trained(self.sparse_to_dense):
            save_sparse_to_dense(self.sparse_to_dense, folder / "sparse-to-dense")

    def checkpointing(self, on: bool) -> None:
        for network in (self.unet, self.adapter):
            checkpoint_blocks(network, on)


def known_posterior(batch: Clips) -> Posterior | None:
    """The VAE's answer, where the clips bring it."""
    if batch.latent_mean is None or batch.latent_deviation is None:
        return None
    return Posterior(batch.latent_mean, batch.latent_deviation)


def is_trained(network: nn.Module) -> bool:
    """Whether any of its parameters asks for gradients."""
    return any(parameter.requires_grad for parameter in network.parameters())


def checkpoint_blocks(network: nn.Module, on: bool) -> None:
    """Lets diffusers' blocks work their activations out again in the backward pass."""
    again = partial(torch.utils.checkpoint.checkpoint, use_reentrant=False)
    for module in network.modules():
        if hasattr(module, "gradient_checkpointing"):
            setattr(module, "gradient_checkpointing", on)  # noqa: B010
            setattr(module, "_gradient_checkpointing_func", again)  # noqa: B010


def start_from_backbone(
    encoder: MotionEncoder, adapter: MotionAdapter, backbone: Backbone, conventions: Conventions
) -> None:
    """A new adapter: the trunk is the backbone's, and all that it adds is zero.

    As ControlNet (Zhang et al. 2023) begins; `add_embedding` may stay random, as in the released scripts. At
    toy size the picture's features are there from the first step, and what leaves the adapter alone is zero:
    where there are minutes, a picture that has to be let in first comes too late.
    """
    weights = backbone.unet.state_dict()
    copied = {
        name: weights[name].float()
        for name in adapter.state_dict()
        if name in weights and (conventions.add_embedding == "copied" or not name.startswith("add_embedding"))
    }
    adapter.load_state_dict(adapter.state_dict() | copied)
    zero = [*adapter.controlnet_down_blocks, adapter.controlnet_mid_block]
    if adapter.config.normalised:
        zero.append(encoder.controlnet_cond_embedding.conv_out)
    else:
        begin_picture_embedding(encoder.controlnet_cond_embedding)
    for name in ("zeroconvs", "zero_outs"):
        for module in (encoder, encoder.flow_encoder):
            convolutions = getattr(module, name, ())
            zero += convolutions.values() if isinstance(convolutions, nn.ModuleDict) else list(convolutions)
    if (sketch := getattr(encoder, "controlnet_ldmk_embedding", None)) is not None:
        zero.append(sketch.conv_out)
    for convolution in zero:
        for parameter in convolution.parameters():
            nn.init.zeros_(parameter)


def freeze(objective: Objective, patterns: tuple[str, ...]) -> None:
    """Keeps parameters whose name matches a pattern (`*flow_encoder*`) as they are."""
    for name, parameter in objective.named_parameters():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            parameter.requires_grad_(False)


STAGE_2_FROZEN = ("*flow_encoder*", "*controlnet_cond_embedding*")
"""What the released stage 2 keeps as stage 1 left it."""


def adapter_config_beside(backbone: Backbone, conventions: Conventions, like: AdapterConfig) -> AdapterConfig:
    """The sizes of a new adapter for a backbone; `like` says what the backbone cannot."""
    unet = backbone.unet.config
    blocks = len(unet.block_out_channels)
    heads = unet.num_attention_heads
    heads = (heads,) * blocks if isinstance(heads, int) else tuple(heads)
    width = unet.cross_attention_dim
    return replace(
        like,
        num_attention_heads=heads if conventions.heads == "backbone" else (5, 10, 10, 20),
        block_out_channels=tuple(unet.block_out_channels),
        cross_attention_dim=(width,) * blocks if isinstance(width, int) else tuple(width),
        addition_time_embed_dim=unet.addition_time_embed_dim,
        projection_class_embeddings_input_dim=unet.projection_class_embeddings_input_dim,
        normalised=unet.get(NORMALISED_FIELD, True),
    )
