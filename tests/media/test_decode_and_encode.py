import gc
import io
import math
import struct
import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from mofa.errors import Cancelled, InputError, OutputError
from mofa.media.decode import read_video, video_frames
from mofa.media.encode import write_clip
from mofa.media.image import read_picture, to_bytes
from mofa.types import Clip, Waveform

MOVING = [".mp4", ".gif", ".webp"]


def smooth_frames(count: int = 6, height: int = 48, width: int = 64) -> UInt8[Tensor, "T 3 H W"]:
    """Coloured waves that drift."""
    time = torch.arange(count)[:, None, None, None] / 5
    y = torch.linspace(0, 1.5, height)[:, None]
    x = torch.linspace(0, 2, width)
    phase = torch.stack((x + y, 2 * x - y, x - 2 * y))
    return (127.5 + 120 * torch.sin(phase + time)).round().to(torch.uint8)


def patches() -> UInt8[Tensor, "3 3 32 48"]:
    """Three still frames of the strongest colours, 16 x 16 px each."""
    colours = torch.tensor(COLOURS, dtype=torch.uint8).view(2, 3, 3).permute(2, 0, 1)
    return colours.repeat_interleave(16, dim=1).repeat_interleave(16, dim=2).repeat(3, 1, 1, 1)


COLOURS = ((255, 0, 0), (0, 0, 255), (0, 255, 0), (0, 0, 0), (255, 255, 255), (128, 128, 128))


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "error"), [(".mp4", 2.0), (".gif", 8.0), (".webp", 3.0)])
def test_clips_come_back_as_they_were(tmp_path: Path, suffix: str, error: float) -> None:
    clip = Clip(smooth_frames(), fps=8.0)
    write_clip(clip, tmp_path / f"clip{suffix}")
    back = read_video(tmp_path / f"clip{suffix}")
    assert back.frames.shape == clip.frames.shape
    assert back.fps == pytest.approx(8, rel=0.02)
    difference = back.frames.float() - clip.frames.float()
    assert difference.abs().mean() < error
    assert difference.mean(dim=(0, 2, 3)).abs().max() < 2


@pytest.mark.parametrize("suffix", MOVING)
def test_strong_colours_do_not_shift(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"colours{suffix}"
    write_clip(Clip(patches(), fps=8.0), path)
    back = read_video(path).frames if suffix != ".webp" else to_bytes(read_picture(path))[None]
    middles = back[0].view(3, 2, 16, 3, 16)[:, :, 5:11, :, 5:11].float().mean(dim=(2, 4))
    assert (middles.permute(1, 2, 0).reshape(6, 3) - torch.tensor(COLOURS)).abs().max() <= 3


def test_frames_are_kept_exactly(tmp_path: Path) -> None:
    clip = Clip(smooth_frames(3), fps=8.0)
    write_clip(clip, tmp_path / "frames")
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == ["frame_0000.png", "frame_0001.png", "frame_0002.png"]
    back = torch.stack([to_bytes(read_picture(tmp_path / "frames" / name)) for name in names])
    assert torch.equal(back, clip.frames)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", MOVING)
def test_the_same_clip_gives_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    clip = Clip(smooth_frames(12), fps=8.0)
    first, second = tmp_path / f"first{suffix}", tmp_path / f"second{suffix}"
    write_clip(clip, first)
    write_clip(clip, second)
    assert first.read_bytes() == second.read_bytes()


def test_mp4_says_what_players_need(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(Clip(smooth_frames(), fps=30000 / 1001), path)
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "faststart: the index comes first"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        coder = stream.codec_context
        assert (coder.name, coder.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == Fraction(30000, 1001)
        tags = coder.color_primaries, coder.color_trc, coder.colorspace, coder.color_range
        assert tuple(int(tag) for tag in tags) == (1, 1, 1, 1)  # BT.709 thrice, limited range


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(33, 48), (32, 49), (33, 49), (1, 1)])
def test_odd_sizes_repeat_the_border_in_mp4_alone(tmp_path: Path, height: int, width: int) -> None:
    frames = smooth_frames(2, 64, 64)[:, :, :height, :width]
    for suffix in MOVING:
        write_clip(Clip(frames, fps=5.0), tmp_path / f"odd{suffix}")
    back = read_video(tmp_path / "odd.mp4").frames
    assert back.shape[-2:] == (height + height % 2, width + width % 2)
    assert read_video(tmp_path / "odd.gif").frames.shape[-2:] == (height, width)
    with Image.open(tmp_path / "odd.webp") as picture:
        assert picture.size == (width, height)
    assert (back[..., -1:, -1:].float() - frames[..., -1:, -1:].float()).abs().max() < 24


def test_what_stands_still_does_not_flicker_in_a_gif(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    frames = torch.randint(0, 256, (1, 3, 40, 60), generator=generator, dtype=torch.uint8)
    frames = frames.repeat(5, 1, 1, 1)
    frames[..., :12] = torch.randint(0, 256, (5, 3, 40, 12), generator=generator, dtype=torch.uint8)
    write_clip(Clip(frames, fps=10.0), tmp_path / "still.gif")
    still = read_video(tmp_path / "still.gif").frames[..., 12:]
    assert torch.equal(still, still[:1].expand_as(still))


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_pictures_loop_and_keep_time(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    write_clip(Clip(smooth_frames(24), fps=24.0), path)
    with Image.open(path) as picture:
        assert picture.info["loop"] == 0
    assert read_video(path).fps == pytest.approx(24, rel=0.05)


@pytest.mark.parametrize(("channels", "rate"), [(1, 16000), (2, 44100), (1, 12345), (5, 48000)])
def test_sound_comes_along_and_ends_with_the_picture(tmp_path: Path, channels: int, rate: int) -> None:
    seconds = torch.arange(3 * rate) / rate
    tone = 0.5 * torch.sin(2 * math.pi * 440 * seconds).expand(channels, -1)
    path = tmp_path / "sound.mp4"
    write_clip(Clip(smooth_frames(16), fps=8.0, audio=Waveform(tone, rate)), path)
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(stream)])
        heard_rate, heard_channels = stream.rate, stream.channels
    assert heard_channels == min(channels, 2)
    assert len(heard) / heard_rate == pytest.approx(2, abs=0.1)
    spectrum = np.abs(np.fft.rfft(heard))
    assert spectrum.argmax() * heard_rate / len(heard) == pytest.approx(440, abs=2)
    assert np.abs(heard).max() == pytest.approx(0.5, abs=0.1)


def test_a_stopped_run_leaves_nothing(tmp_path: Path) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if done == 2:
            raise Cancelled("enough")

    for name in ("clip.mp4", "clip.gif", "clip.webp", "frames"):
        with pytest.raises(Cancelled):
            write_clip(Clip(smooth_frames(), fps=8.0), tmp_path / name, stop)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    clip = Clip(smooth_frames(2), fps=8.0)
    with pytest.raises(InputError, match=r"\.ogv; use \.mp4, .*\.gif, \.webp"):
        write_clip(clip, tmp_path / "clip.ogv")
    with pytest.raises(InputError, match=r"clip-%04d\.png"):
        write_clip(clip, tmp_path / "clip.png")
    with pytest.raises(InputError, match="at least one frame"):
        write_clip(Clip(clip.frames[:0], fps=8.0), tmp_path / "clip.mp4")
    for fps in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="frames per second"):
            write_clip(Clip(clip.frames, fps=fps), tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []
    write_clip(clip, tmp_path / "clip.mp4")
    with pytest.raises(OutputError, match="--overwrite"):
        write_clip(clip, tmp_path / "clip.mp4")
    write_clip(clip, tmp_path / "clip.mp4", overwrite=True)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.gif", "clip.webp", "frames"])
def test_a_disk_that_refuses_is_explained(tmp_path: Path, name: str) -> None:
    resource = pytest.importorskip("resource", reason="no file size limits on this system")
    noise = torch.randint(0, 256, (4, 3, 200, 200), dtype=torch.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"is larger than .* allows"):
            write_clip(Clip(noise, fps=8.0), tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_video_is_held_once_while_it_is_read(tmp_path: Path, monkeypatch) -> None:
    frames = torch.arange(96, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 120, 160)
    path = tmp_path / "grey.mkv"
    write_clip(Clip(frames=frames.contiguous(), fps=24.0), path)
    monkeypatch.setattr("mofa.media.decode.GROWN_BY", 8 * 3 * 120 * 160)
    tracemalloc.start()
    read = read_video(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read.frames[:, 0, 60, 80].float().sub(frames[:, 0, 0, 0].float()).abs().max() <= 2
    assert read.frames.is_contiguous()
    assert peak < 1.3 * frames.numel()


@pytest.mark.slow
def test_reading_stops_where_asked(tmp_path: Path) -> None:
    for suffix in MOVING:
        write_clip(Clip(smooth_frames(9), fps=8.0), tmp_path / f"clip{suffix}")
        assert len(read_video(tmp_path / f"clip{suffix}", max_frames=4).frames) == 4
        assert len(read_video(tmp_path / f"clip{suffix}", max_frames=40).frames) == 9


@pytest.mark.slow
def test_frames_that_have_been_read_do_not_stay_in_memory(tmp_path: Path) -> None:
    write_clip(Clip(smooth_frames(20), fps=8.0), tmp_path / "clip.mp4")
    gc.collect()
    gc.disable()
    try:
        for _ in video_frames(tmp_path / "clip.mp4"):
            pass
        left = [one for one in gc.get_objects() if type(one) is av.VideoFrame]
        coded = [frame for frame in left if frame.format.name == "yuv420p"]  # not the last one made of them
        assert len(coded) <= 1, "a frame in a cycle holds its picture"
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("matrix", "turns"), [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1), ((1, 0, 0, 1), 0)]
)
def test_phone_videos_stand_upright(tmp_path: Path, matrix: tuple[int, int, int, int], turns: int) -> None:
    path = tmp_path / "phone.mp4"
    write_clip(Clip(smooth_frames(2), fps=8.0), path)
    straight = read_video(path).frames
    # The track header holds a 3 x 3 matrix a b u / c d v / x y w that says how to turn the picture.
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(content))
    assert torch.equal(read_video(path).frames, torch.rot90(straight, turns, dims=(2, 3)))


def encoded(suffix: str, folder: Path) -> bytes:
    path = folder / f"seed{suffix}"
    write_clip(Clip(smooth_frames(3), fps=8.0), path, overwrite=True)
    return path.read_bytes()


def test_wrong_files_get_one_sentence(tmp_path: Path) -> None:
    still = io.BytesIO()
    Image.new("RGB", (8, 8)).save(still, "PNG")
    speech = tmp_path / "speech.mp4"
    with av.open(str(speech), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux((*stream.encode(frame), *stream.encode(None)))
    cases = {
        "empty.mp4": (b"", "empty"),
        "text.mp4": (b"no video at all", "cannot be read as a video"),
        "photo.png": (still.getvalue(), "still picture"),
        "speech.mp4": (speech.read_bytes(), "holds no video"),
        "list.m3u8": (b"#EXTM3U\n#EXTINF:1,\nhttp://localhost/a.ts\n#EXT-X-ENDLIST\n", "cannot be read"),
        "cut.mp4": (encoded(".mp4", tmp_path)[:1500], "damaged|cannot be read|no frames"),
        "cut.gif": (encoded(".gif", tmp_path)[:900], "damaged|cannot be read|no frames"),
    }
    for name, (content, words) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=words) as refusal:
            read_video(tmp_path / name)
        assert name in str(refusal.value)
    with pytest.raises(InputError, match="no video at"):
        read_video(tmp_path / "missing.mp4")
    with pytest.raises(InputError, match="is a folder"):
        read_video(tmp_path)
    with pytest.raises(InputError, match="is a video"):
        read_picture(tmp_path / "seed.mp4")


@pytest.mark.parametrize("missing", [1, 2, 4, 40, 400])
def test_a_gif_that_breaks_off_gives_the_frames_before_the_break(tmp_path: Path, missing: int) -> None:
    whole = encoded(".gif", tmp_path)
    (tmp_path / "cut.gif").write_bytes(whole[:-missing])
    frames = read_video(tmp_path / "cut.gif").frames
    assert 1 <= len(frames) <= len(read_video(tmp_path / "seed.gif").frames)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(["", *MOVING]),
    changes=st.lists(st.tuples(st.integers(0, 6000), st.binary(min_size=1, max_size=8)), max_size=6),
    length=st.integers(0, 9000),
)
def test_no_bytes_raise_anything_else(
    tmp_path: Path, suffix: str, changes: list[tuple[int, bytes]], length: int
) -> None:
    seed = tmp_path / f"seed{suffix}"
    if suffix and not seed.exists():
        encoded(suffix, tmp_path)
    content = bytearray(seed.read_bytes() if suffix else b"")
    for place, new in changes:
        content[place : place + len(new)] = new
    (tmp_path / "foreign").write_bytes(content[:length])
    try:
        clip = read_video(tmp_path / "foreign", max_frames=3)
    except InputError:
        return
    assert 1 <= len(clip.frames) <= 3
    assert clip.fps > 0


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
def test_the_slowest_clip_is_written(tmp_path: Path, suffix: str) -> None:
    """Previews have fewer frames than their clip in the same time: 1e-9 a second was an error of ours."""
    write_clip(Clip(torch.zeros(2, 3, 16, 16, dtype=torch.uint8), 1e-9), tmp_path / f"a{suffix}")
    assert (tmp_path / f"a{suffix}").stat().st_size > 0
