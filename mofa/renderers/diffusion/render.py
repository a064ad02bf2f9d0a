"""The diffusion renderer: a motion plan drives Stable Video Diffusion through the adapters."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from mofa.errors import InputError
from mofa.media.image import resample, to_bytes
from mofa.models.backbone import Backbone
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.motion_encoder import MotionEncoder
from mofa.models.sparse_to_dense import ConditionalMotionPropagation
from mofa.renderers.diffusion.placement import Placement
from mofa.renderers.diffusion.settings import DiffusionSettings
from mofa.sampling.denoiser import AdapterBranch, Denoiser, Guidance
from mofa.sampling.sampler import StepCallback, ignore, sample
from mofa.sampling.schedule import Schedule, karras_sigmas
from mofa.tensors.geometry import cut_window, fit_crop
from mofa.tensors.noise import SOURCE_PICTURE, frame_noise
from mofa.tensors.windows import windows
from mofa.types import (
    AdapterName,
    BackboneCondition,
    CropBox,
    MotionBranch,
    MotionFeatures,
    MotionPlan,
    Progress,
    SourceImage,
    silent,
)


@dataclass(frozen=True)
class AdapterHalves:
    """One adapter: the half that runs once per clip and the half that runs once per step."""

    encoder: MotionEncoder
    adapter: MotionAdapter


@dataclass(frozen=True)
class DiffusionModel:
    """All networks of the diffusion renderer; `sparse_to_dense` is None where hints are spread without it."""

    backbone: Backbone
    adapters: Mapping[AdapterName, AdapterHalves]
    sparse_to_dense: ConditionalMotionPropagation | None = None

    def networks(self) -> list[nn.Module]:
        """Every network, each once."""
        parts = [self.backbone.unet, self.backbone.vae, self.backbone.image_encoder]
        for halves in self.adapters.values():
            parts += [halves.encoder, halves.adapter]
        return parts + ([] if self.sparse_to_dense is None else [self.sparse_to_dense])


@torch.no_grad()
def render_diffusion(
    source: SourceImage,
    plan: MotionPlan,
    model: DiffusionModel,
    settings: DiffusionSettings,
    placement: Placement,
    seed: int,
    progress: Progress = silent,
    callback: StepCallback = ignore,
) -> UInt8[Tensor, "T 3 H W"]:
    """The frames of the clip, at the source's size.

    The motion is encoded once; then noise, keyed by seed and frame, becomes latents step by step and
    latents become frames. `callback` hears of every step. Raises InputError for a plan with a branch
    whose adapter the model has not.
    """
    height, width = source.pixels.shape[1:]
    window = window_of_64(height, width, settings)
    picture = cut_window(source.pixels, window).to(placement.device)

    condition = encode_picture(picture, model, settings, placement, seed)
    branches = [
        encode_motion(branch, picture, window, model, settings, placement) for branch in plan.branches
    ]
    guidance = Guidance(settings.guidance_lowest, settings.guidance_highest, settings.halves_at_once)
    denoiser = Denoiser(model.backbone, condition, tuple(branches), guidance)
    noise = frame_noise(seed, range(plan.num_frames), condition.image_latent.shape[1:], like=picture)
    schedule = Schedule(karras_sigmas(settings.steps).to(placement.device))
    passes = windows(plan.num_frames, settings.window, settings.stride)
    with placement.using(model.backbone.unet, *(branch.adapter for branch in branches)):
        latents = sample(denoiser, noise, schedule, passes, progress, callback)
    with placement.using(model.backbone.vae):
        frames = model.backbone.decode(latents, settings.decode_chunk, progress)
    return asked_size(frames.cpu(), window, height, width)


def encode_picture(
    picture: Float[Tensor, "3 H W"],
    model: DiffusionModel,
    settings: DiffusionSettings,
    placement: Placement,
    seed: int,
) -> BackboneCondition:
    """What the backbone is told about the picture."""
    noise = frame_noise(seed, [SOURCE_PICTURE], tuple(picture.shape), like=picture)[0]
    with placement.using(model.backbone.vae, model.backbone.image_encoder):
        return model.backbone.condition(
            picture,
            fps=settings.conditioning_fps,
            motion_bucket=settings.motion_bucket,
            noise_strength=settings.noise_strength,
            noise=noise,
            normalise_for_clip=settings.normalise_for_clip,
        )


def encode_motion(
    branch: MotionBranch,
    picture: Float[Tensor, "3 H W"],
    window: CropBox,
    model: DiffusionModel,
    settings: DiffusionSettings,
    placement: Placement,
) -> AdapterBranch:
    """A branch's picture features, warped to every frame once, in the adapter's precision."""
    if branch.adapter not in model.adapters:
        raise InputError(
            f"this motion needs the {branch.adapter} adapter, and the pipeline was built without it: "
            f"give it one of {', '.join(model.adapters)}, or load the other adapter too."
        )
    halves = model.adapters[branch.adapter]
    dtype = next(halves.encoder.parameters()).dtype
    # Unknown motion is no motion for the adapters: they have no mask of their own.
    known = branch.flow.pixels * branch.flow.valid
    flow = cut_window(known, window).to(placement.device)
    sketch = None if branch.sketch is None else cut_window(branch.sketch, window).to(placement.device, dtype)
    with placement.using(halves.encoder):
        features: MotionFeatures = halves.encoder((picture[None] * 2 - 1).to(dtype), flow, sketch)
    strengths = {"trajectory": settings.trajectory_strength, "landmark": settings.landmark_strength}
    return AdapterBranch(
        adapter=halves.adapter,
        features=features,
        region=cut_window(branch.region, window).to(placement.device),
        strength=branch.strength * strengths[branch.adapter],
    )


def window_of_64(height: int, width: int, settings: DiffusionSettings) -> CropBox:
    """The window of the working picture that the networks see: sides are multiples of 64, pixels stay."""
    if settings.fit_64 == "pad":
        sides = [64 * -(-side // 64) for side in (width, height)]
    else:
        sides = [64 * max(1, side // 64) for side in (width, height)]
    left, top = (width - sides[0]) // 2, (height - sides[1]) // 2
    return CropBox(float(left), float(top), float(sides[0]), float(sides[1]), sides[0], sides[1])


def asked_size(
    frames: Float[Tensor, "T 3 h w"], window: CropBox, height: int, width: int
) -> UInt8[Tensor, "T 3 H W"]:
    """Frames (-1..1) of the networks' window at the size that was asked for.

    What was padded is cut off; what was cropped is made up for by enlarging the middle.
    """
    pictures = (frames / 2 + 0.5).clamp(0, 1)
    if window.working_width >= width and window.working_height >= height:
        inside = CropBox(-window.left, -window.top, float(width), float(height), width, height)
    else:
        inside = fit_crop(window.working_width, window.working_height, width, height, "crop")
    return torch.stack([to_bytes(resample(picture, inside)) for picture in pictures])
