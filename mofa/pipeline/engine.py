"""The only place that looks parts up: builds them once and passes them down."""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from jaxtyping import UInt8
from torch import Tensor

from mofa.control.reference import FlowEstimator
from mofa.devices import pick_device, pick_dtype
from mofa.media.dis import dis_flow
from mofa.models.edge_aware import densify
from mofa.pipeline.plan import Densifier, FaceSpreader, mesh_flow
from mofa.pipeline.request import AnimationRequest, ReferenceControl, RendererName
from mofa.pipeline.warp import WarpSettings, render_warp
from mofa.types import AdapterName, MotionPlan, Progress, SourceImage


@runtime_checkable
class Renderer(Protocol):
    """Turns a planned motion into frames; frame 0 is the source."""

    def __call__(
        self, source: SourceImage, plan: MotionPlan, request: AnimationRequest, progress: Progress, /
    ) -> UInt8[Tensor, "T 3 H W"]: ...


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
        return Engine(densify=densify, estimate_flow=flow_estimator(request), render=_warp)
    # diffusers and transformers take seconds to import, and the warp renderer needs neither.
    from mofa.pipeline.diffusion_engine import diffusion_engine
    from mofa.pipeline.load import load_diffusion_model, prepare
    from mofa.pipeline.placement import Placement

    settings = request.diffusion
    placement = Placement(pick_device(settings.device), settings.offload)
    dtype = pick_dtype(settings.precision, placement.device)
    model = load_diffusion_model(settings.model, adapters_for(request), settings.densifier, placement, dtype)
    prepare(model, settings)
    return replace(diffusion_engine(model, placement), estimate_flow=flow_estimator(request))


def default_renderer(request: AnimationRequest) -> RendererName:
    """diffusion where its weights are and something faster than a CPU is, else warp."""
    settings = request.diffusion
    if pick_device(settings.device).type == "cpu":
        return "warp"
    from mofa.pipeline.load import is_present

    present = is_present(settings.model, adapters_for(request), settings.densifier)
    return "diffusion" if present else "warp"


def flow_estimator(request: AnimationRequest) -> FlowEstimator:
    """What measures the motion of a request's reference videos."""
    if request.optical_flow == "dis" or not any(isinstance(c, ReferenceControl) for c in request.controls):
        return dis_flow
    from mofa.pipeline.load import load_unimatch

    return load_unimatch(pick_device(request.diffusion.device))


def adapters_for(request: AnimationRequest) -> tuple[AdapterName, ...]:
    """The adapters that a request's motion needs: landmark for faces, trajectory for everything else."""
    faces = len(request.driven_faces)
    names: list[AdapterName] = ["trajectory"] if faces < len(request.controls) else []
    return (*names, "landmark") if faces else tuple(names)


def _warp(
    source: SourceImage, plan: MotionPlan, request: AnimationRequest, progress: Progress
) -> UInt8[Tensor, "T 3 H W"]:
    return render_warp(source, plan, WarpSettings(loop=request.loop), progress)
