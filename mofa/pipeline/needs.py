"""Which weights a request needs; looks at files, imports no networks."""

from collections.abc import Mapping, Sequence

from mofa.pipeline.request import AnimationRequest, SpeechDriverName
from mofa.renderers.diffusion.settings import Densifier
from mofa.types import AdapterName
from mofa.weights.registry import find_slot
from mofa.weights.store import locate

SPEECH_SLOTS: Mapping[SpeechDriverName, tuple[str, ...]] = {
    "signal": (),
    "aniportrait": ("audio2mesh", "audio2pose"),
    "sadtalker": ("sadtalker",),
}
"""Speech driver -> names, in the registry, of what it needs."""


def adapters_for(request: AnimationRequest) -> tuple[AdapterName, ...]:
    """The adapters that a request's motion needs: landmark for faces, trajectory for everything else."""
    faces = len(request.driven_faces)
    names: list[AdapterName] = ["trajectory"] if faces < len(request.controls) else []
    return (*names, "landmark") if faces else tuple(names)


def slots_for(backbone: str, adapters: Sequence[AdapterName], densifier: Densifier) -> list[str]:
    """Names, in the registry, of what a diffusion model of these parts needs."""
    return [backbone, *adapters, *(["cmp"] if densifier == "cmp" else [])]


def diffusion_slots(request: AnimationRequest) -> list[str]:
    """Names, in the registry, of what the diffusion renderer needs for a request."""
    return slots_for(request.diffusion.model, adapters_for(request), request.diffusion.densifier)


def all_slots(request: AnimationRequest) -> list[str]:
    """Names, in the registry, of what a resolved request needs: for its speech drivers and its renderer."""
    names = [name for face in request.driven_faces if face.speech for name in SPEECH_SLOTS[face.driver]]
    names += diffusion_slots(request) if request.renderer == "diffusion" else []
    return list(dict.fromkeys(names))


def is_diffusion_ready(request: AnimationRequest) -> bool:
    """Whether all weights that the diffusion renderer needs for a request are on this machine."""
    return all(locate(find_slot(name)).present for name in diffusion_slots(request))
