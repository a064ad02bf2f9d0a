"""The only place that looks parts up: builds them once and passes them down."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import UInt8
from torch import Tensor

from mofa.control.reference import FlowEstimator
from mofa.media.dis import dis_flow
from mofa.models.edge_aware import densify
from mofa.pipeline.plan import Densifier
from mofa.pipeline.request import AnimationRequest
from mofa.pipeline.warp import WarpSettings, render_warp
from mofa.types import MotionPlan, Progress, SourceImage


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


def build_engine(request: AnimationRequest) -> Engine:
    """The engine for a resolved request; weights, where there are any, are loaded here and nowhere else."""
    return Engine(densify=densify, estimate_flow=dis_flow, render=_warp)


def _warp(
    source: SourceImage, plan: MotionPlan, request: AnimationRequest, progress: Progress
) -> UInt8[Tensor, "T 3 H W"]:
    return render_warp(source, plan, WarpSettings(loop=request.loop), progress)
