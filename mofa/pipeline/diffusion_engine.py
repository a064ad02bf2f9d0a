"""The diffusion renderer's networks as the parts of an engine."""

from collections.abc import Iterator

from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.densify import edge_aware
from mofa.devices import is_out_of_memory
from mofa.errors import ResourceError
from mofa.models.sparse_to_dense import SparseToDense
from mofa.pipeline.engine import Engine
from mofa.pipeline.plan import Densifier, FaceSpreader, face_hints, mesh_flow
from mofa.pipeline.request import AnimationRequest
from mofa.renderers.diffusion.placement import Placement
from mofa.renderers.diffusion.render import DiffusionModel, render_diffusion
from mofa.renderers.diffusion.settings import DiffusionSettings
from mofa.sampling.sampler import StepCallback, ignore
from mofa.types import DenseMotion, FlowField, MotionPlan, Progress, SourceImage, SparseMotion, silent
from mofa.vision.dis import dis_flow


def diffusion_engine(model: DiffusionModel, placement: Placement, callback: StepCallback = ignore) -> Engine:
    """An engine around loaded networks; `callback` hears of every denoising step."""

    def render(
        source: SourceImage, plan: MotionPlan, request: AnimationRequest, progress: Progress
    ) -> Iterator[UInt8[Tensor, "3 H W"]]:
        settings = request.diffusion
        try:
            yield from render_diffusion(
                source, plan, model, settings, placement, request.seed, progress, callback
            )
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            height, width = source.pixels.shape[1:]
            raise ResourceError(what_would_fit(settings, width, height)) from error

    densify = _densifier(model, placement)
    return Engine(densify, dis_flow, render, spread_face=_face_spreader(model, densify))


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


def _face_spreader(model: DiffusionModel, densify: Densifier) -> FaceSpreader:
    """The landmark adapter learned with what CMP makes of 68 hints; without CMP the mesh knows better."""
    if model.sparse_to_dense is None:
        return mesh_flow

    def spread(
        image: Float[Tensor, "3 H W"], points: Float[Tensor, "T 68 2"], progress: Progress = silent
    ) -> DenseMotion:
        return densify(image, face_hints(points, *image.shape[1:]), None, progress)

    return spread


def _densifier(model: DiffusionModel, placement: Placement) -> Densifier:
    network = model.sparse_to_dense
    if network is None:
        return edge_aware.densify

    def densify(
        image: Float[Tensor, "3 H W"],
        hints: SparseMotion,
        region: Float[Tensor, "1 H W"] | None = None,
        progress: Progress = silent,
    ) -> FlowField:
        with placement.using(network):
            flow = SparseToDense(network)(
                image.to(placement.device),
                SparseMotion(
                    positions=hints.positions.to(placement.device),
                    displacement=hints.displacement.to(placement.device),
                    known=hints.known.to(placement.device),
                    height=hints.height,
                    width=hints.width,
                ),
                None if region is None else region.to(placement.device),
                progress,
            )
        return FlowField(flow.pixels.to(image), flow.valid.to(image.device))

    return densify
