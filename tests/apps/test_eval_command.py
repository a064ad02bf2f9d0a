"""`mofa eval` on the command line: a report, a comparison, and sentences for what cannot be."""

from pathlib import Path

import pytest

from mofa.apps.cli import main
from mofa.evaluation.synthetic import SyntheticSuite
from mofa.media.encode import write_clip
from mofa.types import Clip


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite file of two small scenes."""
    file = tmp_path / "small.yaml"
    file.write_text("kind: synthetic\nscenes: 2\nwidth: 96\nheight: 96\nframes: 5\n")
    return file


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """The true clip of its first scene; nothing for the second."""
    folder = tmp_path / "clips"
    folder.mkdir()
    scene = SyntheticSuite(scenes=2, width=96, height=96, frames=5).open("scene-000")
    write_clip(Clip(scene.reference, scene.fps), folder / "scene-000.mp4")
    return folder


def test_our_renderer_and_other_clips_are_judged_and_compared(
    suite: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert main(["eval", str(suite), "--limit", "1", "-o", str(ours)]) == 0
    assert "renderer warp" in capsys.readouterr().out
    assert main(["eval", str(suite), "--clips", str(clips), "-o", str(theirs), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    for folder in (ours, theirs):
        assert {"results.json", "results.md", "report.html"} <= {p.name for p in folder.iterdir()}
    assert "no clip for the scene scene-001" in (theirs / "results.md").read_text()
    assert main(["eval", "compare", str(ours), str(theirs)]) == 0
    assert "| B - A |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["eval", "sinthetic"], 'did you mean "synthetic"'),
        (["eval", "synthetic", "synthetic"], "one suite at a time"),
        (["eval", "compare", "a"], "compare takes two reports"),
        (["eval", "compare", "a", "b"], "cannot be read"),
        (["eval", "synthetic", "--limit", "0"], "give 1 or more"),
        (["eval", "synthetic", "--clips", "nowhere"], "is no folder"),
        (["eval", "synthetic", "--clips", ".", "--renderer", "warp"], "leave --renderer"),
        (["eval", "synthetic", "--clips", ".", "--adapter", "runs"], "and --adapter out"),
        (
            ["eval", "synthetic", "--renderer", "warp", "--adapter", "runs"],
            "the warp renderer has no adapters",
        ),
        (["eval", "synthetic", "--adapter", "nowhere"], "nowhere holds no weights"),
        (["eval", "synthetic", "--tracker", "klt"], 'did you mean "lk"'),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir()), "it was told before anything was made"


def test_a_report_about_nothing_is_an_error(
    suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["eval", str(suite), "--clips", str(tmp_path / "empty"), "-o", str(tmp_path / "r")]) == 2
    assert "none of 2 scenes could be judged; scene-000:" in capsys.readouterr().err
