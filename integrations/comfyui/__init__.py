"""mofa for ComfyUI: scenes, warping, tracks for other models, speaking portraits."""

from .nodes import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
