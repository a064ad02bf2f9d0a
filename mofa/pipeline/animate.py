"""One request, end to end: picture in, clip out."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mofa.errors import InputError
from mofa.media.image import load_source, read_picture
from mofa.pipeline.engine import Engine, build_engine, default_renderer
from mofa.pipeline.faces import Drives, length_of, read_drives, sound_of
from mofa.pipeline.original import Original
from mofa.pipeline.plan import PlannedMotion, plan_motion
from mofa.pipeline.request import AnimationRequest
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
    settings: AnimationRequest
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
    progress: Progress = silent,
    engine: Engine | None = None,
    original: Original | None = None,
) -> AnimationResult:
    """The clip that a request describes. Writes nothing: see pipeline.outputs for that.

    `engine` can be kept between calls, so that weights are loaded once; `original` is the picture where it
    is at hand already, and is read from `request.picture` where not. Raises a MofaError whose
    message is one sentence for the person who made the request.
    """
    planned, engine = _planned(request, progress, engine, original)
    seconds = dict(planned.seconds)
    with _timed("render", seconds):
        frames = engine.render(planned.source, planned.motion.plan, planned.settings, progress)
    clip = Clip(frames, planned.settings.frame_rate, planned.sound)
    return AnimationResult(planned.source, planned.motion, clip, planned.settings, planned.sound, seconds)


def plan(
    request: AnimationRequest, progress: Progress = silent, engine: Engine | None = None
) -> AnimationResult:
    """Everything of `animate` up to the motion: the instant preview."""
    return _planned(request, progress, engine, None)[0]


def _planned(
    request: AnimationRequest, progress: Progress, engine: Engine | None, original: Original | None
) -> tuple[AnimationResult, Engine]:
    seconds: dict[str, float] = {}
    with _timed("read", seconds):
        original = original or Original(read_picture(request.picture))
        drives = read_drives(request, progress)
        settings = resolve(request, original.width, original.height, drives)
        assert settings.size is not None
        crop = fit_crop(original.width, original.height, *settings.size, settings.fit)
        source = load_source(original.pixels, crop)
    engine = engine or build_engine(settings)
    with _timed("plan", seconds):
        motion = plan_motion(
            settings,
            original,
            source,
            engine.densify,
            engine.estimate_flow,
            progress,
            engine.spread_face,
            drives,
        )
    sound = sound_of(drives, *length_of(settings, drives))
    return AnimationResult(source, motion, None, settings, sound, seconds), engine


def resolve(
    request: AnimationRequest, width: int, height: int, drives: Drives | None = None
) -> AnimationRequest:
    """The request with every open question answered, for a picture of width x height.

    A clip without a length of its own is as long as what drives its faces. Raises InputError when a control
    runs beyond it.
    """
    size = request.size
    if size is None:
        size = shrunk(width, height, DEFAULT_LONG_SIDE)
    frames, fps = length_of(request, drives or {})
    try:
        request.check_ends(frames)
    except ValueError as error:
        raise InputError(f"{error}.") from None
    renderer = request.renderer or default_renderer(request)
    return request.model_copy(update={"size": size, "renderer": renderer, "frames": frames, "fps": fps})


@contextmanager
def _timed(stage: str, seconds: dict[str, float]) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - begin
    LOG.info("%s took %.2f s", stage, seconds[stage])
