"""A photo that is partly transparent: its alpha moves along, or it is laid on a ground, and that is said."""

from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from PIL import Image

from mofa import AnimationRequest
from mofa.apps.cli import main
from mofa.errors import InputError
from mofa.media.decode import read_video
from mofa.pipeline.animate import animate, prepare
from mofa.pipeline.cut_out import cut_out_by_warp
from mofa.pipeline.inputs import read_inputs
from mofa.pipeline.outputs import check_clip

MOVE = "--track=36,32 52,32"
WIDTH, HEIGHT = 96, 64


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A textured disc at (36, 32), radius 12, on nothing at all."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    pixels[..., 0] = 150 + 60 * np.sin(x / 3)
    pixels[..., 1] = 80 + 40 * np.cos(y / 3)
    pixels[..., 3] = np.clip((12.5 - np.hypot(x - 36, y - 32)), 0, 1) * 255
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def made(photo: Path, name: str, *options: str) -> Path:
    clip = photo.parent / name
    assert (
        main(["animate", str(photo), MOVE, "--frames", "5", "-o", str(clip), "--extras", "none", *options])
        == 0
    )
    return clip


def frame_of(path: Path) -> UInt8[np.ndarray, "H W C"]:
    with Image.open(path) as picture:
        return np.array(picture)


def centre(alpha: UInt8[np.ndarray, "H W"]) -> tuple[float, float]:
    rows, columns = np.mgrid[: alpha.shape[0], : alpha.shape[1]]
    total = alpha.sum(dtype=float)
    return float((columns * alpha).sum() / total), float((rows * alpha).sum() / total)


@pytest.mark.slow
def test_the_first_frame_is_the_photo_with_its_alpha(photo: Path) -> None:
    made(photo, "frame-%04d.png")
    first, source = frame_of(photo.parent / "frame-0000.png"), frame_of(photo)
    assert np.array_equal(first[..., 3], source[..., 3])
    solid = source[..., 3] == 255
    assert np.abs(first[solid].astype(int) - source[solid].astype(int)).max() <= 1


@pytest.mark.slow
def test_alpha_moves_with_the_thing_and_nothing_is_left_behind(photo: Path) -> None:
    made(photo, "frame-%04d.png")
    last, source = frame_of(photo.parent / "frame-0004.png"), frame_of(photo)
    x, y = centre(last[..., 3])
    assert (x, y) == pytest.approx((52, 32), abs=1)
    assert last[..., 3].sum(dtype=float) == pytest.approx(source[..., 3].sum(dtype=float), rel=0.05)
    assert last[32, 26, 3] < 10
    # No white rim: what is half seen at the outline has the disc's own colours.
    soft = (last[..., 3] > 100) & (last[..., 3] < 240)
    assert last[soft][:, 2].mean() < 60


@pytest.mark.slow
def test_a_form_without_alpha_is_laid_on_white_and_it_is_said(
    photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = made(photo, "clip.mp4")
    assert "partly transparent" in capsys.readouterr().err
    assert read_video(clip).frames[:, :, :8, :8].float().mean() > 250


@pytest.mark.slow
def test_a_background_is_what_lies_behind(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = made(photo, "clip.mp4", "--background", "#0000ff")
    assert "transparent" not in capsys.readouterr().err
    corner = read_video(clip).frames[:, :, :8, :8].float().mean((0, 2, 3))
    assert (corner - torch.tensor([0.0, 0.0, 255.0])).abs().max() < 6
    made(photo, "on-blue.webp", "--background", "blue")
    with Image.open(photo.parent / "on-blue.webp") as picture:
        assert np.array(picture.convert("RGBA"))[..., 3].min() == 255


def test_a_colour_that_is_none_is_refused(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["animate", str(photo), MOVE, "-o", str(photo.parent / "x.mp4"), "--background", "blau"]) == 2
    assert '"blau" is no colour' in capsys.readouterr().err


def test_an_opaque_photo_with_an_alpha_channel_is_a_photo(photo: Path) -> None:
    Image.fromarray(np.full((HEIGHT, WIDTH, 4), 255, np.uint8)).save(photo)
    made(photo, "clip.webp")
    with Image.open(photo.parent / "clip.webp") as picture:
        assert np.array(picture.convert("RGBA"))[..., 3].min() == 255


def request(photo: Path) -> AnimationRequest:
    data = {
        "picture": str(photo), "frames": 4, "outputs": {"clip": str(photo.parent / "clip.webp")},
        "controls": [{"kind": "track", "points": "36,32 52,32"}],
    }  # fmt: skip
    return AnimationRequest.from_data(data)


@pytest.mark.slow
def test_callers_in_python_have_frames_of_three_channels(photo: Path) -> None:
    assert animate(request(photo)).clip.frames.shape == (4, 3, HEIGHT, WIDTH)


@pytest.mark.slow
def test_a_renderer_that_knows_no_alpha_gets_the_warps(photo: Path) -> None:
    animation = prepare(request(photo), read_inputs(request(photo)))
    grey = cut_out_by_warp(
        lambda source, plan, progress: iter(torch.full((4, 3, HEIGHT, WIDTH), 200).byte()), False
    )
    frames = list(grey(animation.source, animation.motion.plan, lambda *_: None))
    warped = list(animation.frames_with_alpha())
    assert all(torch.equal(frame[3], other[3]) for frame, other in zip(frames, warped, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi"])
def test_a_clip_with_its_scene_is_repeated(photo: Path, suffix: str) -> None:
    clip = made(photo, f"clip{suffix}", "--metadata")
    again = photo.parent / f"again{suffix}"
    assert main(["animate", str(clip), "-o", str(again), "--extras", "none"]) == 0
    assert torch.equal(read_video(clip).frames, read_video(again).frames)


@pytest.mark.slow
def test_a_clip_without_a_scene_is_refused(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = made(photo, "clip.mp4")
    assert main(["animate", str(clip), "-o", str(photo.parent / "again.mp4")]) == 2
    assert "without a scene in its metadata" in capsys.readouterr().err


@pytest.mark.slow
def test_what_lies_beside_a_pattern_is_named_without_the_number(photo: Path) -> None:
    made(photo, "frame-%02d.png")
    assert (photo.parent / "frame.scene.yaml").exists()


def test_a_crf_is_refused_before_anything_is_read(photo: Path) -> None:
    data = request(photo).to_data()
    data["outputs"]["crf"] = 20
    with pytest.raises(InputError, match="CRF"):
        check_clip(AnimationRequest.from_data(data), overwrite=False)
