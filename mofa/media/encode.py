"""Moving pictures out: MP4, GIF, animated WebP or a folder of PNG frames."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

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


def write_clip(clip: Clip, path: Path, progress: Progress = silent, overwrite: bool = False) -> None:
    """Writes the clip in the form that the suffix of `path` names; the same clip gives the same bytes.

    - `.mp4`: H.264, yuv420p, BT.709, limited range, faststart, AAC sound. An odd width or height grows by
      one pixel, the border repeated, because 4:2:0 needs even sizes.
    - `.gif`: one palette for the whole clip and ordered dithering, which does not flicker; loops; no sound.
    - `.webp`: animated, lossy at quality 90; loops; no sound.
    - none: a folder of `frame_0000.png` ...; no sound.

    Sound beyond the last frame is cut off. Nothing half-made stays behind (see `media.files`).

    Raises InputError: another suffix, no frames or no positive rate; OutputError: it cannot be written.
    """
    check_clip_name(path)
    if len(clip.frames) == 0:
        raise InputError("A clip without frames cannot be written; ask for at least one frame.")
    if not 0 < clip.fps <= 1000:
        raise InputError(f"A clip cannot run at {clip.fps} frames per second; give a rate from 0 to 1000.")
    suffix = path.suffix.lower()
    if not suffix:
        with replacing_folder(path, overwrite) as folder:
            _write_frames(clip, folder, progress)
    else:
        with replacing(path, overwrite) as hidden:
            try:
                _WRITERS[suffix](clip, hidden, progress)
            except av.FFmpegError as error:  # a full disk, say, which `replacing` knows how to explain
                raise OSError(error.errno, error.strerror) from error


def check_clip_name(path: Path) -> None:
    """Raises InputError when the suffix of `path` names no form that `write_clip` knows."""
    if path.suffix and path.suffix.lower() not in _WRITERS:
        known = ", ".join(_WRITERS)
        raise InputError(
            f"{path} ends in {path.suffix}; use {known}, or no suffix for a folder of PNG frames."
        )


def _coded_frames(clip: Clip) -> Iterator[av.VideoFrame]:
    """The frames as libav takes them, one at a time, at their times."""
    for index, frame in enumerate(clip.frames):
        pixels = np.ascontiguousarray(frame.permute(1, 2, 0).cpu().numpy())
        coded = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        coded.pts, coded.time_base = index, 1 / _rate(clip)
        yield coded


def _rate(clip: Clip) -> Fraction:
    """29.97 and its like as the fraction they stand for."""
    return Fraction(clip.fps).limit_denominator(1001)


def _write_frames(clip: Clip, folder: Path, progress: Progress) -> None:
    for index, frame in enumerate(clip.frames):
        save_png(folder / f"frame_{index:04d}.png", frame)
        progress("writing", index + 1, len(clip.frames))


def _write_mp4(clip: Clip, path: Path, progress: Progress) -> None:
    rate = _rate(clip)
    even = replace(clip, frames=_even(clip.frames))
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=rate)
        _, _, stream.height, stream.width = even.frames.shape
        stream.pix_fmt = "yuv420p"
        # x264 repeats itself bit for bit only with the same number of threads, and only without the
        # vector code for macroblock trees: that reads memory nobody wrote (core 165, small pictures).
        stream.options = {
            "crf": "16", "preset": "medium", "threads": "4", "x264-params": "cpu-independent=1",
        }  # fmt: skip
        coder = stream.codec_context
        coder.color_primaries, coder.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        coder.colorspace, coder.color_range = Colorspace.ITU709, ColorRange.MPEG
        sound = _add_sound(container, clip.audio) if clip.audio is not None else None
        for index, frame in enumerate(_coded_frames(even)):
            container.mux(stream.encode(_in_video_colours(frame)))
            progress("writing", index + 1, len(clip.frames))
        container.mux(stream.encode(None))
        if sound is not None and clip.audio is not None:
            _mux_sound(container, sound, clip.audio, seconds=len(clip.frames) / rate)


def _even(frames: UInt8[Tensor, "T 3 H W"]) -> UInt8[Tensor, "T 3 h w"]:
    """Even sizes: an odd border is repeated once."""
    height, width = frames.shape[-2:]
    if width % 2:
        frames = torch.cat((frames, frames[..., -1:]), dim=-1)
    if height % 2:
        frames = torch.cat((frames, frames[..., -1:, :]), dim=-2)
    return frames


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


def _write_gif(clip: Clip, path: Path, progress: Progress) -> None:
    _, _, height, width = clip.frames.shape
    with av.open(str(path), "w", format="gif", options={"loop": "0", "fflags": "+bitexact"}) as container:
        stream = container.add_stream("gif", rate=_rate(clip))
        stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
        for index, frame in enumerate(_in_palette(clip, _palette(clip))):
            container.mux(stream.encode(frame))
            progress("writing", index + 1, len(clip.frames))
        container.mux(stream.encode(None))


def _palette(clip: Clip) -> av.VideoFrame:
    """The 256 colours that suit all frames together best (median cut), as a 16 x 16 picture."""
    graph = av.filter.Graph()
    source = _picture_source(graph, clip)
    generate = graph.add("palettegen", "reserve_transparent=0")
    sink = graph.add("buffersink")
    source.link_to(generate)
    generate.link_to(sink)
    graph.configure()
    for frame in _coded_frames(clip):
        source.push(frame)
    source.push(None)
    return _picture(sink)


def _in_palette(clip: Clip, palette: av.VideoFrame) -> Iterator[av.VideoFrame]:
    """The frames in the palette's colours.

    Ordered (Bayer) dithering depends on the place alone, so what stands still in the clip stands still
    in the GIF; error diffusion would let it boil.
    """
    graph = av.filter.Graph()
    source = _picture_source(graph, clip)
    colours = graph.add_buffer(
        width=palette.width, height=palette.height, format=palette.format, time_base=1 / _rate(clip)
    )
    use = graph.add("paletteuse", "dither=bayer:bayer_scale=3")
    sink = graph.add("buffersink")
    source.link_to(use, 0, 0)
    colours.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    palette.pts, palette.time_base = 0, 1 / _rate(clip)
    colours.push(palette)
    colours.push(None)
    for frame in (*_coded_frames(clip), None):
        source.push(frame)
        yield from _ready(sink)


def _picture_source(graph: av.filter.Graph, clip: Clip) -> av.filter.context.FilterContext:
    _, _, height, width = clip.frames.shape
    return graph.add_buffer(
        width=width, height=height, format=VideoFormat("rgb24"), time_base=1 / _rate(clip)
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


def _write_webp(clip: Clip, path: Path, progress: Progress) -> None:
    _, _, height, width = clip.frames.shape
    milliseconds = Fraction(1, 1000)
    with av.open(str(path), "w", format="webp", options={"loop": "0", "fflags": "+bitexact"}) as container:
        stream = container.add_stream("libwebp_anim", rate=_rate(clip))
        stream.width, stream.height, stream.pix_fmt = width, height, "bgra"
        stream.options = {"quality": "90", "compression_level": "2"}
        stream.codec_context.time_base = milliseconds
        ends = accumulate([1 / _rate(clip)] * len(clip.frames))
        start = 0
        for index, (frame, end) in enumerate(zip(_coded_frames(clip), ends, strict=True)):
            frame = frame.reformat(format="bgra")
            frame.pts, frame.time_base = start, milliseconds
            # Rounding the ends, not the durations, keeps the clip's length.
            frame.duration, start = round(end * 1000) - start, round(end * 1000)
            container.mux(stream.encode(frame))
            progress("writing", index + 1, len(clip.frames))
        container.mux(stream.encode(None))


_WRITERS: dict[str, Callable[[Clip, Path, Progress], None]] = {
    ".mp4": _write_mp4,
    ".gif": _write_gif,
    ".webp": _write_webp,
}
