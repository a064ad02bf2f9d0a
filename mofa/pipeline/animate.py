"""One request, end to end: picture in, clip out."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from mofa.media.image import load_source
from mofa.pipeline.engine import EngineMaker, Engines, default_renderer
from mofa.pipeline.face_inputs import length_of, sound_of
from mofa.pipeline.inputs import Inputs, read_inputs
from mofa.pipeline.parts import Engine
from mofa.pipeline.plan import PlannedMotion, place_drawn, plan_motion
from mofa.pipeline.request import MAX_SIDE, AnimationRequest, ResolvedRequest
from mofa.pipeline.tables import RENDERERS
from mofa.pipeline.things import sense_or_note
from mofa.tensors.alpha import on_white
from mofa.tensors.geometry import fit_crop, shrunk
from mofa.types import Clip, Progress, SourceImage, Waveform, silent

LOG = logging.getLogger(__name__)
DEFAULT_LONG_SIDE = 1280
"""Of the warp renderer's clips where no size is asked for: a photo larger than that takes minutes."""


Render = Callable[[], Iterator[UInt8[Tensor, "C H W"]]]
"""Called, makes a clip's frames one after another, with straight alpha where the clip keeps it."""


@dataclass(frozen=True, kw_only=True)
class Animation:
    """A clip that is ready to be made: its motion is planned, its frames come when they are asked for.

    `render` is None where only the motion was asked for. `seconds` says how long each stage took.
    """

    source: SourceImage
    motion: PlannedMotion
    settings: ResolvedRequest
    sound: Waveform | None = None
    render: Render | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def frames(self) -> Iterator[UInt8[Tensor, "3 H W"]]:
        """The frames as they are made, none of them kept; none at all where only the motion was asked for."""
        yield from map(on_white, self.frames_with_alpha())

    def frames_with_alpha(self) -> Iterator[UInt8[Tensor, "C H W"]]:
        """`frames`, with straight alpha as a fourth channel where the photo and the clip's form have it."""
        if self.render is None:
            return
        self.seconds["render"] = 0.0
        frames = self.render()
        while True:
            begin = time.perf_counter()
            frame = next(frames, None)
            self.seconds["render"] += time.perf_counter() - begin
            if frame is None:
                LOG.info("render took %.2f s", self.seconds["render"])
                return
            yield frame

    def summary(self) -> dict[str, Any]:
        """Plain facts for a log or a caller in another language."""
        _, height, width = self.source.pixels.shape
        return {
            "renderer": self.settings.renderer,
            "width": width,
            "height": height,
            "frames": None if self.render is None else self.settings.frames,
            "fps": self.settings.fps,
            "sound": self.sound is not None,
            "moved": self.motion.remarks.moved,
            "notes": list(self.motion.notes),
            "seconds": {stage: round(spent, 3) for stage, spent in self.seconds.items()},
        }


@dataclass(frozen=True, kw_only=True)
class AnimationResult(Animation):
    """An animation whose frames have been made and kept."""

    clip: Clip


def prepare(
    request: AnimationRequest,
    inputs: Inputs | None = None,
    progress: Progress = silent,
    make_engine: EngineMaker | None = None,
) -> Animation:
    """Everything of `animate` up to the first frame: for those who take frames as they come.

    `inputs` is what the request names, where it has been read or is in memory (see pipeline.inputs), and is
    read where not. Networks are built for this call alone, unless `make_engine` is that of `Engines` which
    are kept between calls. Raises a MofaError whose message is one sentence for the person who made the
    request; `frames` may raise one, too.
    """
    planned, engine = _planned(request, inputs, progress, make_engine)
    render = partial(engine.render, planned.source, planned.motion.plan, progress)
    return replace(planned, render=render)


def animate(
    request: AnimationRequest,
    inputs: Inputs | None = None,
    progress: Progress = silent,
    make_engine: EngineMaker | None = None,
) -> AnimationResult:
    """The clip that a request describes, whole in memory: `prepare` says what is asked of a caller.

    Writes nothing: see pipeline.outputs for that.
    """
    animation = prepare(request, inputs, progress, make_engine)
    frames = torch.stack(list(animation.frames()))
    clip = Clip(frames, animation.settings.fps, animation.sound)
    kept = {part.name: getattr(animation, part.name) for part in fields(animation)}
    return AnimationResult(**kept | {"render": lambda: iter(frames)}, clip=clip)


def plan(
    request: AnimationRequest,
    inputs: Inputs | None = None,
    progress: Progress = silent,
    make_engine: EngineMaker | None = None,
) -> Animation:
    """The motion alone: the instant preview."""
    return _planned(request, inputs, progress, make_engine)[0]


def _planned(
    request: AnimationRequest, inputs: Inputs | None, progress: Progress, make_engine: EngineMaker | None
) -> tuple[Animation, Engine]:
    seconds: dict[str, float] = {}
    with _timed("read", seconds):
        inputs = read_inputs(request, progress) if inputs is None else inputs
        settings = resolve(request, inputs)
        original = inputs.original
        crop = fit_crop(original.width, original.height, *settings.size, settings.fit)
        source = load_source(original.pixels, crop, original.alpha)
        sense, damaged = sense_or_note()
        drawn = place_drawn(settings, inputs, source, sense)
    # Whatever is wrong with the request has been told by now: networks may take minutes to load.
    engine = (make_engine or Engines().engine)(settings)
    with _timed("plan", seconds):
        motion = plan_motion(
            settings,
            inputs,
            source,
            drawn,
            engine.densify,
            engine.estimate_flow,
            engine.speak,
            progress,
            engine.spread_face,
            sense if RENDERERS[settings.renderer].densifier(settings) == "things" else None,
        )
        if damaged is not None:
            motion = replace(motion, notes=(damaged, *motion.notes))
    sound = sound_of(inputs.drives, settings.frames, settings.fps)
    planned = Animation(source=source, motion=motion, settings=settings, sound=sound, seconds=seconds)
    return planned, engine


def resolve(request: AnimationRequest, inputs: Inputs) -> ResolvedRequest:
    """The request with every open question answered by what it names; a resolved one stays as it is.

    A clip without a length of its own is as long as what drives its faces. Raises InputError when a control
    runs beyond it.
    """
    if isinstance(request, ResolvedRequest):
        return request
    original = inputs.original
    frames, fps = length_of(request, inputs.drives)
    request.check_ends(frames)
    settled = {
        "size": request.size or size_for(request, original.width, original.height),
        "renderer": request.renderer or default_renderer(request),
        "frames": frames,
        "fps": fps,
    }
    return ResolvedRequest.model_validate(dict(request) | settled)


def size_for(request: AnimationRequest, width: int, height: int) -> tuple[int, int]:
    """The clip's size for a picture of this one, where the scene gives none."""
    if request.short_side is None:
        return shrunk(width, height, DEFAULT_LONG_SIDE)
    scale = min(request.short_side / min(width, height), MAX_SIDE / max(width, height))
    return round(width * scale), round(height * scale)


@contextmanager
def _timed(stage: str, seconds: dict[str, float]) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - begin
    LOG.info("%s took %.2f s", stage, seconds[stage])
