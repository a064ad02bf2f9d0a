"""Moving pictures out, frame by frame as they come: a video, GIF, WebP or APNG, or frames in files."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import av
from av.video.format import VideoFormat
from jaxtyping import UInt8
from torch import Tensor

from mofa.errors import InputError
from mofa.media.coded import AddFrame, Writing, as_image, coded_writer
from mofa.media.files import replacing, replacing_folder, replacing_sequence
from mofa.media.forms import FORMS, check_clip_name, is_sequence, of_sequence
from mofa.media.image import save_jpeg, save_png
from mofa.types import Clip, Progress, Waveform, silent

FRAME_QUALITY = 95
"""Of frames written as JPEG, libjpeg's scale."""


def write_clip(clip: Clip, path: Path, progress: Progress = silent, overwrite: bool = False) -> None:
    """Writes a clip that is there as a whole: see `frame_writer`. Nothing half-made stays behind.

    Raises InputError: another suffix, no frames or no positive rate; OutputError: it cannot be written.
    """
    check_clip_name(path)
    with replacing_clip(path, overwrite) as hidden, frame_writer(hidden, clip.fps, clip.audio) as add:
        for index, frame in enumerate(clip.frames):
            add(frame)
            progress("writing", index + 1, len(clip.frames))


def replacing_clip(path: Path, overwrite: bool) -> AbstractContextManager[Path]:
    """`replacing` for a clip's file, and its like for a folder or a pattern of frames (see `media.files`)."""
    if is_sequence(path):
        return replacing_sequence(path, overwrite)
    return replacing(path, overwrite) if path.suffix else replacing_folder(path, overwrite)


@contextmanager
def frame_writer(
    path: Path,
    fps: float,
    audio: Waveform | None = None,
    crf: int | None = None,
    comment: str | None = None,
) -> Iterator[AddFrame]:
    """Yields what takes frames; they are a clip at `path` itself when the block has ended.

    The suffix names the form; the same frames give the same bytes, and none of them is kept:

    - `.mp4`, `.mov`, `.mkv`: H.264, yuv420p, BT.709, limited range, at a CRF of 16 unless another is given;
      AAC sound. An odd width or height grows by one pixel, the border repeated, because 4:2:0 needs even
      sizes. With alpha `.mov` is ProRes 4444.
    - `.webm`: VP9 (with alpha, too) at a CRF of 20, Opus sound. `.avi`: MPEG-4 Part 2, BT.601, MP3 sound.
    - `.gif`: one palette for the whole clip and ordered dithering, which does not flicker; loops; no sound.
      Until the palette is known, which is at the end, frames wait in a hidden file beside `path`.
    - `.webp`: animated, lossy at quality 90; `.apng`: lossless; both with alpha, looping, without sound.
    - `frame-%04d.png`, `.jpg`: frames 0, 1, ... in files of their own, PNG with alpha; no sound.
    - none: a folder, which exists, of `frame_0000.png` ...; no sound.

    Frames are RGB, or RGB with straight alpha where `media.forms.carries_alpha`. Sound beyond the last frame
    is cut off. `comment` is kept in the metadata. Raises InputError: another suffix, a CRF or a comment that
    the form does not take, no frames or no positive rate; OSError: it cannot be written.
    """
    check_clip_name(path, crf, comment is not None)
    if not 0 < fps <= 1000:
        raise InputError(f"A clip cannot run at {fps} frames per second; give a rate from 0 to 1000.")
    added = count()
    try:
        with _writer(path, Writing(_rate(fps), audio, crf, comment)) as write:

            def add(frame: UInt8[Tensor, "C H W"]) -> None:
                write(frame)
                next(added)

            yield add
            if next(added) == 0:
                raise InputError("A clip without frames cannot be written; ask for at least one frame.")
    except av.FFmpegError as error:  # a full disk, say, which `replacing` knows how to explain
        raise OSError(error.errno, error.strerror) from error


def _rate(fps: float) -> Fraction:
    """29.97 and its like as the fraction they stand for; a frame is shown for 1001 seconds at the most."""
    return max(Fraction(fps).limit_denominator(1001), Fraction(1, 1001))


def _writer(path: Path, writing: Writing) -> AbstractContextManager[AddFrame]:
    form = FORMS.get(path.suffix.lower())
    if form is not None:
        return coded_writer(form, path, writing)
    if path.suffix.lower() in _LOOPING:
        return _LOOPING[path.suffix.lower()](path, writing.rate)
    return _frames(path if is_sequence(path) else path / "frame_%04d.png")


@contextmanager
def _frames(pattern: Path) -> Iterator[AddFrame]:
    indices = count()

    def add(frame: UInt8[Tensor, "C H W"]) -> None:
        path = of_sequence(pattern, next(indices))
        if path.suffix.lower() == ".png":
            save_png(path, frame)
        else:
            save_jpeg(path, frame, FRAME_QUALITY)

    yield add


@contextmanager
def _gif(path: Path, rate: Fraction) -> Iterator[AddFrame]:
    with TemporaryDirectory(prefix=".mofa-", dir=path.parent) as folder:
        waiting, palette = Path(folder) / "frames.nut", _Palette(rate)
        with _lossless(waiting, rate) as keep:

            def add(frame: UInt8[Tensor, "3 H W"]) -> None:
                keep(frame)
                palette.see(frame)

            yield add
        options = {"loop": "0", "fflags": "+bitexact"}
        with (
            av.open(str(waiting)) as kept,
            av.open(str(path), "w", format="gif", options=options) as container,
        ):
            stream = container.add_stream("gif", rate=rate)
            stream.width, stream.height, stream.pix_fmt = palette.width, palette.height, "pal8"
            frames = (frame.reformat(format="rgb24") for frame in kept.decode(video=0))
            for frame in _in_palette(frames, palette):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


@contextmanager
def _lossless(path: Path, rate: Fraction) -> Iterator[AddFrame]:
    """Frames on the disk as they are, in a form that is quick to write and to read again (FFV1)."""
    indices = count()
    with av.open(str(path), "w", format="nut") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.pix_fmt = "bgr0"

        def add(frame: UInt8[Tensor, "3 H W"]) -> None:
            coded = as_image(frame, next(indices), rate)
            if coded.pts == 0:
                stream.width, stream.height = coded.width, coded.height
            container.mux(stream.encode(coded.reformat(format="bgr0")))

        yield add
        container.mux(stream.encode(None))


class _Palette:
    """The 256 colours that suit all frames together best (median cut), found as they are seen."""

    def __init__(self, rate: Fraction) -> None:
        self.rate, self.width, self.height = rate, 0, 0
        self._indices, self._graph = count(), av.filter.Graph()

    def see(self, frame: UInt8[Tensor, "3 H W"]) -> None:
        """Counts a frame's colours."""
        index = next(self._indices)
        if index == 0:
            _, self.height, self.width = frame.shape
            self._source = _picture_source(self._graph, self)
            generate = self._graph.add("palettegen", "reserve_transparent=0")
            self._sink = self._graph.add("buffersink")
            self._source.link_to(generate)
            generate.link_to(self._sink)
            self._graph.configure()
        self._source.push(as_image(frame, index, self.rate))

    def picture(self) -> av.VideoFrame:
        """The colours as a 16 x 16 picture; no more frames can be seen."""
        self._source.push(None)
        return _picture(self._sink)


def _in_palette(frames: Iterator[av.VideoFrame], palette: _Palette) -> Iterator[av.VideoFrame]:
    """The frames in the palette's colours.

    Ordered (Bayer) dithering depends on the place alone, so what stands still in the clip stands still
    in the GIF; error diffusion would let it boil.
    """
    graph = av.filter.Graph()
    source = _picture_source(graph, palette)
    found = palette.picture()
    colours = graph.add_buffer(
        width=found.width, height=found.height, format=found.format, time_base=1 / palette.rate
    )
    use = graph.add("paletteuse", "dither=bayer:bayer_scale=3")
    sink = graph.add("buffersink")
    source.link_to(use, 0, 0)
    colours.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    found.pts, found.time_base = 0, 1 / palette.rate
    colours.push(found)
    colours.push(None)
    for index, frame in enumerate(frames):
        frame.pts, frame.time_base = index, 1 / palette.rate
        source.push(frame)
        yield from _ready(sink)
    source.push(None)
    yield from _ready(sink)


def _picture_source(graph: av.filter.Graph, palette: _Palette) -> av.filter.context.FilterContext:
    return graph.add_buffer(
        width=palette.width, height=palette.height, format=VideoFormat("rgb24"), time_base=1 / palette.rate
    )


def _picture(sink: av.filter.context.FilterContext) -> av.VideoFrame:
    """The next frame that a filter of pictures has finished."""
    frame = sink.pull()
    assert isinstance(frame, av.VideoFrame)
    return frame


def _ready(sink: av.filter.context.FilterContext) -> Iterator[av.VideoFrame]:
    """The frames that a filter has finished so far."""
    while True:
        try:
            yield _picture(sink)
        except (av.BlockingIOError, av.EOFError):
            return


@contextmanager
def _webp(path: Path, rate: Fraction) -> Iterator[AddFrame]:
    indices, milliseconds = count(), Fraction(1, 1000)
    with av.open(str(path), "w", format="webp", options={"loop": "0", "fflags": "+bitexact"}) as container:
        stream = container.add_stream("libwebp_anim", rate=rate)
        stream.pix_fmt = "bgra"
        stream.options = {"quality": "90", "compression_level": "2"}
        stream.codec_context.time_base = milliseconds

        def add(frame: UInt8[Tensor, "C H W"]) -> None:
            index = next(indices)
            coded = as_image(frame, index, rate).reformat(format="bgra")
            if index == 0:
                stream.width, stream.height = coded.width, coded.height
            # Rounding the ends, not the durations, keeps the clip's length.
            start, end = (round(1000 * edge / rate) for edge in (index, index + 1))
            coded.pts, coded.time_base, coded.duration = start, milliseconds, end - start
            container.mux(stream.encode(coded))

        yield add
        container.mux(stream.encode(None))


_LOOPING: dict[str, Callable[[Path, Fraction], AbstractContextManager[AddFrame]]] = {
    ".gif": _gif,
    ".webp": _webp,
}
