"""One queue for the whole house: visitors' clips and those that programs ask for over HTTP are jobs of one
store, take turns by it, and are made one at a time with the same networks."""

import itertools
import logging
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from mofa.apps.serve.pool import Pool
from mofa.apps.serve.store import Job as StoredJob
from mofa.apps.serve.store import JobStore, State
from mofa.apps.studio.budget import Budget
from mofa.apps.studio.jobs import FairQueue, Job, Work, run_job, sentence
from mofa.batch.manifest import only_one
from mofa.batch.workers import Step, entry_of, made
from mofa.errors import Cancelled, MofaError, OutputError
from mofa.pipeline.engine import Engines
from mofa.pipeline.memory import needed_memory
from mofa.pipeline.request import AnimationRequest

HELD = ExitStack()
"""Locks that this process holds for as long as it lives."""
MARKER = ".mofa-queue"
"""The file that says that a folder is a queue's, and may be removed when its process is gone."""
LOG = logging.getLogger("mofa.studio")
PAUSE_SECONDS = 5.0
"""How long after the store has failed it is asked again."""
REPORT_SECONDS = 0.25
"""How often a program's job writes down how far it is."""
ENDS: dict[str, State] = {"done": "completed", "failed": "failed", "cancelled": "cancelled"}


def _needed(row: StoredJob) -> int:
    """Bytes of memory that a program's job takes; whoever makes one that is no scene says what is wrong."""
    try:
        return needed_memory(AnimationRequest.from_data(row.request))
    except MofaError:
        return 0


def passing_folder(home: Path) -> Path:
    """A folder for jobs that need not outlive this process; those of processes that are gone are removed."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    for mark in home.glob(f"queue-*/{MARKER}"):
        left = mark.parent
        if left.is_symlink() or mark.is_symlink():
            continue
        with suppress(OutputError, OSError), only_one(left):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="queue-", dir=home))
    (folder / MARKER).touch()
    HELD.enter_context(only_one(folder))
    return folder


def open_store(folder: Path) -> JobStore:
    """The jobs in a folder, without those that visitors of an earlier process have left."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = JobStore(folder / "jobs.sqlite")
    store.forget_members()
    return store


class HouseQueue(FairQueue):
    """A fair queue whose order is the store's. What a visitor's job does is known in this process alone; a
    program's job is all in the store, and outlives it."""

    def __init__(
        self, store: JobStore, pool: Pool, engines: Engines, budget: Budget, threads: int | None = None
    ) -> None:
        self._store, self._pool, self._engines, self._budget = store, pool, engines, budget
        self._stored: dict[Job, str] = {}
        self._numbers = itertools.count()
        super().__init__("renders", threads)

    def submit(self, owner: str, work: Work, name: str | None = None) -> Job:
        """Queues a visitor's job, as `FairQueue` does; addresses take turns with programs' keys."""
        job = super().submit(owner, work, name)
        with self._changed:
            if job in self._stored or job not in self._waiting:
                return job
            self._stored[job] = row = f"studio/{next(self._numbers)}"
        self._store.add(row, self.turns_of(job), row, {}, member=owner)
        return job

    def cancel(self, job: Job) -> None:
        """Stops a visitor's job, whether it waits or runs."""
        super().cancel(job)
        with self._changed:
            is_over = job.future.done()
            row = self._stored.pop(job, None) if is_over else self._stored.get(job)
        if row is not None:
            self._store.cancel(self.turns_of(job), row)

    def ahead(self, job: Job) -> int:
        """How many jobs, visitors' and programs', run before this one begins, the running one included."""
        row = self._stored.get(job)
        return 0 if row is None or job.state != "waiting" else self._store.ahead(row)

    @staticmethod
    def turns_of(job: Job) -> str:
        """The store's owner of a visitor's job."""
        return f"at {job.address}"

    def _work(self) -> None:
        while True:
            try:
                self._take_turn()
            except sqlite3.Error:  # a full disk, say: jobs wait until there is room
                LOG.exception("the job store cannot be used")
                time.sleep(PAUSE_SECONDS)

    def _take_turn(self) -> None:
        with self._store.changed:  # so that nothing is queued between the look and the wait
            row = self._store.take()
            if row is None:
                self._store.changed.wait()
                return
        if row.member:
            self._run_visitors(row)
        else:
            self._make(row)

    def _run_visitors(self, row: StoredJob) -> None:
        with self._changed:
            job = next((job for job, name in self._stored.items() if name == row.id), None)
            if job is None or job not in self._waiting:  # called off in between
                self._store.end(row.id, "cancelled")
                return
            self._waiting.remove(job)
            job.state = "running"
        run_job(job)
        with self._changed:
            self._stored.pop(job, None)
        error = job.future.exception()
        self._store.end(row.id, ENDS[job.state], None if error is None else sentence(error))

    def _make(self, row: StoredJob) -> None:
        task, report = self._pool.task(row), self._report(row)
        try:
            with self._budget.held(_needed(row), lambda: report(Step(0, row.id, "waiting", 0, 0))):
                entry, _ = made(task, 0, report, self._engines)
        except MofaError as error:
            entry = entry_of(task, "failed", 0.0, error=sentence(error))
        self._pool.finish(row, entry)

    def _report(self, row: StoredJob) -> Callable[[Step], None]:
        last = 0.0

        def report(step: Step) -> None:
            nonlocal last
            if time.monotonic() - last < REPORT_SECONDS:
                return
            last = time.monotonic()
            if self._store.is_cancelled(row.id):
                raise Cancelled("cancelled; nothing half-made was left behind.")
            self._store.report(row.id, step.stage, step.done, step.total)

        return report
