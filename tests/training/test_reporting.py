"""Numbers of a run go where they are asked for, beside metrics.jsonl."""

import importlib.util
import json
from pathlib import Path

import pytest

from mofa.errors import ResourceError
from mofa.training.loop import train


def test_tensorboard_is_told_what_metrics_hold(line_recipe, tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = tmp_path / "run"
    train(line_recipe(log_every=1, validate_every=4, report_to=["tensorboard"]), run, on_cpu=True)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    told = events.EventAccumulator(str(run / "tensorboard"))
    told.Reload()
    for name in ("loss", "validation/loss"):
        wanted = {line["step"]: line[name] for line in lines if name in line}
        assert {event.step: event.value for event in told.Scalars(name)} == pytest.approx(wanted)


def test_a_destination_that_is_not_installed_is_named(line_recipe, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("mofa.training.reporting.find_spec", lambda name: None)
    with pytest.raises(ResourceError, match=r"report_to names wandb, which is not installed: `pip install"):
        train(line_recipe(report_to=["wandb"]), tmp_path / "run", on_cpu=True)
    assert not (tmp_path / "run").exists()
    assert importlib.util.find_spec("json"), "only what the loop sees was hidden"
