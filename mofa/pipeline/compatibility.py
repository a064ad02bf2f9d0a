"""`compatibility` in a scene: settings that repeat how another program behaves, where the scene has none."""

from collections.abc import Mapping
from typing import Any, Literal

Compatibility = Literal["released"]

SCENES: Mapping[Compatibility, Mapping[str, Any]] = {
    "released": {
        "renderer": "diffusion",
        "fps": 20.0,
        "short_side": 512,
        "diffusion": {"preset": "released"},
    },
}
"""What each sets; the released demos brought the short side to 512 and wrote 20 frames per second."""


def completed(scene: Any) -> Any:
    """A scene's keys and values with what its `compatibility` sets; what the scene says itself goes first."""
    name = scene.get("compatibility") if isinstance(scene, dict) else None
    if not isinstance(name, str) or name not in SCENES:
        return scene
    usual = SCENES[name]  # type: ignore[index]
    own = {key: value for key, value in scene.items() if value is not None}
    settings = own.get("diffusion", {})
    if isinstance(settings, dict):
        own["diffusion"] = {**usual["diffusion"], **settings}
    return {**usual, **own}
