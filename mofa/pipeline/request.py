"""The scene: what a person asks for, checked where it enters.

An AnimationRequest survives YAML and JSON, and every run writes the one it resolved beside its
clip. Unknown keys are refused with the nearest valid name. Nothing here touches a picture or a
tensor: files are opened by pipeline.animate.
"""

import json
import os
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticKnownError
from pydantic_core.core_schema import no_info_plain_validator_function

from mofa.control import coordinates, selection
from mofa.control.camera_words import CameraMove, format_camera, parse_camera
from mofa.control.text_files import text_of
from mofa.control.transform_words import WordedPose, format_pose, parse_moments, parse_pose
from mofa.control.words import nearest
from mofa.errors import InputError, MofaError, shortened
from mofa.faces.names import Turn
from mofa.media.colours import colour_of
from mofa.pipeline.compatibility import Compatibility, completed
from mofa.pipeline.tables import DENSIFIERS, FLOW_ESTIMATORS, RENDERERS, SPEECH_DRIVERS, VIDEO_MODELS
from mofa.renderers.diffusion.settings import PRESETS, STANDARD, DiffusionSettings, SettingError, SvdSettings

if TYPE_CHECKING:
    from mofa.control.timing import Ease as TimingEase
    from mofa.control.timing import Timing
    from mofa.types import AdapterName

Parsed = TypeVar("Parsed")

LONGEST_SCENE = 1 << 20
"""Characters of a scene's text."""
DEEPEST_SCENE = 40
"""Levels of nesting; a scene of every kind has under ten."""
MOST_CONTROLS = 200
MOST_POINTS = 100_000
"""Of all drawn tracks of a scene together."""
MAX_FRAMES = 20_000
"""Over thirteen minutes at 25 per second: longer than any speech that is taken without being asked."""
MAX_SIDE = 16_384
"""No picture format that is written here holds more, WebP (16,383) and video coders less."""
LEAST_FPS = 0.01
"""Frames of a hundred seconds: slower than any show of slides."""
DEFAULT_FRAMES, DEFAULT_FPS = 25, 8.0
"""Of a clip in which nothing of a length of its own drives a face."""

Turns = Annotated[
    tuple[Turn, ...],
    BeforeValidator(lambda given: given.replace(",", " ").split() if isinstance(given, str) else given),
]
"""Some of the ways a head turns: a list, or "yaw,roll"."""
Extra = Literal["flow", "flow-npz", "flow-flo", "overlay", "sheet", "landmarks"]

# --- Values with a written form of their own ----------------------------------------------------


@contextmanager
def _as_scene_problem() -> Iterator[None]:
    """Lets pydantic say where in the scene a value lies that another layer refuses."""
    try:
        yield
    except InputError as error:
        raise ValueError(str(error)) from None


def _in_scene(parse: Callable[[Any], Parsed]) -> Callable[[Any], Parsed]:
    """A grammar as pydantic wants it."""

    def parsed(value: Any) -> Parsed:
        with _as_scene_problem():
            return parse(value)

    return parsed


def _written(point: coordinates.Point) -> list[float | str]:
    return [place.written for place in point]


_POINT_SCHEMA = {
    "description": 'A point of the upright picture: "x,y" or [x, y], in pixels or percent ("50%,20%").',
    "anyOf": [
        {"type": "string", "pattern": r"^\s*[-+.\deE]+%?\s*,\s*[-+.\deE]+%?\s*$"},
        {
            "type": "array",
            "items": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[-+.\deE]+%$"}]},
            "minItems": 2,
            "maxItems": 2,
        },
    ],
}
Point = Annotated[
    coordinates.Point,
    BeforeValidator(_in_scene(coordinates.parse_point)),
    PlainSerializer(_written),
    WithJsonSchema(_POINT_SCHEMA),
]


Selection = Annotated[
    selection.Selection,
    BeforeValidator(_in_scene(selection.parse_selection)),
    PlainSerializer(selection.format_selection),
    WithJsonSchema(
        {
            "description": 'Points on a thing and beside it: "x,y", "x,y:part", "x,y +x,y -x,y:group".',
            "anyOf": [
                {"type": "string", "minLength": 3},
                _POINT_SCHEMA["anyOf"][1],
                {
                    "type": "object",
                    "properties": {
                        "on": {"type": "array", "items": _POINT_SCHEMA, "minItems": 1},
                        "beside": {"type": "array", "items": _POINT_SCHEMA},
                        "level": {"enum": ["part", "thing", "group"]},
                    },
                    "required": ["on"],
                    "additionalProperties": False,
                },
            ],
        }
    ),
]


def _face(value: Any) -> Any:
    """A face's number, or a point on it."""
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and "," not in text:
        try:
            text = int(text)
        except ValueError:
            raise ValueError(f"{value!r} is no face: write its number (1 is the largest) or x,y") from None
    if isinstance(text, int) and not isinstance(text, bool):
        if text < 1:
            raise ValueError(f"face {text} cannot be: 1 is the largest, 2 the next")
        return text
    return coordinates.parse_point(text)


FaceChoice = Annotated[
    int | coordinates.Point,
    BeforeValidator(_in_scene(_face)),
    PlainSerializer(lambda face: face if isinstance(face, int) else _written(face)),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, _POINT_SCHEMA]}),
]

_SIZE = re.compile(r"\s*(-?\d+)\s*[xX×]\s*(-?\d+)\s*")


def _size(value: Any) -> Any:
    if isinstance(value, str):
        match = _SIZE.fullmatch(value)
        if not match:
            raise ValueError(f"{value!r} is no size: write WIDTHxHEIGHT, for example 768x512")
        value = match.groups()
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"{value!r} is no size: write WIDTHxHEIGHT, for example 768x512")
    try:
        width, height = (int(side) for side in value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{value!r} is no size: write WIDTHxHEIGHT, for example 768x512") from None
    if not (16 <= width <= MAX_SIDE and 16 <= height <= MAX_SIDE):
        raise ValueError(f"size {width}x{height} cannot be made: both sides must lie in 16..{MAX_SIDE}")
    return width, height


Size = Annotated[
    tuple[int, int],
    BeforeValidator(_size),
    PlainSerializer(lambda size: f"{size[0]}x{size[1]}", return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\s*\d+\s*[xX×]\s*\d+\s*$"}),
]


def _camera(value: Any) -> CameraMove:
    if isinstance(value, CameraMove):
        return value
    if not isinstance(value, str) or len(value) > 500:
        raise ValueError('a camera move is a few words, as in "pan right 40 px, zoom 1.1"')
    return parse_camera(value)


def _ease(value: Any) -> Any:
    # control.timing knows the easings; it needs torch, which a scene that is only described does not.
    from mofa.control.timing import parse_ease

    if not isinstance(value, str):
        return value
    return parse_ease(value)


Ease = Annotated[
    str | tuple[tuple[float, float], ...],
    BeforeValidator(_in_scene(_ease)),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "examples": ["linear", "in", "out", "in-out", "0.3,0.8 1,1"]},
                {"type": "array", "items": {"type": "array", "prefixItems": [{"type": "number"}] * 2}},
            ]
        }
    ),
]
CameraWords = Annotated[
    CameraMove,
    BeforeValidator(_in_scene(_camera)),
    PlainSerializer(format_camera, return_type=str),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 500}),
]
TransformWords = Annotated[
    WordedPose,
    BeforeValidator(_in_scene(parse_pose)),
    PlainSerializer(format_pose, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["40,-20", "rotate 15", "10%,0 rotate -5 scale 1.2"]}),
]
SwayKind = Literal["wind", "water", "breath"]


def _file_name(value: Any) -> Any:
    """What a file can be called has no control characters, as "C:\\temp" has in double quotes."""
    found = _CONTROL.search(str(value)) if isinstance(value, str | Path) else None
    if found:
        raise ValueError(
            f"{_short(str(value))} holds {found[0]!a}, as no file's name does: write the path with /, or in "
            "single quotes"
        )
    return value


_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
ScenePath = Annotated[
    Path,
    BeforeValidator(_file_name),
    PlainSerializer(lambda path: path.as_posix(), return_type=str),
    WithJsonSchema({"type": "string", "format": "path"}),
]


def _preset(value: Any) -> Any:
    if isinstance(value, str):
        value = {"preset": value}
    if not isinstance(value, dict) or "preset" not in value:
        return value
    name = value["preset"]
    if name not in PRESETS:
        raise ValueError(f'{name!r} is no preset: did you mean "{nearest(str(name), PRESETS)}"?')
    return asdict(PRESETS[name]) | {key: changed for key, changed in value.items() if key != "preset"}


def _plain_settings(settings: DiffusionSettings) -> dict[str, Any]:
    return {name: value for name, value in asdict(settings).items() if value is not None}


def _checked(settings: DiffusionSettings) -> DiffusionSettings:
    _named(DENSIFIERS, settings.densifier)
    return settings


def _of_its_family(value: Any, validate: Callable[[Any], SvdSettings]) -> DiffusionSettings:
    """Settings of the family that `model` names; `validate` is that of the usual one."""
    if isinstance(value, DiffusionSettings):
        return _checked(value)
    settings = _preset(value)
    name = settings.get("model", STANDARD.model) if isinstance(settings, dict) else STANDARD.model
    family = VIDEO_MODELS[_named(VIDEO_MODELS, name)].settings
    known = validate if family is SvdSettings else TypeAdapter(family).validate_python
    return _checked(known(settings))


def _named(table: Mapping[str, object], name: object) -> str:
    """A name of the table; ValueError with the names that there are for any other."""
    if not isinstance(name, str) or name not in table:
        raise PydanticKnownError("literal_error", {"expected": " or ".join(map(repr, table))})
    return name


@dataclass(frozen=True, eq=False)
class _NameOf:
    """Marks the type of a name that a table has, whatever is in it when the scene is read."""

    table: Mapping[str, object]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return no_info_plain_validator_function(partial(_named, self.table))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.table)}


RendererName = Annotated[str, _NameOf(RENDERERS)]
OpticalFlowName = Annotated[str, _NameOf(FLOW_ESTIMATORS)]
SpeechDriverName = Annotated[str, _NameOf(SPEECH_DRIVERS)]
Diffusion = Annotated[SvdSettings, WrapValidator(_of_its_family), PlainSerializer(_plain_settings)]


# --- The scene ----------------------------------------------------------------------------------


def _time_axis(value: Any) -> Any:
    """Numbered as in NumPy, too: the axis that is time."""
    return get_args(coordinates.TimeAxis)[value] if value in (0, 1) and type(value) is int else value


TimeAxisChoice = Annotated[coordinates.TimeAxis, BeforeValidator(_time_axis)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class MaskRegion(_Frozen):
    """A painted region: white may move, black may not."""

    mask: ScenePath
    """Picture of the region, of the photo's aspect: white (or opaque) may move."""
    with_shadow: bool = False
    """The shadow and the reflection of what is painted belong to it."""


class SelectedRegion(_Frozen):
    """The thing under a click."""

    select: Selection
    """Point on the thing, "x,y"; "x,y:part" or ":group" is less or more of it, " +x,y -x,y" adds points."""
    with_shadow: bool = False
    """The shadow and the reflection of the thing belong to it."""


class BorderRegion(_Frozen):
    """A band along the picture's border, soft on its inside."""

    border: float = Field(gt=0, le=50)
    """Its width, in percent of the picture's longer side."""


Region = MaskRegion | SelectedRegion | BorderRegion


class _Control(_Frozen):
    strength: float = Field(default=1.0, ge=-10, le=10)
    """Multiplies the motion: 1 as drawn, 0.5 half as far, -1 the other way."""
    region: Region | None = None
    """Where this control may move anything: a painted mask or a selection."""
    colour: str | None = Field(default=None, pattern=r"^#[0-9a-fA-F]{6}$")
    """Colour that it is drawn in, "#rrggbb"; the next of the usual ones when not given."""

    @property
    def own_region(self) -> Region | None:
        """Where this control may move anything, if it says so itself."""
        return self.region


class TimedControl(_Control):
    start: int = Field(default=0, ge=0, le=MAX_FRAMES)
    """Frame at which the motion begins."""
    end: int | None = Field(default=None, ge=0, le=MAX_FRAMES)
    """Frame at which the motion is complete; the last one when not given."""
    ease: Ease = "linear"
    """Speed along the way: linear, in, out, in-out, or (time, fraction) pairs, both 0..1."""
    there_and_back: bool = False
    """Reach the end half-way in time and be back at the beginning at the end."""

    @model_validator(mode="after")
    def _has_a_timing(self) -> "TimedControl":
        with _as_scene_problem():
            self.timing  # noqa: B018
        return self

    @property
    def timing(self) -> "Timing":
        """When and how fast, as control.timing computes it."""
        from mofa.control.timing import Timing

        return Timing(cast("TimingEase", self.ease), self.start, self.end, self.there_and_back)


class ThingControl(TimedControl):
    """Something moves a thing."""

    with_shadow: bool = False
    """What the thing throws on the ground, and what water shows of it, comes along."""


class TrackControl(ThingControl):
    """Something moves along a drawn line; a single point is an anchor that stays still."""

    kind: Literal["track"] = "track"
    points: Annotated[tuple[Point, ...], BeforeValidator(_in_scene(coordinates.parse_points))] | None = None
    """Points along the way, "x,y x,y ..." or a list; one point is an anchor."""
    file: ScenePath | None = None
    """Tracks from a file: JSON, arrays (.npy, .npz, .pt), tables (.csv, .txt), or SVG paths."""
    axis: TimeAxisChoice | None = None
    """Which axis of the file's array is time, where it would be mistaken: time-first or points-first."""
    size: Size | None = None
    """Size of the picture that the file's tracks were made on, WIDTHxHEIGHT, where it was another one."""
    visibility: ScenePath | None = None
    """A second file (.npy, .pt) that says where the file's points are seen, frame by frame."""
    rotate: float = Field(default=0.0, ge=-3600, le=3600)
    """Degrees clockwise that the thing has turned by at the end of the way."""
    scale: float = Field(default=1.0, ge=0.01, le=100)
    """How many times its size the thing has at the end of the way."""

    @model_validator(mode="after")
    def _whose_shadow(self) -> "TrackControl":
        if self.with_shadow and self.points is None and self.region is None:
            raise ValueError(
                "with_shadow needs to know the thing: give these tracks a region, or draw a track"
            )
        return self

    @property
    def turns(self) -> bool:
        """Whether the thing turns or grows on the way."""
        return self.rotate != 0 or self.scale != 1

    @model_validator(mode="after")
    def _beside_a_file(self) -> "TrackControl":
        given = [name for name in ("axis", "size", "visibility") if getattr(self, name) is not None]
        if given and self.file is None:
            raise ValueError(f"{given[0]} belongs to tracks from a file, which this is not: leave it out")
        return self

    @model_validator(mode="after")
    def _one_source(self) -> "TrackControl":
        if (self.points is None) == (self.file is None):
            raise ValueError("a track needs either points or a file, and not both")
        return self


class TransformKey(_Frozen):
    """Where a transformed thing is at some moment."""

    at: float = Field(gt=0, le=1)
    """Fraction of the way, 1 being its end."""
    move: TransformWords
    """The thing against where it is in the photo: "40,-20 rotate 15 scale 1.2"."""
    ease: Ease = "linear"
    """Speed on the way there from the moment before."""


class TransformControl(ThingControl):
    """A thing moves, turns and grows as one; it needs a region: select the thing or paint it."""

    kind: Literal["transform"] = "transform"
    move: TransformWords | None = None
    """Where the thing ends: pixels right and down, degrees clockwise, size: "40,-20 rotate 15 scale 1.2"."""
    keys: Annotated[tuple[TransformKey, ...], BeforeValidator(parse_moments)] = ()
    """Instead: where it is at several moments, "0.5: 40,-20 rotate 15; 1: 0,0"."""
    pivot: Point | None = None
    """Point that it turns and grows about; its middle when not given."""

    @model_validator(mode="after")
    def _keyframes_in_order(self) -> "TransformControl":
        from mofa.control.transform import Keyframe, Pose, check_keyframes

        if (self.move is None) == (not self.keys):
            raise ValueError("a transform needs either a move or keys, and not both")
        with _as_scene_problem():
            check_keyframes(
                [Keyframe(k.at, Pose((0.0, 0.0), k.move.rotate, k.move.scale)) for k in self.moments]
            )
        return self

    @property
    def moments(self) -> tuple[TransformKey, ...]:
        """The keys, or the move as the only one."""
        return self.keys if self.move is None else (TransformKey(at=1, move=self.move),)


class SwayControl(_Control):
    """A region moves by itself, as in wind or water or as something that breathes; seamless in a loop."""

    kind: Literal["sway"] = "sway"
    like: SwayKind = "wind"
    """What moves it: wind, water or breath."""
    amount: float = Field(default=1.0, gt=0, le=10)
    """The largest motion, in percent of the picture's longer side."""
    direction: float = 0.0
    """Where to, in degrees: 0 is right, 90 down."""
    rounds: int = Field(default=2, ge=1, le=100)
    """How often it sways to and fro in the clip."""
    seed: int | None = Field(default=None, ge=0)
    """Number that decides the waves; the scene's when not given."""


class StillControl(_Control):
    """What is painted or selected stays where it is, whatever else moves."""

    kind: Literal["still"] = "still"
    mask: ScenePath | None = None
    """Picture that is white where things stay; or give a region, such as a selection."""

    @model_validator(mode="after")
    def _one_region(self) -> "StillControl":
        if (self.mask is None) == (self.region is None):
            raise ValueError("what stays still needs either a mask or a region, and not both")
        return self

    @property
    def own_region(self) -> Region | None:
        """What stays."""
        return self.region if self.mask is None else MaskRegion(mask=self.mask)


class CameraControl(TimedControl):
    """The camera moves: pan, zoom, rotate, or their sum. Added to what else moves."""

    kind: Literal["camera"] = "camera"
    move: CameraWords
    """The move in words: "pan right 40 px, zoom 1.1, rotate 5". It is the camera that moves."""
    depth: ScenePath | None = None
    """A picture of how near everything is, the nearest brightest: what is near moves further."""
    parallax: float = Field(default=1.0, ge=0, le=4)
    """How much further the nearest moves than the farthest, as a share of the farthest's way."""


class ReferenceControl(TimedControl):
    """The motion of a video drives the picture, resized and retimed."""

    kind: Literal["reference"] = "reference"
    video: ScenePath
    """Video whose motion is taken over."""


class LandmarkControl(_Control):
    """A face is driven: by another face in a video, by speech, or by landmarks from a file."""

    kind: Literal["landmarks"] = "landmarks"
    video: ScenePath | None = None
    """Video of a face whose motion is taken over."""
    speech: ScenePath | None = None
    """Sound of a voice that the face is to speak with; it is heard in the clip."""
    file: ScenePath | None = None
    """Landmarks per frame (.npz, .json), or ARKit blendshape curves (.csv)."""
    driver: SpeechDriverName = "signal"
    """What turns speech into motion: signal needs no weights, aniportrait and sadtalker are learned."""
    face: FaceChoice = 1
    """Which face of the picture: its number, 1 being the largest, or a point on it, "x,y"."""
    landmarks: ScenePath | None = None
    """The 68 points of the picture's face by hand, in its pixels (JSON), where none is found."""
    pose: float = Field(default=1.0, ge=0, le=10)
    """How much of the head's motion is taken over."""
    mouth: float = Field(default=1.0, ge=0, le=10)
    """How much of the mouth's motion is taken over."""
    eyes: float = Field(default=1.0, ge=0, le=10)
    """How much of the lids' motion is taken over."""
    brows: float = Field(default=1.0, ge=0, le=10)
    """How much of the brows' motion is taken over."""
    absolute: bool = False
    """Take over the driver's very expressions and shape, instead of its motion from its first frame on."""
    flip_head: Turns = ()
    """Which of yaw, pitch and roll a file of curves has the other way round than Live Link Face."""
    max_seconds: float = Field(default=600.0, gt=0)
    """The longest speech or video that is taken."""

    @model_validator(mode="after")
    def _one_source(self) -> "LandmarkControl":
        given = [name for name in ("video", "speech", "file") if getattr(self, name) is not None]
        if len(given) != 1:
            sources = " and ".join(given) if given else "nothing"
            raise ValueError(f"a face is driven by one of video, speech or file, not by {sources}: give one")
        return self


Control = Annotated[
    TrackControl
    | TransformControl
    | SwayControl
    | StillControl
    | CameraControl
    | ReferenceControl
    | LandmarkControl,
    Field(discriminator="kind"),
]


def _known_colour(name: str) -> str:
    colour_of(name)
    return name


Background = Annotated[str, AfterValidator(_known_colour)]


class Outputs(_Frozen):
    """What is written, and where."""

    clip: ScenePath | None = None
    """The clip: .mp4, .mov, .mkv, .webm, .avi, .gif, .webp, .apng, a pattern such as frame-%04d.png, or a
    folder for PNG frames. The rest lies beside it."""
    extras: tuple[Extra, ...] = ("flow", "flow-npz", "overlay", "sheet")
    """What lies beside the clip: flow (colour wheel), flow-npz, flow-flo, overlay, sheet (contact sheet), and
    landmarks (the clip with the faces' points drawn on it)."""
    crf: int | None = Field(default=None, ge=0, le=63)
    """Constant rate factor of .mp4, .mov, .mkv (16 when not given), .webm (20): more is smaller and worse."""
    background: Background | None = None
    """The colour on which a partly transparent photo is laid: a name, or #rrggbb.

    When not given: none where the clip's form has alpha (.mov, .webm, .webp, .apng, PNG frames), else white.
    """
    metadata: bool = False
    """Keep the scene in the clip's metadata (.mp4, .mov, .mkv, .webm, .avi): the clip can be repeated."""


class AnimationRequest(_Frozen):
    """One clip to be made: a picture, how it moves, and what is written."""

    picture: Annotated[ScenePath | None, WithJsonSchema({"type": "string", "format": "path"})] = None
    """The photo to animate."""
    size: Size | None = None
    """Size of the clip, WIDTHxHEIGHT; the picture's own, at most 1280 on the long side, when not given."""
    short_side: int | None = Field(default=None, ge=16, le=MAX_SIDE)
    """Pixels of the clip's shorter side, where no size is given."""
    fit: Literal["crop", "pad"] = "crop"
    """When the size has another aspect than the picture: crop what is too much, or pad what is missing."""
    frames: int | None = Field(default=None, ge=2, le=MAX_FRAMES)
    """Number of frames, the photo being the first; as long as what drives a face, else 25, when not given."""
    fps: float | None = Field(default=None, ge=LEAST_FPS, le=240)
    """Frames per second; those of the video that drives a face, 25 for speech, else 8, when not given."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of everything random; the same scene makes the same clip, bit for bit."""
    renderer: RendererName | None = None
    """warp moves the pixels themselves, diffusion runs Stable Video Diffusion.

    When not given: diffusion where its weights and a GPU are, else warp.
    """
    latents: ScenePath | None = None
    """The initial noise of the diffusion renderer from a file (.npy, .npz), in place of the seed's."""
    densifier: Literal["things", "edge-aware", "cmp"] | None = None
    """What spreads hints: things (what they lie on), edge-aware (edges alone) or cmp (a network).

    When not given: things with warp, and what the diffusion settings say with diffusion.
    """
    optical_flow: OpticalFlowName = "dis"
    """How the motion of reference videos is measured: dis needs no weights, unimatch is a network."""
    diffusion: Diffusion = STANDARD
    """How the diffusion renderer works: settings, or a preset (draft, standard, ...) and what differs."""
    compatibility: Compatibility | None = None
    """released repeats the demos of the released code, faults included, where the scene says nothing else."""
    loop: bool = False
    """Let the end flow into the beginning."""
    region: Region | None = None
    """What may move at all, for every track and reference without a region of its own."""
    controls: tuple[Control, ...]
    """What moves: tracks, camera moves, reference videos, faces."""
    outputs: Outputs = Outputs()
    """What is written, and where."""

    @model_validator(mode="before")
    @classmethod
    def _with_compatibility(cls, scene: Any) -> Any:
        return completed(scene)

    @field_validator("controls", mode="before")
    @classmethod
    def _not_too_many(cls, controls: Any) -> Any:
        # Counted before they are looked at, which takes 0.2 ms for each.
        with _as_scene_problem():
            if isinstance(controls, list | tuple):
                _check_number(len(controls))
        return controls

    @field_validator("controls")
    @classmethod
    def _something_moves(cls, controls: tuple[Any, ...]) -> tuple[Any, ...]:
        with _as_scene_problem():
            _check_amount(controls)
        return controls

    @model_validator(mode="after")
    def _ends_in_time(self) -> "AnimationRequest":
        # How long a driven face's clip is, is only known when its driver has been read.
        if self.frames is not None or not self.driven_faces:
            with _as_scene_problem():
                self.check_ends(self.num_frames)
        return self

    def place_of(self, control: "Control", part: str = "") -> str:
        """Where a control of this request stands in it, as errors say it: "controls.1.region"."""
        return ".".join(filter(None, ("controls", str(self.controls.index(control)), part)))

    def check_ends(self, num_frames: int) -> None:
        """Raises InputError when a control runs beyond a clip of this length."""
        for index, control in enumerate(self.controls):
            if not isinstance(control, TimedControl):
                continue
            last = control.start if control.end is None else control.end
            if last > num_frames - 1:
                raise InputError(
                    f"controls[{index}] runs to frame {last}, but the clip has frames 0..{num_frames - 1}: "
                    "ask for more frames or end it earlier.",
                    key="timing.beyond",
                    frame=last,
                    last=num_frames - 1,
                ).at(f"controls.{index}.end")

    @property
    def adapters(self) -> "tuple[AdapterName, ...]":
        """The adapters that the motion needs: landmark for faces, trajectory for everything else."""
        names: list[AdapterName] = ["trajectory"] if len(self.driven_faces) < len(self.controls) else []
        return (*names, "landmark") if self.driven_faces else tuple(names)

    @property
    def driven_faces(self) -> tuple[LandmarkControl, ...]:
        """The controls that drive a face."""
        return tuple(control for control in self.controls if isinstance(control, LandmarkControl))

    @property
    def num_frames(self) -> int:
        """Number of frames as far as the scene says; what drives a face may make the clip longer."""
        return self.frames or DEFAULT_FRAMES

    @property
    def frame_rate(self) -> float:
        """Frames per second as far as the scene says."""
        return self.fps or DEFAULT_FPS

    # --- Reading and writing ---

    @classmethod
    def from_data(cls, data: object, where: str = "scene") -> "AnimationRequest":
        """The request that `data` (as read from YAML or JSON) describes; InputError names what is wrong."""
        request = cls.from_call(data, where)
        if request.picture is None:
            raise InputError(f'{where}: "picture" is missing: every scene needs it.', key="photo.missing")
        return request

    @classmethod
    def from_call(cls, data: object, where: str = "call") -> "AnimationRequest":
        """The request of a caller who may have the picture in memory, and hence name none."""
        if not isinstance(data, dict):
            raise InputError(
                f"{where}: a scene is a mapping of keys to values, see docs/scene.md.", key="scene.not"
            )
        _check_letters(data, where)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise _refusal(error, where) from None
        except RecursionError:
            raise InputError(f"{where}: the scene is nested too deeply to be one.", key="scene.not") from None

    @classmethod
    def from_text(cls, text: str, where: str = "scene") -> "AnimationRequest":
        """Reads YAML (of which JSON is a part)."""
        return cls.from_data(parse_scene(text, where), where)

    @classmethod
    def from_file(cls, path: Path) -> "AnimationRequest":
        """Reads a scene file; relative paths in it start from the file's folder."""
        return cls.from_text(read_scene_text(path), str(path)).relative_to(path.parent)

    def relative_to(self, folder: Path) -> "AnimationRequest":
        """The same request with relative paths resolved against `folder`."""
        return self.with_paths(lambda path: _from_folder(folder, path))

    def with_paths(self, rename: Callable[[Path], Path]) -> "AnimationRequest":
        """The same request with `rename` applied to every path in it."""
        return _map_paths(self, rename)

    def to_data(self) -> dict[str, Any]:
        """Plain lists, dicts, numbers and strings; `from_data` takes them back."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_yaml(self) -> str:
        """The scene file's text."""
        return yaml.safe_dump(self.to_data(), sort_keys=False, allow_unicode=True, width=100)

    def to_json(self) -> str:
        """The same as JSON."""
        return json.dumps(self.to_data(), indent=2, ensure_ascii=False) + "\n"

    def beside(self, folder: Path) -> "AnimationRequest":
        """The same request with paths as a scene file in `folder` should name them.

        Files below the folder are named relative to it, so that the folder can be moved; others absolutely.
        """
        home = folder.resolve()

        def name(path: Path) -> Path:
            full = path.resolve()
            return full.relative_to(home) if full.is_relative_to(home) else full

        return self.with_paths(name)


class ResolvedRequest(AnimationRequest):
    """A request with every open question answered: it is what a run does, and what is written beside it."""

    size: Size
    frames: int = Field(ge=2, le=MAX_FRAMES)
    fps: float = Field(ge=LEAST_FPS, le=240)
    renderer: RendererName

    @property
    def steps(self) -> int:
        """Steps of motion from the photo on: a looping clip moves one further, to where it begins again."""
        return self.frames - 1 + self.loop

    def in_frames(self, frames: int) -> "ResolvedRequest":
        """The same motion in the same time in another number of frames, as nearly as whole frames allow."""
        other = self.model_copy(update={"frames": frames})
        share = other.steps / self.steps

        def retimed(control: Control) -> Control:
            if not isinstance(control, TimedControl):
                return control
            start = min(round(control.start * share), frames - 2)
            end = None if control.end is None else max(start + 1, round(control.end * share))
            return control.model_copy(update={"start": start, "end": end})

        controls = tuple(retimed(control) for control in self.controls)
        return other.model_copy(update={"fps": self.fps * share, "controls": controls})


def read_scene_text(path: Path) -> str:
    """The text of a scene file; InputError when it is missing, not text, or far too long for a scene."""
    try:
        if path.stat().st_size > 2 * LONGEST_SCENE:
            raise InputError(
                f"{path} is {path.stat().st_size >> 20} MB, too long for a scene file.", key="scene.not"
            )
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: check the scene's path.", key="scene.absent") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", key="scene.not") from None
    return scene_text(content, str(path))


def scene_text(content: bytes, where: str = "scene") -> str:
    """The text that a scene's bytes are. Raises InputError: another encoding, or no text."""
    try:
        return text_of(content, "a scene is YAML or JSON, see docs/scene.md")
    except InputError as error:
        raise InputError(f"{where}: {error}", key=error.key, **error.values) from None


def parse_face(text: str) -> int | Point:
    """A face as it is written on the command line: its number, or "x,y". Raises InputError."""
    return _said(lambda: cast("int | Point", _face(text)))


def parse_size(text: str) -> tuple[int, int]:
    """A size as it is written on the command line, "768x512". Raises InputError."""
    return _said(lambda: cast("tuple[int, int]", _size(text)))


def _said(parse: Callable[[], Parsed]) -> Parsed:
    try:
        return parse()
    except ValueError as error:
        raise InputError(f"{error}.") from None


def parse_scene(text: str, where: str) -> object:
    """YAML or JSON text as plain data; InputError where it is neither, too long, or nested too deeply."""
    if len(text) > LONGEST_SCENE:
        raise InputError(
            f"{where} is longer than {LONGEST_SCENE >> 20} MB, too long for a scene.", key="scene.not"
        )
    if text.lstrip()[:1] == "{":
        with suppress(ValueError, RecursionError):  # YAML says better what is wrong, and where
            return json.loads(text)
    try:
        _check_yaml(text)
        return yaml.load(text, Loader=YAML_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        if any(words in problem for words in ESCAPED):
            problem = BACKSLASH
        raise InputError(f"{where}{place}: not valid YAML or JSON: {problem}.", key="scene.not") from None
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError) as error:
        # Values that look like dates or numbers but are none end here; PyYAML trips over some.
        told = isinstance(error, ValueError | RecursionError) and str(error)
        said = told or "a value is none of the kind that its tag or its looks promise"
        raise InputError(f"{where}: not valid YAML or JSON: {said}.", key="scene.not") from None


BACKSLASH = "in double quotes \\ begins an escape: write a path with / (C:/Users/...) or in single quotes"
ESCAPED = ("unknown escape character", "hexdecimal", "hexadecimal")
"""What libyaml, which writes one of them so, and PyYAML say of "C:\\Users"."""
YAML_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where PyYAML was built with it: ten times as fast."""


def _check_yaml(text: str) -> None:
    """Raises a YAMLError for aliases, of which a few lines can unfold to gigabytes, and for deep nesting."""
    depth = 0
    for event in yaml.parse(text, Loader=YAML_LOADER):
        if isinstance(event, yaml.events.AliasEvent):
            raise _refused(event, "aliases are not used in scenes")
        depth += isinstance(event, yaml.events.CollectionStartEvent)
        depth -= isinstance(event, yaml.events.CollectionEndEvent)
        if depth > DEEPEST_SCENE:
            raise _refused(event, "it is nested too deeply")


def _refused(event: yaml.events.Event, problem: str) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(None, None, problem, cast("yaml.error.Mark", event.start_mark))


def _check_letters(data: object, where: str) -> None:
    """Raises InputError for halves of characters and control characters in the texts of a scene."""
    left: list[tuple[object, str]] = [(data, "")]
    while left:
        value, place = left.pop()
        match value:
            case str() if found := _NO_LETTER.search(value):
                half = found[0] >= "\ud800"
                why = "half a character is no text: write it whole" if half else BACKSLASH
                held = f"{place or 'a key'} holds {found[0]!a}"
                raise InputError(f"{where}: {held}, and {why}.", key="scene.letters").at(place)
            case dict():
                left += [(inner, f"{place}.{key}".lstrip(".")) for key, inner in value.items()]
                left += [(key, place) for key in value]  # looked at first, for places have them in
            case list() | tuple():
                left += [(inner, f"{place}.{index}".lstrip(".")) for index, inner in enumerate(value)]


_NO_LETTER = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
"""Tabs and line breaks may stand between words."""


def _from_folder(folder: Path, path: Path) -> Path:
    """Where a path of a scene in `folder` leads. Backslashes of a scene from Windows part folders here, too;
    what begins with a drive is left as it is, for no folder here has one."""
    place = folder / path
    if os.sep == "\\" or "\\" not in str(path) or os.path.exists(place):
        return place
    of_windows = PureWindowsPath(path)
    return path if of_windows.drive else folder / of_windows.as_posix()


def json_schema() -> dict[str, Any]:
    """The published JSON Schema of a scene."""
    schema = AnimationRequest.model_json_schema()
    # Only a caller from Python, who has the picture in memory, names none.
    del schema["properties"]["picture"]["default"]
    schema["required"] = ["picture", *schema["required"]]
    settings = schema["$defs"]["SvdSettings"]["properties"]
    settings["model"]["enum"], settings["densifier"]["enum"] = list(VIDEO_MODELS), list(DENSIFIERS)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "mofa scene"} | schema


def _map_paths(model: Any, rename: Any) -> Any:
    """The same model with `rename` applied to every path in it."""
    changes = {}
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, Path):
            changes[name] = rename(value)
        elif isinstance(value, BaseModel):
            changes[name] = _map_paths(value, rename)
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            changes[name] = tuple(_map_paths(item, rename) for item in value)
    return model.model_copy(update=changes)


# --- Explaining what is wrong -------------------------------------------------------------------


def _check_amount(controls: tuple[Any, ...]) -> None:
    """Raises InputError when nothing moves, or more than anybody meant."""
    if not controls:
        raise InputError(
            "nothing is asked to move: add a track, a camera move, a reference video or a driven face "
            '(for example --track "50%,50% 60%,50%").',
            key="scene.nothing",
        )
    drawn = sum(len(c.points) for c in controls if isinstance(c, TrackControl) and c.points)
    if drawn > MOST_POINTS:
        raise InputError(
            f"the tracks have {drawn} points, and {MOST_POINTS} are the most: draw fewer.",
            key="scene.many_points",
            most=MOST_POINTS,
        )


def _check_number(controls: int) -> None:
    if controls > MOST_CONTROLS:
        raise InputError(
            f"there are {controls} controls, and {MOST_CONTROLS} are the most: join some.",
            key="scene.controls",
            most=MOST_CONTROLS,
        )


BOUNDS = {
    "greater_than_equal": ("value.least", "ge"),
    "greater_than": ("value.above", "gt"),
    "less_than_equal": ("value.most", "le"),
    "less_than": ("value.below", "lt"),
}
"""pydantic's kind of problem with a number -> the key of ours, and where pydantic keeps the bound."""


def _refusal(error: ValidationError, where: str) -> InputError:
    """The first problem of a scene: in one sentence, and by key, values and place."""
    problem = _worst(error.errors(include_url=False, include_context=True))
    # A misspelt key is what somebody wrote, whatever it looks like; it stands last.
    *way, last = problem["loc"] or ("",)
    parts = [part for part in way if not _is_tag(part)]
    if problem["type"] in MISSPELT or not _is_tag(last):
        parts.append(last)
    said, place = _explain(problem, parts), ".".join(map(str, parts))
    sentence, context = f"{where}: {said}", problem.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, SettingError):
        return InputError(sentence, key=cause.key, where=place, **cause.values).at(f"{place}.{cause.setting}")
    refused = getattr(cause, "__context__", None)
    if isinstance(refused, MofaError) and refused.key:
        return InputError(sentence, key=refused.key, **refused.values).at(refused.place or place)
    if problem["type"] in BOUNDS:
        key, bound = BOUNDS[problem["type"]]
        return InputError(sentence, key=key, bound=context[bound], where=place).at(place)
    if problem["type"] == "literal_error":
        known = ", ".join(re.findall("'([^']*)'", context["expected"]))
        return InputError(sentence, key="value.choice", known=known, where=place).at(place)
    return InputError(sentence, key="scene.values", said=said, where=place or where).at(place)


def _worst(problems: Sequence[Any]) -> Any:
    """The problem to speak of. A misspelt key also makes the right one missing: what is there is named,
    unless one of the forms that the value may have knows it."""
    unknown = {p["loc"] for p in problems if p["type"] in MISSPELT}
    forms: dict[tuple[int | str, ...], set[tuple[int | str, ...]]] = {}
    for form in (p["loc"][:-1] for p in problems):
        forms.setdefault(_untagged(form), set()).add(form)
    misspelt = [
        p
        for p in problems
        if p["loc"] in unknown
        and all((*form, p["loc"][-1]) in unknown for form in forms[_untagged(p["loc"][:-1])])
    ]
    values = [p for p in problems if p["type"] not in (*MISSPELT, "missing")]
    return (*misspelt, *values, *problems)[0]


def _untagged(place: Sequence[int | str]) -> tuple[int | str, ...]:
    """A place without the names of the forms that were tried there."""
    return tuple(part for part in place if not _is_tag(part))


def _explain(problem: Mapping[str, Any], place: Sequence[int | str]) -> str:
    """A problem in one sentence: where, what, what to do."""
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    kind, value = problem["type"], problem.get("input")
    if kind in MISSPELT:
        meant = nearest(str(place[-1])[:100], _keys_at(problem["loc"]))
        return f'"{where}" is not a known key: did you mean "{meant}"?'
    if kind == "missing":
        return f'"{where}" is missing: every scene needs it.'
    if kind == "union_tag_not_found":
        return f"{where} needs a kind: {', '.join(KINDS)}."
    if kind == "union_tag_invalid":
        given = value.get("kind") if isinstance(value, dict) else value
        return f'{where} needs a kind, {given!r} is none: did you mean "{nearest(str(given), KINDS)}"?'
    if kind == "path_type":
        return f"{where}: {_short(value)} is no path: write the file's name as text."
    if kind == "literal_error":
        return f"{where}: {value!r} is not allowed here: use {problem['ctx']['expected']}."
    message = problem["msg"].removeprefix("Value error, ")
    if kind != "value_error":
        message = f"{message[0].lower()}{message[1:]}, not {_short(value)}"
    end = "" if message.endswith((".", "?")) else "."
    return shortened(f"{where}: {message}{end}" if where else f"{message}{end}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


MISSPELT = ("extra_forbidden", "unexpected_keyword_argument")
KINDS = ("track", "transform", "sway", "still", "camera", "reference", "landmarks")
_TAGS = (*KINDS, "MaskRegion", "SelectedRegion", "BorderRegion")


def _is_tag(part: int | str) -> bool:
    return isinstance(part, str) and (part in _TAGS or "[" in part or part in ("str", "float"))


def _keys_at(place: tuple[int | str, ...]) -> list[str]:
    """The keys that are known where an error's location says one is not, following unions by their tags."""
    if place[0] == "diffusion":
        return [field.name for entry in VIDEO_MODELS.values() for field in fields(entry.settings)]
    models: list[type[BaseModel]] = [AnimationRequest]
    for part in place[:-1]:
        found = [
            inner
            for model in models
            if part in model.model_fields
            for inner in _models_in(model.model_fields[str(part)].annotation)
        ]
        tagged = [m for m in models if part in (m.__name__, _kind(m))]
        models = found or tagged or models
    return list(models[0].model_fields)


def _kind(model: type[BaseModel]) -> object:
    return model.model_fields["kind"].default if "kind" in model.model_fields else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if get_origin(annotation) in (Union, types.UnionType, tuple, Annotated):
        return [model for part in get_args(annotation) for model in _models_in(part)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []
