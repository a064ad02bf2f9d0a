"""The only place that looks parts up: builds networks once, keeps them, and passes them down."""

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from mofa.devices import pick_device
from mofa.faces.detection import Face
from mofa.pipeline.needs import flow_estimator, is_diffusion_ready
from mofa.pipeline.networks import Networks
from mofa.pipeline.original import Original
from mofa.pipeline.parts import Densifier, Engine, FaceSpreader, SpeechDriver
from mofa.pipeline.plan import face_hints, mesh_flow
from mofa.pipeline.request import AnimationRequest, ResolvedRequest
from mofa.pipeline.tables import DENSIFIERS, FLOW_ESTIMATORS, RENDERERS, SPEECH_DRIVERS
from mofa.types import DenseMotion, Progress, Show, silent
from mofa.weights.store import require


@runtime_checkable
class EngineMaker(Protocol):
    """Makes the engine for a resolved request: `Engines.engine`, or one around parts that are at hand."""

    def __call__(self, request: ResolvedRequest, /) -> Engine: ...


@dataclass(frozen=True)
class Engines:
    """Makes engines for requests and keeps the networks in them for the next one.

    `show` is given small pictures of a clip while it is denoised, where the weights for them are present.
    """

    networks: Networks = field(default_factory=Networks)
    show: Show | None = None

    def engine(self, request: ResolvedRequest, /) -> Engine:
        """The engine for a resolved request; weights, where there are any, are loaded here and nowhere else.

        Raises WeightsError: weights are absent (it names all that are, and how to get them), damaged, or
        others. ResourceError: packages or a device are missing.
        """
        renderer = RENDERERS[request.renderer]
        require(renderer.slots(request))
        name = renderer.densifier(request)
        densify = DENSIFIERS[name].make(request, self.networks)
        return Engine(
            densify=densify,
            spread_face=face_spreader(densify) if DENSIFIERS[name].spreads_faces else mesh_flow,
            estimate_flow=FLOW_ESTIMATORS[flow_estimator(request)].make(request, self.networks),
            speak=Speakers(request.diffusion.device, self.networks),
            # Not before the motion is planned: a preview needs no video model.
            render=lambda *work: renderer.make(request, self.networks, self.show)(*work),
        )


@dataclass(frozen=True)
class Speakers:
    """The speech drivers by name, their networks on `device` and kept in `networks`."""

    device: str | None = None
    networks: Networks = field(default_factory=Networks)

    def __call__(
        self, name: str, points: Float[Tensor, "68 2"], found: Face | None, original: Original, /
    ) -> SpeechDriver:
        """The driver of that name for one face of the picture (see `parts.SpeechDrivers`)."""
        driver: SpeechDriver = SPEECH_DRIVERS[name].make(self.device, self.networks, points, found, original)
        return driver


def face_spreader(densify: Densifier) -> FaceSpreader:
    """The landmark adapter learned with what CMP makes of 68 hints."""

    def spread(
        image: Float[Tensor, "3 H W"], points: Float[Tensor, "T 68 2"], progress: Progress = silent
    ) -> DenseMotion:
        return densify(image, face_hints(points, *image.shape[1:]), None, progress)

    return spread


def default_renderer(request: AnimationRequest) -> str:
    """diffusion where its weights are and something faster than a CPU is, else warp."""
    if pick_device(request.diffusion.device).type == "cpu" or not is_diffusion_ready(request):
        return "warp"
    return "diffusion"
