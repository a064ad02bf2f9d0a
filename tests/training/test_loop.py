"""The loop: it learns, goes on exactly where it stopped, and leaves nothing half-made."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mofa.errors import InputError, OutputError, ResourceError, WeightsError
from mofa.training import checkpoint as checkpoint_module
from mofa.training.checkpoint import checkpoints, find_resume, whole_folder
from mofa.training.config import OptimiserSettings
from mofa.training.loop import rate_at, train


def contents(checkpoint: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {
        str(path.relative_to(checkpoint)): load_file(path)
        for path in sorted(checkpoint.rglob("*.safetensors"))
    }


def assert_same(one: Path, other: Path) -> None:
    first, second = contents(one), contents(other)
    assert first.keys() == second.keys()
    for name in first:
        assert first[name].keys() == second[name].keys()
        for key, value in first[name].items():
            assert torch.equal(value, second[name][key]), f"{name}: {key}"


def test_the_loss_falls_and_every_step_is_logged(line_recipe, tmp_path: Path) -> None:
    train(line_recipe(steps=60, log_every=1), tmp_path / "run", on_cpu=True)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines]
    assert [line["step"] for line in lines] == list(range(1, 61))
    assert sum(losses[-10:]) < 0.3 * sum(losses[:10])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    line_recipe, tmp_path: Path, workers: int
) -> None:
    recipe = line_recipe(accumulation=2, workers=workers, validate_every=2, steps=8)
    whole = train(recipe, tmp_path / "whole", on_cpu=True)
    train(recipe, tmp_path / "parts", on_cpu=True)
    for step in (8,):
        checkpoint_module.shutil.rmtree(tmp_path / "parts" / f"checkpoint-{step}")
    resumed = train(recipe, tmp_path / "parts", resume="latest", on_cpu=True)
    assert resumed.name == "checkpoint-8"
    assert_same(whole, resumed)
    assert json.loads((whole / "training/state.json").read_text()) == json.loads(
        (resumed / "training/state.json").read_text()
    )


def test_accumulated_passes_are_one_larger_batch(line_recipe, tmp_path: Path, monkeypatch) -> None:
    def weights(**loop: int) -> torch.Tensor:
        # Running means see smaller batches, so only the first step's gradient is comparable.
        recipe = line_recipe(steps=1, average=None, **loop)
        last = train(recipe, tmp_path / str(loop), on_cpu=True)
        return load_file(last / "training/weights.safetensors")["line.bias"]

    assert torch.allclose(weights(batch=8), weights(batch=4, accumulation=2), atol=1e-6)


def test_a_loss_that_is_no_number_stops_with_a_checkpoint_and_the_examples_names(
    line_recipe, tmp_path: Path
) -> None:
    recipe = line_recipe(poisoned=4 * 5 + 2)  # in the sixth batch of four
    with pytest.raises(ResourceError, match=r"step 6: the loss is nan.*point 22"):
        train(recipe, tmp_path / "run", on_cpu=True)
    assert list(checkpoints(tmp_path / "run")) == [4, 5]
    weights = load_file(tmp_path / "run/checkpoint-5/training/weights.safetensors")
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_a_folder_with_checkpoints_is_not_begun_anew(line_recipe, tmp_path: Path) -> None:
    train(line_recipe(), tmp_path / "run", on_cpu=True)
    with pytest.raises(InputError, match="holds checkpoints already"):
        train(line_recipe(), tmp_path / "run", on_cpu=True)


def test_another_sharing_of_the_batch_is_not_gone_on_with(line_recipe, tmp_path: Path) -> None:
    train(line_recipe(), tmp_path / "run", on_cpu=True)
    with pytest.raises(InputError, match=r"1 processes x batch 4 x accumulation 1.*batch 8"):
        train(line_recipe(batch=8, steps=9), tmp_path / "run", resume="latest", on_cpu=True)


def test_a_checkpoint_of_another_architecture_is_refused(line_recipe, tmp_path: Path) -> None:
    last = train(line_recipe(), tmp_path / "run", on_cpu=True)
    weights = load_file(last / "training/weights.safetensors")
    weights["line.weight"] = torch.zeros(1, 4)
    (last / "training/weights.safetensors").unlink()
    checkpoint_module.save_file(weights, last / "training/weights.safetensors")
    with pytest.raises(WeightsError, match=r"another architecture or recipe .*line\.weight"):
        train(line_recipe(steps=9), tmp_path / "run", resume=str(last), on_cpu=True)


def fill_disk(monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """Nothing more can be written into a checkpoint of that name."""
    real = checkpoint_module.save_file

    def full(tensors, path):
        if at in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(tensors, path)

    monkeypatch.setattr(checkpoint_module, "save_file", full)


def test_a_full_disk_costs_a_checkpoint_and_not_the_run(
    line_recipe, tmp_path: Path, monkeypatch, capsys
) -> None:
    fill_disk(monkeypatch, at="checkpoint-4")
    last = train(line_recipe(checkpoint_every=2), tmp_path / "run", on_cpu=True)
    assert last.name == "checkpoint-8"
    assert list(checkpoints(tmp_path / "run")) == [2, 6, 8]
    told = capsys.readouterr().out
    assert "No space left on device" in told
    assert "older checkpoints are kept: checkpoint-2" in told


def test_a_disk_that_is_full_at_the_end_is_told_with_where_to_go_on(
    line_recipe, tmp_path: Path, monkeypatch
) -> None:
    fill_disk(monkeypatch, at="checkpoint-8")
    with pytest.raises(OutputError, match=r"make room, and go on with --resume latest from checkpoint-4\.$"):
        train(line_recipe(), tmp_path / "run", on_cpu=True)


def test_only_the_last_checkpoints_and_the_best_stay(line_recipe, tmp_path: Path) -> None:
    recipe = line_recipe(steps=12, checkpoint_every=1, validate_every=1, keep=2)
    last = train(recipe, tmp_path / "run", on_cpu=True)
    best = json.loads((last / "training/state.json").read_text())["best_step"]
    assert set(checkpoints(tmp_path / "run")) == {11, 12, best}


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def fill_and_fail() -> None:
        with whole_folder(tmp_path / "checkpoint-1") as folder:
            (folder / "a").write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fill_and_fail()
    assert list(tmp_path.iterdir()) == []


def test_latest_of_nothing_is_a_new_run_and_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert find_resume(tmp_path, "latest") is None
    with pytest.raises(InputError, match="does not exist"):
        find_resume(tmp_path, str(tmp_path / "checkpoint-7"))


def test_sgd_goes_on_with_its_momentum_bit_for_bit(line_recipe, tmp_path: Path) -> None:
    recipe = line_recipe()
    recipe = replace(recipe, optimiser=OptimiserSettings(name="sgd", learning_rate=0.01))
    whole = train(recipe, tmp_path / "run", on_cpu=True)
    memory = load_file(whole / "training/optimiser.safetensors")
    assert any(name.endswith("momentum_buffer") and value.any() for name, value in memory.items())
    whole = whole.rename(tmp_path / "whole")
    assert_same(whole, train(recipe, tmp_path / "run", resume="latest", on_cpu=True))


def test_rates_in_tenths_fall_where_they_are_told() -> None:
    settings = OptimiserSettings(learning_rate=1.0, schedule="tenths", falls=(40, 60))
    rates = [rate_at(step, settings, 70) for step in range(70)]
    assert rates == pytest.approx([1.0] * 40 + [0.1] * 20 + [0.01] * 10)


def test_rates_warm_up_and_fall() -> None:
    settings = OptimiserSettings(learning_rate=1.0, schedule="cosine", warmup_steps=10)
    rates = [rate_at(step, settings, 100) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[rates.index(max(rates))] >= 0.97
    assert rates[100] == pytest.approx(0.0, abs=1e-6)
