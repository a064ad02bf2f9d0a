"""The only place that looks parts up: builds them once and passes them down."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from jaxtyping import UInt8
from torch import Tensor

from mofa.control.reference import FlowEstimator
from mofa.devices import pick_device, pick_dtype
from mofa.errors import ResourceError
from mofa.pipeline.needs import adapters_for, is_diffusion_ready
from mofa.pipeline.plan import Densifier, FaceSpreader, mesh_flow
from mofa.pipeline.request import AnimationRequest, ReferenceControl, RendererName
from mofa.pipeline.things import densify_things
from mofa.renderers.warp.render import WarpSettings, render_warp
from mofa.types import MotionPlan, Progress, SourceImage
from mofa.vision.dis import dis_flow


@runtime_checkable
class Renderer(Protocol):
    """Turns a planned motion into frames, which it yields one by one; frame 0 is the source."""

    def __call__(
        self, source: SourceImage, plan: MotionPlan, request: AnimationRequest, progress: Progress, /
    ) -> Iterator[UInt8[Tensor, "3 H W"]]: ...


@dataclass(frozen=True)
class Engine:
    """The parts that one kind of request needs."""

    densify: Densifier
    estimate_flow: FlowEstimator
    render: Renderer
    spread_face: FaceSpreader = mesh_flow


def build_engine(request: AnimationRequest) -> Engine:
    """The engine for a resolved request; weights, where there are any, are loaded here and nowhere else."""
    if request.renderer == "warp":
        return Engine(densify=densify_things, estimate_flow=flow_estimator(request), render=_warp)
    # diffusers and transformers take seconds to import, and the warp renderer needs neither.
    try:
        from mofa.pipeline.diffusion_engine import diffusion_engine
        from mofa.pipeline.load import load_diffusion_model, prepare
        from mofa.renderers.diffusion.placement import Placement
    except ImportError as error:
        raise ResourceError(
            f"the diffusion renderer needs packages that are not installed ({error.name}): "
            '`pip install "mofa-video[diffusion]"`, or use `--renderer warp`.'
        ) from error

    settings = request.diffusion
    placement = Placement(pick_device(settings.device), settings.offload)
    dtype = pick_dtype(settings.precision, placement.device)
    model = load_diffusion_model(settings.model, adapters_for(request), settings.densifier, placement, dtype)
    prepare(model, settings)
    return replace(diffusion_engine(model, placement), estimate_flow=flow_estimator(request))


def default_renderer(request: AnimationRequest) -> RendererName:
    """diffusion where its weights are and something faster than a CPU is, else warp."""
    if pick_device(request.diffusion.device).type == "cpu" or not is_diffusion_ready(request):
        return "warp"
    return "diffusion"


def flow_estimator(request: AnimationRequest) -> FlowEstimator:
    """What measures the motion of a request's reference videos."""
    if request.optical_flow == "dis" or not any(isinstance(c, ReferenceControl) for c in request.controls):
        return dis_flow
    from mofa.pipeline.load import load_unimatch

    return load_unimatch(pick_device(request.diffusion.device))


def _warp(
    source: SourceImage, plan: MotionPlan, request: AnimationRequest, progress: Progress
) -> Iterator[UInt8[Tensor, "3 H W"]]:
    return render_warp(source, plan, WarpSettings(loop=request.loop), progress)
