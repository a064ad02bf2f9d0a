"""Moving pictures in: any container, GIF, animated WebP."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import Interpolation
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from torch import Tensor

from mofa.errors import InputError, MofaError
from mofa.media.image import SELF_CONTAINED, open_file, open_quietly
from mofa.tensors.geometry import shrunk
from mofa.types import Clip, Progress, silent

# Without these flags libav rounds every colour down.
_EXACT_COLOURS = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_MOVING_PICTURES = ("GIF", "WEBP", "PNG", "AVIF")


def read_video(
    path: Path,
    max_frames: int | None = None,
    progress: Progress = silent,
    long_side: int | None = None,
) -> Clip:
    """The first `max_frames` frames (None: all) of any video, GIF or animated WebP, upright, without sound.

    `fps` is the average rate. Frames are taken as they come, one per coded frame; larger ones are
    shrunk until their long side is `long_side` pixels, which spares memory.

    Raises InputError: missing, a folder, empty, a still picture, no video in it, or damaged from the
    start (a video that breaks off later gives the frames before the break).
    """
    with open_file(path, "video") as file:
        try:
            picture = open_quietly(file)
        except Exception:  # Pillow does not know it: a video, or nothing at all
            picture = None
        if picture is not None:
            with picture:
                return _read_moving_picture(picture, path, max_frames, progress, long_side)
    return _read_container(path, max_frames, progress, long_side)


def video_seconds(path: Path) -> float:
    """How long the video at `path` lasts, from its header; 0 where that does not say.

    Raises InputError: missing, a folder, empty, or no video.
    """
    with _opened(path) as container:
        return (container.duration or 0) / av.time_base


def _read_moving_picture(
    picture: Image.Image, path: Path, max_frames: int | None, progress: Progress, long_side: int | None
) -> Clip:
    count = _number_of_frames(picture)
    if picture.format not in _MOVING_PICTURES or (count == 1 and picture.format != "GIF"):
        raise InputError(f"{path} is a still picture; give a video, a GIF or an animated WebP.")
    total = min(count, max_frames or count)
    frames, milliseconds = [], []
    try:
        for image in islice(ImageSequence.Iterator(picture), total):
            frame = image.convert("RGB")
            frames.append(np.array(frame.resize(_within(frame.width, frame.height, long_side))))
            milliseconds.append(float(image.info.get("duration") or 100))
            progress("reading", len(frames), total)
    except (MofaError, MemoryError):
        raise
    except Exception as error:  # foreign bytes: Pillow stumbles over them in many ways
        if not frames:
            raise InputError(f"The video {path} is damaged; save or download it again.") from error
    fps = 1000 * len(frames) / sum(milliseconds[: len(frames)])
    return Clip(frames=_stacked(frames), fps=fps)


def _number_of_frames(picture: Image.Image) -> int:
    """Frames of a moving picture; of one that breaks off, those before the break, at least 1."""
    with suppress(Exception):  # foreign bytes: Pillow counts whole files only
        return int(getattr(picture, "n_frames", 1))
    count = 1
    with suppress(Exception):
        while True:
            picture.seek(count)
            count += 1
    return count


def _read_container(path: Path, max_frames: int | None, progress: Progress, long_side: int | None) -> Clip:
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        total = min(stream.frames or max_frames or 0, max_frames or stream.frames)
        frames: list[NDArray[np.uint8]] = []
        try:
            for frame in islice(container.decode(stream), max_frames):
                width, height = _within(frame.width, frame.height, long_side)
                pixels = frame.to_ndarray(
                    format="rgb24", interpolation=_EXACT_COLOURS, width=width, height=height
                )
                upright = np.rot90(pixels, round(frame.rotation / 90))
                frames.append(np.ascontiguousarray(upright, dtype=np.uint8))
                progress("reading", len(frames), max(total, len(frames)))
        except (av.FFmpegError, ValueError, OSError) as error:
            if not frames:
                raise InputError(f"The video {path} is damaged; save or download it again.") from error
        rate = stream.average_rate or stream.guessed_rate or stream.base_rate
    if not frames:
        raise InputError(f"The video {path} holds no frames; give another file.")
    return Clip(frames=_stacked(frames), fps=float(rate or 25))


@contextmanager
def _opened(path: Path) -> Iterator[av.container.InputContainer]:
    """The container at `path`, which has moving pictures in it; every complaint names `path`."""
    with open_file(path, "video") as file:
        try:
            container = av.open(file, "r", options=SELF_CONTAINED)
        except (av.FFmpegError, ValueError, OSError) as error:
            raise InputError(f"{path} cannot be read as a video; save it as MP4 or GIF.") from error
        with container:
            if not container.streams.video:
                raise InputError(f"{path} holds no video; give a file with moving pictures in it.")
            yield container


def _within(width: int, height: int, long_side: int | None) -> tuple[int, int]:
    return (width, height) if long_side is None else shrunk(width, height, long_side)


def _stacked(frames: list[NDArray[np.uint8]]) -> UInt8[Tensor, "T 3 H W"]:
    """Frames of another size than the first (streams may change it) are left out."""
    same = [frame for frame in frames if frame.shape == frames[0].shape]
    return torch.from_numpy(np.stack(same)).permute(0, 3, 1, 2).contiguous()
