"""Scenes, photos and clips may be at URLs; a store in memory stands for S3 and its like."""

from multiprocessing.context import BaseContext
from pathlib import Path

import pytest
import torch

pytest.importorskip("fsspec")

import fsspec

from mofa.apps.cli import main
from mofa.batch import processes, workers
from mofa.batch.remote import Mirror
from mofa.batch.rows import BadRow, Row, read_rows
from mofa.errors import InputError
from mofa.media.decode import read_video
from mofa.media.image import save_png

SCENE = "picture: {picture}\nsize: 48x32\nframes: 3\ncontrols:\n- {{kind: camera, move: zoom 1.1}}\n"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A bucket with a photo, two scenes about it and a table, mirrored in the test's own place."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    save_png(tmp_path / "photo.png", torch.randint(0, 255, (3, 32, 48), dtype=torch.uint8))
    memory.pipe("/bucket/photo.png", (tmp_path / "photo.png").read_bytes())
    for name, picture in {"near": "../photo.png", "far": "memory://bucket/photo.png"}.items():
        memory.pipe(f"/bucket/scenes/{name}.yaml", SCENE.format(picture=picture).encode())
    memory.pipe("/bucket/table.csv", b"name,scene,seed\none,scenes/near.yaml,1\nlost,scenes/near.yaml,many\n")

    def make_all(tasks: list[workers.Task], workers: int, context: BaseContext | None = None):
        from mofa.pipeline.engine import Engines

        for task in tasks:
            yield make_clip(task, 0, lambda step: None, Engines())[0]

    make_clip = workers.made
    monkeypatch.setattr(workers, "make_all", make_all)
    monkeypatch.setattr(processes, "imported_once", lambda: None)
    yield memory
    memory.store.clear()


def test_sources_and_the_files_they_name_are_fetched(store, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "mirror")
    for source in ("memory://bucket/scenes", "memory://bucket/scenes/*.yaml"):
        rows = read_rows([source], tmp_path / "out", mirror=mirror)
        assert [row.name for row in rows] == ["far", "near"]
        for row in rows:
            assert isinstance(row, Row), row
            assert row.request.picture == tmp_path / "mirror" / "memory" / "bucket" / "photo.png"
            assert row.request.picture.read_bytes() == (tmp_path / "photo.png").read_bytes()


def test_a_file_that_changed_is_fetched_again(store, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "mirror")
    path = mirror.fetch("memory://bucket/photo.png")
    path.write_bytes(b"kept")
    assert mirror.fetch("memory://bucket/photo.png").read_bytes() == b"kept"
    store.pipe("/bucket/photo.png", b"another photo")
    assert mirror.fetch("memory://bucket/photo.png").read_bytes() == b"another photo"


@pytest.mark.parametrize("url", ["memory://bucket/../../etc/passwd", "memory://", "nonsense://bucket/a"])
def test_urls_that_lead_elsewhere_or_nowhere_are_refused(store, tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match=r"no address|cannot be opened"):
        Mirror(tmp_path / "mirror").fetch(url)


def test_a_local_scene_may_name_a_photo_at_a_url_and_a_lost_one_is_its_own_fault(
    store, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text(SCENE.format(picture="memory://bucket/photo.png"))
    (tmp_path / "b.yaml").write_text(SCENE.format(picture="memory://bucket/gone.png"))
    sources = [str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml")]
    good, bad = read_rows(sources, tmp_path / "out", mirror=Mirror(tmp_path / "mirror"))
    assert isinstance(good, Row)
    assert isinstance(bad, BadRow)
    assert "memory://bucket/gone.png cannot be read" in bad.error


@pytest.mark.slow
def test_a_batch_from_url_to_url_goes_on_on_another_machine(
    store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["batch", "memory://bucket/table.csv", "memory://bucket/scenes", "-o", "memory://bucket/out"]
    assert main(line) == 1
    printed = capsys.readouterr()
    assert "lost" in printed.err
    assert "3 made, 0 there already, 1 failed" in printed.out
    assert {path.rpartition("/")[2] for path in store.glob("/bucket/out/*")} >= {
        "one.mp4", "near.mp4", "far.mp4", "index.html", "manifest.jsonl",
    }  # fmt: skip
    store.get_file("/bucket/out/one.mp4", str(tmp_path / "one.mp4"))
    assert len(read_video(tmp_path / "one.mp4").frames) == 3
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    assert main(line) == 1
    assert "0 made, 3 there already" in capsys.readouterr().out
    assert main([*line, "--ray"]) == 2
    assert "a folder that every machine sees" in capsys.readouterr().err
