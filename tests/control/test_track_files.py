"""Tracks come in as people and trackers write them; what is not a track gets a sentence."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mofa.control.timing import Timing
from mofa.control.track_files import FileTrack, read_tracks
from mofa.errors import InputError

FOREIGN = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def from_json(folder: Path, content: Any) -> tuple[FileTrack, ...]:
    file = folder / "tracks.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return read_tracks(file)


@pytest.mark.parametrize(
    "content",
    [
        [[[10, 20], [30, 40]]],
        [[10, 20], [30, 40]],
        [{"x": 10, "y": 20}, {"x": 30, "y": 40}],
        ["10,20 30,40"],
        {"tracks": [[[10, 20], [30, 40]]]},
        {"tracks": [{"points": ["10,20", {"x": "30", "y": 40}]}]},
        {"tracks": [{"points": "10,20 30,40"}]},
    ],
)
def test_many_spellings_of_one_track(tmp_path, content) -> None:
    (track,) = from_json(tmp_path, content)
    assert track.points.tolist() == [[10, 20], [30, 40]]
    assert not track.percent.any()
    assert not track.sampled
    assert track.timing is None


def test_percent_spans_the_pixel_centres(tmp_path) -> None:
    (track,) = from_json(tmp_path, [[["50%", "0%"], "100%,100%", ["25", "50%"]]])
    assert track.percent.tolist() == [[True, True], [True, True], [False, True]]
    assert track.in_pixels(101, 51).tolist() == [[50, 0], [100, 50], [25, 25]]


def test_a_track_may_bring_its_timing(tmp_path) -> None:
    eased, paired, sampled = from_json(
        tmp_path,
        [
            {"points": [[1, 2]], "ease": "ease-in", "start": 2, "end": 9, "there_and_back": True},
            {"points": [[1, 2]], "ease": [[0.5, 0.2], [1, 1]]},
            {"points": [[1, 2], [3, 4]], "sampled": True, "visible": [True, False]},
        ],
    )
    assert eased.timing == Timing("in", 2, 9, True)
    assert paired.timing == Timing(((0.5, 0.2), (1.0, 1.0)))
    assert sampled.sampled
    assert sampled.visible.tolist() == [True, False]


def walks(tracks: int = 5, frames: int = 16) -> np.ndarray:
    """Smooth walks [N, T, 2] from places strewn over a picture."""
    generator = np.random.default_rng(tracks * frames)
    velocity = generator.normal(size=(tracks, 1, 2)) * 4
    return generator.uniform(50, 400, (tracks, 1, 2)) + velocity * np.arange(frames)[None, :, None]


def grid(frames: int = 16) -> np.ndarray:
    """A dense grid that moves fast: its points lie nearer to each other than they travel in a frame."""
    places = np.stack(np.meshgrid(np.arange(0, 80, 8.0), np.arange(0, 80, 8.0)), -1).reshape(-1, 1, 2)
    return places + np.array([20.0, 5.0]) * np.arange(frames)[None, :, None]


@pytest.mark.parametrize(
    "points", [walks(), walks(2, 8), walks(1, 8), walks(30, 4), walks(3, 2), grid(), walks(16, 16)]
)
@pytest.mark.parametrize("kind", ["NT2", "TN2", "1TN2"])
def test_either_order_of_a_tracker_is_understood(tmp_path, points, kind) -> None:
    array = points.swapaxes(0, 1) if "TN" in kind else points
    np.save(tmp_path / "t.npy", array[None] if kind[0] == "1" else array)
    tracks = read_tracks(tmp_path / "t.npy")
    assert all(track.sampled and track.visible.all() for track in tracks)
    torch.testing.assert_close(torch.stack([t.points for t in tracks]), torch.from_numpy(points).float())


@pytest.mark.parametrize("name", ["tracks", "pred_tracks", "points", "anything"])
@pytest.mark.parametrize(
    ("key", "hidden"),
    [("visible", False), ("pred_visibility", False), ("occluded", True), ("occlusion", True)],
)
def test_archives_of_trackers(tmp_path, name, key, hidden) -> None:
    points = walks()
    seen = np.random.default_rng(0).random(points.shape[:2]) > 0.3
    arrays = {
        name: points.swapaxes(0, 1)[None],
        key: (seen != hidden).T[None].astype(np.float32),
        "fps": np.array(25),
    }
    np.savez(tmp_path / "t.npz", **arrays)
    tracks = read_tracks(tmp_path / "t.npz")
    np.testing.assert_array_equal(torch.stack([t.visible for t in tracks]).numpy(), seen)


def test_hidden_places_may_be_nan_and_never_seen_tracks_go(tmp_path) -> None:
    points, seen = walks(), np.ones((5, 16), bool)
    seen[0, 4:6], seen[1] = False, False
    holes = np.where(seen[..., None], points, np.nan)
    np.savez(tmp_path / "t.npz", tracks=holes, visible=seen)
    tracks = read_tracks(tmp_path / "t.npz")
    assert len(tracks) == 4
    torch.testing.assert_close(tracks[0].points, torch.from_numpy(points[0]).float())


@pytest.mark.parametrize("view_box", ['viewBox="100 0 200 100"', ""])
def test_svg_is_in_percent_of_its_view_box_or_in_pixels(tmp_path, view_box) -> None:
    (tmp_path / "t.svg").write_text(f'<svg {view_box}><path d="M 150 50 L 300 100"/></svg>', encoding="utf-8")
    (track,) = read_tracks(tmp_path / "t.svg")
    ends = track.points[[0, -1]].tolist()
    assert ends == ([[25, 50], [100, 100]] if view_box else [[150, 50], [300, 100]])
    assert track.percent.all() == bool(view_box)
    assert not track.sampled


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("a.json", b"", "0 bytes"),
        ("a.json", b"[", "JSON"),
        ("a.json", b"\xff\xfe\x00", "JSON"),
        ("a.json", b"[" * 100_000, "JSON"),
        ("a.json", b"3", "list of tracks"),
        ("a.json", b"[]", "no tracks"),
        ("a.json", b'{"track": []}', "track"),
        ("a.json", b"[[]]", "no points"),
        ("a.json", b"[[[1, 2, 3]]]", "track 1: a list of 3"),
        ("a.json", b"[[[1, NaN]]]", "number"),
        ("a.json", b"[[[1, 1e999]]]", "number"),
        ("a.json", b"[[[1, true]]]", "number"),
        ("a.json", b'[{"point": [[1, 2]]}]', 'did you mean "points"'),
        ("a.json", b'[{"points": [[1, 2]], "ease": "slow"}]', "easing"),
        ("a.json", b'[{"points": [[1, 2]], "start": 5, "end": 2}]', "end frame 2"),
        ("a.json", b'[{"points": [[1, 2]], "start": 1.5}]', "whole number"),
        ("a.json", b'[{"points": [[1, 2]], "visible": [true, true]}]', "visible"),
        ("a.json", b'[{"points": [[1, 2]], "sampled": "yes"}]', "true or false"),
        ("a.npy", b"\x93NUMPY", "damaged"),
        ("a.npz", b"PK\x03\x04", "damaged"),
        ("a.svg", b"<svg/>", "no tracks"),
        ("a.doc", b"1,2", ".json"),
        ("a.csv", b"1,2,3", "name the columns"),
        ("a.csv", b"frame,id\n1,2", "no x and y"),
        ("a.csv", b"x,y\n1,2\n3", "lacks a number"),
        ("a.csv", b"frame,x,y\n1,2,3\n900000000,2,3", "more than"),
        ("a.pt", b"PK\x03\x04", "damaged"),
        ("a.json", b"[[[0.65, 0.5], [0.7, 0.5]]]", "65%,50%"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(tmp_path, name, content, word) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=word) as caught:
        read_tracks(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "word"),
    [
        ({"tracks": np.full((4, 3, 3), 5.0)}, "4 x 3 x 3"),
        ({"tracks": np.zeros((4, 3))}, "no tracks"),
        ({"tracks": np.zeros(4)}, "shape 4"),
        ({"tracks": np.full((4, 3, 2), 0.4)}, "fractions"),
        ({"tracks": np.zeros((0, 3, 2))}, "0 x 3 x 2"),
        ({"tracks": np.full((4, 3, 2), np.nan)}, "no tracks"),
        ({"tracks": np.full((4, 3, 2), 1e30)}, "NaN"),
        ({"tracks": np.zeros((4, 3, 2)), "visible": np.ones((4, 4))}, "visibility"),
        ({"tracks": np.zeros((4, 3, 2)), "visible": np.full((4, 3), "x")}, "visibility"),
        ({"tracks": np.zeros((4, 3, 2)), "visible": np.zeros((4, 3))}, "no tracks"),
        ({"tracks": np.full((4, 3, 2), "x")}, "type"),
        ({"tracks": np.zeros((4, 3, 2), complex)}, "type"),
        ({"tracks": np.zeros((4, 3, 2), object)}, "Python objects"),
        ({"a": np.zeros(3)}, "rename"),
        ({}, "empty"),
    ],
)
def test_arrays_that_are_no_tracks(tmp_path, arrays, word) -> None:
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(InputError, match=word):
        read_tracks(tmp_path / "t.npz")


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(InputError, match=r"none\.json"):
        read_tracks(tmp_path / "none.json")


def read_anything(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with contextlib.suppress(InputError):
        for track in read_tracks(folder / name):
            assert track.points.isfinite().all()


STARTS = st.sampled_from([b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"<svg><path d='M0 0", b"[[["])


@FOREIGN
@given(st.sampled_from(["a.json", "a.npy", "a.npz", "a.svg"]), STARTS, st.binary(max_size=200))
def test_any_bytes_are_tracks_or_a_sentence(tmp_path, name, start, content) -> None:
    read_anything(tmp_path, name, start + content)


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["50%", "1,2", "%", "in", "\ud800"])
)
KEYS = st.sampled_from(["tracks", "points", "x", "y", "ease", "start", "end", "sampled", "visible", "other"])


@FOREIGN
@given(
    st.recursive(VALUES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))
)
def test_any_json_is_tracks_or_a_sentence(tmp_path, content) -> None:
    read_anything(tmp_path, "a.json", json.dumps(content).encode())


@FOREIGN
@given(
    st.lists(st.integers(0, 4), max_size=5),
    st.sampled_from(["<f4", "<f8", "<i4", "|b1", "<c8", "<U3", "<M8[s]", ">f2"]),
    st.binary(min_size=8, max_size=8),
)
def test_any_array_is_tracks_or_a_sentence(tmp_path, shape, kind, fill) -> None:
    size = np.dtype(kind).itemsize * int(np.prod(shape))
    values = (fill * (size // 8 + 1))[:size]
    with contextlib.suppress(ValueError):  # numpy may refuse to make such an array, which is not our affair
        np.save(tmp_path / "a.npy", np.frombuffer(values, kind).reshape(shape))
        read_anything(tmp_path, "a.npy", (tmp_path / "a.npy").read_bytes())
