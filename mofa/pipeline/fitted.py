"""The diffusion renderer run in a way that the memory bears: by what is free, and lower where that fails."""

import logging
from collections.abc import Callable, Iterator
from itertools import chain

from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.devices import free_memory, product_rate
from mofa.errors import OutOfMemory
from mofa.pipeline.networks import Running
from mofa.pipeline.parts import Render
from mofa.renderers.diffusion.fitting import Notch, Work, expected_seconds, fitting
from mofa.renderers.diffusion.settings import DiffusionSettings
from mofa.types import MotionPlan, Progress, SourceImage

LOG = logging.getLogger(__name__)
RATE_SIDE = 1024
"""Of the matrices whose product tells how fast a device is: a fraction of a second on any."""


def fitted_render(settings: DiffusionSettings, make: Callable[[DiffusionSettings], Render]) -> Render:
    """A renderer that is made, by `make`, with settings that fit into the free memory.

    It says in the log what it chose and about how long that takes. Where memory runs out all the same, before
    there is a first frame, it goes on with the next thriftier way; after the last one OutOfMemory remains.
    """

    def render(
        source: SourceImage, plan: MotionPlan, progress: Progress, /
    ) -> Iterator[UInt8[Tensor, "3 H W"]]:
        running = Running.of(settings)
        work = work_of(source.pixels, plan, settings)
        ways = fitting(free_memory(running.device), work, running.dtype, running.device)
        for way in ways:
            LOG.warning("%s", choice_in_words(way, settings, work, running))
            try:
                frames = iter(make(way.applied(settings))(source, plan, progress))
                first = next(frames)
            except OutOfMemory:
                if way is ways[-1]:
                    raise
                LOG.warning("memory ran out all the same: once more with less at once")
                continue
            yield from chain([first], frames)
            return

    return render


def work_of(picture: Float[Tensor, "3 H W"], plan: MotionPlan, settings: DiffusionSettings) -> Work:
    """What a clip asks of a machine."""
    height, width = picture.shape[1:]
    adapters = len({branch.adapter for branch in plan.branches}) if settings.adapters else 0
    return Work(width, height, min(plan.num_frames, settings.window), adapters)


def choice_in_words(way: Notch, settings: DiffusionSettings, work: Work, running: Running) -> str:
    """What was chosen, and how long it may take."""
    rate = product_rate(RATE_SIDE, running.device, running.dtype)
    minutes = expected_seconds(settings, work, rate) / 60
    time = f"{minutes:.0f} minutes" if minutes >= 1.5 else f"{60 * minutes:.0f} seconds"
    return f"chosen by the free memory: {way}; {work.frames} frames may take {time}"
