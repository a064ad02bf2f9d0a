"""Visitors and programs wait in one queue, whose order is the store's."""

import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("python_multipart")

from fastapi.testclient import TestClient

from mofa.apps.serve.keys import Key
from mofa.apps.serve.pool import Pool
from mofa.apps.serve.store import JobStore
from mofa.apps.studio import house
from mofa.apps.studio.app import Login, build_app
from mofa.apps.studio.budget import Budget
from mofa.apps.studio.house import MARKER, HouseQueue, open_store, passing_folder
from mofa.apps.studio.jobs import MOST_WAITING
from mofa.batch.workers import Step, Task, entry_of
from mofa.errors import Cancelled, InputError
from mofa.pipeline.engine import Engines

KEY = Key("ann", "a" * 16)
AS_ANN = {"Authorization": f"Bearer {KEY.secret}"}
SCENE = {"frames": 3, "size": "48x32", "controls": [{"kind": "camera", "move": "zoom 1.1"}]}


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was made, in order; programs' jobs make nothing else."""
    made: list[str] = []

    def make(task: Task, number: int, report: Any, engines: Engines) -> tuple:
        report(Step(0, task.name, "render", 1, 2))
        made.append(task.name)
        task.output.write_bytes(b"clip")
        return entry_of(task, "done", 0.0), False

    monkeypatch.setattr(house, "made", make)
    return made


@pytest.fixture
def queue(tmp_path: Path, gate: threading.Event, done: list[str]) -> HouseQueue:
    """A queue that is busy until the gate opens."""
    store = open_store(tmp_path)
    pool = Pool(store, tmp_path, 0)
    pool.start()
    queue = HouseQueue(store, pool, Engines(), Budget(10**10))
    begun = threading.Event()

    def hold(_: Any) -> None:
        begun.set()
        gate.wait()

    queue.submit("somebody", hold)
    assert begun.wait(60)
    return queue


def test_visitors_and_programs_take_turns(
    queue: HouseQueue, gate: threading.Event, done: list[str], tmp_path: Path
) -> None:
    store = JobStore(tmp_path / "jobs.sqlite")
    for name in ("program 1", "program 2"):
        queue._store.add(name, "ann", name, {})
    jobs = [
        queue.submit(owner, lambda _, n=n: done.append(n))
        for owner, n in (("x", "x 1"), ("x", "x 2"), ("y", "y"))
    ]
    assert [queue.ahead(job) for job in jobs] == [2, 5, 4]
    assert store.counts()["queued"] == 5, "one store holds them all"
    gate.set()
    for job in jobs:
        job.future.result(60)
    assert done == ["program 1", "x 1", "program 2", "y", "x 2"]
    assert store.find("ann", "program 2").state == "completed"


def test_a_visitors_job_is_called_off_waiting_or_running(queue: HouseQueue, gate: threading.Event) -> None:
    waiting = queue.submit("x", lambda _: None)
    queue.cancel(waiting)
    with pytest.raises(Cancelled):
        waiting.future.result(0)
    steps = threading.Semaphore(0)

    def endless(report: Any) -> None:
        while True:
            report("render", 0, 1)
            steps.release()

    running = queue.submit("x", endless)
    gate.set()
    assert steps.acquire(timeout=60)
    queue.cancel(running)
    with pytest.raises(Cancelled):
        running.future.result(60)
    assert queue.submit("x", lambda _: "next").future.result(60) == "next"


def test_limits_and_names_are_those_of_every_queue(queue: HouseQueue) -> None:
    first = queue.submit("x", lambda _: None, "name")
    assert queue.submit("x", lambda _: None, "name") is first
    for _ in range(MOST_WAITING - 1):
        queue.submit("x", lambda _: None)
    with pytest.raises(InputError, match="waiting already"):
        queue.submit("x", lambda _: None)


def test_what_visitors_left_goes_and_what_programs_left_goes_on(tmp_path: Path, done: list[str]) -> None:
    store = JobStore(tmp_path / "jobs.sqlite")
    store.add("studio/0", "at home", "studio/0", {}, member="x")
    store.add("clip", "ann", "clip", {})
    assert store.take().member == "x"
    later = open_store(tmp_path)
    assert later.counts()["in_progress"] == 0
    pool = Pool(later, tmp_path, 0)
    pool.start()
    queue = HouseQueue(later, pool, Engines(), Budget(10**10))
    assert queue.submit("x", lambda _: "after").future.result(60) == "after"
    assert done == ["clip"]


def test_jobs_of_a_process_that_is_gone_are_removed_and_those_of_a_living_one_stay(tmp_path: Path) -> None:
    gone, of_the_person = tmp_path / "queue-gone", tmp_path / "queue-at-the-museum"
    open_store(gone)
    (gone / MARKER).touch()
    of_the_person.mkdir()
    (of_the_person / "photo.jpg").write_bytes(b"x")
    (tmp_path / "queue-link").symlink_to(of_the_person)
    living = passing_folder(tmp_path)
    assert not gone.exists()
    assert (of_the_person / "photo.jpg").exists(), "only what bears the mark of a queue is one"
    open_store(living)
    assert passing_folder(tmp_path) != living
    assert (living / "jobs.sqlite").exists()


def test_programs_ask_a_studio_by_key_and_visitors_by_its_login(tmp_path: Path, done: list[str]) -> None:
    photo = io.BytesIO()
    Image.new("RGB", (48, 32)).save(photo, "PNG")
    sent = {"data": {"scene": json.dumps(SCENE)}, "files": {"input_reference": ("p.png", photo.getvalue())}}
    app = build_app(tmp_path, Login("me", "secret"), keys=(KEY,))
    with TestClient(app) as client:
        assert client.post("/v1/videos", **sent).status_code == 401
        assert client.get("/studio/start", headers=AS_ANN).status_code == 401
        answer = client.put("/v1/videos/mine", headers=AS_ANN, **sent)
        assert answer.status_code == 202, answer.text
        app.state.studio.renders.submit("x", lambda _: None).future.result(60)
        assert client.get("/v1/videos/mine", headers=AS_ANN).json()["status"] == "completed"
    assert done == ["mine"]
