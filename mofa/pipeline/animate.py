"""One request, end to end: picture in, clip out."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from mofa.errors import InputError
from mofa.media.image import load_source
from mofa.pipeline.engine import Engine, build_engine, default_renderer
from mofa.pipeline.face_inputs import length_of, sound_of
from mofa.pipeline.inputs import Inputs, read_inputs
from mofa.pipeline.plan import PlannedMotion, place_drawn, plan_motion
from mofa.pipeline.request import AnimationRequest, ResolvedRequest
from mofa.tensors.geometry import fit_crop, shrunk
from mofa.types import Clip, Progress, SourceImage, Waveform, silent

LOG = logging.getLogger(__name__)
DEFAULT_LONG_SIDE = 1280


@dataclass(frozen=True)
class AnimationResult:
    """What a run made: the clip (None when only the motion was asked for), and how it came about."""

    source: SourceImage
    motion: PlannedMotion
    clip: Clip | None
    settings: ResolvedRequest
    sound: Waveform | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """Plain facts for a log or a caller in another language."""
        _, height, width = self.source.pixels.shape
        return {
            "renderer": self.settings.renderer,
            "width": width,
            "height": height,
            "frames": None if self.clip is None else len(self.clip.frames),
            "fps": self.settings.fps,
            "sound": self.sound is not None,
            "notes": list(self.motion.notes),
            "seconds": {stage: round(spent, 3) for stage, spent in self.seconds.items()},
        }


def animate(
    request: AnimationRequest,
    inputs: Inputs | None = None,
    progress: Progress = silent,
    engine: Engine | None = None,
) -> AnimationResult:
    """The clip that a request describes. Writes nothing: see pipeline.outputs for that.

    `inputs` is what the request names, where it has been read or is in memory (see pipeline.inputs), and is
    read where not. `engine` can be kept between calls, so that weights are loaded once. Raises a MofaError
    whose message is one sentence for the person who made the request.
    """
    planned, engine = _planned(request, inputs, progress, engine)
    seconds = dict(planned.seconds)
    with _timed("render", seconds):
        frames = torch.stack(
            list(engine.render(planned.source, planned.motion.plan, planned.settings, progress))
        )
    clip = Clip(frames, planned.settings.fps, planned.sound)
    return AnimationResult(planned.source, planned.motion, clip, planned.settings, planned.sound, seconds)


def plan(
    request: AnimationRequest,
    inputs: Inputs | None = None,
    progress: Progress = silent,
    engine: Engine | None = None,
) -> AnimationResult:
    """Everything of `animate` up to the motion: the instant preview."""
    return _planned(request, inputs, progress, engine)[0]


def _planned(
    request: AnimationRequest, inputs: Inputs | None, progress: Progress, engine: Engine | None
) -> tuple[AnimationResult, Engine]:
    seconds: dict[str, float] = {}
    with _timed("read", seconds):
        inputs = read_inputs(request, progress) if inputs is None else inputs
        settings = resolve(request, inputs)
        original = inputs.original
        crop = fit_crop(original.width, original.height, *settings.size, settings.fit)
        source = load_source(original.pixels, crop)
        drawn = place_drawn(settings, inputs, source)
    # Whatever is wrong with the request has been told by now: networks may take minutes to load.
    engine = engine or build_engine(settings)
    with _timed("plan", seconds):
        motion = plan_motion(
            settings,
            inputs,
            source,
            drawn,
            engine.densify,
            engine.estimate_flow,
            progress,
            engine.spread_face,
        )
    sound = sound_of(inputs.drives, settings.frames, settings.fps)
    return AnimationResult(source, motion, None, settings, sound, seconds), engine


def resolve(request: AnimationRequest, inputs: Inputs) -> ResolvedRequest:
    """The request with every open question answered by what it names.

    A clip without a length of its own is as long as what drives its faces. Raises InputError when a control
    runs beyond it.
    """
    original = inputs.original
    frames, fps = length_of(request, inputs.drives)
    try:
        request.check_ends(frames)
    except ValueError as error:
        raise InputError(f"{error}.") from None
    settled = {
        "size": request.size or shrunk(original.width, original.height, DEFAULT_LONG_SIDE),
        "renderer": request.renderer or default_renderer(request),
        "frames": frames,
        "fps": fps,
    }
    return ResolvedRequest.model_validate(dict(request) | settled)


@contextmanager
def _timed(stage: str, seconds: dict[str, float]) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - begin
    LOG.info("%s took %.2f s", stage, seconds[stage])
