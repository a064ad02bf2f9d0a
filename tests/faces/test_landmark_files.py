"""Landmark files come back as they were written; what is none is refused in one sentence."""

import json

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mofa.errors import InputError
from mofa.faces.landmark_files import (
    landmark_bytes,
    read_blendshapes,
    read_face_points,
    read_landmarks,
)
from mofa.types import LandmarkClip

FEW = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_a_clip_comes_back(tmp_path, face_points, suffix):
    clip = LandmarkClip(face_points + torch.arange(3.0)[:, None, None], torch.tensor([1.0, 0.0, 0.5]), 29.97)
    (tmp_path / f"clip{suffix}").write_bytes(landmark_bytes(clip, suffix))
    again = read_landmarks(tmp_path / f"clip{suffix}")
    assert torch.equal(again.points, clip.points)
    assert torch.equal(again.score, clip.score)
    assert again.fps == clip.fps


def test_another_suffix_is_refused(face_points):
    with pytest.raises(InputError, match=r"\.npz or \.json"):
        landmark_bytes(LandmarkClip(face_points[None], torch.ones(1), 25.0), ".txt")


def test_one_face_by_hand(tmp_path, face_points):
    for content in (face_points.tolist(), {"points": face_points.tolist()}, [face_points.tolist()]):
        (tmp_path / "points.json").write_text(json.dumps(content))
        assert torch.equal(read_face_points(tmp_path / "points.json"), face_points)
    (tmp_path / "points.json").write_text(json.dumps(face_points[:67].tolist()))
    with pytest.raises(InputError, match="67 x 2"):
        read_face_points(tmp_path / "points.json")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"{", "JSON"),
        (b'{"landmarks": []}', "landmarks"),
        (b'{"points": [[1, 2], [3]]}', "equal length"),
        (b'{"points": "many"}', "numbers"),
        (json.dumps(np.zeros((3, 67, 2)).tolist()).encode(), "3 x 67 x 2"),
        (json.dumps({"points": np.zeros((3, 68, 2)).tolist(), "fps": 0}).encode(), "fps"),
        (json.dumps({"points": np.zeros((3, 68, 2)).tolist(), "score": [1, 2]}).encode(), "score"),
        (json.dumps(np.full((1, 68, 2), 1e9).tolist()).encode(), "hold"),
    ],
)
def test_what_is_no_landmark_file(tmp_path, content, says):
    (tmp_path / "clip.json").write_bytes(content)
    with pytest.raises(InputError, match=says) as problem:
        read_landmarks(tmp_path / "clip.json")
    assert "clip.json" in str(problem.value)


def test_files_that_are_missing_or_of_another_kind(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_landmarks(tmp_path / "none.npz")
    (tmp_path / "clip.txt").write_text("1")
    with pytest.raises(InputError, match=r"\.txt"):
        read_landmarks(tmp_path / "clip.txt")


@FEW
@given(data=st.binary(max_size=200), suffix=st.sampled_from([".npz", ".npy", ".json", ".csv"]))
def test_no_bytes_end_in_anything_but_a_sentence(tmp_path, data, suffix):
    path = tmp_path / f"fuzz{suffix}"
    path.write_bytes(data)
    for read in (read_landmarks, read_face_points, read_blendshapes):
        with pytest.raises(InputError):
            read(path)


@FEW
@given(
    points=hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int16, np.bool_]),
        hnp.array_shapes(max_dims=4, max_side=4),
    )
)
def test_arrays_of_any_shape_are_refused(tmp_path, points):
    np.save(tmp_path / "points.npy", points)
    for read in (read_landmarks, read_face_points):
        with pytest.raises(InputError):
            read(tmp_path / "points.npy")


def csv_of(tmp_path, text: str):
    path = tmp_path / "curves.csv"
    path.write_text(text)
    return path


def test_curves_are_found_whatever_their_style(tmp_path):
    path = csv_of(
        tmp_path, "Timecode,BlendshapeCount,EyeBlinkLeft,jaw_open\n00:00,61,0.25,1\n00:01,61,0.5,0\n"
    )
    clip = read_blendshapes(path)
    assert clip.curves["eyeBlinkLeft"].tolist() == [0.25, 0.5]
    assert clip.curves["jawOpen"].tolist() == [1.0, 0.0]
    assert clip.fps == 60


def test_percent_and_times(tmp_path):
    clip = read_blendshapes(csv_of(tmp_path, "time,jawOpen\n1.0,50\n1.5,100\n2.0,0\n"))
    assert clip.curves["jawOpen"].tolist() == [0.5, 1.0, 0.0]
    assert clip.fps == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "blendshape"),
        ("jawOpen\n", "0 rows"),
        ("jawOpen,mouthClose\n1\n", "mouthClose"),
        ("jawOpen\nwide\n", "jawOpen"),
        ("jawOpen\nnan\n", "finite"),
        ("jawOpen\n900\n", "900"),
        ("time,jawOpen\n1,0\n1,1\n", "times"),
    ],
)
def test_what_is_no_table_of_curves(tmp_path, text, says):
    with pytest.raises(InputError, match=says):
        read_blendshapes(csv_of(tmp_path, text))
