"""Compares our training step with reference numbers of the released scripts.

Files as ../shared/golden_train/README.md describes them, known by their names: `sigmas.npz`,
`sparse_points.npz`, `step_math.npz`, `step_stage*.npz`. `tools.parity` calls this for folders that hold them.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from mofa.models.adapter_config import AdapterConfig
from mofa.models.backbone import Backbone, clip_normalised, resize_antialiased
from mofa.models.from_config import complete
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.motion_encoder import TrajectoryEncoder
from mofa.models.sparse_to_dense import ConditionalMotionPropagation, SparseToDenseConfig
from mofa.sampling.schedule import preconditioning
from mofa.tensors.geometry import resize_flow
from mofa.training.adapters import STAGE_2_FROZEN, AdapterObjective, freeze
from mofa.training.conventions import RELEASED
from mofa.training.denoising import (
    StepDraws,
    as_seen,
    denoised,
    denoising_loss,
    noise_clips,
)
from mofa.training.hint_sampling import (
    RELEASED_SAMPLING,
    edge_free_points,
    gradient_strength,
    grid_points,
    motion_edges,
    sample_mask,
    thinned,
    watershed_points,
)
from mofa.training.motion_signal import hints_at, measured_flow, network_flow
from mofa.training.noise_levels import noise_levels, stratified
from mofa.training.shown_motion import MotionSettings, Told
from tools.parity_reference import Comparison, Findings, Reference
from tools.weights_by_name import build

LIMIT = 1e-5
GRADIENT_LIMIT = 5e-3
ROUNDING_SHARE = 1e-6
"""Gradients below this share of the largest are differences of equal numbers (norms, biases before norms)."""

VARIANTS = {
    "released": RELEASED,
    "dropped": RELEASED,
    "signed": replace(RELEASED, pixels="signed"),
}


def is_training_reference(folder: Path) -> bool:
    """Whether a folder holds the training scripts' numbers."""
    return any(
        (folder / name).exists() for name in ("sigmas.npz", "sparse_points.npz", "step_math.npz")
    ) or any(folder.glob("step_stage*.npz"))


def parts_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and file of everything there is to compare."""
    for path in sorted(folder.glob("*.npz")):
        if path.stem in ("sigmas", "sparse_points", "step_math") or path.stem.startswith("step_stage"):
            yield path.stem, path


def compare_training(name: str, reference: Reference) -> Findings:
    """All findings of one file."""
    if name == "sigmas":
        return sigmas(reference)
    if name == "sparse_points":
        return sparse_points(reference)
    return step_math(reference) if name == "step_math" else stage(reference)


def limit_of(finding: Comparison) -> float:
    """What counts as agreement: gradients and what follows from them are looser."""
    return GRADIENT_LIMIT if finding.name.endswith(("grad_norms", "update_norms")) else LIMIT


def sigmas(reference: Reference) -> Findings:
    """Uniform draws to noise levels."""
    for name in [name for name in reference if name.startswith("u_")]:
        levels = noise_levels(stratified(reference[name]))
        yield reference.compare(name.replace("u_", "sigma_"), levels)
    yield reference.compare("sigma_at_u_0_and_1", noise_levels(torch.tensor([0.0, 1.0])))


def exactly(reference: Reference, name: str, ours: np.ndarray) -> Comparison:
    """Whole numbers, whose shape counts too."""
    return reference.compare(name, torch.from_numpy(np.ascontiguousarray(ours)))


def sparse_points(reference: Reference) -> Findings:
    """Flow to motion edges, candidates, points kept, and the mask of them and the grid."""
    i = 0
    while f"flow_{i}" in reference:
        step = int(reference[f"step_{i}"])
        flow = reference[f"flow_{i}"].permute(2, 0, 1)
        coarse = flow[:, ::step, ::step].float().numpy()
        strength = torch.tensor(gradient_strength(coarse).max())
        yield reference.compare(f"edge_max_{i}", strength)
        edges = motion_edges(coarse, RELEASED_SAMPLING.edge)
        yield exactly(reference, f"edge_{i}", np.packbits(edges))
        candidates = edge_free_points(edges, RELEASED_SAMPLING.window)
        yield exactly(reference, f"candidates_{i}", candidates)
        coins = iter(reference[f"uniforms_{i}"].tolist())
        kept = candidates[thinned(candidates, RELEASED_SAMPLING.apart, lambda coins=coins: next(coins))]
        yield exactly(reference, f"kept_{i}", kept)
        grid = grid_points(*flow.shape[1:], RELEASED_SAMPLING.grid)
        yield reference.compare(f"grid_{i}", grid)
        again = iter(reference[f"uniforms_{i}"].tolist())
        mask = sample_mask(flow, lambda again=again: next(again))
        yield exactly(reference, f"mask_{i}", np.packbits(mask.numpy()))
        i += 1


def step_math(reference: Reference) -> Findings:
    """Frames and random numbers to what the networks are told; predictions to losses."""
    backbone = frozen_networks(int(reference["seed"]))
    pixels = reference["frames"].float() / 255
    draws = step_draws(reference, stratified(reference["u"]), reference["random_p"])
    told = noise_clips(backbone, pixels, draws, RELEASED, embedding=reference["clip_embedding"][:, None])
    for name, ours in {
        "latents": told.latents,
        "sigmas": told.sigma,
        "timesteps": told.timestep,
        "noisy_latents": told.noisy,
        "network_input": told.sample,
        "encoder_hidden_states": told.image_embedding,
        "added_time_ids": told.time_ids,
    }.items():
        yield reference.compare(name, ours)
    small = clip_normalised(resize_antialiased(pixels[:, 0], 224))
    yield reference.compare("clip_input", small[:, :, ::4, ::4])
    factors = preconditioning(told.sigma)
    yield reference.compare("c_skip", factors.skip)
    yield reference.compare("c_out", factors.out)
    velocity = reference["model_pred"]
    yield reference.compare("denoised", denoised(velocity, told))
    losses = denoising_loss(velocity, told)
    yield reference.compare("loss_per_sample", losses)
    yield reference.compare("loss", losses.mean())
    yield reference.compare("adapter_cond", as_seen(pixels[:, 0], RELEASED)[:, :, ::4, ::4])


def stage(reference: Reference) -> Findings:
    """A whole step: flow, motion signal, prediction, loss, gradients, and the change of every parameter."""
    frames = reference["frames"]
    seen: list[tuple[Tensor, Tensor]] = []
    predictions = iter(reference["unimatch_prediction"][0])

    def estimate(first: Tensor, second: Tensor) -> Tensor:
        seen.append((first, second))
        return next(predictions)[None]

    flow = measured_flow(estimate, frames[0], RELEASED)
    yield reference.compare("unimatch_input_0", seen[0][0][:, :, ::8, ::8])
    yield reference.compare("unimatch_input_1", seen[0][1][:, :, ::8, ::8])
    yield reference.compare("flow", flow[None, :, :, ::2, ::2].float())
    yield reference.compare("flow_mean", flow[None].float().mean(dim=(3, 4)))
    objective = reference_objective(reference)
    shown = flow.float()
    if int(reference["stage"]) == 2:
        freeze(objective, STAGE_2_FROZEN)
        shown = yield from sparse_flow(reference, objective, flow)
    yield from steps(reference, objective, shown)


def sparse_flow(reference: Reference, objective: AdapterObjective, flow: Tensor) -> Iterator[Comparison]:
    """Stage 2's way from measured flow to what CMP makes of samples of it."""
    network = objective.sparse_to_dense
    assert network is not None
    coins = np.random.RandomState(int(reference["np_seed"]))
    # A mask at the training size comes first, and then a permutation that changes nothing.
    points = len(watershed_points(flow[-1], coins.random_sample))
    grid = grid_points(*flow.shape[2:], RELEASED_SAMPLING.grid)
    coins.permutation(points + len(grid))
    square = resize_flow(flow, network.config.side, network.config.side, "nearest")
    mask = sample_mask(square[-1], coins.random_sample)
    yield reference.compare("mask_384_rows_cols", mask.nonzero())
    hints = hints_at(square, mask)
    yield reference.compare("hints_384", hints.displacement.mT)
    with torch.no_grad():
        picture = reference["frames"][0, 0].float() / 255
        dense = network_flow(network, picture, hints, RELEASED)
    yield reference.compare("released_adapter_flow", dense[None, :, :, ::2, ::2])
    return dense


def steps(reference: Reference, objective: AdapterObjective, flow: Tensor) -> Findings:
    """One optimiser step per variant, each from the same weights."""
    names = sorted(short_names(objective))
    before = {name: p.detach().clone() for name, p in short_names(objective).items()}
    pixels = reference["frames"].float() / 255
    for variant, conventions in VARIANTS.items():
        if f"{variant}_loss" not in reference:
            continue
        objective.motion = replace(objective.motion, conventions=conventions)
        dropped = reference[f"{variant}_random_p"].float().reshape(1)
        draws = step_draws(reference, stratified(reference["u"]), dropped)
        with torch.enable_grad():
            told = noise_clips(objective.backbone, pixels, draws, conventions)
            velocity = objective.predict(told, pixels[:, 0], Told(flow[None]))
            loss = denoising_loss(velocity, told).mean()
            loss.backward()
        yield reference.compare(f"{variant}_latents", told.latents)
        yield reference.compare(f"{variant}_network_input", told.sample)
        yield reference.compare(f"{variant}_encoder_hidden_states", told.image_embedding)
        yield reference.compare(f"{variant}_model_pred", velocity.detach())
        yield reference.compare(f"{variant}_denoised", denoised(velocity, told).detach())
        yield reference.compare(f"{variant}_loss", loss.detach())
        yield from gradients(reference, variant, objective, names, before)


def gradients(
    reference: Reference,
    variant: str,
    objective: AdapterObjective,
    names: list[str],
    before: dict[str, Tensor],
) -> Findings:
    """Every parameter's gradient and change as worst relative error: 1 + error beside 1."""
    trained = short_names(objective)
    wanted = reference[f"{variant}_grad_norms"]
    ours = torch.stack([_norm(trained[name].grad) for name in names])
    telling = wanted > ROUNDING_SHARE * wanted.max()
    telling &= torch.tensor([not name.endswith(("attn2.to_q.weight", "attn2.to_k.weight")) for name in names])
    yield Comparison(f"{variant}_grad_norms", *_worst(ours, wanted, telling))
    optimiser = torch.optim.AdamW(trained.values(), lr=2e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2)
    with torch.enable_grad():
        optimiser.step()
    changes = torch.stack([(trained[name].detach() - before[name]).norm() for name in names])
    yield Comparison(
        f"{variant}_update_norms", *_worst(changes, reference[f"{variant}_update_norms"], telling)
    )
    for name, parameter in trained.items():
        parameter.data.copy_(before[name])
        parameter.grad = None


def _norm(gradient: Tensor | None) -> Tensor:
    return torch.zeros(()) if gradient is None else gradient.norm()


def _worst(ours: Tensor, wanted: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
    """The numbers with the largest relative error, ours and theirs."""
    error = ((ours - wanted).abs() / wanted.clamp(min=1e-30)).where(which, torch.zeros(()))
    worst = int(error.argmax())
    return ours[worst], wanted[worst]


def short_names(objective: AdapterObjective) -> dict[str, nn.Parameter]:
    """Trained parameters by the names that the adapter's file has."""
    return {name.partition(".")[2]: parameter for name, parameter in objective.trained.items()}


def step_draws(reference: Reference, share: Tensor, dropped: Tensor) -> StepDraws:
    """The random numbers of a reference file."""
    frames = reference["frames"]
    return StepDraws(
        posterior=reference["posterior_noise"].unflatten(0, frames.shape[:2]),
        noise=reference["noise"],
        share=share,
        dropped=dropped,
        picture=torch.zeros(len(frames), *frames.shape[2:]),
    )


def reference_objective(reference: Reference) -> AdapterObjective:
    """The networks of a reference file, their weights by name."""
    seed = int(reference["seed"])
    widths = tuple(reference["widths"].tolist())
    sizes = AdapterConfig(
        num_attention_heads=tuple(reference["adapter_heads"].tolist()),
        block_out_channels=widths,
        cross_attention_dim=(32,) * 4,
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=96,
        conditioning_embedding_out_channels=(8, 16, 24, 32),
    )
    unet = partial(
        UNetSpatioTemporalConditionModel,
        block_out_channels=widths,
        num_attention_heads=tuple(reference["unet_heads"].tolist()),
        cross_attention_dim=32,
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=96,
    )
    network = None
    if int(reference["stage"]) == 2:
        make = partial(ConditionalMotionPropagation, SparseToDenseConfig())
        network = build(make, seed, 1.2, prefix="module.")
    return AdapterObjective(
        replace(frozen_networks(seed), unet=build(unet, seed)),
        build(partial(TrajectoryEncoder, sizes), seed).requires_grad_(True),
        build(partial(MotionAdapter, sizes), seed).requires_grad_(True),
        MotionSettings("dense", conventions=RELEASED),
        network,
    )


def frozen_networks(seed: int) -> Backbone:
    """VAE and CLIP of the references; the UNet is put in where there is one."""
    vae = partial(
        AutoencoderKLTemporalDecoder,
        down_block_types=("DownEncoderBlock2D",) * 4,
        block_out_channels=(32,) * 4,
        layers_per_block=1,
        latent_channels=4,
        sample_size=64,
    )
    clip = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        patch_size=14,
        image_size=224,
        projection_dim=32,
        hidden_act="gelu",
    )
    encoder = build(partial(CLIPVisionModelWithProjection, clip), seed)
    complete(encoder)
    with torch.device("meta"):
        nothing = UNetSpatioTemporalConditionModel(block_out_channels=(32, 32, 32, 32), num_attention_heads=1)
    return Backbone(nothing, build(vae, seed), encoder)
