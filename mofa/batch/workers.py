"""Worker processes: each loads its networks once, makes one clip at a time, and may die without taking
anything but that clip with it."""

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from torch import Tensor

from mofa.batch.manifest import ASIDE, Entry, Status, append, content_of, put_in_place
from mofa.batch.thumbnails import keep_thumbnail
from mofa.errors import Cancelled, MofaError, OutputError
from mofa.tensors.alpha import on_white

CANCEL = "cancel"
"""Sent to a worker while it makes a clip, stops that clip."""


@dataclass(frozen=True)
class Task:
    """A clip to be made: its name, its request as plain data, its place, its fingerprint; and where a small
    picture of it is kept, and one of how far it is while it is denoised, if anywhere."""

    name: str
    request: Mapping[str, Any]
    output: Path
    fingerprint: str
    attempt: int = 1
    thumbnail: Path | None = None
    preview: Path | None = None

    @property
    def aside(self) -> Path:
        """Where it is made."""
        return self.output.parent / ASIDE / self.name


@dataclass(frozen=True)
class Step:
    """How far a worker is with its clip."""

    worker: int
    name: str
    stage: str
    done: int
    total: int


Event = Entry | Step
"""What a worker sends."""


@dataclass
class Worker:
    """A process, the pipe to it, and what it is doing."""

    number: int
    process: Any
    pipe: Connection
    task: Task | None = None
    began: float = field(default=0.0)


def make_all(tasks: list[Task], workers: int, context: BaseContext) -> Iterator[Event]:
    """Makes every task, as many at a time as there are workers, which are processes of `context`; yields what
    became of each, and steps on the way. A worker that dies is replaced, and its task is reported as died."""
    waiting = list(reversed(tasks))
    team = [start_worker(number, workers, context) for number in range(min(workers, len(tasks)))]
    try:
        for worker in team:
            assign(worker, waiting)
        while any(worker.task for worker in team):
            for pipe in wait([worker.pipe for worker in team if worker.task]):
                index = next(i for i, worker in enumerate(team) if worker.pipe is pipe)
                worker = team[index]
                event = receive(worker)
                if event is not None:
                    yield event
                    if isinstance(event, Step):
                        continue
                    worker.task = None
                if event is None or not worker.process.is_alive():
                    if worker.task is not None:
                        yield died(worker)
                    team[index] = worker = start_worker(worker.number, workers, context)
                assign(worker, waiting)
    finally:
        stop(team)


def start_worker(
    number: int, workers: int, context: BaseContext | None = None, memory: int | None = None
) -> Worker:
    """A process of `context` (a new one without), which shares nothing with this one and takes `memory` bytes
    at most."""
    context = context or get_context("spawn")
    here, there = context.Pipe()
    threads = max(1, (os.cpu_count() or 1) // workers)
    process = context.Process(target=work, args=(there, number, threads, memory), daemon=True)  # type: ignore[attr-defined]
    process.start()
    there.close()
    return Worker(number, process, here)


def assign(worker: Worker, waiting: list[Task]) -> None:
    """The next task, if there is one."""
    if waiting:
        worker.task, worker.began = waiting.pop(), time.monotonic()
        with suppress(OSError):  # it has just died, which is noticed in its turn
            worker.pipe.send(worker.task)


def receive(worker: Worker) -> Event | None:
    """What a worker says; None when it is gone."""
    try:
        message: Event = worker.pipe.recv()
        return message
    except (EOFError, OSError):
        worker.process.join()
        return None


def died(worker: Worker) -> Entry:
    """The entry of a task whose worker is gone."""
    task = worker.task
    assert task is not None
    code = worker.process.exitcode
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return death(task, time.monotonic() - worker.began, f"ended with {how}")


def death(task: Task, seconds: float, how: str) -> Entry:
    """The entry of a task that its worker did not survive."""
    error = f"the process that made it {how}: too little memory is the usual reason."
    return entry_of(task, "died", seconds, error=error)


def entry_of(task: Task, status: Status, seconds: float, **more: Any) -> Entry:
    """A line about a task."""
    spent = round(seconds, 3)
    return Entry(task.name, task.fingerprint, task.output.name, status, spent, attempts=task.attempt, **more)


def stop(team: list[Worker]) -> None:
    """Ends all processes; what they were making is left aside and made again."""
    for worker in team:
        worker.pipe.close()
        if worker.task is not None:
            worker.process.terminate()
    for worker in team:
        worker.process.join()


# --- In the worker ------------------------------------------------------------------------------


def work(pipe: Connection, number: int, threads: int, memory: int | None = None) -> None:
    """The life of a worker: task in, entry out, until the pipe closes or the parent is gone."""
    import signal

    import torch

    from mofa.pipeline.engine import Engines

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is asked, and ends us
    threading.Thread(target=leave_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    engines = Engines()
    if memory is not None:
        limit_memory(memory)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        if task == CANCEL:  # it came when the clip was finished
            continue
        entry, broken = made(task, number, partial(report, pipe), engines)
        try:
            pipe.send(entry)
        except OSError:  # whoever asked is gone; what was made is found by the next one
            return
        if broken:
            return


def report(pipe: Connection, step: Step) -> None:
    """Says how far a clip is. Raises Cancelled when somebody asked for it to stop."""
    try:
        pipe.send(step)
    except OSError:
        # Whoever asked is gone. Raised here it would be taken for a clip that cannot be written.
        os._exit(1)
    if pipe.poll():
        pipe.recv()
        raise Cancelled("cancelled; nothing half-made was left behind.")


def limit_memory(size: int) -> None:
    """Makes allocations beyond `size` bytes of private memory fail: that costs one clip, not the machine."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def leave_with_parent() -> None:
    """Ends this process when the one that asked for it is gone."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def made(task: Task, number: int, report: Callable[[Step], None], engines: Any) -> tuple[Entry, bool]:
    """Makes a clip, records it and puts it in its place. True when this process had better be replaced: a
    device that has failed once fails again."""

    def progress(stage: str, done: int, total: int, /) -> None:
        report(Step(number, task.name, stage, done, total))

    from mofa.devices import device_of_worker

    begin = time.monotonic()
    if task.preview is not None:
        engines = replace(engines, show=partial(keep_preview, task.preview))
    try:
        first = make(task, progress, engines, device_of_worker(number))
        entry = done(task, time.monotonic() - begin)
        if task.thumbnail is not None and first is not None:
            keep_thumbnail(task.thumbnail, first)
        return entry, False
    except Exception as error:  # one scene among thousands must not end the batch
        status, sentence, broken = diagnosis(error, task)
    entry = entry_of(task, status, time.monotonic() - begin, error=sentence)
    if status == "full":
        shutil.rmtree(task.aside, ignore_errors=True)
    else:
        append(task.output.parent, entry)
    return entry, broken


def keep_preview(path: Path, picture: UInt8[Tensor, "3 H W"]) -> None:
    """Puts a picture in the place of the one before, whole at any moment, where that can be."""
    from mofa.media.files import replacing
    from mofa.media.image import save_jpeg

    with suppress(OSError, OutputError), replacing(path, overwrite=True) as hidden:
        save_jpeg(hidden, picture)


def diagnosis(error: Exception, task: Task) -> tuple[Status, str, bool]:
    """What an error means for a task, in a sentence, and whether this process had better be replaced."""
    from mofa.devices import is_out_of_memory

    if disk_is_full(error):
        return "full", f"no space is left for {task.output.name} in {task.output.parent}: make room.", False
    if isinstance(error, MofaError):
        return "failed", str(error), False
    if is_out_of_memory(error):
        return "failed", "out of memory: ask for a smaller size or fewer frames.", True
    return "failed", f"something went wrong inside mofa ({type(error).__name__}: {error}).", True


def disk_is_full(error: BaseException | None) -> bool:
    """Whether this, or what it came from, is the system's word that no space is left."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        error = error.__cause__
    return False


def make(task: Task, progress: Any, engines: Any, device: str | None = None) -> UInt8[Tensor, "3 H W"] | None:
    """The clip and its extras, aside; on `device` where the scene names none. Its first frame."""
    from mofa.pipeline.animate import prepare
    from mofa.pipeline.outputs import write_outputs
    from mofa.pipeline.request import AnimationRequest

    shutil.rmtree(task.aside, ignore_errors=True)
    task.aside.mkdir(parents=True)
    request = AnimationRequest.from_data(dict(task.request), task.name)
    outputs = request.outputs.model_copy(update={"clip": task.aside / task.output.name})
    request = request.model_copy(update={"outputs": outputs})
    if device is not None and request.diffusion.device is None:
        request = request.model_copy(update={"diffusion": replace(request.diffusion, device=device)})
    animation = prepare(request, progress=progress, make_engine=engines.engine)
    seen: list[UInt8[Tensor, "3 H W"]] = []
    write_outputs(with_first_in(seen, animation), overwrite=True, progress=progress)
    return seen[0] if seen else None


def with_first_in(seen: list[UInt8[Tensor, "3 H W"]], animation: Any) -> Any:
    """The same animation, whose first frame is put into `seen` as it passes."""

    def render() -> Iterator[UInt8[Tensor, "3 H W"]]:
        for frame in animation.render():
            if not seen:
                seen.append(on_white(frame))
            yield frame

    return replace(animation, render=render)


def done(task: Task, seconds: float) -> Entry:
    """Records the clip that lies aside, puts it in its place, and records that."""
    clip = task.aside / task.output.name
    entry = entry_of(task, "made", seconds, sha256=content_of(clip), size=clip.stat().st_size)
    append(task.output.parent, entry)
    put_in_place(task.aside, task.output)
    entry = replace(entry, status="done")
    append(task.output.parent, entry)
    return entry
