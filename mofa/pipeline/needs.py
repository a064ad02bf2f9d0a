"""Which weights a request needs; looks at files, imports no networks."""

from mofa.pipeline.request import AnimationRequest, ReferenceControl
from mofa.pipeline.tables import FLOW_ESTIMATORS, RENDERERS, SPEECH_DRIVERS
from mofa.weights.store import usable


def flow_estimator(request: AnimationRequest) -> str:
    """The flow estimator of a request: the one asked for where a video is measured, else the lightest."""
    measures = any(isinstance(control, ReferenceControl) for control in request.controls)
    return request.optical_flow if measures else "dis"


def all_slots(request: AnimationRequest) -> list[str]:
    """Names, in the registry, of what a resolved request needs: for speech, videos and renderer."""
    names = [
        name for face in request.driven_faces if face.speech for name in SPEECH_DRIVERS[face.driver].slots
    ]
    names += FLOW_ESTIMATORS[flow_estimator(request)].slots
    names += RENDERERS[request.renderer].slots(request) if request.renderer else []
    return list(dict.fromkeys(names))


def is_diffusion_ready(request: AnimationRequest) -> bool:
    """Whether all weights that the diffusion renderer needs for a request are on this machine."""
    return all(usable(name).present for name in RENDERERS["diffusion"].slots(request))
