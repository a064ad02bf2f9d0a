"""`mofa landmarks`: points come out of pictures and videos, go onto other faces, and are drawn."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from mofa.apps.cli import main
from mofa.faces.landmark_files import landmark_bytes, read_face_points, read_landmarks
from mofa.media.decode import read_video
from mofa.media.encode import write_clip
from mofa.types import Clip, LandmarkClip

pytest.importorskip("mediapipe")


def mofa(*arguments: object) -> int:
    return main(["landmarks", *map(str, arguments), "--quiet"])


@pytest.fixture
def photo(tmp_path, person):
    Image.fromarray(person().permute(1, 2, 0).numpy()).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def moving(folder, face_points):
    points = face_points + torch.arange(4.0)[:, None, None]
    (folder / "moving.npz").write_bytes(landmark_bytes(LandmarkClip(points, torch.ones(4), 25.0), ".npz"))
    return folder / "moving.npz"


def test_a_pictures_face_can_be_given_back_by_hand(tmp_path, photo):
    assert mofa("extract", photo, "-o", tmp_path / "points.json") == 0
    points = read_face_points(tmp_path / "points.json")
    assert points.mean(0).tolist() == pytest.approx([128, 150], abs=15)


def test_a_video_is_followed_in_its_own_pixels(tmp_path, person):
    frames = torch.stack([person(size=200, turn=4.0 * frame) for frame in range(3)])
    write_clip(Clip(frames, 10.0), tmp_path / "talk.mp4")
    assert mofa("extract", tmp_path / "talk.mp4", "-o", tmp_path / "talk.npz") == 0
    clip = read_landmarks(tmp_path / "talk.npz")
    assert clip.fps == 10
    moved = clip.points[2] - clip.points[0]
    assert moved[30, 0].item() == pytest.approx(8 * 200 / 256, abs=2)


def test_another_face_makes_the_motion(tmp_path, photo, face_points):
    output = tmp_path / "out.json"
    assert mofa("retarget", moving(tmp_path, face_points), photo, "-o", output) == 0
    clip = read_landmarks(output)
    assert len(clip.points) == 4
    assert clip.points[0].mean(0).tolist() == pytest.approx([128, 150], abs=15)
    assert clip.points[3, 30, 0] > clip.points[0, 30, 0] + 1
    assert mofa("retarget", tmp_path / "moving.npz", photo, "--pose", "0", "-o", tmp_path / "still.json") == 0
    still = read_landmarks(tmp_path / "still.json").points
    assert (still - still[:1]).abs().max() < 0.1


def test_points_are_drawn_on_black_on_a_photo_and_on_a_video(tmp_path, photo, face_points):
    source = moving(tmp_path, face_points)
    assert mofa("draw", source, "-o", tmp_path / "sketch.mp4", "--size", "200x200") == 0
    clip = read_video(tmp_path / "sketch.mp4")
    assert clip.frames.shape == (4, 3, 200, 200)
    assert clip.frames[0, :, 5, 5].max() < 20
    assert clip.frames.max() > 150
    assert mofa("draw", source, "--over", photo, "-o", tmp_path / "over.png") == 0
    seen = np.asarray(Image.open(tmp_path / "over.png")).astype(int)
    changed = np.abs(seen - np.asarray(Image.open(photo))).max(-1) > 30
    assert 0.002 < changed.mean() < 0.1
    assert mofa("draw", source, "--over", tmp_path / "sketch.mp4", "-o", tmp_path / "again.gif") == 0
    assert len(read_video(tmp_path / "again.gif").frames) == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["extract", "grey.png", "-o", "out.json"], "no face was found"),
        (["extract", "missing.mp4", "-o", "out.json"], "missing.mp4"),
        (["extract", "photo.png", "-o", "out.txt"], ".npz or .json"),
        (["extract", "photo.png", "--face", "nose", "-o", "out.json"], "nose"),
        (["extract", "photo.png", "--face", "3", "-o", "out.json"], "shows 1"),
        (["retarget", "half.json", "photo.png", "-o", "out.json"], "67 x 2"),
        (["draw", "half.json", "-o", "out.mp4"], "half.json"),
        (["draw", "photo.png", "-o", "out.mp4"], ".png"),
    ],
)
def test_what_cannot_be_done(tmp_path, photo, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64)).save("grey.png")
    (tmp_path / "half.json").write_text(json.dumps(np.zeros((2, 67, 2)).tolist()))
    assert mofa(*arguments) == 2
    message = capsys.readouterr().err.strip()
    assert says in message
    assert "\n" not in message
    assert not (tmp_path / "out.json").exists()
