"""`mofa eval` on the command line: a report, a comparison, and sentences for what cannot be."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from mofa.apps.cli import main
from mofa.evaluation.stages import toy_networks
from mofa.evaluation.synthetic import SyntheticSuite
from mofa.media.encode import write_clip
from mofa.types import Clip
from mofa.weights.networks import save_adapter_halves, save_backbone


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_guided_model_is_judged_with_its_adapters_and_without(
    suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    toy, options = toy_networks(torch.device("cpu"), torch.float32), []
    halves = toy.adapters["trajectory"]
    for name, save in {
        "backbone": partial(save_backbone, toy.video.backbone),
        "adapter": partial(save_adapter_halves, halves.encoder, halves.adapter),
    }.items():
        (tmp_path / name).mkdir()
        save(tmp_path / name)
        options += ["--adapter", str(tmp_path / name)]
    settings = tmp_path / "toy.yaml"
    settings.write_text("diffusion: {steps: 3, device: cpu, densifier: edge-aware, guide_strong: 14}\n")
    usual = ["eval", str(suite), "--limit", "1", "--settings", str(settings), "--guide", "warp", *options]
    both, alone = tmp_path / "both", tmp_path / "alone"
    assert main([*usual, "--quiet", "-o", str(both)]) == 0
    assert main([*usual, "--quiet", "-o", str(alone), "--no-adapters"]) == 0
    reports = [json.loads((folder / "results.json").read_text()) for folder in (both, alone)]
    assert [report["made_by"]["diffusion"].get("adapters", True) for report in reports] == [True, False]
    assert [report["made_by"]["diffusion"]["guide"] for report in reports] == ["warp", "warp"]
    assert reports[0]["scenes"] != reports[1]["scenes"], "random adapters change the clip"
    assert main(["eval", "compare", str(both), str(alone)]) == 0
    assert " better |" in capsys.readouterr().out


@pytest.mark.slow
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
        (
            ["eval", "synthetic", "--renderer", "warp", "--guide", "warp"],
            "leave --guide and --no-adapters out",
        ),
        (["eval", "synthetic", "--clips", ".", "--no-adapters"], "leave --renderer"),
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


@pytest.mark.slow
def test_a_report_about_nothing_is_an_error(
    suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["eval", str(suite), "--clips", str(tmp_path / "empty"), "-o", str(tmp_path / "r")]) == 2
    assert "none of 2 scenes could be judged; scene-000:" in capsys.readouterr().err
