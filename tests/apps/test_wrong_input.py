"""Wrong input ends in one sentence, exit code 2, and nothing written."""

import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from mofa.apps.cli import main
from mofa.media.encode import write_clip
from mofa.types import Clip


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def refused(capsys, *arguments: str) -> str:
    """The sentence that a run ends in; checks that it is one, and that the exit code is 2."""
    code = main([str(argument) for argument in arguments])
    message = capsys.readouterr().err.strip()
    assert code == 2, message
    assert message.startswith("mofa: ")
    assert "\n" not in message
    assert "Traceback" not in message
    return message


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def broken_pictures(folder):
    (folder / "empty.jpg").touch()
    (folder / "noise.jpg").write_bytes(bytes(range(256)) * 9)
    whole = folder / "whole.png"
    Image.new("RGB", (300, 300), "red").save(whole)
    (folder / "cut.png").write_bytes(whole.read_bytes()[:200])
    Image.new("1", (20_000, 10_001)).save(folder / "huge.png")
    write_clip(Clip(torch.zeros(3, 3, 32, 32, dtype=torch.uint8), fps=8.0), folder / "film.mp4")
    (folder / "folder.jpg").mkdir()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing.jpg", "missing.jpg"),
        ("empty.jpg", "empty"),
        ("noise.jpg", "noise.jpg"),
        ("cut.png", "cut.png"),
        ("huge.png", "200 megapixels"),
        ("film.mp4", "video"),
        ("folder.jpg", "folder"),
    ],
)
def test_a_picture_that_is_none(tmp_path, capsys, name, says):
    broken_pictures(tmp_path)
    before = files(tmp_path)
    message = refused(capsys, "animate", tmp_path / name, "--track", "1,2 3,4", "-o", tmp_path / "clip.mp4")
    assert says in message
    assert files(tmp_path) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "nothing is asked to move"),
        (["--track", ""], "no points"),
        (["--track", "1,2 nan,4"], "not a finite number"),
        (["--track", "1,2 900,4"], "outside the picture"),
        (["--track", "1 2"], "is no point"),
        (["--track", "1,2 9,9", "--ease", "bouncy"], "bouncy"),
        (["--track", "1,2 9,9", "--from", "9", "--to", "5"], "end frame 5"),
        (["--track", "1,2 9,9", "--to", "99"], "frames 0..24"),
        (["--track", "1,2 9,9", "--size", "0x40"], "0x40"),
        (["--track", "1,2 9,9", "--size", "3x3"], "3x3"),
        (["--track", "1,2 9,9", "--frames", "-4"], "frames"),
        (["--track", "1,2 9,9", "--frames", "many"], "--frames"),
        (["--trak", "1,2 9,9"], "--track"),
        (["--camera", "pan rihgt 40"], "right"),
        (["--ease", "in"], "put it after one"),
        (["--track", "1,2 9,9", "--select", "400,2"], "outside the picture"),
        (["--track", "1,2 9,9", "--renderer", "wrap"], "warp"),
        (["--tracks", "missing.npy"], "missing.npy"),
        (["--reference", "missing.mp4"], "missing.mp4"),
        (["--brush", "missing.png", "--track", "1,2 9,9"], "missing.png"),
        (["--speech", "missing.wav"], "missing.wav"),
        (["--face-video", "missing.mp4"], "missing.mp4"),
        (["--landmarks-file", "missing.npz"], "missing.npz"),
        (["--speech", "a.wav", "--face", "nose"], "nose"),
        (["--speech", "a.wav", "--face", "0"], "1 is the largest"),
        (["--speech", "a.wav", "--ease", "in"], "put it after one"),
        (["--speech", "a.wav", "--mouth", "-1"], "mouth"),
        (["--speech", "a.wav", "--driver", "sadtalk"], "sadtalker"),
        (["--track", "1,2 9,9", "--face", "2"], "driven face"),
        (["--track", "1,2 9,9", "--extras", "landmarks"], "no face is driven"),
    ],
)
def test_a_request_that_cannot_be_done(tmp_path, photo, capsys, options, says):
    assert says in refused(capsys, "animate", photo, *options, "-o", tmp_path / "clip.mp4")
    assert files(tmp_path) == ["photo.png"]


def test_a_track_file_of_the_wrong_shape(tmp_path, photo, capsys):
    np.save(tmp_path / "tracks.npy", np.zeros((3, 4, 5)))
    message = refused(capsys, "animate", photo, "--tracks", tmp_path / "tracks.npy", "-o", tmp_path / "c.mp4")
    assert "tracks.npy" in message
    assert files(tmp_path) == ["photo.png", "tracks.npy"]


def test_a_mask_of_another_aspect(tmp_path, photo, capsys):
    Image.new("L", (40, 90), 255).save(tmp_path / "mask.png")
    arguments = ["--track", "1,2 9,9", "--brush", tmp_path / "mask.png", "-o", tmp_path / "clip.mp4"]
    assert "aspect" in refused(capsys, "animate", photo, *arguments)


def test_an_existing_clip_is_kept(tmp_path, photo, capsys):
    (tmp_path / "clip.mp4").write_text("mine")
    message = refused(capsys, "animate", photo, "--track", "1,2 9,9", "-o", tmp_path / "clip.mp4")
    assert "--overwrite" in message
    assert (tmp_path / "clip.mp4").read_text() == "mine"


def test_an_unknown_kind_of_clip(tmp_path, photo, capsys):
    message = refused(capsys, "animate", photo, "--track", "1,2 9,9", "-o", tmp_path / "clip.ogv")
    assert ".mp4" in message


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_refuses(tmp_path, photo, capsys):
    (tmp_path / "closed").mkdir(mode=0o500)
    refused(capsys, "animate", photo, "--track", "1,2 9,9", "-o", tmp_path / "closed" / "clip.mp4")


def test_a_folder_that_cannot_be(tmp_path, photo, capsys):
    message = refused(capsys, "animate", photo, "--track", "1,2 9,9", "-o", photo / "clip.mp4")
    assert "photo.png" in message


def test_a_scene_that_is_none(tmp_path, photo, capsys):
    (tmp_path / "scene.yaml").write_text("picture: photo.png\ncontrolls: []")
    assert 'did you mean "controls"' in refused(capsys, "animate", tmp_path / "scene.yaml")
    refused(capsys, "animate", tmp_path / "nothing.yaml")


def test_json_output_carries_the_error_too(tmp_path, photo, capsys):
    assert main(["animate", str(photo), "--json", "-o", str(tmp_path / "c.mp4")]) == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--steps", "10", "--reuse", "12"), "reuse 12 is more than the 10 steps"),
        (("--guide", "warp", "--guide-strong", "90"), "guide_strong 90 must lie in 0..75"),
        (("--sampler", "consistency", "--steps", "60"), "steps is 60, but sampler consistency takes 40"),
        (("--preset", "sketch"), "animatelcm (6.1 GB, licence Stability AI NC community (SVD))"),
        (("--preset", "sketch"), "mofa models download svd-xt animatelcm"),
    ],
)
def test_settings_that_cannot_be_are_one_sentence(
    photo, tmp_path, options, sentence, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("MOFA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    track = ("--track", "1,2 9,9", "--renderer", "diffusion")
    assert sentence in refused(capsys, "animate", photo, *track, *options, "-o", tmp_path / "clip.mp4")


def test_absent_weights_name_the_command_that_gets_them(photo, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("MOFA_HOME", str(tmp_path / "home"))
    write_clip(Clip(torch.zeros(3, 3, 32, 32, dtype=torch.uint8), fps=8.0), tmp_path / "film.mp4")
    before = files(tmp_path)
    for how, command, instead in (
        (("--optical-flow", "unimatch"), "mofa models download unimatch", "--optical-flow dis"),
        (("--renderer", "diffusion"), "mofa models download svd-xt trajectory", "--renderer warp"),
    ):
        reference = ("--reference", tmp_path / "film.mp4", *how)
        message = refused(capsys, "animate", photo, *reference, "-o", tmp_path / "clip.mp4")
        assert command in message
        assert instead in message
    assert files(tmp_path) == before
