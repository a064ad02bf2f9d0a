"""Moving pictures in: any container, GIF, animated WebP."""

import io
import math
from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal, cast

import av
import numpy as np
import torch
from av.sidedata.sidedata import SideData
from av.video.reformatter import Interpolation
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from mofa.errors import InputError, MofaError
from mofa.media.containers import (
    DAMAGE,
    WITH_SOUND,
    Extent,
    moving_pictures,
    opened,
    riff_bytes,
    sound,
    start_of,
)
from mofa.media.gif import gif_extent
from mofa.media.image import SELF_CONTAINED, open_file, open_quietly
from mofa.tensors.geometry import shrunk
from mofa.types import Clip, Note, Progress, silent, unsaid

# Without these flags libav rounds every colour down.
_EXACT_COLOURS = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_MOVING_PICTURES = ("GIF", "WEBP", "PNG", "AVIF")

LARGEST_ANIMATION = 20_000_000
"""Pixels of a GIF, an animated WebP or PNG, whose decoding takes twenty bytes for each."""
LARGEST_FRAME = 50_000_000
"""Pixels of a frame: 8K has 33 million. Decoded to bytes, such a frame takes 150 MB."""
MOST_BYTES = 4_000_000_000
"""Of all decoded frames that `read_video` holds at once."""
GROWN_BY = 64_000_000
"""Bytes by which the room for frames grows: chosen so that what is left over is little beside the rest."""
FASTEST = 60.0
"""Frames per second that are made of frames at irregular times; screens rarely show more."""
STEADY = 0.5
"""Of a frame's duration: frames that are nowhere further from a steady beat have one."""
SOONEST_GIF = 20.0
"""Milliseconds: browsers show frames of a GIF with a shorter delay for `HASTY_GIF` instead."""
HASTY_GIF = 100.0
WIDEST_PIXEL = 8.0
"""Width to height of a coded pixel; beyond it a file is taken not to mean it."""

Media = Literal["picture", "video", "sound"]


@dataclass(frozen=True)
class Frame:
    """A picture of a video and when it is shown, in seconds from the file's time 0, at which the first of its
    streams begins: sound read by `media.audio` has the same."""

    pixels: UInt8[np.ndarray, "H W 3"]
    start: float
    end: float


def video_frames(
    path: Path, long_side: int | None = None, progress: Progress = silent, note: Note = unsaid
) -> Generator[Frame]:
    """The coded frames of any video, GIF or animated WebP, one by one, upright, square pixels.

    Frames that are larger are shrunk until their long side is `long_side` pixels; where a stream changes
    its size on the way, later frames are scaled to the first. `note` is told where a file breaks off.

    Raises InputError: missing, a folder, empty, a still picture, no video in it, larger than `LARGEST_FRAME`
    or `LARGEST_ANIMATION`, or damaged from the start (one that breaks off later gives the frames before).
    """
    with open_file(path, "video") as file:
        extent = gif_extent(file)
        try:
            picture = _as_picture(file)
        except Image.DecompressionBombError:
            raise InputError(_too_many_pixels(path, LARGEST_ANIMATION), key="file.pixels") from None
        except Exception:  # Pillow does not know it: a video, or nothing at all
            picture = None
        if picture is not None:
            with picture:
                yield from _of_picture(picture, extent, path, long_side, progress, note)
            return
    yield from _of_container(path, long_side, progress, note)


def read_video(
    path: Path,
    max_frames: int | None = None,
    progress: Progress = silent,
    long_side: int | None = None,
    note: Note = unsaid,
) -> Clip:
    """A video at a steady rate from its first picture on, at most `max_frames` (None: all), without sound.

    Frames at a steady beat come as they are coded. Of others each moment shows the frame that is on the
    screen then, at the rate of the fastest stretch (at most `FASTEST`): a face's lips keep their time.

    Raises InputError as `video_frames` does, and beyond `MOST_BYTES`.
    """
    starts: list[float] = []
    end = 0.0
    # Each frame goes where it stays: a list of them would have to be copied once more, as a whole.
    held = np.empty((0, 3, 1, 1), np.uint8)
    with closing(video_frames(path, long_side, progress, note)) as coded:
        for frame in islice(coded, max_frames):
            if len(starts) == len(held):
                height, width, _ = frame.pixels.shape
                room = len(held) + max(1, GROWN_BY // frame.pixels.nbytes)
                held.resize((room, 3, height, width), refcheck=False)
            held[len(starts)] = frame.pixels.transpose(2, 0, 1)
            starts.append(frame.start)
            end = frame.end
            if len(starts) * frame.pixels.nbytes > MOST_BYTES:
                raise InputError(_too_long(path), key="video.long")
    fps, shown = evenly(starts, end)
    shown = shown[:max_frames]
    if len(shown) * held[0].nbytes > MOST_BYTES:
        raise InputError(_too_long(path), key="video.long")
    held = held[: len(starts)] if shown == list(range(len(starts))) else held[shown]
    return Clip(frames=torch.from_numpy(held), fps=fps)


def evenly(starts: Sequence[float], end: float) -> tuple[float, list[int]]:
    """A steady rate for frames that begin at `starts` and end at `end` (seconds), and which of them each
    moment of it shows, from the first one's beginning on.

    The rate is the mean one where no frame is further than `STEADY` from that beat, and each frame is then
    shown once; else that of the fastest tenth, at most `FASTEST` unless they are so many.
    """
    count, length = len(starts), end - starts[0]
    mean = count / length if length > 0 else 25.0
    times = np.asarray(starts) - starts[0]
    if length <= 0 or np.abs(times * mean - np.arange(count)).max() <= STEADY:
        return _usual(mean), list(range(count))
    lasting = np.diff([*times, length])
    fastest = 1 / np.quantile(lasting[lasting > 1e-6], 0.1)
    rate = _usual(max(mean, min(fastest, FASTEST)))
    # Times are rounded, by containers and by us: a quarter of a frame early is still that frame.
    moments = (np.arange(max(1, math.ceil(length * rate - 0.25))) + 0.25) / rate
    return rate, [max(0, bisect_right(times, moment) - 1) for moment in moments.tolist()]


def _usual(rate: float) -> float:
    """The rate that was meant, where one of the usual ones (whole, or NTSC's 1000/1001) is near: containers
    round times to milliseconds."""
    candidates = (round(rate), round(rate * 1.001) / 1.001)
    near = min(candidates, key=lambda usual: abs(usual - rate))
    return float(near) if near and abs(near - rate) < 0.002 * rate else float(rate)


def video_seconds(path: Path) -> float:
    """How long the video at `path` lasts, measured without decoding it where its header does not say.

    Raises InputError: missing, a folder, empty, or no video.
    """
    # What Pillow does not know is a container.
    with open_file(path, "video") as file, suppress(Exception):
        largest = math.prod(gif_extent(file))
        with _as_picture(file) as picture:
            largest = max(largest, picture.width * picture.height)
            if picture.format in _MOVING_PICTURES and largest <= LARGEST_ANIMATION:
                return sum(_durations(picture)) / 1000
    with _video(path) as (container, extent):
        stream = moving_pictures(container)
        if stream is None:
            raise InputError(
                f"{path} holds no video; give a file with moving pictures in it.", key="video.none"
            )
        coded, _ = extent.read_through(stream)
        end = max(extent.reached, (container.duration or 0) / av.time_base)
        return end or coded / float(stream.average_rate or stream.guessed_rate or 25)


def media_of(path: Path) -> Media | None:
    """What the file at `path` is by its content, whatever its name; None where it is none of these.

    Raises InputError: missing, a folder, or empty.
    """
    with open_file(path, "file") as file, suppress(Exception), _as_picture(file) as picture:
        return "video" if _moves(picture) else "picture"
    with suppress(InputError), opened(path, "file", WITH_SOUND, "is none.") as (container, _):
        if moving_pictures(container) is not None:
            return "video"
        return "sound" if sound(container) is not None else None
    return None


# --- GIF and its like, which Pillow reads ---


def _of_picture(
    picture: Image.Image,
    extent: tuple[int, int],
    path: Path,
    long_side: int | None,
    progress: Progress,
    note: Note,
) -> Iterator[Frame]:
    if not _moves(picture):
        raise InputError(
            f"{path} is a still picture; give a video, a GIF or an animated WebP.", key="video.still"
        )
    _check_size(*picture.size, path, LARGEST_ANIMATION)
    _check_size(*extent, path, LARGEST_ANIMATION)
    total = _number_of_frames(picture)
    start, index = 0.0, 0
    size: tuple[int, int] | None = None  # a GIF grows by frames that lie outside
    try:
        for index, image in enumerate(ImageSequence.Iterator(picture), start=1):
            frame = image.convert("RGB")
            size = size or _within(frame.width, frame.height, long_side)
            pixels = np.array(frame.resize(size))
            end = start + _milliseconds(image) / 1000
            progress("reading", index, max(total, index))
            yield Frame(pixels, start, end)
            start = end
    except (MofaError, MemoryError, GeneratorExit):
        raise
    except Exception as error:  # foreign bytes: Pillow stumbles over them in many ways
        if start == 0:
            raise InputError(
                f"The video {path} is damaged; save or download it again.", key="file.damaged"
            ) from error
        note(_cut_short(path, start))
        return
    if picture.format == "WEBP" and _is_cut(path):
        note(_cut_short(path, start))


def _as_picture(file: BinaryIO) -> Image.Image:
    """Pillow's view of a file, as far as it goes. Raises whatever Pillow raises on bytes it does not know."""
    return open_quietly(whole_frames(file))


def whole_frames(file: BinaryIO) -> BinaryIO | io.BytesIO:
    """An animated WebP that breaks off, up to its last whole frame; any other file as it is.

    Pillow's decoder takes whole files only. A WebP is a RIFF file of chunks, each a name of four letters, its
    length, and as many bytes, to an even number (developers.google.com/speed/webp/docs/riff_container).
    """
    promised, there = riff_bytes(file), file.seek(0, io.SEEK_END)
    file.seek(8)
    cut = promised > there and file.read(4) == b"WEBP"
    file.seek(0)
    if not cut:
        return file
    data, end = file.read(), 12
    file.seek(0)
    while end + 8 <= len(data):
        size = int.from_bytes(data[end + 4 : end + 8], "little")
        after = end + 8 + size + size % 2
        if after > len(data):
            break
        end = after
    return io.BytesIO(data[:4] + (end - 8).to_bytes(4, "little") + data[8:end])


def _is_cut(path: Path) -> bool:
    with path.open("rb") as file:
        return riff_bytes(file) > path.stat().st_size


def _cut_short(path: Path, seconds: float) -> str:
    return f"{path} is cut short at {seconds:.1f} s: what comes before is used."


def _moves(picture: Image.Image) -> bool:
    several = picture.format in _MOVING_PICTURES and _number_of_frames(picture) > 1
    return picture.format == "GIF" or several


def _milliseconds(image: Image.Image) -> float:
    given = float(image.info.get("duration") or HASTY_GIF)
    return HASTY_GIF if image.format == "GIF" and given < SOONEST_GIF else max(given, 1.0)


def _durations(picture: Image.Image) -> Iterator[float]:
    for image in ImageSequence.Iterator(picture):
        if picture.format == "WEBP":  # whose frames know their time only when they are decoded
            image.load()
        yield _milliseconds(image)


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


# --- containers, which libav reads ---


def _video(path: Path) -> AbstractContextManager[tuple[av.container.InputContainer, Extent]]:
    return opened(path, "video", SELF_CONTAINED, "cannot be read as a video; save it as MP4 or GIF.")


def _of_container(path: Path, long_side: int | None, progress: Progress, note: Note) -> Iterator[Frame]:
    with _video(path) as (container, extent):
        stream = moving_pictures(container)
        if stream is None:
            raise InputError(
                f"{path} holds no video; give a file with moving pictures in it.", key="video.none"
            )
        coder = stream.codec_context
        _check_size(coder.width, coder.height, path)
        coder.options = {"max_pixels": str(LARGEST_FRAME)}  # what a stream says later is refused by libav
        stream.thread_type = "AUTO"
        begin, beat = start_of(container), 1 / float(stream.average_rate or stream.guessed_rate or 25)
        held: Frame | None = None
        shape: _Shape | None = None
        count, lasting, damaged = 0, beat, False
        try:
            for packet in extent.packets(stream):
                for coded in packet.decode():
                    _check_size(coded.width, coded.height, path)
                    shape = shape or _Shape(*_shown_size(coded, stream, long_side), *_turned(coded))
                    start = coded.time - begin if coded.time is not None else count * beat
                    if held is not None:
                        start = max(start, held.start)
                        yield Frame(held.pixels, held.start, start)
                    shown = coded.duration * coded.time_base if coded.duration and coded.time_base else 0
                    lasting = float(shown) or lasting
                    held = Frame(_upright(coded, shape), start, start + lasting)
                    count += 1
                    progress("reading", count, max(stream.frames, count))
        except DAMAGE as error:
            if held is None:
                raise InputError(
                    f"The video {path} is damaged; save or download it again.", key="file.damaged"
                ) from error
            damaged = True
        if held is None:
            raise InputError(f"The video {path} holds no frames; give another file.", key="video.none")
        extent.tell(path, note, damaged, held.end)
        yield held


def _shown_size(frame: av.VideoFrame, stream: av.VideoStream, long_side: int | None) -> tuple[int, int]:
    """Width and height before it is turned: pixels square (the squeezed side grows)."""
    wide = float(stream.sample_aspect_ratio or 1)
    width, height = frame.width, frame.height
    if 1 / WIDEST_PIXEL <= wide <= WIDEST_PIXEL and (width * height * max(wide, 1 / wide) <= LARGEST_FRAME):
        width, height = (round(width * wide), height) if wide > 1 else (width, round(height / wide))
    return _within(width, height, long_side)


@dataclass(frozen=True)
class _Shape:
    """How a stream's frames are shown: scaled, then their axes swapped, then turned over."""

    width: int
    height: int
    swapped: bool
    leftwards: bool
    upwards: bool


def _turned(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """Whether axes are swapped, and columns and rows run backwards, as the container's display matrix says.

    The matrix takes (x, y) to (a x + c y, b x + d y); the nearest of the eight ways to lay it is meant. It is
    the whole stream's, and asked of its first frame alone: a frame whose side data were looked at holds
    itself, and its picture stays in memory until Python looks for cycles.
    """
    matrix = cast("SideData | None", frame.side_data.get("DISPLAYMATRIX"))
    if matrix is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(memoryview(matrix), np.int32)[:5].tolist()
    swapped = abs(b) + abs(c) > abs(a) + abs(d)
    across, down = (c, b) if swapped else (a, d)
    return swapped, across < 0, down < 0


def _upright(frame: av.VideoFrame, shape: _Shape) -> NDArray[np.uint8]:
    """RGB, turned and mirrored as the stream is shown."""
    pixels = frame.to_ndarray(
        format="rgb24", interpolation=_EXACT_COLOURS, width=shape.width, height=shape.height
    ).astype(np.uint8, copy=False)
    if shape.swapped:
        pixels = pixels.swapaxes(0, 1)
    turned = pixels[:: -1 if shape.upwards else 1, :: -1 if shape.leftwards else 1]
    return np.ascontiguousarray(turned)


def _check_size(width: int, height: int, path: Path, most: int = LARGEST_FRAME) -> None:
    if width * height > most:
        raise InputError(_too_many_pixels(path, most), key="file.pixels")


def _too_many_pixels(path: Path, most: int) -> str:
    return (
        f"The frames of {path} have more than {most // 1_000_000} million pixels; make it smaller in a video "
        "editor first."
    )


def _too_long(path: Path) -> str:
    return (
        f"{path} would take more than {MOST_BYTES // 1_000_000_000} GB of memory; cut it, or make its frames "
        "smaller."
    )


def _within(width: int, height: int, long_side: int | None) -> tuple[int, int]:
    return (width, height) if long_side is None else shrunk(width, height, long_side)
