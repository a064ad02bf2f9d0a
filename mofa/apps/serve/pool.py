"""Worker processes that make the jobs of a store; each is started and watched by a thread of the server."""

import threading
import time
from pathlib import Path

from mofa.apps.serve.store import MOST_ATTEMPTS, Job, JobStore
from mofa.batch.manifest import ASIDE, Entry, Past, is_done, past_of, read_manifest
from mofa.batch.workers import CANCEL, Step, Task, Worker, died, hear, start_worker

REPORT_SECONDS, LOOK_SECONDS = 0.25, 0.1
"""How often progress is written down, and how often a worker is looked at."""


class Pool:
    """`workers` processes for the jobs of `store`; clips go to `results`/ID.mp4."""

    def __init__(self, store: JobStore, results: Path, workers: int) -> None:
        self._store, self._results, self._workers = store, results, workers
        self._closing = threading.Event()
        self._threads = [threading.Thread(target=self._serve, args=(n,), daemon=True) for n in range(workers)]

    def start(self) -> None:
        """Takes up what an earlier server left, and begins."""
        (self._results / ASIDE).mkdir(parents=True, exist_ok=True)
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
        output = self._output(job)
        if is_done(output, past, self._results / ASIDE / job.id):
            self._store.end(job.id, "completed", result=output)
        else:
            self._store.again(job.id)

    def _serve(self, number: int) -> None:
        worker: Worker | None = None
        while not self._closing.is_set():
            job = self._store.take()
            if job is None:
                with self._store.changed:
                    self._store.changed.wait(timeout=1.0)
                continue
            if worker is None or not worker.process.is_alive():
                worker = start_worker(number, self._workers)
            self._make(job, worker)
        if worker is not None:
            worker.process.terminate()
            worker.process.join()

    def _make(self, job: Job, worker: Worker) -> None:
        """Has a worker make a job, and writes down what it says."""
        worker.task = Task(job.id, job.request, self._output(job), job.fingerprint)
        worker.began = time.monotonic()
        worker.pipe.send(worker.task)
        told, cancelled = 0.0, False
        while not self._closing.is_set():
            if not cancelled and self._store.is_cancelled(job.id):
                cancelled = True
                worker.pipe.send(CANCEL)
            if not worker.pipe.poll(LOOK_SECONDS):
                continue
            news = hear(worker)
            if isinstance(news, Step):
                if time.monotonic() - told > REPORT_SECONDS:
                    told = time.monotonic()
                    self._store.report(job.id, news.stage, news.done, news.total)
                continue
            self._finish(job, news or died(worker))
            worker.task = None
            if news is None or news.status == "failed":
                worker.process.join(timeout=0.5)  # one whose device failed leaves
            return

    def _finish(self, job: Job, entry: Entry) -> None:
        if entry.status == "done":
            self._store.end(job.id, "completed", result=self._output(job))
        elif self._store.is_cancelled(job.id):
            self._store.end(job.id, "cancelled")
        elif entry.status == "died" and job.attempts < MOST_ATTEMPTS:
            self._store.again(job.id)
        else:
            self._store.end(job.id, "failed", entry.error)

    def _output(self, job: Job) -> Path:
        return self._results / f"{job.id}.mp4"
