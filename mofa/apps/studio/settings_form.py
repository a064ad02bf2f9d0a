"""The settings as data for the page: every field with its kind, default, choices and its docstring."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, get_args, get_type_hints

from mofa.apps.scene_options import setting_fields
from mofa.apps.studio.texts import FIELD_HELP_ZH
from mofa.pipeline.needs import all_slots
from mofa.pipeline.request import AnimationRequest
from mofa.pipeline.tables import DENSIFIERS, VIDEO_MODELS
from mofa.renderers.diffusion.settings import PRESETS, SvdSettings
from mofa.weights.registry import Slot, find_slot, in_words
from mofa.weights.store import usable

EVERYDAY = ("steps", "guidance_highest", "trajectory_strength", "landmark_strength", "densifier")
"""What people turn; the other fields wait behind "more"."""

TABLES: Mapping[str, Mapping[str, object]] = {"model": VIDEO_MODELS, "densifier": DENSIFIERS}
"""Fields whose choices are a table's names."""

CLIP_FIELDS = ("size", "fit", "frames", "fps", "loop", "seed", "renderer")


def settings_form() -> dict[str, Any]:
    """What the page needs to draw the settings of a renderer, and what its presets set."""
    return {
        "clip": {
            name: {"help": _help(name, AnimationRequest.model_fields[name].description or "")}
            for name in CLIP_FIELDS
        },
        "diffusion": [_field(name) for name in (field.name for field in fields(SvdSettings))],
        "presets": {name: asdict(preset) for name, preset in PRESETS.items()},
    }


def _field(name: str) -> dict[str, Any]:
    annotation = get_type_hints(SvdSettings)[name]
    choices = [
        choice for choice in get_args(annotation) if not isinstance(choice, type) and choice is not ...
    ]
    choices = list(TABLES.get(name, choices))
    kinds = {bool: "switch", int: "whole", float: "number"}
    return {
        "name": name,
        "kind": "choice" if choices else kinds.get(annotation, "text"),
        "choices": choices,
        "help": _help(name, setting_fields()[name]["description"]),
        "everyday": name in EVERYDAY,
    }


def _help(name: str, docstring: str) -> dict[str, str]:
    return {"en": docstring, "zh": FIELD_HELP_ZH[name]}


def needed_weights(request: AnimationRequest) -> list[Slot]:
    """The weights that a request's renderer and speech drivers read."""
    return [find_slot(name) for name in all_slots(request)]


def missing_weights(request: AnimationRequest) -> list[dict[str, Any]]:
    """Those of them that are not on this machine: what, how large, under which terms."""
    return [
        {
            "name": slot.name,
            "title": slot.title,
            "size": in_words(slot.size),
            "licence": slot.licence.name,
            "terms": slot.licence.sentence,
            "url": slot.licence.url,
            "gated": slot.gated,
        }
        for slot in needed_weights(request)
        if not usable(slot.name).present
    ]
