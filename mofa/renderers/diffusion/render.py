"""The diffusion renderer: a motion plan drives a video model through its adapters."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain, count, islice
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from mofa.devices import pick_device
from mofa.errors import InputError
from mofa.faces.sketch import draw_sketch
from mofa.media.image import crop_and_resize, to_bytes
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.motion_encoder import MotionEncoder
from mofa.models.sparse_to_dense import ConditionalMotionPropagation
from mofa.renderers.diffusion.placement import Placement
from mofa.renderers.diffusion.settings import DiffusionSettings
from mofa.renderers.warp.render import WarpSettings, render_warp
from mofa.sampling.denoiser import AdapterBranch, Denoiser, Guidance
from mofa.sampling.guide import Guide, levels_of
from mofa.sampling.names import SamplerName
from mofa.sampling.reuse import Reuse
from mofa.sampling.sampler import (
    StepCallback,
    StepEstimates,
    StepRule,
    consistency_step,
    euler_step,
    ignore,
    sample_latents,
)
from mofa.sampling.schedule import Schedule, consistency_sigmas, karras_sigmas
from mofa.sampling.spread import spread_over
from mofa.sampling.video_model import AnyVideoModel, latent_frames
from mofa.tensors.geometry import cut_window, fit_crop
from mofa.tensors.motion import as_seen, points_as_seen
from mofa.tensors.motion_masks import motion_masks
from mofa.tensors.noise import SOURCE_PICTURE, frame_noise
from mofa.tensors.windows import Window
from mofa.types import (
    AdapterName,
    CropBox,
    DenseMotion,
    MotionBranch,
    MotionFeatures,
    MotionPlan,
    Progress,
    SourceImage,
    silent,
)

LOG = logging.getLogger(__name__)

FRESH = 2**32
"""How far apart the keys of the noise of two steps are: no clip has so many frames."""

SIGMAS: Mapping[SamplerName, Callable[[int], Tensor]] = {
    "euler": karras_sigmas,
    "consistency": consistency_sigmas,
}
"""The noise levels of each sampler, for a number of steps."""

PYRAMID = 8
"""How much smaller than the picture the finest level of the feature pyramid is."""


@runtime_checkable
class InitialNoise(Protocol):
    """Standard normal noise [T, c, h, w] for a clip of so many latent frames of that shape."""

    def __call__(self, num_frames: int, shape: tuple[int, int, int], /) -> Float[Tensor, "T c h w"]: ...


@dataclass(frozen=True)
class AdapterHalves:
    """One adapter: the half that knows no noise level and the half that runs at every step."""

    encoder: MotionEncoder
    adapter: MotionAdapter


@dataclass(frozen=True)
class DiffusionModel:
    """All networks of the diffusion renderer; `sparse_to_dense` is None where hints are spread without it."""

    video: AnyVideoModel
    adapters: Mapping[AdapterName, AdapterHalves]
    sparse_to_dense: ConditionalMotionPropagation | None = None

    def networks(self) -> list[nn.Module]:
        """Every network, each once."""
        parts = [*self.video.networks()]
        for halves in self.adapters.values():
            parts += [halves.encoder, halves.adapter]
        return parts + ([] if self.sparse_to_dense is None else [self.sparse_to_dense])


@torch.no_grad()
def denoise(
    source: SourceImage,
    plan: MotionPlan,
    model: DiffusionModel,
    settings: DiffusionSettings,
    placement: Placement,
    seed: int,
    progress: Progress = silent,
    callback: StepCallback = ignore,
    initial_noise: InitialNoise | None = None,
) -> Float[Tensor, "T c h w"]:
    """The clean latents of the clip, of the networks' window of the picture.

    The motion is encoded window by window; noise, `initial_noise` or else one keyed by seed and frame,
    becomes latents step by step. `callback` hears of every step. Raises InputError for a plan with a branch
    whose adapter the model has not.
    """
    height, width = source.pixels.shape[1:]
    video = model.video
    window = video.window(height, width, settings)
    picture = cut_window(source.pixels, window).to(placement.device)

    blur = frame_noise(seed, [SOURCE_PICTURE], tuple(picture.shape), like=picture)[0]
    with placement.using(*video.networks("condition")):
        condition = video.condition(picture, settings, blur)
    acting = plan.branches if settings.adapters else ()
    branches = [
        adapter_branch(branch, plan, picture, window, model, settings, placement) for branch in acting
    ]
    encoders = [model.adapters[branch.adapter].encoder for branch in acting]
    denoiser = Denoiser(video, condition, tuple(branches), guidance_of(settings))
    length = latent_frames(plan.num_frames, video.frame_stride)
    shape = latent_shape(video, window)
    if initial_noise is None:
        noise = frame_noise(seed, range(length), shape, like=picture)
    else:
        noise = initial_noise(length, shape).to(picture)
    guide = warp_guide(source, plan, window, video, settings, placement) if settings.guide == "warp" else None
    schedule, rule = path_down(settings, seed, noise)
    reuse = reuse_of(settings)
    passes = video.passes(length, settings)
    adapters = [branch.adapter for branch in branches]
    networks = [*video.networks("predict"), *adapters, *encoders]
    with (
        placement.using(*networks),
        predicting(settings, denoiser),
        on_devices(denoiser, passes, settings, reuse) as estimates,
    ):
        return sample_latents(
            denoiser, noise, schedule, passes, progress, callback, guide, reuse, rule, estimates
        )


@torch.no_grad()
def decode(
    latents: Float[Tensor, "T c h w"],
    source: SourceImage,
    num_frames: int,
    model: DiffusionModel,
    settings: DiffusionSettings,
    placement: Placement,
    progress: Progress = silent,
) -> Iterator[UInt8[Tensor, "3 H W"]]:
    """The frames of clean latents one by one, at the source's size; they are decoded a chunk at a time."""
    height, width = source.pixels.shape[1:]
    window = model.video.window(height, width, settings)
    with placement.using(*model.video.networks("decode")):
        decoded = model.video.decode(latents, settings.decode_chunk, progress)
        chunks = (asked_size(chunk.cpu(), window, height, width) for chunk in decoded)
        yield from islice(chain.from_iterable(chunks), num_frames)


def on_devices(
    denoiser: Denoiser, passes: Sequence[Window], settings: DiffusionSettings, reuse: Reuse
) -> AbstractContextManager[StepEstimates | None]:
    """The devices that a step is spread over; None is the one that the networks are on."""
    if len(settings.devices) < 2:
        return nullcontext()
    devices = [pick_device(name) for name in settings.devices]
    return spread_over(denoiser, passes, devices, reuse, partial(predicting, settings))


def predicting(settings: DiffusionSettings, denoiser: Denoiser) -> AbstractContextManager[None]:
    """How a denoiser's networks run, in whichever process they are."""
    adapters = [branch.adapter for branch in denoiser.steering if isinstance(branch, AdapterBranch)]
    return denoiser.model.predicting(settings, adapters)


def guidance_of(settings: DiffusionSettings) -> Guidance:
    """The guidance that settings ask for."""
    return Guidance(
        settings.guidance_lowest,
        settings.guidance_highest,
        settings.halves_at_once,
        settings.guidance_down_to,
    )


def reuse_of(settings: DiffusionSettings) -> Reuse:
    """Which steps are whole, and what the others take over."""
    return Reuse(settings.reuse, settings.reused)


def path_down(
    settings: DiffusionSettings, seed: int, noise: Float[Tensor, "T c h w"]
) -> tuple[Schedule, StepRule]:
    """The noise levels of a clip without a guide, and how it gets from one to the next."""
    schedule = Schedule(SIGMAS[settings.sampler](settings.steps).to(noise.device))
    match settings.sampler:
        case "euler":
            return schedule, euler_step
        case "consistency":
            fresh = (
                frame_noise(seed, range(first, first + len(noise)), tuple(noise.shape[1:]), like=noise)
                for first in count(FRESH, FRESH)
            )
            return schedule, consistency_step(fresh)


def visited(settings: DiffusionSettings) -> Schedule:
    """The noise levels that a clip visits; with a guide it begins further down."""
    schedule = Schedule(SIGMAS[settings.sampler](settings.steps))
    return schedule if settings.guide == "none" else schedule.down_from(settings.guide_weak)


def warp_guide(
    source: SourceImage,
    plan: MotionPlan,
    window: CropBox,
    video: AnyVideoModel,
    settings: DiffusionSettings,
    placement: Placement,
) -> Guide:
    """The warp renderer's clip as latents, and how far down each of their cells follows it.

    Raises InputError where nothing moves, and for a video model whose latents stand for several frames.
    """
    if video.frame_stride != 1:
        raise InputError(
            "this video model has no latent for every frame: use guide none with it.", key="guide.model"
        )
    frames = (
        cut_window(frame.float() / 255, window).to(placement.device)
        for frame in render_warp(source, plan, WarpSettings())
    )
    with placement.using(*video.networks("condition")):
        latents = video.encode(frames, settings.decode_chunk)
    height, width = latents.shape[-2:]
    shares = [
        F.adaptive_avg_pool2d(cut_window(masks.moved, window), (height, width))
        for masks in motion_masks(plan, plan.num_frames)
    ]
    mask = torch.stack(shares).to(latents)
    if not mask[1:].any():
        raise InputError(
            "nothing moves half a pixel, so there is nothing to guide by: use guide none.", key="guide.still"
        )
    if (mask[1:] >= 1).all():
        LOG.warning(
            "everything moves, so the whole picture follows the guide down to noise level %g: "
            "a higher --guide-strong leaves the model more",
            settings.guide_strong,
        )
    return Guide(latents, levels_of(mask, settings.guide_weak, settings.guide_strong), settings.guide_weak)


def latent_shape(video: AnyVideoModel, window: CropBox) -> tuple[int, int, int]:
    """Channels, height and width of the latents of a picture's window."""
    sides = window.working_height // video.pixel_stride, window.working_width // video.pixel_stride
    return video.latent_channels, *sides


@dataclass(frozen=True)
class BranchFeatures:
    """A branch's picture features, warped to the frames that are asked for, in the adapter's precision.

    `picture` is that of the networks' window, `flow` the motion as the camera shows it, at every eighth
    pixel, which are the only ones that the feature pyramid reads. `face` are the points of a driven face as
    the camera shows them, on the working picture of `size` (height, width). `may_move` is what people painted
    in the window, for an adapter that is told.
    """

    encoder: MotionEncoder
    picture: Float[Tensor, "3 H W"]
    flow: Float[Tensor, "S 2 h w"]
    face: Float[Tensor, "T 68 2"] | None
    window: CropBox
    size: tuple[int, int]
    may_move: Float[Tensor, "1 H W"] | None = None

    def over(self, frames: Sequence[int], /) -> MotionFeatures:
        """The features of these frames, the source frame first."""
        like = self.picture.to(next(self.encoder.parameters()).dtype)
        steps = [frame - 1 for frame in frames[1:]]
        flow = F.interpolate(self.flow[steps], self.picture.shape[1:], mode="nearest").to(self.picture)
        sketch = None
        if self.face is not None:
            sketch = cut_window(draw_sketch(self.face[list(frames)], *self.size), self.window).to(like)
        region = None if self.may_move is None else self.may_move.to(like)
        return self.encoder(like[None] * 2 - 1, flow, sketch, region)


def adapter_branch(
    branch: MotionBranch,
    plan: MotionPlan,
    picture: Float[Tensor, "3 H W"],
    window: CropBox,
    model: DiffusionModel,
    settings: DiffusionSettings,
    placement: Placement,
) -> AdapterBranch:
    """A branch as its adapter takes it; features are encoded when a window of frames needs them."""
    if branch.adapter not in model.adapters:
        raise InputError(
            f"this motion needs the {branch.adapter} adapter, and the model is there without it: "
            "load that adapter too, or let the model move as it likes (adapters: false).",
            key="adapter.missing",
            adapter=branch.adapter,
        )
    halves = model.adapters[branch.adapter]
    face = None if branch.face is None else points_as_seen(branch.face, plan.camera)
    flow = pyramid_flow(branch.motion, plan, window)
    size = branch.region.shape[-2], branch.region.shape[-1]
    told = branch.may_move if halves.encoder.region_in is not None else None
    strengths = {"trajectory": settings.trajectory_strength, "landmark": settings.landmark_strength}
    return AdapterBranch(
        adapter=halves.adapter,
        features=BranchFeatures(
            halves.encoder,
            picture,
            flow.to(picture),
            face,
            window,
            size,
            None if told is None else cut_window(told, window),
        ),
        region=cut_window(branch.region, window).to(placement.device),
        strength=branch.strength * strengths[branch.adapter],
    )


def pyramid_flow(motion: DenseMotion, plan: MotionPlan, window: CropBox) -> Float[Tensor, "S 2 h w"]:
    """What the feature pyramid reads of a motion: the nearest pixels of its finest level, H/8 x W/8.

    Unknown motion is no motion for the adapters: they have no mask of their own.
    """
    seen = as_seen(motion, plan.camera)
    read = []
    for step in range(plan.num_frames - 1):
        flow = seen.over([step])
        known = cut_window(flow.pixels * flow.valid, window)
        read.append(known[..., ::PYRAMID, ::PYRAMID].clone())
    height, width = window.working_height // PYRAMID, window.working_width // PYRAMID
    return torch.cat(read) if read else torch.zeros(0, 2, height, width)


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
    return torch.stack([to_bytes(crop_and_resize(picture, inside)) for picture in pictures])
