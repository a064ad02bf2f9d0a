"""Several processes, and processes that are killed."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mofa.errors import ResourceError
from mofa.training.checkpoint import checkpoints, read_state
from mofa.training.clips import Clips
from mofa.training.loading import Shares, batches

SCRIPT = Path(__file__).parent / "two_processes.py"
ROOT = Path(__file__).parent.parent.parent


def start(processes: int, batch: int, run: Path, *more: str) -> list[subprocess.Popen[str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, str(SCRIPT)]
    return [
        subprocess.Popen(
            [*command, str(rank), str(processes), port, str(batch), str(run), *more],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(processes)
    ]


def finish(started: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    outputs = [process.communicate(timeout=300)[0] for process in started]
    return [(process.returncode, output) for process, output in zip(started, outputs, strict=True)]


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_two_processes_learn_what_one_with_the_double_batch_learns(tmp_path: Path) -> None:
    for processes, batch in ((1, 4), (2, 2)):
        for code, output in finish(start(processes, batch, tmp_path / str(processes))):
            assert code == 0, output
    assert losses(tmp_path / "2") == pytest.approx(losses(tmp_path / "1"), rel=1e-5)
    one, two = (load_file(tmp_path / n / "checkpoint-6/training/weights.safetensors") for n in ("1", "2"))
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=1e-6), name


@pytest.mark.slow
@pytest.mark.parametrize("way", ["fsdp2", "zero2"])
def test_processes_that_share_out_what_is_trained_learn_the_same_and_go_on(tmp_path: Path, way: str) -> None:
    if way == "zero2":
        pytest.importorskip("deepspeed")
    for folder, more in (("ddp", ()), (way, (way,))):
        for code, output in finish(start(2, 2, tmp_path / folder, *more)):
            assert code == 0, output
    one, two = (tmp_path / name / "checkpoint-6" for name in ("ddp", way))
    files = [path.relative_to(one) for path in one.rglob("*.safetensors")]
    assert len(files) == 4
    for file in files:
        first, second = load_file(one / file), load_file(two / file)
        if way == "zero2":  # where no gradient comes, in the norm, DeepSpeed reads 0, and the weight decays
            first, second = ({k: v for k, v in each.items() if "middle" not in k} for each in (first, second))
        assert first.keys() == second.keys()
        for name, value in first.items():
            assert torch.allclose(value, second[name], atol=1e-6), f"{file}: {name}"
    # The last two steps again, from the checkpoint before: weights, mean and optimiser are shared out anew.
    two.rename(tmp_path / "whole")
    for code, output in finish(start(2, 2, tmp_path / way, way)):
        assert code == 0, output
    for file in files:
        before, after = load_file(tmp_path / "whole" / file), load_file(two / file)
        assert all(torch.equal(value, after[name]) for name, value in before.items()), file


@pytest.mark.slow
def test_where_one_process_dies_the_other_saves_and_ends(tmp_path: Path) -> None:
    (code, output), (other, _) = finish(start(2, 2, tmp_path / "run", "3"))
    assert other == 9
    assert code == 3, output
    assert "another process of this run is gone" in output
    assert 3 in checkpoints(tmp_path / "run")


@pytest.mark.slow
def test_a_run_killed_at_any_moment_loses_no_more_than_since_its_last_checkpoint(tmp_path: Path) -> None:
    run, chance = tmp_path / "run", random.Random(0)
    # The process ends itself before the n-th time that it touches a file of its run.
    script = (
        "import os, sys; sys.path.insert(0, 'tests/training'); import torch, toy; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from mofa.training import registry\n"
        "from mofa.training.config import make_recipe\n"
        "from mofa.training.loop import train\n"
        "registry.OBJECTIVES['line'] = 'toy:LineRecipe'\n"
        "registry.SOURCES['points'] = 'toy:PointData'\n"
        "recipe = make_recipe({'objective': {'kind': 'line'}, 'data': {'kind': 'points'}, 'loop':\n"
        "    {'steps': 10**6, 'batch': 2, 'average': 0.9, 'checkpoint_every': 1, 'keep': 3}}, 'test')\n"
        "left = int(sys.argv[1])\n"
        "def touched(event, arguments):\n"
        "    global left\n"
        "    if event in ('open', 'os.mkdir', 'os.rename', 'os.remove', 'os.rmdir') and (\n"
        f"            str(arguments[0]).startswith({str(run)!r})):\n"
        "        left -= 1\n"
        "        if left == 0:\n"
        "            os.kill(os.getpid(), 9)\n"
        "sys.addaudithook(touched)\n"
        f"train(recipe, Path({str(run)!r}), 'latest', True)\n"
    )
    reached = 0
    for _ in range(20):
        killed = subprocess.run(
            [sys.executable, "-c", script, str(chance.randint(1, 200))],
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL
        found = checkpoints(run)
        for path in found.values():
            assert read_state(path)["step"] == int(path.name.removeprefix("checkpoint-"))
            assert load_file(path / "training/weights.safetensors")
            assert load_file(path / "training/optimiser.safetensors")
            assert load_file(path / "training/average.safetensors")
        if found:
            assert max(found) >= reached
            reached = max(found)
    assert reached > 0


@dataclass(frozen=True)
class DeadlySource:
    """Its second example takes the process along that prepares it."""

    def __getitem__(self, number: int) -> Clips:
        if number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return Clips(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), name=f"clip {number}")


def test_a_worker_that_dies_ends_the_run_in_one_sentence() -> None:
    with pytest.raises(ResourceError, match=r"a process that prepares examples has died .*loop\.workers"):
        list(batches(DeadlySource(), Shares(1, 1, 1, 0), 0, 4, 1))
