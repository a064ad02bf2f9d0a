"""A few frames from anywhere in a video, quickly: what training reads."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from mofa.errors import InputError
from mofa.media.containers import DAMAGE
from mofa.media.image import SELF_CONTAINED
from mofa.types import CropBox

EARLY = 0.25
"""Of a frame: times are rounded, and a frame that begins this much after its moment still belongs to it."""


@dataclass(frozen=True)
class VideoFacts:
    """What a video's header says: mean frames per second, how long it lasts, and its coded size."""

    fps: float
    seconds: float
    width: int
    height: int


def video_facts(source: Path | BytesIO, name: str) -> VideoFacts:
    """The facts of a video, without decoding it; raises InputError for what is none."""
    try:
        with _opened(source) as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or stream.base_rate or 0)
            seconds = _seconds(container, stream)
            width, height = stream.codec_context.width, stream.codec_context.height
    except (*DAMAGE, IndexError) as error:
        raise InputError(f"{name} is no video that can be read ({error}).") from error
    if rate <= 0 or seconds <= 0 or width <= 0:
        raise InputError(f"{name} does not say how long or how large it is.")
    return VideoFacts(rate, seconds, width, height)


def read_clip(
    source: Path | BytesIO, moments: Sequence[float], crop: CropBox, name: str
) -> UInt8[Tensor, "T 3 H W"]:
    """The frames that are shown at these moments (rising, seconds from the first frame), at the crop's size.

    `crop` is a window of the coded picture; its scales may differ. Decoding begins at the key frame before
    the first moment. Raises InputError where the video is damaged or ends too early.
    """
    try:
        with _opened(source) as container:
            frames = _decoded(container, moments, crop)
    except (*DAMAGE, IndexError) as error:
        raise InputError(f"{name} cannot be read at {moments[0]:.2f} s ({error}).") from error
    if len(frames) < len(moments):
        raise InputError(f"{name} ends before {moments[-1]:.2f} s, though its header promises more.")
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()


@contextmanager
def _opened(source: Path | BytesIO) -> Iterator[av.container.InputContainer]:
    # Libav is handed an open file and no name: it then opens nothing else.
    with ExitStack() as stack:
        file = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
        yield stack.enter_context(av.open(file, "r", options=SELF_CONTAINED))


def _seconds(container: av.container.InputContainer, stream: av.video.stream.VideoStream) -> float:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else 0.0


def _decoded(
    container: av.container.InputContainer, moments: Sequence[float], crop: CropBox
) -> list[np.ndarray]:
    stream = container.streams.video[0]
    stream.thread_type = "SLICE"
    base, rate = stream.time_base, float(stream.average_rate or 25)
    assert base is not None
    begin = stream.start_time or 0
    if moments[0] > 0:
        container.seek(begin + int(moments[0] / base), stream=stream, backward=True)
    frames: list[np.ndarray] = []
    latest: av.VideoFrame | None = None
    for frame in container.decode(stream):
        time = float((frame.pts or 0) - begin) * float(base)
        # Everything that shows before this frame begins is what the frame before it shows.
        while len(frames) < len(moments) and moments[len(frames)] + EARLY / rate < time:
            frames.append(_cut(latest or frame, crop))
        if len(frames) == len(moments):
            return frames
        latest = frame
    # The last frame is shown for its own time, and no longer.
    if latest is not None:
        end = float((latest.pts or 0) - begin) * float(base) + 1 / rate
        while len(frames) < len(moments) and moments[len(frames)] < end:
            frames.append(_cut(latest, crop))
    return frames


def _cut(frame: av.VideoFrame, crop: CropBox) -> np.ndarray:
    """The crop of a frame: the whole scaled, then cut, which is what libswscale does fastest."""
    width, height = round(frame.width * crop.scale_x), round(frame.height * crop.scale_y)
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    left = min(round(crop.left * crop.scale_x), width - crop.working_width)
    top = min(round(crop.top * crop.scale_y), height - crop.working_height)
    return pixels[max(0, top) :, max(0, left) :][: crop.working_height, : crop.working_width]
