"""Examples to batches, in an order that is known for ever: batch k of process r is the same after a restart.

Example numbers run through all processes of a step: two processes with batches of B read in each step what
one with a batch of 2 B would.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader, Dataset, IterableDataset, get_worker_info

from mofa.errors import MofaError, ResourceError
from mofa.training.protocol import Draws, Source, Stream, stack


@dataclass(frozen=True)
class Shares:
    """How a step's examples are shared out: `batch` per pass and process; this process is number `rank`."""

    batch: int
    accumulation: int
    processes: int
    rank: int

    @property
    def per_step(self) -> int:
        """Examples of one step, all processes together."""
        return self.batch * self.accumulation * self.processes

    def first(self, number: int) -> int:
        """The number of the first example of this process's pass `number` (counted from the run's begin)."""
        return (number * self.processes + self.rank) * self.batch

    def draws(self, seed: int, number: int) -> Draws:
        """The random numbers of a pass."""
        first = self.first(number)
        return Draws(seed, first, self.batch, first % self.per_step, self.per_step)


@dataclass(frozen=True)
class Refusal:
    """An error on its way from the process that met it: torch would put a traceback into its sentence."""

    error: MofaError


class Numbered(Dataset[Any]):
    """A source behind torch's interface."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitem__(self, number: int) -> Any:
        try:
            return self.source[number]
        except MofaError as error:
            return Refusal(error)


class Shared(IterableDataset[Any]):
    """A stream's share for one worker of one process, from where an earlier run stopped."""

    def __init__(self, stream: Stream, shares: Shares, first_pass: int) -> None:
        self.stream, self.shares, self.first_pass = stream, shares, first_pass

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        place, count = (worker.id, worker.num_workers) if worker else (0, 1)
        # Workers take turns with whole batches: whose turn it was when the run stopped begins now.
        number = (place + self.first_pass) % count
        before = self.first_pass // count + (number < self.first_pass % count)
        part = self.shares.rank * count + number
        try:
            yield from self.stream.share(part, self.shares.processes * count, before * self.shares.batch)
        except MofaError as error:
            yield Refusal(error)


def stack_or_refuse(examples: list[Any]) -> Any:
    """The examples' batch, or the first refusal among them."""
    return next((each for each in examples if isinstance(each, Refusal)), None) or stack(examples)


def first_of(source: Source | Stream) -> Any:
    """An example, as a run would read it; raises InputError where there is nothing to read."""
    return next(source.share(0, 1, 0)) if isinstance(source, Stream) else source[0]


@dataclass(frozen=True)
class Passes:
    """The example numbers of every pass of a process, from `first` to `last`."""

    shares: Shares
    first: int
    last: int

    def __iter__(self) -> Iterator[list[int]]:
        for number in range(self.first, self.last):
            begin = self.shares.first(number)
            yield list(range(begin, begin + self.shares.batch))

    def __len__(self) -> int:
        return self.last - self.first


def batches(source: Source | Stream, shares: Shares, first: int, last: int, workers: int) -> Iterator[Any]:
    """The batches of passes `first` to `last` of this process, prepared by `workers` processes.

    Raises ResourceError where a worker dies, and what the source raises.
    """
    more: dict[str, Any] = {"num_workers": workers, "collate_fn": stack_or_refuse}
    if workers:
        more |= {"prefetch_factor": 2, "persistent_workers": True}
    loader: DataLoader[Any]
    if isinstance(source, Stream):
        loader = DataLoader(Shared(source, shares, first), batch_size=shares.batch, **more)
    else:
        loader = DataLoader(Numbered(source), batch_sampler=Passes(shares, first, last), **more)
    try:
        for _, batch in zip(range(first, last), loader, strict=False):
            if isinstance(batch, Refusal):
                raise batch.error
            yield batch
    except RuntimeError as error:
        if "worker" not in str(error):
            raise
        raise ResourceError(
            f"a process that prepares examples has died ({str(error).splitlines()[0]}): memory is the usual "
            "reason; lower loop.workers or the clips' size, and go on with --resume latest."
        ) from error
