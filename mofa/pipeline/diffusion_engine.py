"""The diffusion renderer's networks as the parts of an engine."""

from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.media.dis import dis_flow
from mofa.models import edge_aware
from mofa.models.sparse_to_dense import SparseToDense
from mofa.pipeline.diffusion import DiffusionModel, render_diffusion
from mofa.pipeline.engine import Engine
from mofa.pipeline.placement import Placement
from mofa.pipeline.plan import Densifier, FaceSpreader, face_hints, mesh_flow
from mofa.pipeline.request import AnimationRequest
from mofa.sampling.sampler import StepCallback, ignore
from mofa.types import FlowField, MotionPlan, Progress, SourceImage, SparseMotion, silent


def diffusion_engine(model: DiffusionModel, placement: Placement, callback: StepCallback = ignore) -> Engine:
    """An engine around loaded networks; `callback` hears of every denoising step."""

    def render(
        source: SourceImage, plan: MotionPlan, request: AnimationRequest, progress: Progress
    ) -> UInt8[Tensor, "T 3 H W"]:
        return render_diffusion(
            source, plan, model, request.diffusion, placement, request.seed, progress, callback
        )

    densify = _densifier(model, placement)
    return Engine(densify, dis_flow, render, spread_face=_face_spreader(model, densify))


def _face_spreader(model: DiffusionModel, densify: Densifier) -> FaceSpreader:
    """The landmark adapter learned with what CMP makes of 68 hints; without CMP the mesh knows better."""
    if model.sparse_to_dense is None:
        return mesh_flow

    def spread(
        image: Float[Tensor, "3 H W"], points: Float[Tensor, "T 68 2"], progress: Progress = silent
    ) -> FlowField:
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
