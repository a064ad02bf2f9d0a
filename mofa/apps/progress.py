"""Progress bars with time left, one per stage, on the error stream."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mofa.types import Progress as ProgressCallback
from mofa.types import silent

if TYPE_CHECKING:
    from rich.progress import TaskID


@contextmanager
def progress_bars(quiet: bool) -> Iterator[ProgressCallback]:
    """A callback that draws one bar per stage while the block runs; draws nothing when quiet."""
    if quiet:
        yield silent
        return
    # Takes 0.06 s to import, which a quiet run is spared.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bars = Progress(
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(stderr=True),
    )
    tasks: dict[str, TaskID] = {}

    def show(stage: str, done: int, total: int, /) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total)
        bars.update(tasks[stage], completed=done, total=total)

    with bars:
        yield show
