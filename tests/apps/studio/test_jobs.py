"""The queue is fair, runs one job at a time, and cancel stops."""

import threading
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
import torch

from mofa.apps.studio.jobs import MOST_WAITING, FairQueue, Job, sentence
from mofa.errors import Cancelled, InputError

LONG = 300
"""Seconds after which a test gives up, however busy the machine is."""


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds back the jobs that wait for it."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def queue(gate: threading.Event) -> FairQueue:
    """A queue whose worker is busy until the gate opens."""
    queue = FairQueue("test")
    begun = threading.Event()

    def hold(_: Any) -> None:
        begun.set()
        gate.wait(LONG)

    queue.submit("somebody", hold)
    assert begun.wait(LONG)
    return queue


def noted(queue: FairQueue, done: list[str], owner: str, name: str) -> Job:
    return queue.submit(owner, lambda _: done.append(name))


def test_visitors_take_turns(queue: FairQueue, gate: threading.Event) -> None:
    done: list[str] = []
    jobs = [noted(queue, done, "ann", "ann 1"), noted(queue, done, "ann", "ann 2")]
    jobs.append(noted(queue, done, "bob", "bob 1"))
    assert [queue.ahead(job) for job in jobs] == [1, 3, 2]
    gate.set()
    for job in jobs:
        job.future.result(LONG)
    assert done == ["ann 1", "bob 1", "ann 2"]


def test_a_job_that_waits_is_cancelled_at_once(queue: FairQueue) -> None:
    job = noted(queue, [], "ann", "never")
    queue.cancel(job)
    assert job.state == "cancelled"
    with pytest.raises(Cancelled):
        job.future.result(0)


def test_a_job_that_runs_stops_at_its_next_report() -> None:
    queue = FairQueue("test")
    steps = threading.Semaphore(0)

    def endless(report: Any) -> None:
        for step in count():
            report("render", step, 1_000_000)
            steps.release()

    job = queue.submit("ann", endless)
    assert steps.acquire(timeout=LONG)
    queue.cancel(job)
    with pytest.raises(Cancelled):
        job.future.result(LONG)
    assert job.state == "cancelled"
    assert queue.submit("ann", lambda _: "next").future.result(LONG) == "next"


def test_a_newer_preview_takes_the_place_of_the_older(queue: FairQueue, gate: threading.Event) -> None:
    older = queue.replace("ann", lambda _: "older")
    newer = queue.replace("ann", lambda _: "newer")
    gate.set()
    assert newer.future.result(LONG) == "newer"
    assert older.state == "cancelled"


def test_nobody_can_fill_the_queue(queue: FairQueue) -> None:
    for _ in range(MOST_WAITING):
        noted(queue, [], "ann", "one more")
    with pytest.raises(InputError, match="waiting already"):
        noted(queue, [], "ann", "too many")
    noted(queue, [], "bob", "but others may")


def test_jobs_are_known_to_their_owner_alone(queue: FairQueue) -> None:
    job = noted(queue, [], "ann", "private")
    assert queue.find("ann", job.name) is job
    assert queue.find("bob", job.name) is None


def test_every_queue_has_threads_of_its_own_number() -> None:
    here = torch.get_num_threads()
    single, several = FairQueue("single", 1), FairQueue("several", 3)
    jobs = [queue.submit("ann", lambda _: torch.get_num_threads()) for queue in (several, single, several)]
    assert [job.future.result(LONG) for job in jobs] == [3, 1, 3]
    assert torch.get_num_threads() == here


def test_a_failure_is_told_in_a_sentence_and_the_queue_goes_on() -> None:
    queue = FairQueue("test")

    def fail(_: Any) -> None:
        raise ZeroDivisionError("by zero")

    job = queue.submit("ann", fail)
    error = job.future.exception(LONG)
    assert job.state == "failed"
    assert error is not None
    assert "ZeroDivisionError" in sentence(error)
    assert queue.submit("ann", lambda _: 1).future.result(LONG) == 1


def test_what_a_job_shows_is_there_while_it_runs() -> None:
    queue, seen = FairQueue("test"), []

    def work(job: Job) -> None:
        job.show(torch.zeros(3, 8, 8, dtype=torch.uint8))
        job.show(torch.full((3, 8, 8), 255, dtype=torch.uint8))
        seen.append((job.shown, job.preview))

    job = queue.submit("ann", work)
    job.future.result(LONG)
    [(shown, picture)] = seen
    assert shown == 2
    assert picture.startswith(b"\xff\xd8")
    assert job.preview == b""


def test_time_left_follows_the_pace_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job("ann", lambda _: None, state="running")
    now = 100.0
    monkeypatch.setattr("mofa.apps.studio.jobs.time.monotonic", lambda: now)
    job.report("render", 0, 10)
    assert job.seconds_left() is None
    now = 104.0
    job.report("render", 4, 10)
    assert job.seconds_left() == pytest.approx(6)
