"""One step's windows and guidance halves on several devices: they start from the same latents and are
independent, so that each device predicts its share and the predictions are gathered before the step is made.

The first device is the caller's own; every other has a process with its own copy of the networks. What is
predicted is the same bit for bit, for every call of a network is the one that a single device would make.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import lru_cache
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import torch
import torch.multiprocessing as processes
from jaxtyping import Float
from torch import Tensor, nn

from mofa.errors import ResourceError
from mofa.sampling.denoiser import Denoiser, WindowDenoiser, guided
from mofa.sampling.reuse import Reuse
from mofa.tensors.windows import Window, take

Running = Callable[[Denoiser], AbstractContextManager[None]]
"""How the networks of a denoiser are to run while it lasts; sent to other processes."""
Call = tuple[int, int]
"""One call of the networks in a step: the index of a window, and which of guidance's halves."""
T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """The calls that one device makes in every step, and what it keeps between steps."""

    denoiser: Denoiser
    windows: Sequence[Window]
    calls: Sequence[Call]
    reuse: Reuse

    def predictor(self) -> "Predictor":
        """Ready to predict, nothing kept yet."""
        return Predictor(self)


class Predictor:
    """Makes the calls of a share, one after the other."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self._over = lru_cache(maxsize=1)(share.denoiser.over)
        device = share.denoiser.model.like(share.denoiser.condition).device
        self._memories = share.reuse.memories(share.windows, device)

    def __call__(
        self, x: Float[Tensor, "T c h w"], sigma: Float[Tensor, ""], whole: bool
    ) -> Iterator[tuple[Call, Float[Tensor, "B t c h w"]]]:
        """Every call that this noise level needs, with its prediction."""
        for kept in self._memories:
            if kept is not None and whole:
                kept.forget()
        for index, half in self._share.calls:
            window = self._share.windows[index]
            denoiser: WindowDenoiser = self._over(window)
            if half < len(denoiser.batches_at(sigma)):
                memory = self._memories[index]
                yield (index, half), denoiser.prediction(half, take(x, window), sigma, memory)


class Spread:
    """The devices of one clip; made by `spread_over`."""

    def __init__(self, own: Share, others: Sequence["Colleague"]) -> None:
        self._own, self._others = own.predictor(), others
        self._denoiser, self._windows = own.denoiser, own.windows

    def __call__(
        self, x: Float[Tensor, "T c h w"], sigma: Float[Tensor, ""], whole: bool
    ) -> list[Float[Tensor, "t c h w"]]:
        """The clean estimate of every window."""
        for other in self._others:
            other.ask(x, sigma, whole)
        found = dict(self._own(x, sigma, whole))
        for other in self._others:
            found |= {call: prediction.to(x.device) for call, prediction in other.answer()}
        return [self._gathered(index, x, sigma, found) for index in range(len(self._windows))]

    def _gathered(
        self, index: int, x: Tensor, sigma: Tensor, found: Mapping[Call, Tensor]
    ) -> Float[Tensor, "t c h w"]:
        window, model = self._windows[index], self._denoiser.model
        scales = self._denoiser.scales(len(window)).to(x.device)
        predictions = [found[call] for call in sorted(found) if call[0] == index]
        return guided(model, scales, take(x, window), sigma, predictions)


@contextmanager
def spread_over(
    denoiser: Denoiser,
    windows: Sequence[Window],
    devices: Sequence[torch.device],
    reuse: Reuse,
    running: Running = lambda denoiser: nullcontext(),
) -> Iterator[Spread]:
    """A process for every device but the first while the block runs.

    `running` is picklable and entered in each of them; the caller has entered it for itself.
    Raises ResourceError where a process ends before its time.
    """
    halves = 2 if denoiser.guidance.acts else 1
    calls = [(index, half) for index in range(len(windows)) for half in range(halves)]
    denoiser = replace(denoiser, guidance=replace(denoiser.guidance, halves_at_once=1))
    own, *rest = (Share(denoiser, windows, part, reuse) for part in parts(calls, len(devices)))
    others = [
        Colleague(share, device, running)
        for share, device in zip(rest, devices[1:], strict=True)
        if share.calls
    ]
    try:
        yield Spread(own, others)
    finally:
        for other in others:
            other.end()


def parts(items: Sequence[T], count: int) -> list[Sequence[T]]:
    """`count` runs of neighbours, as long as each other or, the first ones, one longer."""
    bounds = [-(-len(items) * index // count) for index in range(count + 1)]
    return [items[first:last] for first, last in pairwise(bounds)]


class Colleague:
    """A process that makes the calls of a share on another device."""

    def __init__(self, share: Share, device: torch.device, running: Running) -> None:
        context = processes.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._device = device
        given = (there, share, str(device), running, torch.get_num_threads())
        self._process = context.Process(target=serve_share, args=given, daemon=True)
        self._process.start()
        there.close()

    def ask(self, x: Tensor, sigma: Tensor, whole: bool) -> None:
        """Sends the latents of a step."""
        with self._watched():
            self._pipe.send((x.cpu(), sigma.cpu(), whole))

    def answer(self) -> list[tuple[Call, Tensor]]:
        """The predictions of the step that was sent last."""
        with self._watched():
            answer = self._pipe.recv()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def end(self) -> None:
        """Ends the process, whatever it does."""
        self._process.terminate()
        self._process.join()
        self._pipe.close()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, OSError):
            raise ResourceError(
                f"the process on {self._device} has ended: too little memory is the usual reason; "
                "leave that device out of devices.",
                key="memory.process",
                name=str(self._device),
            ) from None


def serve_share(pipe: Connection, share: Share, device: str, running: Running, threads: int) -> None:
    """The life of a process: latents in, predictions out, until the pipe closes."""
    torch.set_num_threads(threads)
    there = moved(share, torch.device(device))
    with torch.no_grad(), running(there.denoiser):
        predictor = there.predictor()
        while True:
            try:
                x, sigma, whole = pipe.recv()
            except (EOFError, OSError):
                return
            try:
                found = predictor(x.to(device), sigma.to(device), whole)
                pipe.send([(call, prediction.cpu()) for call, prediction in found])
            except Exception as error:  # told where the clip is made
                pipe.send(error)


def moved(value: T, device: torch.device) -> T:
    """Data with every tensor on a device; networks go there themselves, and so must be one's own."""
    return _moved(value, device)


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, nn.Module | Tensor):
        return value.to(device)
    if is_dataclass(value) and not isinstance(value, type):
        inside = {field.name: _moved(getattr(value, field.name), device) for field in fields(value)}
        return replace(value, **inside)
    if isinstance(value, list | tuple):
        return type(value)(_moved(item, device) for item in value)
    return value
