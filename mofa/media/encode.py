"""Moving pictures out, frame by frame as they come: MP4, GIF, animated WebP or a folder of PNG frames."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import torch
from av.video.format import VideoFormat
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation
from jaxtyping import UInt8
from torch import Tensor

from mofa.errors import InputError
from mofa.media.files import replacing, replacing_folder
from mofa.media.image import save_png
from mofa.types import Clip, Progress, Waveform, silent

_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)

AddFrame = Callable[[UInt8[Tensor, "3 H W"]], None]
"""Takes a clip's next frame; all have the size of the first."""


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
    """`replacing` for a clip's file, `replacing_folder` for a folder of frames (see `media.files`)."""
    return replacing(path, overwrite) if path.suffix else replacing_folder(path, overwrite)


@contextmanager
def frame_writer(path: Path, fps: float, audio: Waveform | None = None) -> Iterator[AddFrame]:
    """Yields what takes frames; they are a clip at `path` itself when the block has ended.

    The suffix names the form; the same frames give the same bytes, and none of them is kept:

    - `.mp4`: H.264, yuv420p, BT.709, limited range, faststart, AAC sound. An odd width or height grows by
      one pixel, the border repeated, because 4:2:0 needs even sizes.
    - `.gif`: one palette for the whole clip and ordered dithering, which does not flicker; loops; no sound.
      Until the palette is known, which is at the end, frames wait in a hidden file beside `path`.
    - `.webp`: animated, lossy at quality 90; loops; no sound.
    - none: a folder, which exists, of `frame_0000.png` ...; no sound.

    Sound beyond the last frame is cut off. Raises InputError: another suffix, no frames or no positive rate;
    OSError: it cannot be written.
    """
    check_clip_name(path)
    if not 0 < fps <= 1000:
        raise InputError(f"A clip cannot run at {fps} frames per second; give a rate from 0 to 1000.")
    added = count()
    try:
        with _WRITERS[path.suffix.lower()](path, _rate(fps), audio) as write:

            def add(frame: UInt8[Tensor, "3 H W"]) -> None:
                write(frame)
                next(added)

            yield add
            if next(added) == 0:
                raise InputError("A clip without frames cannot be written; ask for at least one frame.")
    except av.FFmpegError as error:  # a full disk, say, which `replacing` knows how to explain
        raise OSError(error.errno, error.strerror) from error


def check_clip_name(path: Path) -> None:
    """Raises InputError when the suffix of `path` names no form that `frame_writer` knows."""
    if path.suffix.lower() not in _WRITERS:
        known = ", ".join(filter(None, _WRITERS))
        raise InputError(
            f"{path} ends in {path.suffix}; use {known}, or no suffix for a folder of PNG frames."
        )


def _coded(frame: UInt8[Tensor, "3 H W"], index: int, rate: Fraction) -> av.VideoFrame:
    """A frame as libav takes it, at its time."""
    pixels = np.ascontiguousarray(frame.permute(1, 2, 0).cpu().numpy())
    coded = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    coded.pts, coded.time_base = index, 1 / rate
    return coded


def _rate(fps: float) -> Fraction:
    """29.97 and its like as the fraction they stand for."""
    return Fraction(fps).limit_denominator(1001)


@contextmanager
def _frames(folder: Path, rate: Fraction, audio: Waveform | None) -> Iterator[AddFrame]:
    indices = count()
    yield lambda frame: save_png(folder / f"frame_{next(indices):04d}.png", frame)


@contextmanager
def _mp4(path: Path, rate: Fraction, audio: Waveform | None) -> Iterator[AddFrame]:
    indices = count()
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.pix_fmt = "yuv420p"
        # x264 repeats itself bit for bit only with the same number of threads, and only without the
        # vector code for macroblock trees: that reads memory nobody wrote (core 165, small pictures).
        stream.options = {
            "crf": "16", "preset": "medium", "threads": "4", "x264-params": "cpu-independent=1",
        }  # fmt: skip
        coder = stream.codec_context
        coder.color_primaries, coder.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        coder.colorspace, coder.color_range = Colorspace.ITU709, ColorRange.MPEG
        sound = _add_sound(container, audio) if audio is not None else None

        def add(frame: UInt8[Tensor, "3 H W"]) -> None:
            even, index = _even(frame), next(indices)
            if index == 0:
                stream.height, stream.width = even.shape[1:]
            container.mux(stream.encode(_in_video_colours(_coded(even, index, rate))))

        yield add
        container.mux(stream.encode(None))
        if sound is not None and audio is not None:
            _mux_sound(container, sound, audio, seconds=next(indices) / rate)


def _even(frame: UInt8[Tensor, "3 H W"]) -> UInt8[Tensor, "3 h w"]:
    """Even sizes: an odd border is repeated once."""
    height, width = frame.shape[-2:]
    if width % 2:
        frame = torch.cat((frame, frame[..., -1:]), dim=-1)
    if height % 2:
        frame = torch.cat((frame, frame[..., -1:, :]), dim=-2)
    return frame


def _in_video_colours(frame: av.VideoFrame) -> av.VideoFrame:
    """Full-range RGB to limited-range BT.709 4:2:0, rounded, chroma averaged."""
    coded = frame.reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT,
    )
    coded.pts, coded.time_base = frame.pts, frame.time_base
    return coded


def _add_sound(container: av.container.OutputContainer, audio: Waveform) -> av.AudioStream:
    """An AAC stream at the sound's rate, or at 48 kHz where AAC lacks that rate."""
    rate = audio.rate if audio.rate in _AAC_RATES else 48000
    layout = "mono" if len(audio.samples) == 1 else "stereo"
    return container.add_stream("aac", rate=rate, layout=layout)


def _mux_sound(
    container: av.container.OutputContainer, stream: av.AudioStream, audio: Waveform, seconds: Fraction
) -> None:
    """One channel stays mono; of more than two the first two are kept."""
    kept = audio.samples[:2, : int(seconds * audio.rate)].clamp(-1, 1).float().cpu().numpy()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(kept), format="fltp", layout=stream.layout.name)
    frame.sample_rate, frame.pts = audio.rate, 0
    frame.time_base = Fraction(1, audio.rate)
    resampler = av.AudioResampler(format="fltp", layout=stream.layout.name, rate=stream.rate)
    for piece in (*resampler.resample(frame), *resampler.resample(None)):
        container.mux(stream.encode(piece))
    container.mux(stream.encode(None))


@contextmanager
def _gif(path: Path, rate: Fraction, audio: Waveform | None) -> Iterator[AddFrame]:
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
            coded = _coded(frame, next(indices), rate)
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
        self._source.push(_coded(frame, index, self.rate))

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
def _webp(path: Path, rate: Fraction, audio: Waveform | None) -> Iterator[AddFrame]:
    indices, milliseconds = count(), Fraction(1, 1000)
    with av.open(str(path), "w", format="webp", options={"loop": "0", "fflags": "+bitexact"}) as container:
        stream = container.add_stream("libwebp_anim", rate=rate)
        stream.pix_fmt = "bgra"
        stream.options = {"quality": "90", "compression_level": "2"}
        stream.codec_context.time_base = milliseconds

        def add(frame: UInt8[Tensor, "3 H W"]) -> None:
            index = next(indices)
            coded = _coded(frame, index, rate).reformat(format="bgra")
            if index == 0:
                stream.width, stream.height = coded.width, coded.height
            # Rounding the ends, not the durations, keeps the clip's length.
            start, end = (round(1000 * edge / rate) for edge in (index, index + 1))
            coded.pts, coded.time_base, coded.duration = start, milliseconds, end - start
            container.mux(stream.encode(coded))

        yield add
        container.mux(stream.encode(None))


_WRITERS: dict[str, Callable[[Path, Fraction, Waveform | None], AbstractContextManager[AddFrame]]] = {
    ".mp4": _mp4,
    ".gif": _gif,
    ".webp": _webp,
    "": _frames,
}
