"""Worker processes that make the jobs of a store; each is started and watched by a thread of the server."""

import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from mofa.apps.serve.store import MOST_ATTEMPTS, Job, JobStore
from mofa.batch.manifest import ASIDE, Entry, Past, is_done, past_of, read_manifest
from mofa.batch.workers import CANCEL, Step, Task, Worker, died, receive, start_worker
from mofa.errors import without_folders

REPORT_SECONDS, LOOK_SECONDS = 0.25, 0.1
"""How often progress is written down, and how often a worker is looked at."""
PREVIEW = ".preview.jpg"


class Pool:
    """`workers` processes for the jobs of `store`; clips go to `home`/clips/ID.mp4.

    `memory` are the bytes that one of them may take, `room` those that an owner's clips may.
    """

    def __init__(
        self,
        store: JobStore,
        home: Path,
        workers: int,
        memory: int | None = None,
        room: Mapping[str, int | None] | None = None,
    ) -> None:
        self._store, self._home, self._workers = store, home, workers
        self._results, self._memory, self._room = home / "clips", memory, room or {}
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._serve, args=(n,), daemon=True) for n in range(workers)]

    def start(self) -> None:
        """Takes up what an earlier server left, and begins."""
        (self._results / ASIDE).mkdir(parents=True, exist_ok=True)
        for left in (self._results / ASIDE).glob(f"*{PREVIEW}"):
            left.unlink(missing_ok=True)
        past = past_of(read_manifest(self._results))
        for job in self._store.in_progress():
            self._recover(job, past.get((job.id, job.fingerprint)))
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stops; what is being made is queued again by the next server."""
        self._closing.set()
        with self._store.changed:
            self._store.changed.notify_all()
        for thread in self._threads:
            thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether every worker is looked after."""
        return all(thread.is_alive() for thread in self._threads)

    def _recover(self, job: Job, past: Past | None) -> None:
        output = self.output(job)
        if is_done(output, past, self._results / ASIDE / job.id):
            self._complete(job)
        else:
            self._store.again(job.id)

    def next_job(self) -> Job | None:
        """Waits for a job to be made; None when the pool closes."""
        while not self._closing.is_set():
            with self._store.changed:  # so that nothing is queued between the look and the wait
                job = self._store.take()
                if job is not None:
                    return job
                self._store.changed.wait()
        return None

    def _serve(self, number: int) -> None:
        worker: Worker | None = None
        while (job := self.next_job()) is not None:
            if worker is None or not worker.process.is_alive():
                worker = start_worker(number, self._workers, memory=self._memory)
            self._make(job, worker)
        if worker is not None:
            worker.process.terminate()
            worker.process.join()

    def _make(self, job: Job, worker: Worker) -> None:
        """Has a worker make a job, and writes down what it says."""
        worker.task = self.task(job)
        worker.began = time.monotonic()
        worker.pipe.send(worker.task)
        last_report, cancelled = 0.0, False
        while not self._closing.is_set():
            if not cancelled and self._store.is_cancelled(job.id):
                cancelled = True
                worker.pipe.send(CANCEL)
            if not worker.pipe.poll(LOOK_SECONDS):
                continue
            event = receive(worker)
            if isinstance(event, Step):
                if time.monotonic() - last_report > REPORT_SECONDS:
                    last_report = time.monotonic()
                    self._store.report(job.id, event.stage, event.done, event.total)
                continue
            self.finish(job, event or died(worker))
            worker.task = None
            if event is None or event.status == "failed":
                worker.process.join(timeout=0.5)  # one whose device failed leaves
            return

    def finish(self, job: Job, entry: Entry) -> None:
        """Writes down what became of a job that was made, and lets go of what came with it."""
        preview_of(self._home, job.id).unlink(missing_ok=True)
        if entry.status == "done":
            self._complete(job)
        elif self._store.is_cancelled(job.id):
            self._store.end(job.id, "cancelled")
        elif entry.status == "died" and job.attempts < MOST_ATTEMPTS:
            self._store.again(job.id)
        else:
            self._store.end(job.id, "failed", without_folders(entry.error or ""))
        if entry.status != "died" or job.attempts >= MOST_ATTEMPTS:
            shutil.rmtree(inputs_of(self._home, job.owner, job.id), ignore_errors=True)

    def _complete(self, job: Job) -> None:
        """Ends a job whose clip is there, unless the clip is more than its owner may keep."""
        output, room = self.output(job), self._room.get(job.owner)
        size = output.stat().st_size
        if room is not None and self._store.bytes_of(job.owner) + size > room:
            output.unlink()
            left = max(0, room - self._store.bytes_of(job.owner))
            sentence = f"the clip has {size} bytes and {left} are left of your quota: delete a video first."
            self._store.end(job.id, "failed", sentence)
        else:
            self._store.end(job.id, "completed", result=output, size=size)

    def output(self, job: Job) -> Path:
        """Where a job's clip is to be."""
        return self._results / f"{job.id}.mp4"

    def task(self, job: Job) -> Task:
        """What a worker is told about a job; it may see the folder from another machine."""
        output, preview = self.output(job).resolve(), preview_of(self._home, job.id).resolve()
        return Task(job.id, job.request, output, job.fingerprint, job.attempts, preview=preview)


def preview_of(home: Path, name: str) -> Path:
    """Where a picture of how far a job is lies while it is denoised."""
    return home / "clips" / ASIDE / f"{name}{PREVIEW}"


def inputs_of(home: Path, owner: str, name: str) -> Path:
    """Where the files that came with a request lie until its job has ended."""
    return home / "inputs" / f"{owner}-{name}"
