"""What a batch is to make is read from files as people have them; a wrong row costs itself alone."""

from pathlib import Path

import pytest
import torch

from mofa.batch.rows import BadRow, Row, read_rows
from mofa.errors import InputError
from mofa.media.image import save_png

SCENE = "picture: photo.png\nframes: 3\ncontrols:\n- {kind: camera, move: zoom 1.1}\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a photo and a scene about it."""
    save_png(tmp_path / "photo.png", torch.full((3, 32, 48), 90, dtype=torch.uint8))
    (tmp_path / "zoom.scene.yaml").write_text(SCENE)
    return tmp_path


def rows_in(home: Path, *sources: str, template: str | None = None) -> list[Row | BadRow]:
    given = [str(home / source) for source in sources]
    return read_rows(given, home / "out", None if template is None else home / template)


def names(rows: list[Row | BadRow]) -> list[str]:
    return [row.name for row in rows if isinstance(row, Row)]


def errors(rows: list[Row | BadRow]) -> dict[str, str]:
    return {row.name: row.error for row in rows if isinstance(row, BadRow)}


def test_scenes_come_from_files_folders_and_patterns(home: Path) -> None:
    (home / "more").mkdir()
    (home / "more" / "pan.yaml").write_text(SCENE.replace("photo.png", "../photo.png"))
    for source, wanted in {"zoom.scene.yaml": "zoom", "more": "pan", "*.yaml": "zoom"}.items():
        [row] = rows_in(home, source)
        assert isinstance(row, Row)
        assert (row.name, row.output) == (wanted, home / "out" / f"{wanted}.mp4")
        assert row.request.outputs.extras == ()
    with pytest.raises(InputError, match="does not exist"):
        rows_in(home, "nowhere.yaml")
    with pytest.raises(InputError, match="no file matches"):
        rows_in(home, "*.nothing")


def test_extras_are_written_where_a_scene_asks_for_them(home: Path) -> None:
    (home / "zoom.scene.yaml").write_text(SCENE + "outputs: {extras: [overlay]}\n")
    [row] = rows_in(home, "zoom.scene.yaml")
    assert row.request.outputs.extras == ("overlay",)


def test_a_table_overrides_its_scene_row_by_row(home: Path) -> None:
    table = "name,scene,frames,diffusion.steps\nshort,zoom.scene.yaml,2,\n,zoom.scene.yaml,5,7\n"
    (home / "table.csv").write_text(table)
    short, other = rows_in(home, "table.csv")
    assert (short.name, short.request.frames) == ("short", 2)
    assert (other.name, other.request.frames, other.request.diffusion.steps) == ("table-2", 5, 7)


def test_a_bad_row_is_named_and_the_rest_goes_on(home: Path) -> None:
    (home / "table.csv").write_text(
        "name,scene,frames\n"
        "good,zoom.scene.yaml,2\n"
        "worded,zoom.scene.yaml,many\n"
        "lost,nowhere.yaml,2\n"
        "good,zoom.scene.yaml,3\n"
        "../up,zoom.scene.yaml,2\n"
        "long,zoom.scene.yaml,2,surplus\n"
        "last,zoom.scene.yaml,4\n"
    )
    rows = rows_in(home, "table.csv")
    assert names(rows) == ["good", "last"]
    reasons = errors(rows)
    assert "frames: input should be a valid integer" in reasons["worded"]
    assert "nowhere.yaml does not exist" in reasons["lost"]
    assert "is that of" in reasons["good"]
    assert "no name for a clip" in reasons["../up"]
    assert "another number of columns" in reasons["table-6"]


def test_lines_of_json_are_rows_too(home: Path) -> None:
    (home / "table.jsonl").write_text(
        '{"name": "a", "scene": "zoom.scene.yaml", "seed": 3}\n\nnonsense\n[1]\n'
        '{"picture": "photo.png", "controls": [{"kind": "camera", "move": "zoom 1.2"}], "nonsense": 1}\n'
    )
    rows = rows_in(home, "table.jsonl")
    assert names(rows) == ["a"]
    reasons = errors(rows)
    assert reasons["table-2"] == "it is no JSON."
    assert "no JSON object" in reasons["table-3"]
    assert "nonsense" in reasons["table-4"]


def test_one_template_animates_a_folder_of_photos(home: Path) -> None:
    (home / "photos").mkdir()
    for name in ("b.png", "a.png"):
        save_png(home / "photos" / name, torch.zeros(3, 32, 48, dtype=torch.uint8))
    (home / "photos" / "notes.txt").write_text("not a photo")
    (home / "each.yaml").write_text("frames: 3\ncontrols: [{kind: camera, move: zoom 1.1}]\n")
    rows = rows_in(home, "photos", template="each.yaml")
    assert names(rows) == ["a", "b"]
    assert rows[0].request.picture == home / "photos" / "a.png"
    (home / "each.yaml").write_text(SCENE.replace("photo.png", '"{picture}"'))
    assert rows_in(home, "photos", template="each.yaml")[1].request.picture == home / "photos" / "b.png"


def test_a_missing_picture_is_told_before_anything_starts(home: Path) -> None:
    (home / "photo.png").unlink()
    assert "photo.png does not exist" in errors(rows_in(home, "zoom.scene.yaml"))["zoom"]


def test_tables_without_a_header_or_of_no_kind_are_refused(home: Path) -> None:
    (home / "empty.csv").write_text("")
    with pytest.raises(InputError, match="no header"):
        rows_in(home, "empty.csv")
    (home / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="no scene"):
        rows_in(home, "notes.txt")
