"""The diffusion renderer's networks as parts of an engine: from the cache, placed, put to work."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.devices import is_out_of_memory
from mofa.errors import OutOfMemory
from mofa.models.attention import processor
from mofa.models.sparse_to_dense import ConditionalMotionPropagation, GridMotion, SparseToDense
from mofa.pipeline.entries import Asked, VideoModelEntry
from mofa.pipeline.load import load_adapter, prepare
from mofa.pipeline.networks import Networks, Running
from mofa.pipeline.parts import Densifier, Render
from mofa.renderers.diffusion.placement import Placement
from mofa.renderers.diffusion.preview import Preview
from mofa.renderers.diffusion.render import AdapterHalves, DiffusionModel, InitialNoise, decode, denoise
from mofa.renderers.diffusion.settings import DiffusionSettings
from mofa.sampling.sampler import StepCallback, ignore
from mofa.sampling.video_model import AnyVideoModel
from mofa.types import (
    AdapterName,
    MotionPlan,
    Progress,
    Show,
    SourceImage,
    SparseMotion,
    silent,
)
from mofa.weights.networks import load_sparse_to_dense, load_tiny_decoder
from mofa.weights.registry import find_slot
from mofa.weights.store import locate, require


def diffusion_model(
    settings: DiffusionSettings, entry: VideoModelEntry, steering: Sequence[AdapterName], networks: Networks
) -> DiffusionModel:
    """The video model that `entry` makes and the adapters that steer it, from the cache or from the disk.

    Raises WeightsError: weights are absent (it says how to get them), damaged, or another network's.
    """
    running = Running.of(settings)
    placement = running.placement
    processor(running.attention, running.attention_slices)  # told before gigabytes are read

    def load_model() -> AnyVideoModel:
        model: AnyVideoModel = entry.load(running)
        prepare(model.networks("predict"), running)
        placement.settle(*model.networks())
        return model

    def load_halves(name: AdapterName) -> AdapterHalves:
        halves = load_adapter(name, require([name])[name], running.dtype)
        prepare([halves.adapter], running)
        placement.settle(halves.encoder, halves.adapter)
        return halves

    return DiffusionModel(
        video=networks.get("diffusion", settings.model, running, load_model),
        adapters={
            name: networks.get("diffusion", name, running, partial(load_halves, name)) for name in steering
        },
    )


def make_render(
    model: DiffusionModel,
    asked: Asked,
    placement: Placement,
    callback: StepCallback = ignore,
    initial_noise: InitialNoise | None = None,
) -> Render:
    """The diffusion renderer for a request; `callback` hears of every denoising step.

    A looping clip is planned to the moment at which it begins again; that last frame is not shown.
    """
    settings = asked.diffusion

    def render(
        source: SourceImage, plan: MotionPlan, progress: Progress, /
    ) -> Iterator[UInt8[Tensor, "3 H W"]]:
        with memory_explained(settings, source):
            latents = denoise(
                source, plan, model, settings, placement, asked.seed, progress, callback, initial_noise
            )
            shown = plan.num_frames - asked.loop
            yield from decode(latents, source, shown, model, settings, placement, progress)

    return render


def preview_callback(
    show: Show | None, entry: VideoModelEntry, running: Running, networks: Networks
) -> StepCallback:
    """Shows a clip while it is denoised; nothing where nobody looks or the decoder's weights are absent."""
    if show is None or entry.preview is None:
        return ignore
    state = locate(find_slot(entry.preview))
    if not state.present:
        return ignore
    decoder = networks.get(
        "preview",
        entry.preview,
        Running(running.device),
        lambda: load_tiny_decoder(state.paths).to(running.device),
    )
    return Preview(decoder, show)


@contextmanager
def memory_explained(settings: DiffusionSettings, source: SourceImage) -> Iterator[None]:
    """Where memory runs out in this block, OutOfMemory says what would fit."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        height, width = source.pixels.shape[1:]
        raise OutOfMemory(what_would_fit(settings, width, height), key="memory") from error


def what_would_fit(settings: DiffusionSettings, width: int, height: int) -> str:
    """What to ask for instead of a clip that does not fit into memory, the least loss first."""
    advice = []
    if settings.offload == "none":
        advice.append("--offload model (networks wait in main memory: 512x512 fits 12 GB)")
    elif settings.offload == "model":
        advice.append("--offload block (slow, but a fraction of the memory for weights)")
    if settings.halves_at_once == 2:
        advice.append("--halves-at-once 1")
    if settings.decode_chunk > 2:
        advice.append("--decode-chunk 2")
    smaller = "x".join(str(max(64, round(side / 2**0.5 / 64) * 64)) for side in (width, height))
    advice.append(f"--size {smaller} (half the memory)")
    if settings.window > 14:
        advice.append("--window 14 --stride 7")
    return (
        f"out of memory for {width}x{height} in windows of {settings.window} frames: try {', '.join(advice)}."
    )


def cached_cmp(asked: Asked, networks: Networks) -> Densifier:
    """CMP for a request, from the cache or from the disk."""
    running = Running.of(asked.diffusion).small

    def load() -> ConditionalMotionPropagation:
        network = load_sparse_to_dense(require(["cmp"])["cmp"])
        running.placement.settle(network)
        return network

    network = networks.get("densifier", "cmp", running, load)
    return cmp_densifier(network, running.placement, asked.diffusion)


def cmp_densifier(
    network: ConditionalMotionPropagation, placement: Placement, settings: DiffusionSettings
) -> Densifier:
    """CMP as a densifier: hints go to its device, and motion comes back to the picture's."""
    spread = SparseToDense(network, hints=settings.cmp_hints, picture=settings.cmp_picture)

    def densify(
        image: Float[Tensor, "3 H W"],
        hints: SparseMotion,
        region: Float[Tensor, "1 H W"] | None = None,
        progress: Progress = silent,
    ) -> GridMotion:
        device = placement.device
        there = replace(
            hints,
            positions=hints.positions.to(device),
            displacement=hints.displacement.to(device),
            known=hints.known.to(device),
        )
        area = None if region is None else region.to(device)
        with placement.using(network):
            return spread(image.to(device), there, area, progress).to(image.device)

    return densify
