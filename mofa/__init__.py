"""mofa: image in, motion drawn or spoken, video out."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["AnimationRequest", "AnimationResult", "MofaAdapter", "MofaPipeline", "animate"]

if TYPE_CHECKING:
    from mofa.pipeline.animate import AnimationResult, animate
    from mofa.pipeline.mofa_adapter import MofaAdapter
    from mofa.pipeline.mofa_pipeline import MofaPipeline
    from mofa.pipeline.request import AnimationRequest

_HOMES = {
    "AnimationRequest": "mofa.pipeline.request",
    "AnimationResult": "mofa.pipeline.animate",
    "MofaAdapter": "mofa.pipeline.mofa_adapter",
    "MofaPipeline": "mofa.pipeline.mofa_pipeline",
    "animate": "mofa.pipeline.animate",
}


def __getattr__(name: str) -> Any:
    # torch takes a second to import: `mofa --help` and plain `import mofa` do not wait for it.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'mofa' has no attribute {name!r}")
