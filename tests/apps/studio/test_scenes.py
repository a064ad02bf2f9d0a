"""Scenes on the canvas, in zips and in previews."""

import io
import json
import shutil
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from mofa.apps.studio.app import build_app
from mofa.apps.studio.making import preview_for_page
from mofa.apps.studio.quota import Quota
from mofa.apps.studio.scenes import (
    LONGEST_SIDE,
    MOST_FRAMES,
    PREVIEW_FRAMES,
    PREVIEW_SIDE,
    SCENE_NAME,
    adopt_files,
    pack_scene,
    preview_request,
    request_from_scene,
    save_document,
    scene_from_request,
    scene_to_offer,
    unpack_scene,
)
from mofa.apps.studio.visitors import MARKER, Visitor, Visitors, new_token
from mofa.errors import InputError
from mofa.media.image import picture_size
from mofa.pipeline.request import AnimationRequest
from mofa.types import silent

TRACK = {"kind": "track", "points": [[100, 100], [150, 90]]}


@pytest.fixture
def visitor(tmp_path: Path, photo: Path) -> Visitor:
    visitor = Visitors(tmp_path / "home").visitor(new_token())
    shutil.copy(photo, visitor.room() / "photo-1.jpg")
    return visitor


def scene(**changes: Any) -> dict[str, Any]:
    return {"picture": "photo-1.jpg", "controls": [TRACK]} | changes


def test_a_scene_survives_the_way_to_a_request_and_back(visitor: Visitor) -> None:
    request = request_from_scene(scene(frames=30, fps=24, loop=True), visitor)
    assert request.picture == visitor.folder / "photo-1.jpg"
    again = request_from_scene(scene_from_request(request), visitor)
    assert again == request


@pytest.mark.parametrize("name", ["/etc/passwd", "../photo-1.jpg", "results/../../x", "photo-2.jpg", ""])
def test_a_scene_names_no_file_outside_the_visit(visitor: Visitor, name: str) -> None:
    for changed in (
        scene(picture=name),
        scene(region={"mask": name}),
        scene(controls=[TRACK | {"region": {"mask": name}}]),
        scene(controls=[{"kind": "reference", "video": name}]),
        scene(controls=[{"kind": "track", "file": name}]),
    ):
        with pytest.raises(InputError):
            request_from_scene(changed, visitor)


def test_a_scene_cannot_say_where_its_clip_is_written(visitor: Visitor) -> None:
    assert request_from_scene(scene(outputs={"clip": "/tmp/x.mp4"}), visitor).outputs.clip is None


def test_what_is_too_large_is_refused(visitor: Visitor) -> None:
    with pytest.raises(InputError, match="too many"):
        request_from_scene(scene(frames=MOST_FRAMES + 1), visitor)
    with pytest.raises(InputError, match="at most"):
        request_from_scene(scene(size=f"{LONGEST_SIDE + 2}x100"), visitor)


def test_the_preview_is_small_and_lasts_as_long(visitor: Visitor) -> None:
    request = request_from_scene(
        scene(frames=61, fps=20, controls=[TRACK | {"start": 15, "end": 45}]), visitor
    )
    small = preview_request(request, 1200, 800)
    assert small.size == (PREVIEW_SIDE, PREVIEW_SIDE * 2 // 3)
    assert small.frames == PREVIEW_FRAMES
    assert small.frames / small.fps == pytest.approx(61 / 20)
    [track] = small.controls
    assert (track.start, track.end) == (4, 11)
    AnimationRequest.from_data(small.to_data())


def test_what_has_no_beginning_is_previewed_as_it_is(visitor: Visitor) -> None:
    region = {"select": "100,100"}
    kinds = [
        {"kind": "sway", "region": region},
        {"kind": "still", "region": region},
        {"kind": "transform", "region": region, "move": "rotate 15", "end": 20},
    ]
    request = request_from_scene(scene(frames=61, controls=kinds), visitor)
    small = preview_request(request, 1200, 800)
    assert small.controls[:2] == request.controls[:2]
    assert small.controls[2].end == 5


def test_a_packed_scene_opens_in_another_visit(visitor: Visitor, tmp_path: Path) -> None:
    packed = tmp_path / "scene.zip"
    pack_scene(request_from_scene(scene(frames=30), visitor), packed)
    other = Visitors(tmp_path / "other").visitor(new_token())
    opened = request_from_scene(unpack_scene(packed, other, None), other)
    assert opened.frames == 30
    assert opened.picture.parent == other.folder
    assert picture_size(opened.picture) == picture_size(visitor.folder / "photo-1.jpg")


def test_a_packed_scene_runs_from_the_command_line(visitor: Visitor, tmp_path: Path) -> None:
    content = io.BytesIO()
    pack_scene(request_from_scene(scene(), visitor), content)
    with zipfile.ZipFile(content) as package:
        package.extractall(tmp_path / "unpacked")
    request = AnimationRequest.from_file(tmp_path / "unpacked" / "scene.yaml")
    assert request.picture.is_file()


def test_a_scene_without_its_photo_takes_the_one_on_the_canvas(visitor: Visitor, tmp_path: Path) -> None:
    file = tmp_path / "scene.yaml"
    file.write_text("picture: elsewhere/holiday.jpg\ncontrols: [{kind: camera, move: zoom in 10%}]\n")
    opened = unpack_scene(file, visitor, "photo-1.jpg")
    assert opened["picture"] == "photo-1.jpg"
    assert opened["controls"][0]["move"] == "zoom 1.1"
    with pytest.raises(InputError, match="holiday"):
        unpack_scene(file, visitor, None)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"just words", b"[1, 2]", b"a: &a [*a]"])
def test_what_is_no_scene_is_refused(visitor: Visitor, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "scene.yaml"
    file.write_bytes(content)
    with pytest.raises(InputError):
        unpack_scene(file, visitor, "photo-1.jpg")


def test_a_zip_holds_nothing_but_a_scene_and_its_files(visitor: Visitor, tmp_path: Path, photo: Path) -> None:
    def packed(**entries: bytes) -> Path:
        path = tmp_path / "scene.zip"
        with zipfile.ZipFile(path, "w") as package:
            for name, content in entries.items():
                package.writestr(name, content)
        return path

    good = b"picture: ../../photo.jpg\ncontrols: [{kind: camera, move: still}]"
    with pytest.raises(InputError, match="0 scenes"):
        unpack_scene(packed(**{"photo.jpg": photo.read_bytes()}), visitor, None)
    with pytest.raises(InputError, match="no file"):
        unpack_scene(packed(**{"scene.yaml": good, "run.sh": b"#!"}), visitor, None)
    with pytest.raises(InputError):
        unpack_scene(packed(**{"scene.yaml": good, "../../photo.jpg": b"no photo"}), visitor, None)
    before = set(tmp_path.rglob("*"))
    opened = unpack_scene(
        packed(**{"scene.yaml": good, "../../photo.jpg": photo.read_bytes()}), visitor, None
    )
    [landed] = set(tmp_path.rglob("*")) - before
    assert landed == visitor.folder / opened["picture"]


def test_an_example_comes_with_its_files(visitor: Visitor) -> None:
    from mofa.apps.examples import example, example_names

    for name in example_names():
        request = adopt_files(AnimationRequest.from_file(example(name)), visitor)
        assert request_from_scene(scene_from_request(request), visitor).picture.is_file()


def test_files_of_one_name_from_two_folders_are_two_files_in_the_zip(
    visitor: Visitor, tmp_path: Path
) -> None:
    for folder, grey in (("a", 0), ("b", 255)):
        (tmp_path / folder).mkdir()
        Image.new("L", (40, 30), grey).save(tmp_path / folder / "mask.png")
    shutil.copy(visitor.folder / "photo-1.jpg", tmp_path / "photo.jpg")
    tracks = [TRACK | {"region": {"mask": f"{folder}/mask.png"}} for folder in "ab"]
    file = tmp_path / "scene.json"
    file.write_text(json.dumps({"picture": "photo.jpg", "controls": tracks}))

    packed = scene_to_offer(file)
    assert isinstance(packed, bytes)
    opened = unpack_scene(io.BytesIO(packed), visitor, None)
    masks = [Image.open(visitor.file(control["region"]["mask"])) for control in opened["controls"]]
    assert [mask.getextrema() for mask in masks] == [(0, 0), (255, 255)]


def test_a_scene_to_offer_has_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "scene.json").write_text(json.dumps({"picture": "none.jpg", "controls": [TRACK]}))
    with pytest.raises(InputError, match=r"none\.jpg"):
        scene_to_offer(tmp_path / "scene.json")


def test_a_studio_opens_the_scene_it_was_started_with_for_whoever_has_its_address(
    tmp_path: Path, photo: Path
) -> None:
    shutil.copy(photo, tmp_path / "photo.jpg")
    (tmp_path / "scene.json").write_text(json.dumps({"picture": "photo.jpg", "controls": [TRACK]}))
    app = build_app(tmp_path / "home")
    name = app.state.studio.offer(scene_to_offer(tmp_path / "scene.json"))
    with TestClient(app) as client:
        client.get("/studio/start")
        opened = client.get(f"/studio/scenes/{name}").json()
        assert opened["scene"]["controls"][0]["points"] == TRACK["points"]
        assert client.get(f"/studio/photos/{opened['picture']['name']}").status_code == 200
        assert "no scene" in client.get("/studio/scenes/offered-0").text


def landed_in(visitor: Visitor) -> set[str]:
    return {path.name for path in visitor.folder.iterdir()}


@pytest.mark.parametrize("last", ["no photo", "no file of ours", "not named"])
def test_of_a_zip_that_is_refused_nothing_stays(
    visitor: Visitor, tmp_path: Path, photo: Path, last: str
) -> None:
    entries = {"scene.yaml": b"picture: p.jpg\ncontrols: [{kind: camera, move: still}]"}
    entries["p.jpg" if last != "not named" else "q.jpg"] = photo.read_bytes()
    entries |= {"no photo": {"z.png": b"x"}, "no file of ours": {"z.exe": b"x"}}.get(last, {})
    with zipfile.ZipFile(tmp_path / "scene.zip", "w") as package:
        for name, content in entries.items():
            package.writestr(name, content)
    before = landed_in(visitor)
    with pytest.raises(InputError):
        unpack_scene(tmp_path / "scene.zip", visitor, None)
    assert landed_in(visitor) == before


def test_a_file_in_a_zip_may_be_as_large_as_one_that_comes_alone(visitor: Visitor, tmp_path: Path) -> None:
    """A zip of 50 kilobytes can hold a picture of 50 megabytes of nothing."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("scene.yaml", "picture: p.png\ncontrols: [{kind: camera, move: still}]")
        with package.open("p.png", "w") as member:
            for _ in range(50):
                member.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(InputError, match="larger than 40 MB"):
        unpack_scene(content, visitor, None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000, "it is refused by what the zip says"


def test_a_member_without_a_name_is_refused_in_a_sentence(visitor: Visitor) -> None:
    """zipfile's own question whether a member is a folder trips over it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as package:
        package.writestr("scene.yaml", "picture: p.png\ncontrols: [{kind: camera, move: still}]")
        package.open(zipfile.ZipInfo(""), "w").close()
    before = landed_in(visitor)
    with pytest.raises(InputError):
        unpack_scene(content, visitor, None)
    assert landed_in(visitor) == before


@pytest.mark.parametrize("name", [SCENE_NAME, "mine.yml", "mine.json"])
def test_a_scene_may_come_with_tracks_as_json(
    visitor: Visitor, tmp_path: Path, photo: Path, name: str
) -> None:
    tracks = {"walk.csv": "x,y\n1,2\n3,4\n", "walk.json": "[[[1, 2], [30, 40]]]"}
    walk = "walk.csv" if name == "mine.json" else "walk.json"
    scene = {"picture": "p.jpg", "controls": [{"kind": "track", "file": walk}]}
    with zipfile.ZipFile(tmp_path / "scene.zip", "w") as package:
        package.writestr(name, json.dumps(scene))
        package.write(photo, "p.jpg")
        package.writestr(walk, tracks[walk])
    opened = unpack_scene(tmp_path / "scene.zip", visitor, None)
    again = io.BytesIO()
    pack_scene(request_from_scene(opened, visitor), again)
    again.seek(0)
    assert unpack_scene(again, visitor, None)["controls"][0]["file"].startswith("tracks-")


@pytest.mark.slow
@pytest.mark.parametrize("end", [None, 20])
def test_tracks_from_a_file_are_previewed_as_the_same_that_are_drawn(
    visitor: Visitor, end: int | None
) -> None:
    """A preview has fewer frames than its clip: what a file says of its own frames goes by those."""
    points, timing = TRACK["points"], {} if end is None else {"end": end}
    (visitor.room() / "tracks-1.json").write_text(json.dumps([{"points": points} | timing]))
    shown = []
    for control in (TRACK | timing, {"kind": "track", "file": "tracks-1.json"}):
        wanted = request_from_scene(scene(controls=[control], frames=40, renderer="warp"), visitor)
        shown.append(preview_for_page(wanted, silent))
    assert shown[0]["sheet"] == shown[1]["sheet"]


def test_a_file_name_of_any_length_is_refused_in_a_sentence(visitor: Visitor, tmp_path: Path) -> None:
    (tmp_path / "scene.json").write_text(json.dumps(scene(picture="x" * 5000)))
    with pytest.raises(InputError, match="needs the file"):
        unpack_scene(tmp_path / "scene.json", visitor, None)


@pytest.mark.parametrize("in_file", [True, False])
def test_a_member_that_begins_before_the_file_is_refused_in_a_sentence(
    visitor: Visitor, tmp_path: Path, in_file: bool
) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as package:
        package.writestr("a.json", "{}")
    zipped = bytearray(content.getvalue())
    end = zipped.rindex(b"PK\5\6")
    (size, place) = struct.unpack_from("<II", zipped, end + 12)
    struct.pack_into("<I", zipped, end + 16, place + 99)  # the list lies so far before where it should
    assert size
    (tmp_path / "scene.zip").write_bytes(zipped)
    with pytest.raises(InputError, match="damaged"):
        unpack_scene(tmp_path / "scene.zip" if in_file else io.BytesIO(zipped), visitor, None)


def test_a_zip_that_is_all_list_is_refused_before_the_list_is_read(visitor: Visitor) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as package:
        for number in range(12_000):
            package.writestr(f"{number:0100}", b"")
    tracemalloc.start()
    with pytest.raises(InputError, match="more files than any scene needs"):
        unpack_scene(content, visitor, None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000


def test_what_a_visitor_keeps_of_scenes_counts_as_theirs(tmp_path: Path, photo: Path) -> None:
    """Documents, files from zips and packed scenes: room is asked for before they are written."""
    visitor = Visitors(tmp_path, Quota(tmp_path, per_visitor=30_000)).visitor(new_token())
    with pytest.raises(InputError, match="too much room"):
        save_document("scene-abcd", {"words": "x" * 40_000}, visitor)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as package:
        package.writestr("scene.yaml", "picture: p.jpg\ncontrols: [{kind: camera, move: still}]")
        package.write(photo, "p.jpg")
    assert photo.stat().st_size > 20_000
    visitor.room().joinpath("tracks-1.npy").write_bytes(bytes(20_000))
    with pytest.raises(InputError, match="too much room"):
        unpack_scene(content, visitor, None)
    assert landed_in(visitor) == {MARKER, "tracks-1.npy"}
