"""A few frames from anywhere in a video are those that decoding everything gives."""

from pathlib import Path

import av
import numpy as np
import pytest
import torch

from mofa.errors import InputError
from mofa.media.clips import _needed, read_clip, video_facts
from mofa.types import CropBox

FPS, COUNT, HEIGHT, WIDTH = 25, 40, 48, 80


def write(path: Path, codec: str, options: dict[str, str]) -> None:
    """A number of the frame in every frame, as a place: a bright bar that wanders over noise."""
    noise = np.random.default_rng(0).integers(0, 90, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for i in range(COUNT):
            picture = np.roll(noise, i, axis=0)
            picture[:, 2 * i : 2 * i + 6] = 230
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def everything(path: Path, width: int, height: int) -> np.ndarray:
    """Every frame, decoded and scaled one by one."""
    with av.open(path) as container:
        return np.stack(
            [
                frame.to_ndarray(format="gbrp", width=width, height=height, interpolation="AREA")
                for frame in container.decode(video=0)
            ]
        )


WAYS = {
    "h264-b-frames.mp4": ("libx264", {"bf": "3", "g": "250"}),
    "h264-pyramid.mkv": ("libx264", {"bf": "5", "b-pyramid": "normal", "g": "12"}),
    "mpeg4-b-frames.mkv": ("mpeg4", {"bf": "2"}),
    "no-b-frames.avi": ("mpeg4", {"bf": "0"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize(("start", "stride"), [(0, 1), (7, 1), (7, 4), (22, 5), (39, 1)])
def test_frames_that_are_skipped_change_none_that_are_read(
    name: str, start: int, stride: int, tmp_path: Path
) -> None:
    path = tmp_path / name
    codec, options = WAYS[name]
    write(path, codec, options)
    numbers = list(range(start, COUNT, stride))[:5]
    whole = CropBox(0.0, 0.0, float(WIDTH), float(HEIGHT), WIDTH, HEIGHT)
    read = read_clip(path, [number / FPS for number in numbers], whole, name)
    assert torch.equal(read.permute(0, 2, 3, 1), torch.from_numpy(everything(path, WIDTH, HEIGHT)[numbers]))


@pytest.mark.parametrize("name", ["h264-b-frames.mp4", "h264-pyramid.mkv", "mpeg4-b-frames.mkv"])
def test_nothing_is_decoded_that_comes_after_the_last_frame_asked_for(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write(path, *WAYS[name])
    with av.open(path) as container:
        frames = list(container.decode(video=0))
    # A frame that builds on no later one.
    last = next(i for i in range(20, COUNT) if frames[i].pict_type == av.video.frame.PictureType.P)
    with av.open(path) as container:
        stream = container.streams.video[0]
        *shown, (after, repeated) = _needed(
            container, stream, [frames[4].pts + 0.25, frames[last].pts + 0.25]
        )
    seen = [tick for tick, _ in shown]
    assert seen[-1] == frames[last].pts
    assert frames[4].pts in seen
    # The end of what the last frame shows is told, without the frame that begins there.
    assert after == frames[last + 1].pts
    assert repeated.pts == frames[last].pts


def test_a_crop_is_cut_out_of_the_scaled_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write(path, *WAYS["h264-b-frames.mp4"])
    crop = CropBox(30.0, 0.0, 48.0, 48.0, 24, 24)
    read = read_clip(path, [0.2, 0.4], crop, "a.mp4")
    scaled = everything(path, WIDTH // 2, HEIGHT // 2)[[5, 10], :, 15:39]
    assert torch.equal(read.permute(0, 2, 3, 1), torch.from_numpy(scaled))


def test_moments_after_the_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write(path, *WAYS["h264-b-frames.mp4"])
    assert video_facts(path, "a.mp4").seconds == pytest.approx(COUNT / FPS, abs=0.05)
    whole = CropBox(0.0, 0.0, float(WIDTH), float(HEIGHT), WIDTH, HEIGHT)
    with pytest.raises(InputError, match="ends before"):
        read_clip(path, [1.0, 2.0], whole, "a.mp4")
