"""A batch on a Ray of this machine: every clip is made once, whoever dies."""

import importlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("ray")

import mofa
from mofa.apps.cli import main
from mofa.batch import manifest, on_ray
from mofa.batch.manifest import read_manifest
from mofa.batch.rows import read_rows
from mofa.batch.run import Tally, run_batch
from mofa.errors import ResourceError
from mofa.media.decode import read_video
from mofa.media.image import save_png

pytestmark = pytest.mark.ray

SCENE = "picture: ../photo.png\nsize: 48x32\nframes: 3\ncontrols:\n- {kind: camera, move: zoom 1.1}\n"


@pytest.fixture
def troubled(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of actors with troubles, which Ray's processes find, too."""
    folders = [str(Path(__file__).parent), str(Path(mofa.__file__).parents[1])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    monkeypatch.syspath_prepend(folders[0])
    return importlib.import_module("troubled_actors")


def scenes(home: Path, *names: str) -> None:
    save_png(home / "photo.png", torch.randint(0, 255, (3, 32, 48), dtype=torch.uint8))
    (home / "scenes").mkdir()
    for seed, name in enumerate(names):
        (home / "scenes" / f"{name}.yaml").write_text(SCENE + f"seed: {seed}\n")


@pytest.mark.slow
def test_a_scene_that_kills_twice_is_set_aside_and_a_failed_device_gets_a_new_actor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, troubled: Any
) -> None:
    scenes(tmp_path, "a", "deadly", "poisonous", "z")
    monkeypatch.setattr(on_ray, "Maker", troubled.Troubled)
    out, tally = tmp_path / "out", Tally()
    (out / manifest.ASIDE).mkdir(parents=True)
    rows = read_rows([str(tmp_path / "scenes")], out)
    run_batch(rows, out, partial(on_ray.make_all, workers=1), False, lambda event: None, tally)
    assert sorted(tally.made) == ["a", "z"]
    failed = dict(tally.failed)
    assert "is gone" in failed["deadly"]
    processes = [(out / f"{name}.process").read_text() for name in "az"]
    assert len({*processes, failed["poisonous"].split()[5]}) == 3, "every failure brought a new actor"
    deaths = [entry.attempts for entry in read_manifest(out) if entry.name == "deadly"]
    assert deaths == [1, 2]
    assert all(len(read_video(out / f"{name}.mp4").frames) == 3 for name in "az")


@pytest.mark.slow
def test_killed_drivers_and_actors_leave_every_clip_once_and_whole(tmp_path: Path) -> None:
    names = [f"s{index}" for index in range(8)]
    scenes(tmp_path, *names)
    out = tmp_path / "out"
    line = [sys.executable, "-m", "mofa.apps.cli", "batch", str(tmp_path / "scenes"), "-o", str(out)]
    line += ["--ray", "--workers", "2", "--quiet"]

    driver = subprocess.Popen(line)
    until(lambda: finished_in(out))
    actors = actors_of(driver.pid)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    until(lambda: not any(is_actor(process) for process in actors))
    survived = len(finished_in(out))
    driver = subprocess.Popen(line)
    until(lambda: len(finished_in(out)) > survived or driver.poll() is not None)
    for actor in actors_of(driver.pid)[:1]:
        os.kill(actor, signal.SIGKILL)
    assert driver.wait() == 0
    assert Counter(finished_in(out)) == Counter(names)
    assert {path.stem for path in out.glob("*.mp4")} == set(names)
    assert all(len(read_video(path).frames) == 3 for path in out.glob("*.mp4"))


@pytest.mark.slow
def test_actors_of_another_version_and_a_cluster_that_is_not_there_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], troubled: Any
) -> None:
    scenes(tmp_path, "a")
    line = ["batch", str(tmp_path / "scenes"), "-o", str(tmp_path / "out"), "--quiet", "--ray"]
    assert main([*line, "127.0.0.1:1"]) == 2
    assert "the Ray cluster at 127.0.0.1:1 cannot be reached" in capsys.readouterr().err
    monkeypatch.setattr(on_ray, "Maker", troubled.Stranger)
    assert main(line) == 2
    assert "the cluster runs mofa 0.0.1" in capsys.readouterr().err


def test_the_same_version_is_taken() -> None:
    on_ray.check_version(on_ray.__version__)
    with pytest.raises(ResourceError, match="install the same on both"):
        on_ray.check_version("0.0.1")


def finished_in(out: Path) -> list[str]:
    return [entry.name for entry in read_manifest(out) if entry.status == "done"]


def until(true: Callable[[], Any]) -> None:
    """Waits for as long as it takes; the whole suite has a limit."""
    while not true():
        time.sleep(0.05)


def actors_of(driver: int) -> list[int]:
    """The actors of a driver's own Ray: known by their names, and by whom they descend from."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and is_actor(int(entry.name)):
            found += [int(entry.name)] if driver in ancestors(int(entry.name)) else []
    return found


def is_actor(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().startswith(b"ray::Maker")
    except OSError:
        return False


def ancestors(process: int) -> list[int]:
    found = []
    while process > 1:
        try:
            status = Path(f"/proc/{process}/stat").read_text()
        except OSError:
            break
        process = int(status.rpartition(")")[2].split()[1])
        found.append(process)
    return found
