"""A batch makes what is missing, once; kills at any moment leave every clip whole or to be made."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.context import BaseContext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mofa.apps import batch_command
from mofa.apps.cli import main
from mofa.batch import manifest, processes, run, workers
from mofa.batch.manifest import Entry, append, fingerprint, is_done, only_one, past_of, read_manifest
from mofa.batch.rows import read_rows
from mofa.batch.run import Tally, run_batch
from mofa.batch.thumbnails import keep_thumbnail, thumbnail, thumbnail_file
from mofa.devices import device_of_worker
from mofa.errors import OutputError
from mofa.media.decode import media_of, read_video
from mofa.media.image import read_picture, save_png

SCENE = "picture: photo.png\nsize: 48x32\nframes: 3\ncontrols:\n- {kind: camera, move: zoom 1.1}\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    save_png(tmp_path / "photo.png", torch.randint(0, 255, (3, 32, 48), dtype=torch.uint8))
    (tmp_path / "scenes").mkdir()
    for name in ("a", "b", "c"):
        scene = SCENE.replace("photo.png", "../photo.png")
        (tmp_path / "scenes" / f"{name}.yaml").write_text(scene + f"seed: {ord(name)}\n")
    return tmp_path


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Clips are made in the test's own process; the names of those that were, in order."""
    made: list[str] = []

    def make_all(tasks: list[workers.Task], workers: int, context: BaseContext | None = None):
        from mofa.pipeline.engine import Engines

        for task in tasks:
            made.append(task.name)
            yield make_clip(task, 0, lambda step: None, Engines())[0]

    make_clip = workers.made
    monkeypatch.setattr(workers, "make_all", make_all)
    monkeypatch.setattr(processes, "imported_once", lambda: None)
    return made


@dataclass(frozen=True)
class Passing:
    """As much of an animation as its frames need."""

    render: Callable[[], Iterator[torch.Tensor]]


def batch(home: Path, **options) -> Tally:
    tally = Tally()
    rows = read_rows([str(home / "scenes")], home / "out")
    (home / "out" / manifest.ASIDE).mkdir(parents=True, exist_ok=True)
    settings = {"retry_failed": False} | options
    team = partial(workers.make_all, workers=1)
    run_batch(rows, home / "out", team, **settings, on_event=lambda event: None, tally=tally)
    return tally


def test_the_small_pictures_of_the_page_are_kept_as_clips_are_finished(
    home: Path, in_this_process: list[str]
) -> None:
    batch(home)
    [row, *_] = read_rows([str(home / "scenes")], home / "out")
    kept = thumbnail_file(row.output)
    assert media_of(kept) == "picture"
    before = kept.stat().st_mtime_ns
    assert thumbnail(row.output) == kept.read_bytes()
    assert kept.stat().st_mtime_ns == before, "it is newer than its clip, and not made again"
    row.output.write_bytes(b"no clip")
    assert thumbnail(row.output) == b""


def test_a_second_call_makes_nothing_and_a_changed_scene_is_made_again(
    home: Path, in_this_process: list[str]
) -> None:
    assert batch(home).made == ["a", "b", "c"]
    assert len(read_video(home / "out" / "a.mp4").frames) == 3
    assert batch(home).there == ["a", "b", "c"]
    (home / "scenes" / "b.yaml").write_text(SCENE.replace("photo.png", "../photo.png").replace("1.1", "1.2"))
    assert batch(home).made == ["b"]
    save_png(home / "photo.png", torch.zeros(3, 32, 48, dtype=torch.uint8))
    assert batch(home).made == ["a", "b", "c"]
    assert in_this_process == ["a", "b", "c", "b", "a", "b", "c"]


def test_a_clip_that_was_touched_or_removed_is_made_again(home: Path, in_this_process: list[str]) -> None:
    batch(home)
    (home / "out" / "a.mp4").write_bytes(b"half a clip")
    (home / "out" / "c.mp4").unlink()
    tally = batch(home)
    assert (tally.made, tally.there) == (["a", "c"], ["b"])


def test_failures_are_kept_until_somebody_asks_for_another_try(
    home: Path, in_this_process: list[str]
) -> None:
    (home / "photo.png").write_bytes(b"no picture")
    first = batch(home)
    assert len(first.failed) == 3
    assert "photo.png" in first.failed[0][1]
    assert batch(home).failed == first.failed
    assert in_this_process == ["a", "b", "c"]
    assert len(batch(home, retry_failed=True).failed) == 3
    assert in_this_process == 2 * ["a", "b", "c"]


def test_a_kill_between_record_and_place_is_mended_without_making_the_clip_again(
    home: Path, in_this_process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(aside: Path, output: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(workers, "put_in_place", killed)
    with pytest.raises(KeyboardInterrupt):
        batch(home)
    assert not (home / "out" / "a.mp4").exists()
    monkeypatch.undo()
    [row, *_] = read_rows([str(home / "scenes")], home / "out")
    past = past_of(read_manifest(home / "out"))
    aside = home / "out" / manifest.ASIDE / "a"
    assert is_done(row.output, past[row.name, fingerprint(row)], aside)
    assert len(read_video(home / "out" / "a.mp4").frames) == 3
    assert not aside.exists()


def test_a_line_that_was_cut_off_is_no_entry(tmp_path: Path) -> None:
    entry = Entry("a", "f", "a.mp4", "done", 1.0, None, "0" * 64, 5)
    append(tmp_path, entry)
    with (tmp_path / manifest.MANIFEST).open("a") as file:
        file.write('{"name": "b", "finger')
    assert read_manifest(tmp_path) == [entry]
    assert read_manifest(tmp_path / "absent") == []


def test_a_scene_that_killed_its_worker_twice_is_set_aside_and_success_forgives(tmp_path: Path) -> None:
    died = Entry("a", "f", "a.mp4", "died", error="it ended.")
    assert run.hopeless(past_of([died])["a", "f"]) is None
    assert run.hopeless(past_of([died, died])["a", "f"]) == "it ended."
    done = replace(died, status="done", error=None)
    assert past_of([died, done, died])["a", "f"].deaths == 1
    assert run.hopeless(None) is None


def test_two_batches_in_one_folder_are_refused(tmp_path: Path) -> None:
    with only_one(tmp_path), pytest.raises(OutputError, match="another batch"), only_one(tmp_path):
        pass


def test_the_command_makes_tells_and_counts(
    home: Path, in_this_process: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "scenes" / "broken.yaml").write_text("picture: nowhere.png\n")
    line = ["batch", str(home / "scenes"), "-o", str(home / "out")]
    assert main([*line, "--json"]) == 1
    events = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["done", "done", "done", "finished"]
    assert events[-1]["failed"][0][0] == "broken"
    page = (home / "out" / "index.html").read_text()
    assert page.count("<video") == 3
    assert "broken" in page
    assert main([*line, "--quiet"]) == 1
    assert main(["batch", str(home / "scenes"), "-o", str(home / "out"), "--workers", "0"]) == 2
    assert "give 1 or more" in capsys.readouterr().err
    assert main(["batch", str(home / "out" / manifest.ASIDE), "-o", str(home / "out")]) == 2
    assert "there are no scenes" in capsys.readouterr().err


def test_sources_that_are_not_there_leave_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["batch", str(tmp_path / "nowhere"), "-o", str(tmp_path / "out")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_full_disk_ends_the_batch_and_is_no_fault_of_a_scene(
    home: Path,
    in_this_process: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    line = ["batch", str(home / "scenes"), "-o", str(home / "out"), "--quiet"]
    with monkeypatch.context() as patched:
        patched.setattr(workers, "done", full)
        assert main(line) == 2
    assert "no space is left for a.mp4" in capsys.readouterr().err
    assert in_this_process == ["a"]
    assert main(line) == 0
    assert in_this_process == ["a", "a", "b", "c"]


def test_workers_share_the_devices_of_a_machine_and_a_scene_that_names_one_keeps_it(
    home: Path, in_this_process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [device_of_worker(number) for number in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    (home / "scenes" / "b.yaml").write_text(
        SCENE.replace("photo.png", "../photo.png") + "diffusion: {device: cpu}\n"
    )
    seen = []
    from mofa.pipeline import animate

    prepare = animate.prepare
    monkeypatch.setattr(
        animate, "prepare", lambda request, **more: seen.append(request) or prepare(request, **more)
    )
    batch(home)
    assert [request.diffusion.device for request in seen] == ["cuda:0", "cpu", "cuda:0"]
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert device_of_worker(1) is None


@pytest.mark.slow
def test_a_watched_folder_is_gone_on_with_when_its_files_are_whole(
    home: Path, in_this_process: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = home / "scenes" / "fresh.yaml"

    def aged() -> None:
        for path in home.rglob("*"):
            os.utime(path, (1.0, 1.0))

    def pauses():
        yield fresh.write_text(SCENE.replace("photo.png", "../photo.png") + "seed: 9\n")
        assert in_this_process == ["a", "b", "c"]
        yield None
        assert in_this_process == ["a", "b", "c"], "a file that is still being written is left alone"
        yield aged()
        assert in_this_process == ["a", "b", "c", "fresh"]
        raise KeyboardInterrupt

    rounds = pauses()
    clock = SimpleNamespace(time=time.time, monotonic=time.monotonic, sleep=lambda seconds: next(rounds))
    monkeypatch.setattr(batch_command, "time", clock)
    aged()
    assert main(["batch", str(home / "scenes"), "-o", str(home / "out"), "--watch", "--quiet"]) == 130
    assert (home / "out" / "index.html").read_text().count("<video") == 4


def test_the_small_picture_of_a_partly_transparent_clip_lies_on_white(tmp_path: Path) -> None:
    frame = torch.zeros(4, 30, 40, dtype=torch.uint8)
    frame[3, :, 20:] = 255
    seen: list[torch.Tensor] = []
    passing = workers.with_first_in(seen, Passing(lambda: iter([frame])))
    assert [len(one) for one in passing.render()] == [4], "the clip keeps its alpha"
    keep_thumbnail(tmp_path / "small.jpg", seen[0])
    left, right = read_picture(tmp_path / "small.jpg").mean(dim=(0, 1))[[2, -2]].tolist()
    assert left > 0.95
    assert right < 0.05


@pytest.mark.parametrize("put_away", [False, True], ids=["in its place", "still aside"])
def test_a_worker_that_dies_when_its_clip_is_recorded_has_made_it(
    home: Path, in_this_process: list[str], monkeypatch: pytest.MonkeyPatch, put_away: bool
) -> None:
    finishing = workers.make_all

    def dying(tasks: list[workers.Task], workers: int, context: BaseContext | None = None):
        for task, entry in zip(tasks, finishing(tasks, workers, context), strict=True):
            if put_away:
                task.aside.mkdir(exist_ok=True)
                os.replace(task.output, task.aside / task.output.name)
                append(task.output.parent, replace(entry, status="made"))
            yield replace(entry, status="died", sha256=None, size=None, error="killed")

    monkeypatch.setattr(workers, "make_all", dying)
    tally = batch(home)
    assert sorted(tally.made) == in_this_process == ["a", "b", "c"]
    assert not tally.failed
    assert {path.stem for path in (home / "out").glob("*.mp4")} == {"a", "b", "c"}


@pytest.mark.slow
def test_killed_drivers_and_workers_leave_every_clip_once_and_whole(home: Path) -> None:
    for index in range(6):
        (home / "scenes" / f"s{index}.yaml").write_text(
            SCENE.replace("photo.png", "../photo.png") + f"seed: {index}\n"
        )
    line = [sys.executable, "-m", "mofa.apps.cli", "batch", str(home / "scenes"), "-o", str(home / "out")]
    line += ["--workers", "2", "--quiet"]

    def done_so_far() -> int:
        return sum(entry.status == "done" for entry in read_manifest(home / "out"))

    driver = subprocess.Popen(line, start_new_session=True)
    until(lambda: done_so_far() >= 1)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    until(lambda: not workers_of(driver.pid))
    survived = done_so_far()

    driver = subprocess.Popen(line, start_new_session=True)
    until(lambda: done_so_far() > survived or driver.poll() is not None)
    for worker in workers_of(driver.pid)[-1:]:
        os.kill(worker, signal.SIGKILL)
    assert driver.wait(timeout=300) == 0
    # A kill right after a clip was made leaves that line as its last: the next call puts it in its place.
    finished = Counter(e.name for e in read_manifest(home / "out") if e.status == "made")
    assert set(finished.values()) == {1}
    assert len(finished) == 9
    assert {path.stem for path in (home / "out").glob("*.mp4")} == set(finished)
    assert all(len(read_video(path).frames) == 3 for path in (home / "out").glob("*.mp4"))


def until(true, seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def workers_of(driver: int) -> list[int]:
    """Processes of the session that a driver began, also when it is gone, by age: the one that workers are
    copied from, and they."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != driver:
            try:
                session = os.getsid(int(entry.name))
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if session == driver and state != "Z":
                found.append(int(entry.name))
    return sorted(found)
