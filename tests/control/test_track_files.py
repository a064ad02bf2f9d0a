"""Tracks come in as people and trackers write them; what is not a track gets a sentence."""

import contextlib
import io
import json
import tracemalloc
import zipfile
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
    [("visible", False), ("vis", False), ("pred_visibility", False), ("occluded", True), ("occlusion", True)],
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


def moving(tracks: int = 10, frames: int = 49) -> np.ndarray:
    """[T, N, 2]: a row of points on one thing that speeds up and slows down, as a tracker sees it."""
    time = np.linspace(0, 1, frames)
    ease = 3 * time**2 - 2 * time**3
    row = np.stack([np.linspace(280, 345, tracks), np.full(tracks, 160.0)], -1)
    noise = np.random.default_rng(0).normal(0, 0.05, (frames, tracks, 2))
    return row[None] + np.stack([70 * ease, -20 * ease], -1)[:, None] + noise


SEEN = np.ones((49, 10), bool)
SEEN[30:, :3] = False
"""[T, N]"""


def check_moving(tracks: tuple[FileTrack, ...], points: np.ndarray | None = None, atol: float = 1e-3) -> None:
    """That the tracks are those of `moving`, one place per frame."""
    expected = moving() if points is None else points
    assert all(track.sampled for track in tracks)
    found = torch.stack([track.in_pixels(480, 320) for track in tracks])
    torch.testing.assert_close(found, torch.from_numpy(expected.swapaxes(0, 1)).float(), atol=atol, rtol=0)


@pytest.mark.parametrize(
    "arrays",
    [
        {"pred_tracks": moving()[None], "pred_visibility": SEEN[None]},
        {"pred_tracks": moving()[None], "pred_visibility": SEEN[None, ..., None]},
        {"pred_tracks": moving(), "pred_visibility": SEEN},
        {"track_path": moving(), "track_visibility": SEEN},
        {"tracks": moving()[None], "visibility": SEEN[None]},
        {"tracks": moving().swapaxes(0, 1), "visibles": SEEN.T},
        {"tracks": moving().swapaxes(0, 1), "occluded": ~SEEN.T},
        {"points": moving().swapaxes(0, 1), "occluded": ~SEEN.T},
        {"tracks": moving().swapaxes(0, 1), "occlusions": np.where(SEEN.T, -8.0, 8.0)},
    ],
)
def test_known_forms_say_which_axis_is_time(tmp_path, arrays) -> None:
    notes: list[str] = []
    np.savez(tmp_path / "t.npz", **arrays)
    tracks = read_tracks(tmp_path / "t.npz", note=notes.append)
    assert notes == []
    np.testing.assert_array_equal(np.stack([track.visible.numpy() for track in tracks]), SEEN.T)
    found = torch.stack([track.points for track in tracks])[SEEN.T]
    torch.testing.assert_close(found, torch.from_numpy(moving().swapaxes(0, 1)[SEEN.T]).float())


@pytest.mark.parametrize("time_first", [True, False])
def test_where_nothing_tells_smoothness_does_and_the_scene_overrides(tmp_path, time_first) -> None:
    np.save(tmp_path / "t.npy", moving() if time_first else moving().swapaxes(0, 1))
    notes: list[str] = []
    check_moving(read_tracks(tmp_path / "t.npy", note=notes.append))
    (note,) = notes
    assert "10 tracks of 49 frames" in note
    assert ("points-first" if time_first else "time-first") in note
    for axis in ("time-first", "points-first"):
        told = read_tracks(tmp_path / "t.npy", axis, note=notes.append)
        assert len(told) == (10 if (axis == "time-first") == time_first else 49)
    assert len(notes) == 1


@pytest.mark.slow
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tracks=st.integers(2, 70),
    frames=st.sampled_from([14, 16, 24, 25, 49, 81, 121]),
    speed=st.floats(0.3, 6),
    time_first=st.booleans(),
)
def test_grids_of_trackers_are_read_the_right_way_round(tmp_path, tracks, frames, speed, time_first) -> None:
    generator = np.random.default_rng(tracks * frames)
    columns = int(np.ceil(np.sqrt(tracks)))
    places = np.array([(20 + 40 * (k % columns), 20 + 40 * (k // columns)) for k in range(tracks)], float)
    on_the_thing = generator.random(tracks) < 0.4
    steps = np.arange(frames)[:, None, None] * on_the_thing[None, :, None] * np.array([speed, -speed / 3])
    points = places[None] + steps + generator.normal(0, 0.05, (frames, tracks, 2))
    np.save(tmp_path / "t.npy", points if time_first else points.swapaxes(0, 1))
    check_moving(read_tracks(tmp_path / "t.npy"), points)


def test_visibility_may_be_a_third_number_or_a_second_file(tmp_path) -> None:
    with_seen = np.concatenate([moving(), SEEN[..., None]], -1)
    np.savez(tmp_path / "three.npz", pred_tracks=with_seen)
    np.save(tmp_path / "tracks.npy", np.where(SEEN[..., None], moving(), 0)[None])
    np.save(tmp_path / "seen.npy", SEEN[None])
    beside = read_tracks(tmp_path / "tracks.npy", visibility=tmp_path / "seen.npy")
    for tracks in (read_tracks(tmp_path / "three.npz"), beside, read_tracks(tmp_path / "tracks.npy")):
        np.testing.assert_array_equal(np.stack([track.visible.numpy() for track in tracks]), SEEN.T)
        assert all(track.points.min() > 100 for track in tracks), "nothing flies to the corner"


def test_a_track_that_begins_in_the_corner_is_there(tmp_path) -> None:
    np.save(tmp_path / "t.npy", np.arange(10.0)[:, None, None] * np.array([9.0, 6.0]))
    (track,) = read_tracks(tmp_path / "t.npy")
    assert track.visible.all()
    assert track.points[:2].tolist() == [[0, 0], [9, 6]]


def test_nan_is_hidden(tmp_path) -> None:
    np.savez(tmp_path / "t.npz", pred_tracks=np.where(SEEN[..., None], moving(), np.nan))
    tracks = read_tracks(tmp_path / "t.npz")
    np.testing.assert_array_equal(np.stack([track.visible.numpy() for track in tracks]), SEEN.T)
    assert all(track.points.isfinite().all() for track in tracks)


@pytest.mark.parametrize("form", ["tensor", "dictionary", "ati"])
def test_tensors_are_read_without_running_anything(tmp_path, form) -> None:
    points = torch.from_numpy(moving())
    if form == "ati":
        padded = np.zeros((10, 121, 1, 3), np.int32)
        padded[:, :49, 0] = np.concatenate([moving().swapaxes(0, 1), np.ones((10, 49, 1))], -1) * 8
        file = io.BytesIO()
        np.savez_compressed(file, array=padded)
        content: Any = file.getvalue()
    else:
        content = points[None] if form == "tensor" else {"pred_tracks": points[None]}
    torch.save(content, tmp_path / "t.pth")
    check_moving(read_tracks(tmp_path / "t.pth"), atol=0.13 if form == "ati" else 1e-3)


def test_a_pickle_that_would_run_something_is_refused(tmp_path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"tracks": Trap()}, tmp_path / "t.pt")
    with pytest.raises(InputError, match="holds more than tensors"):
        read_tracks(tmp_path / "t.pt")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("names", [("tracks",), ("tracks", "visibles"), ("other",)])
def test_an_array_that_says_it_is_large_is_refused_by_its_header(tmp_path, names) -> None:
    """A file of 300 kilobytes took 800 MB."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (15_000_000, 2)}
    )
    with zipfile.ZipFile(tmp_path / "t.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(f"{names[0]}.npy", "w") as member:
            member.write(header.getvalue())
            member.write(bytes(1_000_000))
        for name in names[1:]:
            archive.writestr(f"{name}.npy", npy(np.ones((5, 9), bool)))
    tracemalloc.start()
    with pytest.raises(InputError, match="save fewer tracks"):
        read_tracks(tmp_path / "t.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_a_video_beside_the_tracks_does_no_harm(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("mofa.control.track_arrays.MOST_NUMBERS", 1000)
    np.savez(tmp_path / "t.npz", tracks=moving(), video=np.zeros((9, 20, 20, 3), np.uint8))
    check_moving(read_tracks(tmp_path / "t.npz"))


@pytest.mark.slow
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path) -> None:
    bomb = zipfile.ZipFile(tmp_path / "t.npz", "w", zipfile.ZIP_DEFLATED)
    with bomb as archive, archive.open("tracks.npy", "w") as member:
        for _ in range(600):
            member.write(bytes(1_000_000))
    with pytest.raises(InputError, match="unpacks to more than 500 MB"):
        read_tracks(tmp_path / "t.npz")
    fields = {"descr": "<f8", "fortran_order": False, "shape": (400_000_000, 2)}
    with (tmp_path / "t.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, fields)
    with pytest.raises(InputError, match="damaged"):
        read_tracks(tmp_path / "t.npy")


EDITORS = [[{"x": round(float(x)), "y": round(float(y))} for x, y in moving()[:, k]] for k in (0, 5, 9)]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(EDITORS),
        json.dumps([[[point["x"], point["y"]] for point in track] for track in EDITORS]),
        str(EDITORS),
        json.dumps(json.dumps(EDITORS)),
        json.dumps({"coordinates": json.dumps(EDITORS)}),
        json.dumps({"tracks": EDITORS, "width": 480, "height": 320}),
        json.dumps({"track_path": moving()[:, [0, 5, 9]].tolist(), "track_visibility": [[True] * 3] * 49}),
    ],
)
def test_what_node_editors_write_is_one_place_per_frame(tmp_path, text) -> None:
    (tmp_path / "t.json").write_text(text, encoding="utf-8")
    check_moving(read_tracks(tmp_path / "t.json"), moving()[:, [0, 5, 9]], atol=0.51)


def test_few_points_are_clicks_and_editors_keep_more_than_places(tmp_path) -> None:
    store = [{"points": [{"x": 1, "y": 2}, {"x": 30, "y": 40}], "color": "#ff0000", "name": "a"}]
    (track,) = from_json(tmp_path, store)
    assert not track.sampled
    (named,) = from_json(tmp_path, {"tracking_points": [[[312, 160], [382, 140]]]})
    assert named.points.tolist() == [[312, 160], [382, 140]]


def test_tracks_of_another_size_of_the_picture(tmp_path) -> None:
    points = (moving() + 0.5) * [256 / 480, 256 / 320] - 0.5
    np.savez(tmp_path / "t.npz", pred_tracks=points)
    check_moving(read_tracks(tmp_path / "t.npz", size=(256, 256)))
    content = {"tracks": [[[10, 20], [30, 40]]], "width": 240, "height": 160}
    (track,) = from_json(tmp_path, content)
    assert track.in_pixels(480, 320).tolist() == [[20.5, 40.5], [60.5, 80.5]]


TABLE = [(frame, k, *moving()[frame, k]) for frame in range(49) for k in range(10)]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("t.csv", ["frame,id,x,y", *(f"{f},{k},{x},{y}" for f, k, x, y in TABLE)]),
        ("t.csv", ["Track ID;Frame;X;Y", *(f"{k};{f + 7};{x};{y}" for f, k, x, y in TABLE)]),
        ("t.csv", ["frame;id;x;y", *(f"{f};{k};{x};{y}".replace(".", ",") for f, k, x, y in TABLE)]),
        ("t.tsv", ["x\ty\tid\tt", *(f"{x}\t{y}\tp{k}\t{f}".replace("p", "") for f, k, x, y in TABLE)]),
        ("mot.txt", [f"{f + 1},{k},{x - 9},{y - 5},18,10,1,-1,-1,-1" for f, k, x, y in TABLE]),
        ("spaces.txt", [f"{f + 1} {k} {x - 9} {y - 5} 18 10" for f, k, x, y in TABLE]),
    ],
)
def test_tables_of_tracks(tmp_path, name, lines) -> None:
    (tmp_path / name).write_text("\n".join(lines), encoding="utf-8")
    check_moving(read_tracks(tmp_path / name))


def test_frames_that_a_table_does_not_list_are_hidden(tmp_path) -> None:
    (tmp_path / "t.csv").write_text("frame,id,x,y\n0,1,5,6\n1,2,30,40\n2,1,9,8\n")
    first, second = read_tracks(tmp_path / "t.csv")
    assert first.visible.tolist() == [True, False, True]
    assert second.visible.tolist() == [False, True, False]


def test_toras_text_is_on_toras_canvas(tmp_path) -> None:
    (tmp_path / "tora.txt").write_text("128,128\n192,64\n")
    notes: list[str] = []
    (track,) = read_tracks(tmp_path / "tora.txt", note=notes.append)
    assert track.in_pixels(512, 256).tolist() == [[256.5, 128], [384.5, 64]]
    assert "256 x 256" in notes[0]
    (other,) = read_tracks(tmp_path / "tora.txt", size=(512, 256))
    assert other.in_pixels(512, 256).tolist() == [[128, 128], [192, 64]]


def test_a_missing_file_is_named(tmp_path) -> None:
    with pytest.raises(InputError, match=r"none\.json"):
        read_tracks(tmp_path / "none.json")


def read_anything(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with contextlib.suppress(InputError):
        for track in read_tracks(folder / name):
            assert track.points.isfinite().all()


NAMES = ["a.json", "a.npy", "a.npz", "a.svg", "a.pt", "a.csv", "a.txt"]
STARTS = st.sampled_from([b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"<svg><path d='M0 0", b"[[["])


@FOREIGN
@given(
    st.sampled_from(NAMES),
    STARTS,
    st.binary(max_size=200),
)
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


@pytest.mark.slow
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
