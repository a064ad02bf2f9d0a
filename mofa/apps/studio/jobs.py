"""Jobs: one at a time per device, in a fair order, each with progress and a cancel that stops it."""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import UInt8
from torch import Tensor

from mofa.apps.studio.guard import ADDRESS
from mofa.errors import Cancelled, InputError, MofaError, place_of, reason, shortened, without_folders
from mofa.media.image import jpeg

LOG = logging.getLogger(__name__)

log = logging.getLogger("mofa.studio")
State = Literal["waiting", "running", "done", "failed", "cancelled"]
Work = Callable[["Job"], Any]

MOST_WAITING = 4
"""Jobs that one visitor may have waiting; more would only be forgotten."""
MOST_OF_AN_ADDRESS = 24
"""Jobs that all visitors of one address may have waiting: cookies are cheap, addresses are not."""
MOST_TOGETHER = 500
"""Jobs of everybody that may wait in one queue: each remembers what was asked."""
MOST_KNOWN = 16
"""Jobs of one visitor that can still be asked about; older ones are forgotten."""


@dataclass(eq=False)
class Job:
    """One thing to be done for a visitor, and how far it is. `future` holds what it returned or raised."""

    owner: str
    work: Work
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    state: State = "waiting"
    stage: str = ""
    done: int = 0
    total: int = 0
    stage_began: float = 0.0
    future: Future = field(default_factory=Future)
    address: str = field(default_factory=ADDRESS.get)
    shown: int = 0
    preview: bytes = b""
    """The last picture that was shown of what it makes, as JPEG, and how many there were."""
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """A job is the progress callback of its work."""
        self.report(stage, done, total)

    def cancel(self) -> None:
        """Asks the job to stop: at once when it waits, at its next progress report when it runs."""
        self._cancelled.set()

    def report(self, stage: str, done: int, total: int, /) -> None:
        """How far it is. Raises Cancelled where somebody asked it to stop."""
        self.look()
        if stage != self.stage:
            self.stage, self.stage_began = stage, time.monotonic()
        self.done, self.total = done, total

    def look(self) -> None:
        """Raises Cancelled where somebody asked it to stop."""
        if self._cancelled.is_set():
            raise Cancelled("cancelled; nothing half-made was left behind.")

    def show(self, picture: UInt8[Tensor, "3 H W"]) -> None:
        """What it makes, as far as it can be seen."""
        self.preview, self.shown = jpeg(picture), self.shown + 1

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked it to stop."""
        return self._cancelled.is_set()

    def seconds_left(self) -> float | None:
        """How long the stage still takes at its pace so far; None where nobody can say yet."""
        if self.state != "running" or not 0 < self.done <= self.total:
            return None
        return (time.monotonic() - self.stage_began) / self.done * (self.total - self.done)


class FairQueue:
    """Runs jobs one at a time. Next is the address whose visitors have waited longest since their
    last turn, and of these the visitor who has.

    A visitor with many jobs therefore delays another by one job, not by many.
    """

    def __init__(
        self,
        name: str,
        threads: int | None = None,
        most_waiting: int = MOST_WAITING,
        most_of_an_address: int = MOST_OF_AN_ADDRESS,
    ) -> None:
        """`threads` are those that torch has for a job; None where torch has nothing to do."""
        self._threads = threads
        self._most_waiting, self._most_of_an_address = most_waiting, most_of_an_address
        self._waiting: list[Job] = []
        self._running: Job | None = None
        self._turns: dict[str, int] = {}
        self._known: dict[str, list[Job]] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._begin, name=f"mofa-{name}", daemon=True).start()

    def submit(self, owner: str, work: Work, name: str | None = None) -> Job:
        """Queues a job. Raises InputError when this visitor has too many waiting.

        Who gives it a name may ask twice, not knowing whether the first question arrived: a job of that name
        that is known already is returned as it is.
        """
        job = Job(owner, work) if name is None else Job(owner, work, name)
        with self._changed:
            for other in self._known.get(owner, []):
                if other.name == job.name:
                    return other
            if len(self._waiting) >= MOST_TOGETHER:
                raise InputError(
                    f"{MOST_TOGETHER} jobs are waiting here already: try again later.", key="jobs.address"
                )
            if sum(other.owner == owner for other in self._waiting) >= self._most_waiting:
                raise InputError(
                    f"{self._most_waiting} jobs of yours are waiting already: cancel one, or wait.",
                    key="jobs.yours",
                )
            if sum(other.address == job.address for other in self._waiting) >= self._most_of_an_address:
                raise InputError(
                    f"{self._most_of_an_address} jobs from your address are waiting already: wait.",
                    key="jobs.address",
                )
            self._waiting.append(job)
            self._known[owner] = [*self._known.get(owner, []), job][-MOST_KNOWN:]
            self._changed.notify()
        return job

    def find(self, owner: str, name: str) -> Job | None:
        """The job of that name, if it is this visitor's."""
        with self._changed:
            return next((job for job in self._known.get(owner, []) if job.name == name), None)

    def unfinished(self, owner: str) -> list[Job]:
        """This visitor's jobs that wait or run."""
        with self._changed:
            return [job for job in self._known.get(owner, []) if not job.future.done()]

    def forget(self, owner: str) -> None:
        """Cancels and forgets all jobs of a visitor who is gone."""
        self._cancel_all(owner)
        with self._changed:
            self._known.pop(owner, None)
            self._turns.pop(owner, None)

    def cancel_all(self) -> list[Job]:
        """Stops every job that waits or runs; returns them."""
        with self._changed:
            jobs = [job for known in self._known.values() for job in known if not job.future.done()]
        for job in jobs:
            self.cancel(job)
        return jobs

    def replace(self, owner: str, work: Work) -> Job:
        """Queues a job in place of whatever else this visitor has here, which is cancelled."""
        self._cancel_all(owner)
        return self.submit(owner, work)

    def _cancel_all(self, owner: str) -> None:
        with self._changed:
            jobs = list(self._known.get(owner, []))
        for job in jobs:
            self.cancel(job)

    def cancel(self, job: Job) -> None:
        """Stops a job, whether it waits or runs; nothing happens to one that is over."""
        job.cancel()
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
                _finish(job, "cancelled", Cancelled("cancelled before it began."))

    def ahead(self, job: Job) -> int:
        """How many jobs run before this one begins, the running one included."""
        with self._changed:
            waiting, turns = list(self._waiting), dict(self._turns)
            busy = self._running is not None and self._running is not job
        if job not in waiting:
            return 0
        before = 0
        while (following := _next(waiting, turns)) is not job:
            waiting.remove(following)
            _take_turn(following, turns)
            before += 1
        return before + busy

    def _begin(self) -> None:
        if self._threads is not None:
            # A thread takes over the process's number when it first asks, though it was told another before.
            torch.get_num_threads()
            torch.set_num_threads(self._threads)
        self._work()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                job = _next(self._waiting, self._turns)
                self._waiting.remove(job)
                _take_turn(job, self._turns)
                self._running, job.state = job, "running"
            run_job(job)
            with self._changed:
                self._running = None
            # What the job holds must not outlive it while the queue waits for the next one.
            del job


def _next(waiting: list[Job], turns: dict[str, int]) -> Job:
    return min(waiting, key=lambda job: (turns.get(_at(job), 0), turns.get(job.owner, 0)))


def _take_turn(job: Job, turns: dict[str, int]) -> None:
    latest = max(turns.values(), default=0) + 1
    turns[job.owner] = turns[_at(job)] = latest


def _at(job: Job) -> str:
    return f"at {job.address}"


def run_job(job: Job) -> None:
    """Does a job's work, and says in its state and its future what became of it."""
    job.stage_began = time.monotonic()
    try:
        result = job.work(job)
    except Cancelled as error:
        _finish(job, "cancelled", error)
    except Exception as error:
        if not isinstance(error, MofaError):
            LOG.exception("a job failed")
        _finish(job, "failed", error)
    else:
        job.state = "done"
        job.future.set_result(result)
        job.work, job.preview = _nothing, b""


def _finish(job: Job, state: State, error: Exception) -> None:
    """Lets go of all that the job held: a traceback alone keeps every frame and tensor on its way."""
    job.state, job.work, job.preview = state, _nothing, b""
    job.future.set_exception(_bare(error))


def _nothing(job: Job) -> None:
    """The work of a job that is over."""


def _bare(error: BaseException) -> BaseException:
    """The error without the places it went through, nor the errors behind it, which hold theirs."""
    log.info("a job ended: %s", error)
    if isinstance(error, MofaError):
        error.place = place_of(error)
        error.key, error.values = reason(error)
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def sentence(error: BaseException) -> str:
    """What went wrong, for the person who asked."""
    from mofa.devices import is_out_of_memory

    if isinstance(error, MofaError):
        return shortened(without_folders(str(error)))
    if is_out_of_memory(error):
        return "out of memory: ask for a smaller size or fewer frames."
    said = without_folders(str(error))
    return shortened(f"something went wrong inside mofa ({type(error).__name__}: {said}); please report it.")


def problem(error: BaseException) -> dict[str, Any]:
    """What went wrong, for the page: key and values for its own words, a sentence for what has no key, and
    where in the scene it lies."""
    from mofa.devices import is_out_of_memory

    key, values = reason(error)
    if not key and is_out_of_memory(error):
        key = "memory"
    elif not isinstance(error, MofaError):
        key = "internal"
    told = {
        name: shortened(without_folders(value)) if isinstance(value, str) else value
        for name, value in values.items()
    }
    return {"error": sentence(error), "key": key, "values": told, "place": place_of(error)}
