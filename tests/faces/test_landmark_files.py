"""Landmark files come back as they were written; what is none is refused in one sentence."""

import json
import math

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
        (b'{"land": []}', "land"),
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
    (tmp_path / "clip.doc").write_text("1")
    with pytest.raises(InputError, match=r"\.doc"):
        read_landmarks(tmp_path / "clip.doc")


@FEW
@given(
    data=st.binary(max_size=200),
    suffix=st.sampled_from([".npz", ".npy", ".json", ".csv", ".pts", ".xml", ".txt"]),
)
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
        ("jawOpen,mouthClose\n1\n", "no numbers"),
        ("jawOpen\nwide\n", "jawOpen"),
        ("jawOpen\nnan\n", "finite"),
        ("jawOpen\n900\n", "900"),
        ("time,jawOpen\n1,0\n1,1\n", "times"),
        ("frame, timestamp, x_0, x_1, y_0, y_1\n1, 0.0, 1, 2, 3, 4\n", "OpenFace.*as JSON"),
    ],
)
def test_what_is_no_table_of_curves(tmp_path, text, says):
    with pytest.raises(InputError, match=says):
        read_blendshapes(csv_of(tmp_path, text))


@pytest.mark.parametrize(
    "content",
    [
        lambda face: ("f.pts", "version: 1\nn_points: 68\n{\n" + lines(face + 1) + "\n}\n"),
        lambda face: ("f.txt", lines(face)),
        lambda face: ("f.xml", dlib(face)),
        lambda face: ("f.json", json.dumps([{"x": x, "y": y} for x, y in face.tolist()])),
        lambda face: ("f.json", json.dumps({"landmarks": face.tolist()})),
        lambda face: ("f.json", json.dumps(torch.cat([face, face[:, :1]], 1).tolist())),
    ],
)
def test_a_face_as_detectors_write_it(tmp_path, face_points, content):
    name, text = content(face_points)
    (tmp_path / name).write_text(text)
    torch.testing.assert_close(read_face_points(tmp_path / name), face_points, atol=0.01, rtol=0)


def lines(face):
    return "\n".join(f"{x:.3f} {y:.3f}" for x, y in face.tolist())


def dlib(face):
    parts = "".join(f"<part name='{k:02d}' x='{x}' y='{y}'/>" for k, (x, y) in enumerate(face.tolist()))
    return f"<dataset><images><image file='p.jpg'><box>{parts}</box></image></images></dataset>"


@pytest.mark.parametrize(
    "content",
    [
        [{"timestamp_ms": 0, "blendshapes": {"jawOpen": 0.5}}],
        {"frames": [{"blendshapes": {"jawOpen": 0.5}}]},
        {"exportFps": 30, "facsNames": ["jawOpen"], "weightMat": [[0.5]]},
    ],
)
def test_curves_as_json_are_refused_with_the_form_that_is_read(tmp_path, content):
    (tmp_path / "take.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="read from CSV"):
        read_landmarks(tmp_path / "take.json")


def test_fractions_of_a_picture_are_no_face(tmp_path, face_points):
    (tmp_path / "f.json").write_text(json.dumps((face_points / 1000).tolist()))
    with pytest.raises(InputError, match="fractions"):
        read_face_points(tmp_path / "f.json")


def test_frames_without_a_face_are_bridged(tmp_path, face_points):
    points = (face_points + torch.arange(5.0)[:, None, None]).numpy()
    points[2] = np.nan
    np.save(tmp_path / "clip.npy", points)
    clip = read_landmarks(tmp_path / "clip.npy")
    torch.testing.assert_close(clip.points[2], face_points + 2)
    assert clip.score.tolist() == [1, 1, 0, 1, 1]


def take(rate: int, counts: int, drop=(), lost=(), sep=",", comma=False, frames=120) -> str:
    """A take of Live Link Face: the mouth opens and closes once a second."""
    rows = [sep.join(["Timecode", "BlendShapeCount", "EyeBlinkLeft", "JawOpen"])]
    for row in range(frames):
        if row in drop:
            continue
        second, frame = divmod(47 + row * counts // rate, counts)
        code = f"12:59:{second:02d}:{frame:02d}.169"
        jaw = f"{0.5 - 0.5 * math.cos(2 * math.pi * row / rate):.6f}"
        rows.append(
            sep.join(
                [code, "0"] if row in lost else [code, "61", "0", jaw.replace(".", ",") if comma else jaw]
            )
        )
    return "\r\n".join(rows)


@pytest.mark.parametrize(
    "text",
    [
        take(60, 60),
        take(30, 30, frames=60),
        take(30, 60, frames=60),
        take(60, 60, drop=range(20, 50)),
        take(60, 60, lost=range(70, 76)),
        take(60, 60, sep=";", comma=True),
        take(60, 60, sep="\t"),
    ],
)
def test_takes_keep_their_times(tmp_path, text):
    clip = read_blendshapes(csv_of(tmp_path, text))
    curve = clip.curves["jawOpen"]
    assert clip.fps in (30, 60)
    assert len(curve) / clip.fps == pytest.approx(2, abs=0.06)
    moments = torch.arange(len(curve)) / clip.fps
    expected = 0.5 - 0.5 * torch.cos(2 * math.pi * moments)
    dropped = (moments < 0.3) | (moments > 0.85)
    assert (curve - expected)[dropped].abs().max() < 0.03


UNITS = [
    ("time", 1),
    ("timestamp", 1),
    ("time_ms", 1e3),
    ("Timestamp (s)", 1),
    ("timestamp", 1e6),
    ("t", 1e9),
]


@pytest.mark.parametrize(("name", "scale"), UNITS)
def test_times_in_any_unit(tmp_path, name, scale):
    rows = [f"{name},jawOpen", *(f"{1.7e6 + k / 30 * scale:.6f},0.{k % 10}" for k in range(30))]
    assert read_blendshapes(csv_of(tmp_path, "\n".join(rows))).fps == pytest.approx(30, rel=0.01)


@pytest.mark.parametrize(("header", "guessed"), [("frame", True), ("take", True), ("time", False)])
def test_a_table_without_times_says_how_fast_it_is_taken(tmp_path, header, guessed):
    notes: list[str] = []
    text = "\n".join([f"{header},jawOpen", *(f"{k},0.{k}" for k in range(9))])
    clip = read_blendshapes(csv_of(tmp_path, text), notes.append)
    assert (clip.fps == 60) == guessed
    assert ["are taken as 60 a second" in note for note in notes] == [True] * guessed


def test_names_in_many_styles(tmp_path):
    text = "jaw open,Mouth Smile Left,eyeBlink_L,browDown_R,eyeBlink-Right\n0.1,0.2,0.3,0.4,0.5\n"
    curves = read_blendshapes(csv_of(tmp_path, text)).curves
    names = ["jawOpen", "mouthSmileLeft", "eyeBlinkLeft", "browDownRight", "eyeBlinkRight"]
    assert [round(float(curves[name][0]), 3) for name in names] == [0.1, 0.2, 0.3, 0.4, 0.5]


def turns(tmp_path, rows, names="HeadYaw,HeadPitch,HeadRoll"):
    text = [f"JawOpen,{names}", *(",".join(map(str, (0, *row))) for row in rows)]
    return read_blendshapes(csv_of(tmp_path, "\n".join(text))).head


def test_the_heads_rotation_comes_in_radians_or_degrees_and_not_in_percent(tmp_path):
    rows = [(0.0, 0.1, -0.2), (0.3, 0.0, 0.5)]
    torch.testing.assert_close(turns(tmp_path, rows), torch.tensor(rows))
    torch.testing.assert_close(
        turns(tmp_path, [(0, 0, 0), (30, -15, 0)])[1, :2], torch.tensor([0.5236, -0.2618]), atol=1e-4, rtol=0
    )
    percent = read_blendshapes(csv_of(tmp_path, "jawOpen,HeadYaw\n50,0.4\n100,0.2\n"))
    assert percent.curves["jawOpen"].tolist() == [0.5, 1.0]
    torch.testing.assert_close(percent.head[:, 0], torch.tensor([0.4, 0.2]))


def test_a_take_may_say_one_turn_alone_or_none(tmp_path):
    torch.testing.assert_close(turns(tmp_path, [(0.2,)], "Head Pitch"), torch.tensor([[0.0, 0.2, 0.0]]))
    assert read_blendshapes(csv_of(tmp_path, "jawOpen\n0.1\n")).head is None


def test_a_head_that_spins_is_refused(tmp_path):
    with pytest.raises(InputError, match="9000"):
        turns(tmp_path, [(9000, 0, 0)])
