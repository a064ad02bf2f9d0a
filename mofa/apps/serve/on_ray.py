"""Workers as replicas of a Ray Serve deployment: one clip at a time each, one GPU each where there are any.

The job store stays the truth: what waits, waits there and not in Serve, whose own record of asynchronous jobs
keeps no progress. Clips are written by the replicas, into a folder that the server sees, too.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from mofa import __version__
from mofa.apps.serve.pool import REPORT_SECONDS, Pool
from mofa.apps.serve.store import Job, JobStore
from mofa.batch.manifest import Entry
from mofa.batch.on_ray import check_version, connect
from mofa.batch.workers import Event, Step, Task, death, made
from mofa.errors import Cancelled

APPLICATION = "mofa"
HEALTH_SECONDS = 120.0
"""How long a replica that is busy may leave a health check unanswered; Serve's 30 s are meant for the web."""


class Maker:
    """The replica. Its networks are loaded by the first clip and kept."""

    def __init__(self) -> None:
        from mofa.pipeline.engine import Engines

        self._engines, self._one = Engines(), threading.Lock()
        self._is_broken = False

    def version(self) -> str:
        """Of mofa, where the replica runs."""
        return __version__

    def check_health(self) -> None:
        """Raises where this process had better be replaced; Serve asks, and does it."""
        if self._is_broken:
            raise RuntimeError("the device has failed once, and fails again.")

    async def make(self, task: Task, number: int) -> AsyncIterator[Event]:
        """Makes a clip; yields how far it is, and at last what became of it. Stops when it is cancelled."""
        loop, events = asyncio.get_running_loop(), asyncio.Queue[Event]()
        is_cancelled = threading.Event()

        def report(step: Step) -> None:
            if is_cancelled.is_set():
                raise Cancelled("cancelled; nothing half-made was left behind.")
            loop.call_soon_threadsafe(events.put_nowait, step)

        def work() -> None:
            with self._one:
                entry, self._is_broken = made(task, number, report, self._engines)
            loop.call_soon_threadsafe(events.put_nowait, entry)

        threading.Thread(target=work, daemon=True).start()
        try:
            while not isinstance(event := await events.get(), Entry):
                yield event
            yield event
        finally:
            is_cancelled.set()


class RayPool(Pool):
    """`replicas` at most, for the jobs of `store`; the rest is `Pool`'s."""

    def __init__(
        self,
        store: JobStore,
        home: Path,
        replicas: int,
        address: str | None,
        room: dict[str, int | None] | None = None,
    ) -> None:
        super().__init__(store, home, replicas, room=room)
        self._address = address
        self._handle: Any = None

    def start(self) -> None:
        """Deploys, and begins. Raises ResourceError for a cluster that is not there or has another mofa."""
        connect(self._address, self._workers)
        self._handle = deploy(self._workers)
        check_version(self._handle.version.remote().result())
        super().start()

    def close(self) -> None:
        """Stops, and takes the deployment down."""
        super().close()
        serve.shutdown()
        ray.shutdown()

    def _serve(self, number: int) -> None:
        while (job := self.next_job()) is not None:
            entry = self._made(job, number)
            if entry is not None:
                self.finish(job, entry)

    def _made(self, job: Job, number: int) -> Entry | None:
        """What became of a job; None where the server is closing, and it is queued again by the next one."""
        task = self.task(job)
        began = last_report = time.monotonic()
        stream = self._handle.options(stream=True).make.remote(task, number)
        try:
            for event in stream:
                if isinstance(event, Entry):
                    return event
                if self._closing.is_set() or self._store.is_cancelled(job.id):
                    stream.cancel()
                if time.monotonic() - last_report > REPORT_SECONDS:
                    last_report = time.monotonic()
                    self._store.report(job.id, event.stage, event.done, event.total)
        except (RayError, RayServeException, asyncio.CancelledError):
            pass
        return None if self._closing.is_set() else death(task, time.monotonic() - began, "is gone")


def deploy(replicas: int) -> Any:
    """A handle to the deployment, which grows with what is asked of it at a time, up to `replicas`."""
    on_gpus = ray.cluster_resources().get("GPU", 0) >= 1
    serve.start(proxy_location="Disabled")
    deployment = serve.deployment(
        Maker,
        max_ongoing_requests=1,
        autoscaling_config={"min_replicas": 1, "max_replicas": replicas, "target_ongoing_requests": 1},
        ray_actor_options={"num_gpus": 1} if on_gpus else {"num_cpus": 1},
        health_check_timeout_s=HEALTH_SECONDS,
        graceful_shutdown_timeout_s=1.0,
    )
    return serve.run(deployment.bind(), name=APPLICATION, route_prefix=None)
