"""`mofa data`: shards that training reads, and a page that shows a batch."""

from itertools import islice
from pathlib import Path

from mofa.apps.cli import main
from mofa.training.config import read_recipe
from mofa.training.shards import Shards


def test_prepared_shards_hold_the_clips_and_are_not_made_again(tmp_path: Path, capsys) -> None:
    command = ["data", "prepare", "toy-stage1", "-o", str(tmp_path / "s"), "--count", "5", "--per-shard", "2"]
    assert main(command) == 0
    assert "3 shards written, 0 were there" in capsys.readouterr().out
    (tmp_path / "s" / "000001.tar").unlink()
    assert main(command) == 0
    assert "1 shards written, 2 were there" in capsys.readouterr().out
    stream = Shards(f"{tmp_path}/s/*.tar").build(0)
    frames = {clip.frames.numpy().tobytes() for clip in islice(stream.share(0, 1, 0), 5)}
    source = read_recipe("toy-stage1").data.build(42)
    assert frames == {source[i].frames.numpy().tobytes() for i in range(5)}


def test_a_page_shows_frames_flow_and_landmarks(tmp_path: Path) -> None:
    for recipe in ("toy-stage1", "toy-landmark"):
        page = tmp_path / f"{recipe}.html"
        assert main(["data", "look", recipe, "-o", str(page), "--count", "2"]) == 0
        text = page.read_text()
        assert text.count("<h2>") == 2
        assert text.count("data:image/png") == (6 if recipe == "toy-stage1" else 2)


def test_shards_of_shards_are_refused(tmp_path: Path, capsys) -> None:
    command = ["data", "prepare", "toy-stage1", "data.kind=shards", "-o", str(tmp_path / "s"), "--count", "1"]
    assert main(command) == 2
    capsys.readouterr()
