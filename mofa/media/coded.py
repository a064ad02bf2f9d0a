"""Clips in containers that libav writes: pictures are coded as they come, sound follows them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path

import av
import numpy as np
import torch
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation
from jaxtyping import UInt8
from torch import Tensor

from mofa.media.forms import Coding, Form
from mofa.types import Waveform

AddFrame = Callable[[UInt8[Tensor, "C H W"]], None]
"""Takes a clip's next frame, RGB or RGB with straight alpha; all have the shape of the first."""

_USUAL_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_SOUND_RATES = {"aac": (*_USUAL_RATES, 64000, 88200, 96000), "libopus": (48000,), "libmp3lame": _USUAL_RATES}
_SAMPLES = {"aac": "fltp", "libopus": "flt", "libmp3lame": "fltp"}
_FULL_COLOUR = ("rgb24", "rgba")
_UNTAGGED = "mpeg4"
"""The codec that does not say its colours' matrix: players take BT.601."""
_FINEST_BEAT = 65535
"""Of MPEG-4 Part 2: ticks per second."""


@dataclass(frozen=True)
class Writing:
    """What a clip is besides its frames: their rate, its sound, its CRF (None: the form's own), a comment."""

    rate: Fraction
    audio: Waveform | None = None
    crf: int | None = None
    comment: str | None = None


@contextmanager
def coded_writer(form: Form, path: Path, writing: Writing) -> Iterator[AddFrame]:
    """Yields what takes frames; the first decides whether there is alpha. See `media.encode.frame_writer`."""
    options = {"fflags": "+bitexact", **form.options}
    with av.open(str(path), "w", format=form.container, options=options) as container:
        if writing.comment is not None:
            container.metadata["comment"] = writing.comment
        coder = _Coder(container, form, writing)
        yield coder.add
        coder.finish()


class _Coder:
    """A container's streams, opened with the first frame."""

    def __init__(self, container: av.container.OutputContainer, form: Form, writing: Writing) -> None:
        self._container, self._form, self._writing = container, form, writing
        self._coding, self._indices = form.opaque, count()
        self._stream: av.VideoStream | None = None
        self._sound: av.AudioStream | None = None
        self._rate = writing.rate
        if form.opaque.codec == _UNTAGGED and writing.rate.numerator > _FINEST_BEAT:
            self._rate = writing.rate.limit_denominator(60)

    def add(self, frame: UInt8[Tensor, "C H W"]) -> None:
        """Codes a frame."""
        if len(frame) == 4 and self._form.cut_out is not None:
            self._coding = self._form.cut_out
        pixels = even(frame) if "420" in self._coding.pixels else frame
        if self._stream is None:
            self._stream = self._begun(pixels)
        image = as_image(pixels, next(self._indices), self._rate)
        self._container.mux(self._stream.encode(_in_colours_of(self._coding, image)))

    def _begun(self, frame: UInt8[Tensor, "C H W"]) -> av.VideoStream:
        stream = self._container.add_stream(self._coding.codec, rate=self._rate)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frame.shape[1:]
        stream.pix_fmt = self._coding.pixels
        crf = (
            {}
            if self._writing.crf is None or "crf" not in self._coding.options
            else {"crf": str(self._writing.crf)}
        )
        stream.options = {**self._coding.options, **crf}
        coder = stream.codec_context
        if self._coding.pixels not in _FULL_COLOUR and self._coding.codec != _UNTAGGED:
            coder.color_primaries, coder.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
            coder.colorspace, coder.color_range = Colorspace.ITU709, ColorRange.MPEG
        if self._writing.audio is not None and self._form.sound is not None:
            self._sound = _add_sound(self._container, self._form.sound, self._writing.audio)
        return stream

    def finish(self) -> None:
        """Codes what is left, and the sound as far as there are frames."""
        if self._stream is None:
            return
        self._container.mux(self._stream.encode(None))
        if self._sound is not None and self._writing.audio is not None:
            seconds = next(self._indices) / self._rate
            _mux_sound(self._container, self._sound, self._writing.audio, seconds)


def as_image(frame: UInt8[Tensor, "C H W"], index: int, rate: Fraction) -> av.VideoFrame:
    """A frame as libav takes it, at its time."""
    pixels = np.ascontiguousarray(frame.permute(1, 2, 0).cpu().numpy())
    image = av.VideoFrame.from_ndarray(pixels, format="rgba" if len(frame) == 4 else "rgb24")
    image.pts, image.time_base = index, 1 / rate
    return image


def even(frame: UInt8[Tensor, "C H W"]) -> UInt8[Tensor, "C h w"]:
    """Even sizes: an odd border is repeated once."""
    height, width = frame.shape[-2:]
    if width % 2:
        frame = torch.cat((frame, frame[..., -1:]), dim=-1)
    if height % 2:
        frame = torch.cat((frame, frame[..., -1:, :]), dim=-2)
    return frame


def _in_colours_of(coding: Coding, image: av.VideoFrame) -> av.VideoFrame:
    """Full-range RGB to limited-range BT.709 (BT.601 where nothing can say so), rounded, chroma averaged."""
    if coding.pixels == image.format.name:
        return image
    matrix = Colorspace.ITU601 if coding.codec == _UNTAGGED else Colorspace.ITU709
    coded = image.reformat(
        format=coding.pixels,
        dst_colorspace=matrix,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT,
    )
    coded.pts, coded.time_base = image.pts, image.time_base
    return coded


def _add_sound(container: av.container.OutputContainer, codec: str, audio: Waveform) -> av.AudioStream:
    """A stream at the sound's rate, or at 48 kHz where the codec lacks that rate."""
    rate = audio.rate if audio.rate in _SOUND_RATES[codec] else 48000
    layout = "mono" if len(audio.samples) == 1 else "stereo"
    stream = container.add_stream(codec, rate=rate, layout=layout)
    assert isinstance(stream, av.AudioStream)
    return stream


def _mux_sound(
    container: av.container.OutputContainer, stream: av.AudioStream, audio: Waveform, seconds: Fraction
) -> None:
    """One channel stays mono; of more than two the first two are kept."""
    kept = audio.samples[:2, : int(seconds * audio.rate)].clamp(-1, 1).float().cpu().numpy()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(kept), format="fltp", layout=stream.layout.name)
    frame.sample_rate, frame.pts = audio.rate, 0
    frame.time_base = Fraction(1, audio.rate)
    samples = _SAMPLES[stream.codec_context.name]
    resampler = av.AudioResampler(format=samples, layout=stream.layout.name, rate=stream.rate)
    for piece in (*resampler.resample(frame), *resampler.resample(None)):
        container.mux(stream.encode(piece))
    container.mux(stream.encode(None))
