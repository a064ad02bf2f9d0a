"""The options that describe a scene: names for fields of the scene's models, which say the rest themselves.

Help, defaults and kinds of values are those of the fields. A new field needs a row in a table here, and a new
control a row for what begins it.
"""

import argparse
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from mofa.errors import InputError
from mofa.media.forms import FORMS
from mofa.pipeline.request import (
    AnimationRequest,
    CameraControl,
    LandmarkControl,
    MaskRegion,
    Outputs,
    ReferenceControl,
    SelectedRegion,
    StillControl,
    SwayControl,
    TrackControl,
    TransformControl,
)
from mofa.renderers.diffusion.settings import PRESETS, STANDARD, TRADES

SCENE_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True)
class Option:
    """An option for a field of a model; `value` stands for what follows it, where the field does not say."""

    flag: str
    model: type[BaseModel]
    field: str
    value: str | None = None

    @property
    def name(self) -> str:
        """What argparse calls it."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def info(self) -> FieldInfo:
        """The field."""
        return self.model.model_fields[self.field]

    @property
    def kinds(self) -> tuple[Any, ...]:
        """What the field may hold besides nothing."""
        annotation = self.info.annotation
        parts = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
        return tuple(part for part in parts if part is not type(None))


BEGINS = (
    Option("--track", TrackControl, "points", "'X,Y X,Y ...'"),
    Option("--tracks", TrackControl, "file", "FILE"),
    Option("--transform", TransformControl, "move", "'X,Y rotate D scale S'"),
    Option("--transform-keys", TransformControl, "keys", "'0.5: X,Y ...; 1: ...'"),
    Option("--sway", SwayControl, "like"),
    Option("--still", StillControl, "mask", "MASK"),
    Option("--camera", CameraControl, "move", "MOVE"),
    Option("--reference", ReferenceControl, "video", "VIDEO"),
    Option("--speech", LandmarkControl, "speech", "SOUND"),
    Option("--face-video", LandmarkControl, "video", "VIDEO"),
    Option("--landmarks-file", LandmarkControl, "file", "FILE"),
)
"""Each begins a control of its model's kind."""
REGIONS = (Option("--brush", MaskRegion, "mask", "MASK"), Option("--select", SelectedRegion, "select", "X,Y"))
DETAILS = (
    Option("--tracks-axis", TrackControl, "axis", "time-first|points-first"),
    Option("--tracks-size", TrackControl, "size", "WxH"),
    Option("--tracks-visibility", TrackControl, "visibility", "FILE"),
    Option("--rotate", TrackControl, "rotate", "DEGREES"),
    Option("--scale", TrackControl, "scale", "S"),
    Option("--with-shadow", TrackControl, "with_shadow"),
    Option("--ease", TrackControl, "ease", "EASE"),
    Option("--from", TrackControl, "start", "FRAME"),
    Option("--to", TrackControl, "end", "FRAME"),
    Option("--there-and-back", TrackControl, "there_and_back"),
    Option("--strength", TrackControl, "strength", "S"),
    Option("--pivot", TransformControl, "pivot", "X,Y"),
    Option("--amount", SwayControl, "amount", "PERCENT"),
    Option("--direction", SwayControl, "direction", "DEGREES"),
    Option("--rounds", SwayControl, "rounds", "N"),
    Option("--sway-seed", SwayControl, "seed", "N"),
    Option("--depth", CameraControl, "depth", "PICTURE"),
    Option("--parallax", CameraControl, "parallax", "S"),
    Option("--face", LandmarkControl, "face", "N|X,Y"),
    Option("--driver", LandmarkControl, "driver"),
    Option("--landmarks", LandmarkControl, "landmarks", "POINTS"),
    Option("--pose", LandmarkControl, "pose", "S"),
    Option("--mouth", LandmarkControl, "mouth", "S"),
    Option("--eyes", LandmarkControl, "eyes", "S"),
    Option("--brows", LandmarkControl, "brows", "S"),
    Option("--absolute", LandmarkControl, "absolute"),
    Option("--flip-head", LandmarkControl, "flip_head", "yaw,pitch,roll"),
    Option("--max-seconds", LandmarkControl, "max_seconds", "S"),
)
"""Each belongs to the control before it, of whatever kind, if that has the field."""
CLIP = (
    Option("--frames", AnimationRequest, "frames", "N"),
    Option("--fps", AnimationRequest, "fps", "FPS"),
    Option("--size", AnimationRequest, "size", "WxH"),
    Option("--short-side", AnimationRequest, "short_side", "PIXELS"),
    Option("--fit", AnimationRequest, "fit"),
    Option("--loop", AnimationRequest, "loop"),
    Option("--seed", AnimationRequest, "seed", "SEED"),
    Option("--renderer", AnimationRequest, "renderer"),
    Option("--latents", AnimationRequest, "latents", "FILE"),
    Option("--compatibility", AnimationRequest, "compatibility"),
    Option("--optical-flow", AnimationRequest, "optical_flow"),
)
OUTPUTS = (
    Option("--crf", Outputs, "crf", "N"),
    Option("--background", Outputs, "background", "COLOUR"),
    Option("--metadata", Outputs, "metadata"),
)
IN_WORDS = {"landmarks": "driven face"}
"""Kinds of controls whose name is not what people call them."""


class _InOrder(argparse.Action):
    """Collects options in the order they were typed: a mask belongs to the track before it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        namespace.in_order = [*getattr(namespace, "in_order", []), (self.dest, values)]


# --- Options from fields ------------------------------------------------------------------------


def add_scene_options(parser: argparse.ArgumentParser) -> None:
    """Adds every option that `request_from` understands."""
    what = parser.add_argument_group("what moves (in the order given)")
    face = parser.add_argument_group("a face that is driven (in the order given, too)")
    for option in (*BEGINS, *REGIONS, *DETAILS):
        group = face if option.model is LandmarkControl else what
        group.add_argument(option.flag, dest=option.name, action=_InOrder, **_how(option), help=_help(option))
    clip = parser.add_argument_group("the clip")
    clip.add_argument("-o", "--output", metavar="CLIP", help=_help(Option("-o", Outputs, "clip")))
    add_options(clip, CLIP)
    clip.add_argument("--extras", metavar="LIST|none", help=_help(Option("--extras", Outputs, "extras")))
    add_options(clip, OUTPUTS)
    _add_settings(parser)


def add_options(group: argparse._ActionsContainer, options: Sequence[Option]) -> None:
    """Adds options of which each may be given once; those that are not given are None."""
    for option in options:
        switch = {"action": "store_true", "default": None}
        how = switch if option.kinds == (bool,) else _how(option)
        group.add_argument(option.flag, **how, help=_help(option))


def _how(option: Option) -> dict[str, Any]:
    """What argparse has to know about an option's value."""
    match option.kinds:
        case (kind,) if kind is bool:
            return {"nargs": 0}
        case (kind,) if kind in (int, float):
            return {"type": kind, "metavar": option.value}
        case (kind,) if get_origin(kind) is Literal:
            return {"metavar": "|".join(get_args(kind))}
        case _:
            return {"metavar": option.value}


def _help(option: Option) -> str:
    return _one_line(option.info.description or "", option.info.get_default(call_default_factory=True))


def _one_line(description: str, default: Any) -> str:
    """A field's description in one line, and its default where there is one to tell."""
    if isinstance(default, tuple):
        default = ",".join(map(str, default))
    if isinstance(default, float):
        default = f"{default:g}"
    hidden = default is None or isinstance(default, bool) or not isinstance(default, int | float | str)
    text = " ".join(description.split()).removesuffix(".") + ("" if hidden else f" ({default})")
    return text.replace("%", "%%")


def setting_fields() -> dict[str, dict[str, Any]]:
    """The diffusion renderer's settings as their JSON Schema describes them, by name."""
    properties: dict[str, dict[str, Any]] = TypeAdapter(type(STANDARD)).json_schema()["properties"]
    return properties


def _add_settings(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the diffusion renderer (any of these chooses it)")
    trades = "; ".join(f"{name}: {trade}" for name, trade in TRADES.items())
    group.add_argument("--preset", metavar="|".join(PRESETS), help=f"settings to begin with. {trades}")
    kinds = {"integer": int, "number": float}
    for name, described in setting_fields().items():
        flag, text = f"--{name.replace('_', '-')}", _one_line(described["description"], described["default"])
        kind = described.get("type")
        if kind == "boolean":
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
            continue
        metavar = "|".join(map(str, described.get("enum", ()))) or name.split("_")[-1].upper()
        group.add_argument(flag, metavar=metavar, type=kinds.get(str(kind), str), help=text)


# --- Options to a scene -------------------------------------------------------------------------


def controls_in_order(typed: Sequence[tuple[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The scene's controls, and its own region, from options in the order they were typed.

    A mask or a selection belongs to the track, reference or face before it, or to the scene if it comes
    first. Raises InputError for a detail (such as --ease) that follows nothing it could belong to.
    """
    controls: list[dict[str, Any]] = []
    scene_region = None
    by_name = {option.name: option for option in (*BEGINS, *REGIONS, *DETAILS)}
    for name, value in typed:
        option = by_name[name]
        if option in BEGINS:
            controls.append({"kind": _kind(option.model), option.field: value})
        elif option in REGIONS:
            region = {option.field: value}
            owner = next((c for c in reversed(controls) if c["kind"] != "camera"), None)
            if owner is None:
                scene_region = region
            else:
                owner["region"] = region
        elif controls and controls[-1]["kind"] in _owners(option):
            controls[-1][option.field] = True if value == [] else value
        else:
            raise InputError(_belongs_elsewhere(option))
    return controls, scene_region


def _kind(model: type[BaseModel]) -> str:
    kind: str = model.model_fields["kind"].default
    return kind


def _owners(option: Option) -> list[str]:
    """The kinds of controls that have an option's field."""
    models = dict.fromkeys(begin.model for begin in BEGINS)
    return [_kind(model) for model in models if option.field in model.model_fields]


def _belongs_elsewhere(option: Option) -> str:
    owners = _owners(option)
    *most, last = [IN_WORDS.get(kind, kind) for kind in owners]
    words = f"{', '.join(most)} or {last}" if most else last
    flags = ", ".join(begin.flag for begin in BEGINS if _kind(begin.model) in owners)
    return f"{option.flag} belongs to a {words}: put it after one ({flags})."


def request_from(options: argparse.Namespace) -> AnimationRequest:
    """The AnimationRequest that the command line describes, on its own or over a scene."""
    source = Path(options.input)
    controls, region = controls_in_order(getattr(options, "in_order", []))
    repeated = _scene_in(source)
    if repeated is not None:
        data, where = repeated.to_data(), str(source)
    else:
        data, where = {"picture": options.input, "controls": []}, "command line"
    data |= _given(options, [option.name for option in CLIP])
    settings = _given(options, setting_fields())
    if options.renderer == "warp" and "densifier" in settings:
        data["densifier"] = settings.pop("densifier")
    preset = options.preset or options.compatibility  # of the same name
    if preset or settings:
        data["renderer"] = options.renderer or "diffusion"
        base = {"preset": preset} if preset else data.get("diffusion", {})
        data["diffusion"] = base | settings
    if controls:
        data["controls"] = controls
    if region:
        data["region"] = region
    outputs = data.setdefault("outputs", {})
    if options.output:
        outputs["clip"] = options.output
    outputs.setdefault("clip", f"{Path(data['picture']).stem}-animated.mp4")
    if options.extras is not None:
        outputs["extras"] = [] if options.extras == "none" else options.extras.split(",")
    outputs |= _given(options, [option.name for option in OUTPUTS])
    return AnimationRequest.from_data(data, where)


def _scene_in(source: Path) -> AnimationRequest | None:
    """The scene that a file is, or a clip keeps in its metadata; None for a photo."""
    if source.suffix.lower() in SCENE_SUFFIXES:
        return AnimationRequest.from_file(source)
    form = FORMS.get(source.suffix.lower())
    if form is None or form.sound is None:
        return None
    from mofa.media.containers import read_comment

    text = read_comment(source)
    if text is None:
        raise InputError(
            f"{source} is a video without a scene in its metadata: give a still picture, a scene file, or a "
            "clip made with --metadata; or name the video with --reference for its motion."
        )
    return AnimationRequest.from_text(text, str(source)).relative_to(source.parent)


def _given(options: argparse.Namespace, names: Any) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(options, name)) is not None}
