"""Workers as actors of a Ray cluster, which sees the same folders as the batch: each makes one clip at a time
and writes it itself, so that no clip travels through Ray.

Ray's own retries stay off: what was tried how often is the manifest's to say.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from mofa import __version__
from mofa.batch.manifest import Entry
from mofa.batch.workers import Event, Step, Task, death, made
from mofa.errors import ResourceError

LOOK_SECONDS = 1.0
"""How often actors are asked how far they are."""
REACH_SECONDS = 10.0
"""How long a cluster may take to answer a knock."""
MOST_FAILED_STARTS = 3
"""Actors that die one after the other before any has begun: the cluster cannot run mofa."""


class Maker:
    """The actor. Its networks are loaded by the first clip and kept; a second thread says how far it is."""

    def __init__(self, number: int, threads: int) -> None:
        import torch

        from mofa.pipeline.engine import Engines

        torch.set_num_threads(threads)
        self._number, self._engines = number, Engines()
        self._step: Step | None = None

    def version(self) -> str:
        """Of mofa, where the actor runs."""
        return __version__

    def make(self, task: Task) -> tuple[Entry, bool]:
        """Makes a clip; True when this process had better be replaced."""
        return made(task, self._number, self._note, self._engines)

    def step(self) -> Step | None:
        """How far it is."""
        return self._step

    def _note(self, step: Step) -> None:
        self._step = step


@dataclass
class Seat:
    """An actor, what it was asked last (its version, then clips), and the clip that it makes."""

    number: int
    actor: Any
    answer: Any
    task: Task | None = None
    began: float = field(default=0.0)


def make_all(tasks: list[Task], workers: int, address: str | None = None) -> Iterator[Event]:
    """Makes every task on the cluster at `address`, or a Ray of one's own, with as many actors as there is
    room for, `workers` at most; yields as `mofa.batch.workers.make_all` does.

    Raises ResourceError for a cluster that is not there, or runs another version of mofa or of Ray.
    """
    connect(address, workers)
    waiting = list(reversed(tasks))
    failed_starts, looked = 0, time.monotonic()
    seats = [take_seat(number, workers) for number in range(min(workers, len(tasks)))]
    try:
        while waiting or any(seat.task for seat in seats):
            ready, _ = ray.wait([seat.answer for seat in seats if seat.answer], timeout=LOOK_SECONDS)
            if time.monotonic() - looked >= LOOK_SECONDS:
                check_alive()
                yield from steps_of(seats)
                looked = time.monotonic()
            for seat in [seat for seat in seats if seat.answer in ready]:
                event, broken = answer_of(seat)
                if event is not None:
                    yield event
                elif broken and (failed_starts := failed_starts + 1) >= MOST_FAILED_STARTS:
                    raise ResourceError("the cluster's actors die before they have begun: is mofa there?")
                if broken:
                    seats[seats.index(seat)] = seat = replaced(seat, workers)
                else:
                    failed_starts = 0
                    assign(seat, waiting)
    finally:
        for seat in seats:
            with suppress(RayError):
                ray.kill(seat.actor)
        ray.shutdown()


def connect(address: str | None, workers: int) -> None:
    """To a cluster, or to a Ray of this machine that ends with this process. Raises ResourceError."""
    if address:
        check_reachable(address)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nobody asked for it to be told
    own: dict[str, Any] = {"num_cpus": max(workers, os.cpu_count() or 1), "include_dashboard": False}
    try:
        ray.init(
            address=address or "local", log_to_driver=False, logging_level="ERROR", **({} if address else own)
        )
    except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
        where = f"the Ray cluster at {address}" if address else "a Ray of this machine"
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ResourceError(f"{where} cannot be used ({first}): check the address and its version.") from None


def check_reachable(address: str) -> None:
    """Raises ResourceError where nobody listens at host:port, which Ray itself would wait minutes for."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not (colon and port.isdecimal()):
        return  # "auto", which Ray resolves at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ResourceError(
            f"the Ray cluster at {address} cannot be reached ({error}): check the address."
        ) from None


def check_alive() -> None:
    """Raises ResourceError when no machine of the cluster is left, which Ray itself would wait for."""
    if not any(node["Alive"] for node in ray.nodes()):
        raise ResourceError("the Ray cluster is gone: what was made is kept, call again when it is back.")


def take_seat(number: int, workers: int) -> Seat:
    """A new actor, asked for its version; it starts when the cluster has room, one GPU to each where there
    are any."""
    on_gpus = ray.cluster_resources().get("GPU", 0) >= 1
    threads = max(1, int(ray.cluster_resources().get("CPU", 1)) // workers)
    room = {"num_gpus": 1} if on_gpus else {"num_cpus": 1}
    # The second thread answers `step` while the first makes a clip.
    remote = ray.remote(Maker).options(max_concurrency=2, max_restarts=0, max_task_retries=0, **room)
    actor = remote.remote(number, threads)
    return Seat(number, actor, actor.version.remote())


def replaced(seat: Seat, workers: int) -> Seat:
    """A new actor in place of one that is gone or had better be."""
    with suppress(RayError):
        ray.kill(seat.actor)
    return take_seat(seat.number, workers)


def assign(seat: Seat, waiting: list[Task]) -> None:
    """The next task, if there is one."""
    seat.answer = seat.task = None
    if waiting:
        seat.task, seat.began = waiting.pop(), time.monotonic()
        seat.answer = seat.actor.make.remote(seat.task)


def answer_of(seat: Seat) -> tuple[Entry | None, bool]:
    """What became of a seat's clip, None where it had none, and whether its actor is to be replaced.

    Raises ResourceError where another version of mofa answers.
    """
    try:
        answer = ray.get(seat.answer)
    except RayActorError:
        if seat.task is None:
            return None, True
        return death(seat.task, time.monotonic() - seat.began, "is gone"), True
    if seat.task is None:
        check_version(answer)
        return None, False
    entry, broken = answer
    return entry, broken


def check_version(theirs: str) -> None:
    """Raises ResourceError for actors that would make other clips than this mofa records."""
    if theirs != __version__:
        raise ResourceError(
            f"the cluster runs mofa {theirs} and this is mofa {__version__}: install the same on both."
        )


def steps_of(seats: list[Seat]) -> Iterator[Step]:
    """How far every clip is; an actor that does not answer at once is left alone."""
    asked = [seat.actor.step.remote() for seat in seats if seat.task]
    ready, _ = ray.wait(asked, num_returns=len(asked), timeout=LOOK_SECONDS) if asked else ([], [])
    for answer in ready:
        with suppress(RayError, GetTimeoutError):
            step = ray.get(answer)
            if step is not None:
                yield step
