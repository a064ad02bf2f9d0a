"""Suites read their folders as published, and say in a sentence what is wrong with one."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mofa.errors import InputError
from mofa.evaluation.catalogue import find_suite, suite_names
from mofa.evaluation.drag import DragSuite
from mofa.evaluation.judge import judge
from mofa.evaluation.makers import request_of
from mofa.evaluation.published import FolderSuite, McBenchSuite, MoveBenchSuite, dragged
from mofa.evaluation.talking import TalkingSuite
from mofa.evaluation.tracked import TrackedSuite
from mofa.evaluation.trial import Instruments
from mofa.media.encode import write_clip
from mofa.media.image import save_jpeg, save_png
from mofa.pipeline.request import AnimationRequest
from mofa.types import Clip, Waveform


def picture(height: int = 48, width: int = 64) -> torch.Tensor:
    return torch.randint(
        0, 255, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def white(height: int, width: int, rows: slice, columns: slice) -> torch.Tensor:
    mask = torch.zeros(3, height, width, dtype=torch.uint8)
    mask[:, rows, columns] = 255
    return mask


@pytest.fixture
def movebench(tmp_path: Path) -> Path:
    home = tmp_path / "MoveBench" / "en"
    for folder in ("first_frame", "track/single", "video"):
        (home / folder).mkdir(parents=True)
    (home / "single_track.txt").write_text("# a comment\nclip_a.mp4,A cat, walking.\n\nclip_b.mp4,A dog.\n")
    for name in ("clip_a", "clip_b"):
        save_jpeg(home / "first_frame" / f"{name}.jpg", picture())
        points = 10 + np.cumsum(np.ones((1, 5, 3, 2)), axis=1)
        visible = np.ones((1, 5, 3), bool)
        visible[0, 0, 2] = False
        np.save(home / "track" / "single" / f"{name}_tracks.npy", points)
        np.save(home / "track" / "single" / f"{name}_visibility.npy", visible)
    write_clip(Clip(picture()[None].repeat(5, 1, 1, 1), 16.0), home / "video" / "clip_a.mp4")
    return tmp_path / "MoveBench"


def test_movebench_is_read_as_published(movebench: Path) -> None:
    suite = MoveBenchSuite(movebench)
    assert suite.names() == ["clip_a", "clip_b"]
    scene = suite.open("clip_a")
    assert scene.hints.points.shape == (2, 5, 2)  # what the first frame hides cannot be asked for
    assert scene.hints.points[0, :, 0].tolist() == [11, 12, 13, 14, 15]
    assert scene.reference.shape == (5, 3, 48, 64)
    assert suite.open("clip_b").reference is None
    assert scene.fps == 16


def test_a_broken_movebench_is_refused_in_a_sentence(movebench: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"single_track\.txt cannot be read: give MoveBench's folder"):
        MoveBenchSuite(tmp_path).names()
    tracks = movebench / "en" / "track" / "single"
    (tracks / "clip_a_tracks.npy").write_bytes(b"no array")
    with pytest.raises(InputError, match=r"clip_a_tracks\.npy: it is damaged"):
        MoveBenchSuite(movebench).open("clip_a")
    np.save(tracks / "clip_b_visibility.npy", np.ones((4, 3), bool))
    with pytest.raises(InputError, match="do not fit each other"):
        MoveBenchSuite(movebench).open("clip_b")
    (tracks / "clip_b_visibility.npy").unlink()
    with pytest.raises(InputError, match="is the download whole"):
        MoveBenchSuite(movebench).open("clip_b")


@pytest.fixture
def mc_bench(tmp_path: Path) -> Path:
    folder = tmp_path / "MC-Bench" / "Fine_grained_control" / "scene_1"
    folder.mkdir(parents=True)
    save_png(folder / "first_frame.png", picture())
    save_png(folder / "first_frame_mask.png", white(48, 64, slice(10, 30), slice(5, 40)))
    (folder / "meta_data.json").write_text(json.dumps({"traj_key_points": [[[10, 20], [30, 20]], [[8, 9]]]}))
    return tmp_path / "MC-Bench"


def test_mc_bench_is_read_as_published(mc_bench: Path, tmp_path: Path) -> None:
    suite = McBenchSuite(mc_bench)
    [name] = suite.names()
    scene = suite.open(name)
    assert scene.hints.points.shape == (2, 16, 2)
    assert scene.hints.points[0, -1].tolist() == [30, 20]
    assert scene.hints.points[1, -1].tolist() == [9, 10]
    assert int(scene.brush.sum()) == 20 * 35
    request = AnimationRequest.from_data(request_of(scene, tmp_path))
    assert request.controls[0].region is not None


def test_a_broken_mc_bench_is_refused_in_a_sentence(mc_bench: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no scenes"):
        McBenchSuite(tmp_path).names()
    meta = mc_bench / "Fine_grained_control" / "scene_1" / "meta_data.json"
    for text in ("{", "{}", '{"traj_key_points": []}', '{"traj_key_points": [["a"]]}'):
        meta.write_text(text)
        with pytest.raises(InputError, match=r"traj_key_points|no tracks"):
            McBenchSuite(mc_bench).open("scene_1")


def test_a_drag_is_monotone_between_its_points() -> None:
    way = dragged([np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 20.0]])]).points[0]
    assert (way.diff(dim=0) >= -1e-6).all()
    assert way[:, 0].max() <= 10


@pytest.fixture
def drags(tmp_path: Path) -> Path:
    folder = tmp_path / "drags"
    folder.mkdir()
    save_png(folder / "room.png", picture())
    save_png(folder / "lamp.png", white(48, 64, slice(10, 20), slice(10, 20)))
    case = {"photo": "room.png", "name": "lamp", "start": [15, 15], "end": [25, 15], "mask": "lamp.png"}
    (folder / "cases.json").write_text(json.dumps([case | {"may_move": None}]))
    return folder


def test_drags_are_read_and_selected_where_asked(drags: Path, tmp_path: Path) -> None:
    suite = DragSuite(drags, select=True)
    assert suite.names() == ["room_lamp"]
    scene = suite.open("room_lamp")
    assert (int(scene.thing.sum()), scene.may_move) == (100, None)
    assert scene.hints.points[0, [0, -1]].tolist() == [[15, 15], [25, 15]]
    request = AnimationRequest.from_data(request_of(scene, tmp_path))
    [point] = request.controls[0].region.select.on
    assert [place.value for place in point] == [15, 15]


def test_broken_drags_are_refused_in_a_sentence(drags: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no cases\.json"):
        DragSuite(tmp_path).names()
    save_png(drags / "lamp.png", white(48, 64, slice(0, 0), slice(0, 0)))
    with pytest.raises(InputError, match="is black"):
        DragSuite(drags).open("room_lamp")
    save_png(drags / "lamp.png", white(24, 32, slice(0, 9), slice(0, 9)))
    with pytest.raises(InputError, match="another size than its photo"):
        DragSuite(drags).open("room_lamp")
    (drags / "cases.json").write_text('[{"photo": "room.png", "name": "lamp"}]')
    with pytest.raises(InputError, match="incomplete"):
        DragSuite(drags).open("room_lamp")


@pytest.mark.slow
def test_real_clips_ask_about_what_moves(moving_square, tmp_path: Path) -> None:
    frames = moving_square((1.0, 0.5), num_frames=17, size=192)
    write_clip(Clip(frames, 8.0), tmp_path / "square.mp4")
    suite = TrackedSuite(tmp_path, windows=1)
    assert suite.names() == ["square-0"]
    scene = suite.open("square-0")
    assert (len(scene.hints.points), int(scene.rests[:10].sum())) == (10, 4)
    moved = (scene.asked.points[:, -1] - scene.asked.points[:, 0]).norm(dim=-1)
    assert moved[~scene.rests].min() > 10
    assert moved[scene.rests].max() < 1
    write_clip(Clip(frames[:1].repeat(17, 1, 1, 1), 8.0), tmp_path / "square.mp4", overwrite=True)
    with pytest.raises(InputError, match="too little moves"):
        suite.open("square-0")
    write_clip(Clip(frames[:5], 8.0), tmp_path / "square.mp4", overwrite=True)
    with pytest.raises(InputError, match="too short"):
        suite.open("square-0")


@pytest.mark.slow
def test_the_papers_protocol_takes_14_frames_at_a_stride_of_4(moving_square, tmp_path: Path) -> None:
    write_clip(Clip(moving_square((0.2, 0.1), num_frames=56), 24.0), tmp_path / "slow.mp4")
    scene = FolderSuite(tmp_path).open("slow")
    assert scene.reference.shape == (14, 3, 256, 256)
    assert scene.fps == 6
    assert len(scene.hints.points) == 5
    with pytest.raises(InputError, match="too short"):
        FolderSuite(tmp_path, stride=5).open("slow")


@pytest.mark.slow
def test_talking_heads_need_a_voice_and_a_face(person, tmp_path: Path, instruments: Instruments) -> None:
    pytest.importorskip("mediapipe")
    frames = torch.stack([person(opening=3 * (t % 4)) for t in range(12)])
    sound = Waveform(0.1 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(0)), 16000)
    write_clip(Clip(frames, 12.0, sound), tmp_path / "talks.mp4")
    write_clip(Clip(frames, 12.0), tmp_path / "mute.mp4")
    suite = TalkingSuite(tmp_path)
    scene = suite.open("talks")
    values = judge(scene, scene.reference, instruments).values
    assert values["landmark_distance.mediapipe"] == 0
    assert {"lip_dynamics.mediapipe", "jitter.mediapipe", "box_edge.mediapipe"} <= values.keys()
    with pytest.raises(InputError, match="no sound"):
        suite.open("mute")
    with pytest.raises(InputError, match="no face was found in the clip"):
        judge(scene, torch.zeros_like(scene.reference), instruments)


@pytest.mark.parametrize("name", [name for name in suite_names() if name != "synthetic"])
def test_suites_that_need_data_say_so(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give their folder with --data"):
        find_suite(name)
    with pytest.raises(InputError, match=r"--data|cases\.json"):
        find_suite(name, tmp_path).names()
