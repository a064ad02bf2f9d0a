"""The forms in which clips are written, read back by others' readers."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from PIL import Image, ImageSequence
from torch import Tensor

from mofa.errors import InputError, OutputError
from mofa.media.audio import read_audio
from mofa.media.decode import read_video
from mofa.media.encode import frame_writer, write_clip
from mofa.media.forms import carries_alpha, stem_of
from mofa.types import Clip, Waveform

WITH_ALPHA = [".webp", ".apng", ".mov", ".webm", "-%04d.png"]
SEEN = torch.tensor([0.0, 64.0, 128.0, 255.0])


def waves(count: int = 4, height: int = 48, width: int = 64) -> UInt8[Tensor, "T 3 H W"]:
    """Coloured waves that drift."""
    time = torch.arange(count)[:, None, None, None] / 5
    phase = torch.linspace(0, 1.5, height)[:, None] + torch.linspace(0, 2, width)
    return (127.5 + 120 * torch.sin(phase * torch.tensor([1, 2, -1])[:, None, None] + time)).round().byte()


def cut_out() -> UInt8[Tensor, "4 32 64"]:
    """Orange, in four columns of growing alpha."""
    colour = torch.tensor([230.0, 120.0, 40.0])[:, None, None].expand(3, 32, 64)
    return torch.cat([colour, SEEN.repeat_interleave(16).expand(1, 32, 64)]).byte()


def frames_with_alpha(path: Path) -> list[UInt8[np.ndarray, "H W 4"]]:
    """The frames of a file with their alpha."""
    if path.suffix in (".webp", ".apng", ".png"):
        with Image.open(path) as picture:
            return [np.array(frame.convert("RGBA")) for frame in ImageSequence.Iterator(picture)]
    with av.open(str(path)) as container:
        [stream] = container.streams.video
        if stream.codec_context.name != "vp9":
            return [frame.to_ndarray(format="rgba") for frame in container.decode(video=0)]
        coder = av.CodecContext.create("libvpx-vp9", "r")
        assert isinstance(coder, av.VideoCodecContext)
        packets = [packet for packet in container.demux(stream) if packet.size]
        frames = [frame for packet in packets for frame in coder.decode(packet)]
        return [frame.to_ndarray(format="rgba") for frame in [*frames, *coder.decode(None)]]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mov", "h264"), (".mkv", "h264"), (".webm", "vp9"), (".avi", "mpeg4"), (".apng", "apng")],
)
def test_every_container_comes_back_in_its_colours(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"clip{suffix}"
    write_clip(Clip(waves(), 8.0), path)
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == codec
    back = read_video(path)
    difference = back.frames.float() - waves().float()
    assert back.fps == pytest.approx(8, rel=0.01)
    assert difference.abs().mean() < 3
    assert difference.mean(dim=(0, 2, 3)).abs().max() < 2


@pytest.mark.parametrize("suffix", [".mov", ".mkv", ".webm", ".avi", ".apng"])
def test_the_same_frames_give_the_same_bytes_in_every_container(tmp_path: Path, suffix: str) -> None:
    for name in ("one", "two"):
        write_clip(Clip(waves(), 8.0), tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", [".mov", ".mkv", ".webm", ".avi"])
@pytest.mark.parametrize("rate", [16000, 44100])
def test_sound_is_as_long_as_the_frames_in_every_container(tmp_path: Path, suffix: str, rate: int) -> None:
    tone = 0.5 * torch.sin(2 * torch.pi * 440 * torch.arange(2 * rate) / rate)[None]
    write_clip(Clip(waves(8), 8.0, Waveform(tone, rate)), tmp_path / f"clip{suffix}")
    back = read_audio(tmp_path / f"clip{suffix}")
    assert back.samples.shape[1] / back.rate == pytest.approx(1.0, abs=0.1)
    assert float(back.samples.pow(2).mean().sqrt()) == pytest.approx(0.5 / 2**0.5, rel=0.1)


@pytest.mark.parametrize("fps", [23.976, 29.97, 12.3457, 240.0])
def test_avi_keeps_rates_that_its_clock_cannot_count_nearly(tmp_path: Path, fps: float) -> None:
    write_clip(Clip(waves(), fps), tmp_path / "clip.avi")
    assert read_video(tmp_path / "clip.avi").fps == pytest.approx(fps, rel=0.002)


@pytest.mark.parametrize("name", WITH_ALPHA)
def test_alpha_survives(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"clip{name}"
    assert carries_alpha(path)
    with frame_writer(path, 8.0) as add:
        for _ in range(3):
            add(cut_out())
    frames = frames_with_alpha(tmp_path / ("clip-0000.png" if "%" in name else path.name))
    columns = frames[0].reshape(32, 4, 16, 4)[8:24, :, 6:10].mean(axis=(0, 2))
    assert np.abs(columns[:, 3] - SEEN.numpy()).max() < 3
    assert np.abs(columns[2:, :3] - [230, 120, 40]).max() < 8


@pytest.mark.parametrize(("height", "width"), [(33, 49), (2, 3)])
@pytest.mark.parametrize("suffix", [".mov", ".webm", ".apng"])
def test_odd_sizes_with_alpha_are_written(tmp_path: Path, suffix: str, height: int, width: int) -> None:
    path = tmp_path / f"odd{suffix}"
    with frame_writer(path, 8.0) as add:
        add(cut_out()[:, :1, :1].expand(4, height, width))
    found = frames_with_alpha(path)[0].shape
    assert found[0] - height in (0, 1)
    assert found[1] - width in (0, 1)


def test_a_pattern_names_frames_from_zero_on(tmp_path: Path) -> None:
    write_clip(Clip(waves(3), 8.0), tmp_path / "seen" / "frame-%03d.jpg")
    names = sorted(path.name for path in (tmp_path / "seen").iterdir())
    assert names == ["frame-000.jpg", "frame-001.jpg", "frame-002.jpg"]
    with Image.open(tmp_path / "seen" / "frame-001.jpg") as picture:
        assert picture.format == "JPEG"
        assert np.abs(np.array(picture).astype(float) - waves(3)[1].permute(1, 2, 0).numpy()).mean() < 3


def test_a_pattern_overwrites_nothing_unasked_and_leaves_other_numbers(tmp_path: Path) -> None:
    (tmp_path / "frame-0007.png").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"frame-0007\.png exists already"):
        write_clip(Clip(waves(2), 8.0), tmp_path / "frame-%04d.png")
    assert [path.name for path in tmp_path.iterdir()] == ["frame-0007.png"]
    write_clip(Clip(waves(2), 8.0), tmp_path / "frame-%04d.png", overwrite=True)
    assert (tmp_path / "frame-0007.png").read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_larger_crf_makes_a_smaller_file(tmp_path: Path, suffix: str) -> None:
    sizes = []
    for crf in (10, 40):
        path = tmp_path / f"{crf}{suffix}"
        with frame_writer(path, 8.0, crf=crf) as add:
            for frame in waves(8):
                add(frame)
        sizes.append(path.stat().st_size)
    assert sizes[1] < 0.7 * sizes[0]


@pytest.mark.parametrize(
    ("name", "crf", "sentence"),
    [("clip.gif", 20, "not written at a CRF"), ("clip.mp4", 52, "51 is the most"), ("frames", 20, "CRF")],
)
def test_a_crf_that_a_form_does_not_take_is_refused(
    tmp_path: Path, name: str, crf: int, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence), frame_writer(tmp_path / name, 8.0, crf=crf):
        pass


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi"])
def test_a_comment_is_in_the_file(tmp_path: Path, suffix: str) -> None:
    text = "picture: 日本.jpg\n" + "x: 1\n" * 2000
    with frame_writer(tmp_path / f"clip{suffix}", 8.0, comment=text) as add:
        add(waves(1)[0])
    with av.open(str(tmp_path / f"clip{suffix}")) as container:
        found = {name.lower(): value for name, value in container.metadata.items()}
    assert found["comment"] == text


def test_a_form_without_metadata_refuses_a_comment(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="cannot hold the scene"),
        frame_writer(tmp_path / "clip.gif", 8.0, comment="x"),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "stem"),
    [("frame-%04d.png", "frame"), ("%d.jpg", "frames"), ("100%.mp4", "100%"), ("a.webm", "a")],
)
def test_what_lies_beside_a_sequence_has_its_name_without_the_number(name: str, stem: str) -> None:
    assert stem_of(Path(name)) == stem
