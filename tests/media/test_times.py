"""Frames have their own times, and files their own ways to lie about them."""

import io
import itertools
import math
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mofa.errors import InputError
from mofa.media.audio import read_audio
from mofa.media.decode import evenly, media_of, read_video, video_frames, video_seconds
from mofa.media.encode import write_clip
from mofa.media.gif import gif_extent
from mofa.tensors.sound import mono
from mofa.types import Clip, Waveform

SLOW_THEN_FAST = [0.0, 0.2, 0.4, 0.6, 0.8, *(1 + np.arange(10) / 25)]
"""Seconds: a screen recording, or a phone in the dark."""
CODECS = {".mp4": "libx264", ".mov": "libx264", ".mkv": "libx264", ".webm": "libvpx"}


def grey(level: int, height: int = 32, width: int = 48) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def write_timed(
    path: Path,
    starts: Sequence[float],
    sound_from: float | None = None,
    levels: Sequence[int] | None = None,
) -> Path:
    """A video whose frame k has its own grey and begins at `starts[k]`, perhaps with a second of sound."""
    levels = levels or [10 + 15 * k for k in range(len(starts))]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(CODECS[path.suffix], rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        coder = "aac" if path.suffix in (".mp4", ".mov") else "libopus"
        sound = container.add_stream(coder, rate=48000, layout="mono")
        for start, level in zip(starts, levels, strict=True):
            frame = av.VideoFrame.from_ndarray(grey(level), format="rgb24")
            frame.pts, frame.time_base = round(1000 * start), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound_from is not None:
            tone = np.sin(np.arange(48000) / 20).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
            frame.pts = round(48000 * sound_from)
            size = sound.codec_context.frame_size or 960
            resampler = av.AudioResampler(sound.format.name, "mono", 48000, size)
            for piece in (*resampler.resample(frame), *resampler.resample(None)):
                container.mux(sound.encode(piece))
            container.mux(sound.encode(None))
    return path


def levels_of(clip: Clip) -> list[int]:
    """Which of the greys 10, 25, 40 ... each frame shows."""
    return [round((float(frame.float().mean()) - 10) / 15) for frame in clip.frames]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_every_moment_shows_the_frame_that_is_on_the_screen(tmp_path: Path, suffix: str) -> None:
    clip = read_video(write_timed(tmp_path / f"vfr{suffix}", SLOW_THEN_FAST))
    assert clip.fps == 25
    assert levels_of(clip)[:35] == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5 + [4] * 5 + list(range(5, 15))


@pytest.mark.parametrize("form", ["GIF", "WEBP"])
def test_a_picture_that_holds_a_frame_holds_it(tmp_path: Path, form: str) -> None:
    pictures = [Image.fromarray(grey(10 + 15 * k)) for k in range(6)]
    path = tmp_path / f"holds.{form.lower()}"
    pictures[0].save(
        path, form, save_all=True, append_images=pictures[1:], duration=[40] * 5 + [1000], lossless=True
    )
    clip = read_video(path)
    assert clip.fps == 25
    assert levels_of(clip) == [0, 1, 2, 3, 4] + [5] * 25
    assert video_seconds(path) == pytest.approx(1.2)
    assert len(read_video(path, max_frames=9).frames) <= 9


def test_delays_that_browsers_do_not_believe_are_a_tenth_of_a_second(tmp_path: Path) -> None:
    pictures = [Image.fromarray(grey(10 + 15 * k)) for k in range(4)]
    pictures[0].save(tmp_path / "fast.gif", save_all=True, append_images=pictures[1:], duration=10)
    assert read_video(tmp_path / "fast.gif").fps == 10


@pytest.mark.slow
@pytest.mark.parametrize(("video_from", "sound_from"), [(0.6, 0.0), (0.0, 0.5), (0.0, 0.0)])
def test_pictures_and_sound_share_one_time(tmp_path: Path, video_from: float, sound_from: float) -> None:
    starts = [video_from + k / 25 for k in range(10)]
    path = write_timed(tmp_path / "late.mp4", starts, sound_from)
    frames = list(video_frames(path))
    assert [frame.start for frame in frames] == pytest.approx(starts, abs=0.005)
    assert frames[-1].end == pytest.approx(video_from + 0.4, abs=0.01)
    sound = read_audio(path)
    assert int((sound.samples[0].abs() > 0.2).nonzero()[0]) / sound.rate == pytest.approx(
        sound_from, abs=0.03
    )
    assert len(read_video(path).frames) == 10


# Rows of the display matrix (a, b, c, d), which takes (x, y) to (a x + c y, b x + d y).
WAYS = [
    (1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1),
    (0, 1, 1, 0), (0, 1, -1, 0), (0, -1, 1, 0), (0, -1, -1, 0),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_all_eight_ways_to_hold_a_phone_are_upright(tmp_path: Path, way: tuple[int, int, int, int]) -> None:
    picture = torch.zeros(2, 3, 32, 48, dtype=torch.uint8)
    picture[:, 0, :16, :16] = 255  # red top left
    picture[:, 2, 16:, 32:] = 255  # blue bottom right
    path = tmp_path / "phone.mp4"
    write_clip(Clip(picture, 8.0), path)
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in way)
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(content))
    frame = read_video(path).frames[0].float()
    _, height, width = frame.shape
    assert (height, width) == ((32, 48) if way[0] else (48, 32))
    for place, channel in (((-1, -1), 0), ((1, 1), 2)):  # from the middle, before it is turned
        x, y = way[0] * place[0] + way[2] * place[1], way[1] * place[0] + way[3] * place[1]
        row, column = (height * (5 + 4 * y)) // 10, (width * (5 + 4 * x)) // 10
        assert frame[channel, row, column] > 200


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    path = tmp_path / "narrow.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        frame = av.VideoFrame.from_ndarray(grey(99, 64, 32), format="rgb24")
        frame.pts = 0
        container.mux((*stream.encode(frame), *stream.encode(None)))
    assert read_video(path).frames.shape[-2:] == (64, 64)


def test_a_stream_that_changes_its_size_keeps_the_first(tmp_path: Path) -> None:
    path = tmp_path / "sizes.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuvj420p"
        for index, size in enumerate(((32, 48), (64, 96), (16, 16))):
            content = io.BytesIO()
            Image.fromarray(grey(50 * index, *size)).save(content, "JPEG")
            packet = av.Packet(content.getvalue())
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, index, index, Fraction(1, 25)
            container.mux(packet)
    frames = read_video(path).frames
    assert frames.shape == (3, 3, 32, 48)
    assert frames.float().mean(dim=(1, 2, 3)).tolist() == pytest.approx([0, 50, 100], abs=2)


def test_streams_laid_end_to_end_go_on(tmp_path: Path) -> None:
    pieces = []
    for level, size in ((60, (32, 48)), (200, (64, 96))):
        content = io.BytesIO()
        with av.open(content, "w", format="mpegts") as container:
            stream = container.add_stream("mpeg2video", rate=25)
            stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
            for index in range(25):
                frame = av.VideoFrame.from_ndarray(grey(level, *size), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        pieces.append(content.getvalue())
    (tmp_path / "both.ts").write_bytes(b"".join(pieces))
    clip = read_video(tmp_path / "both.ts")
    assert clip.fps == pytest.approx(25, abs=0.6)  # how long the last frame is shown, no packet says
    levels = clip.frames.float().mean(dim=(1, 2, 3))
    assert len(levels) == pytest.approx(50, abs=2)
    assert levels[:24].tolist() == pytest.approx([60] * 24, abs=4)
    assert levels[-24:].tolist() == pytest.approx([200] * 24, abs=4)


def test_an_animated_webp_that_breaks_off_gives_its_whole_frames(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (10, 32, 48, 3), np.uint8)
    first, *others = (Image.fromarray(frame) for frame in noise)
    first.save(tmp_path / "whole.webp", save_all=True, append_images=others, duration=100, lossless=True)
    content = (tmp_path / "whole.webp").read_bytes()
    (tmp_path / "cut.webp").write_bytes(content[: len(content) * 6 // 10])
    notes: list[str] = []
    assert len(read_video(tmp_path / "whole.webp", note=notes.append).frames) == 10
    assert notes == []
    assert media_of(tmp_path / "cut.webp") == "video"
    clip = read_video(tmp_path / "cut.webp", note=notes.append)
    assert len(clip.frames) == 5
    assert np.array_equal(clip.frames.permute(0, 2, 3, 1).numpy(), noise[:5])
    assert [f"{tmp_path / 'cut.webp'} is cut short at 0.5 s" in note for note in notes] == [True]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_file_that_breaks_off_gives_what_is_there_and_says_so(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (75, 3, 32, 48), np.uint8)
    whole = tmp_path / f"whole{suffix}"
    if suffix == ".mp4":  # with its index first: others cannot be read at all without their end
        write_clip(Clip(torch.from_numpy(noise), 25.0), whole)
    else:
        write_timed(whole, [k / 25 for k in range(75)], 0.0, levels=[k % 250 for k in range(75)])
    notes: list[str] = []
    assert len(read_video(whole, note=notes.append).frames) == 75
    assert notes == []
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    clip = read_video(cut, note=notes.append)
    assert 5 < len(clip.frames) < 75
    (note,) = notes
    assert note == f"{cut} is cut short at {len(clip.frames) / 25:.1f} s: what comes before is used."


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_file_without_its_index_is_told_to_be_cut_off(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole{suffix}"
    write_timed(whole, [k / 25 for k in range(15)], 0.0)  # libav writes the index last
    content = whole.read_bytes()
    index, pictures = content.index(b"moov") - 4, content.index(b"mdat") - 4
    assert index > pictures
    recording = content[:pictures] + b"\0\0\0\0mdat" + content[pictures + 8 : index]
    for cut in (content[:index], content[: index + 40], content[: index - 99], content[:20], recording):
        (tmp_path / f"cut{suffix}").write_bytes(cut)
        for read in (read_video, read_audio, video_seconds):
            with pytest.raises(InputError, match="cut off before its index was written") as refused:
                read(tmp_path / f"cut{suffix}")
            assert refused.value.key == "file.cut"
    (tmp_path / f"damaged{suffix}").write_bytes(content[:index] + b"\0\0\0\x20moov" + b"?" * 24)
    with pytest.raises(InputError) as refused:
        read_video(tmp_path / f"damaged{suffix}")
    assert "cut off" not in str(refused.value)


@pytest.mark.parametrize("broken", [b"", b"\0" * 200_000, bytes(range(256)) * 800])
def test_an_mp4_whose_index_is_there_gives_what_its_data_still_hold(tmp_path: Path, broken: bytes) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (75, 3, 32, 48), np.uint8)
    write_clip(Clip(torch.from_numpy(noise), 25.0), tmp_path / "whole.mp4")
    content = (tmp_path / "whole.mp4").read_bytes()
    half = len(content) * 6 // 10
    (tmp_path / "a.mp4").write_bytes(content[:half] + broken[: len(content) - half])
    notes: list[str] = []
    clip = read_video(tmp_path / "a.mp4", note=notes.append)
    assert 5 < len(clip.frames) < 75
    assert ["is cut short at" in note for note in notes] == [True]


def test_a_wmv_that_breaks_off_is_told(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "whole.wmv"), "w") as container:
        stream = container.add_stream("wmv2", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for noise in np.random.default_rng(0).integers(0, 256, (75, 32, 48, 3), np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise)))
        container.mux(stream.encode(None))
    content = (tmp_path / "whole.wmv").read_bytes()
    (tmp_path / "cut.wmv").write_bytes(content[: len(content) * 6 // 10])
    notes: list[str] = []
    assert len(read_video(tmp_path / "whole.wmv", note=notes.append).frames) == 75
    assert notes == []
    assert 5 < len(read_video(tmp_path / "cut.wmv", note=notes.append).frames) < 75
    assert ["is cut short at" in note for note in notes] == [True]


def test_sound_that_breaks_off_is_told(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "whole.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.ones((1, 16000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux((*stream.encode(frame), *stream.encode(None)))
    whole = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    notes: list[str] = []
    read_audio(tmp_path / "whole.wav", note=notes.append)
    assert notes == []
    read_audio(tmp_path / "cut.wav", note=notes.append)
    assert "cut short at 1.0 s" in notes[0]


@pytest.mark.parametrize(("suffix", "codec"), [(".opus", "libopus"), (".mp3", "libmp3lame")])
def test_coded_sound_that_breaks_off_is_told(tmp_path: Path, suffix: str, codec: str) -> None:
    with av.open(str(tmp_path / f"whole{suffix}"), "w") as container:
        stream = container.add_stream(codec, rate=48000, layout="mono")
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 240_000)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(noise, format="flt", layout="mono")
        frame.sample_rate = 48_000
        resampler = av.AudioResampler(
            format=stream.codec_context.format, layout="mono", rate=48_000,
            frame_size=stream.codec_context.frame_size,
        )  # fmt: skip
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    whole = (tmp_path / f"whole{suffix}").read_bytes()
    (tmp_path / f"cut{suffix}").write_bytes(whole[: len(whole) * 6 // 10])
    notes: list[str] = []
    read_audio(tmp_path / f"whole{suffix}", note=notes.append)
    assert notes == []
    heard = read_audio(tmp_path / f"cut{suffix}", note=notes.append)
    assert 1.5 < heard.samples.shape[1] / heard.rate < 4
    assert ["cut short" in note for note in notes] == [True]


def test_a_gif_that_grows_by_a_frame_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    pictures = [Image.fromarray(grey(level)) for level in (10, 90, 170)]
    pictures[0].save(tmp_path / "whole.gif", save_all=True, append_images=pictures[1:], duration=100)
    content = bytearray((tmp_path / "whole.gif").read_bytes())
    with (tmp_path / "whole.gif").open("rb") as file:
        assert gif_extent(file) == (48, 32)
        assert file.tell() == 0
    last = content.rindex(b",\0\0\0\0" + struct.pack("<HH", 48, 32))
    content[last + 1 : last + 3] = struct.pack("<H", 20)
    (tmp_path / "wider.gif").write_bytes(content)
    assert read_video(tmp_path / "wider.gif").frames.shape == (3, 3, 32, 48)
    content[last + 1 : last + 3] = b"\0\0"
    content[last + 5 : last + 9] = struct.pack("<HH", 9000, 9000)
    (tmp_path / "grows.gif").write_bytes(content)
    with pytest.raises(InputError, match="more than 20 million pixels"):
        read_video(tmp_path / "grows.gif")
    for no_gif in (b"GIF89a", b"RIFF" + bytes(20)):
        (tmp_path / "none").write_bytes(no_gif)
        with (tmp_path / "none").open("rb") as file:
            assert gif_extent(file) == (0, 0)


def test_a_frame_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    header = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + b"\0" * 6
    image = b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\2\2\x4c\1\0;"
    (tmp_path / "bomb.mp4").write_bytes(header + image)
    with pytest.raises(InputError, match="million pixels"):
        read_video(tmp_path / "bomb.mp4")


def test_channels_that_cancel_leave_the_louder_one() -> None:
    voice = torch.sin(torch.arange(1000) / 5)
    for other, expected in ((-voice, voice), (-0.9 * voice, voice), (0 * voice, voice / 2), (voice, voice)):
        torch.testing.assert_close(mono(Waveform(torch.stack([voice, other]), 8000)), expected)


def test_files_are_known_by_their_content(tmp_path: Path) -> None:
    video = write_timed(tmp_path / "video.mp4", [0.0, 0.04], 0.0)
    video.rename(tmp_path / "video.wav")
    Image.fromarray(grey(3)).save(tmp_path / "picture.mp4", "PNG")
    with av.open(str(tmp_path / "voice.3gp"), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux((*stream.encode(frame), *stream.encode(None)))
    (tmp_path / "words.mp4").write_text("hello")
    kinds = {"video.wav": "video", "picture.mp4": "picture", "voice.3gp": "sound", "words.mp4": None}
    assert {name: media_of(tmp_path / name) for name in kinds} == kinds


@settings(deadline=None)
@given(
    lasting=st.lists(st.floats(0.001, 3), min_size=1, max_size=40),
    begin=st.floats(0, 5),
)
def test_a_steady_rate_shows_what_was_on_the_screen(lasting: list[float], begin: float) -> None:
    starts = [begin + sum(lasting[:k]) for k in range(len(lasting))]
    end = begin + sum(lasting)
    fps, shown = evenly(starts, end)
    assert fps > 0
    assert all(later >= sooner for sooner, later in itertools.pairwise(shown))
    assert min(shown) >= 0
    assert max(shown) < len(starts)
    assert abs(len(shown) / fps - (end - begin)) <= max(1.01 / fps, 0.003 * (end - begin))
    if shown != list(range(len(starts))):
        for moment, index in enumerate(shown):
            time = begin + moment / fps
            assert starts[index] <= time + 0.26 / fps
            assert index + 1 == len(starts) or time <= starts[index + 1] + 1e-6
    assert math.isfinite(fps)
