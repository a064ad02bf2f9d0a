"""A batch from rows to clips: what is missing is made, what failed is told, nothing is made twice."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mofa.batch.manifest import ASIDE, Entry, Past, append, fingerprint, is_done, past_of, read_manifest
from mofa.batch.rows import BadRow, Row
from mofa.batch.thumbnails import thumbnail_file
from mofa.batch.workers import Event, Step, Task
from mofa.errors import MofaError, OutputError

MOST_DEATHS = 2
"""A scene whose worker died so often is set aside."""


@dataclass
class Tally:
    """What became of a batch so far: names of clips that were there, were made, failed, or were set aside."""

    there: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def finished(self) -> int:
        """Rows that need nothing more."""
        return len(self.there) + len(self.made) + len(self.failed)


OnEvent = Callable[[Event], None]
Team = Callable[[list[Task]], Iterator[Event]]
"""Makes every task, yielding what happens: processes of this machine, or actors of a cluster."""


def run_batch(
    rows: Sequence[Row | BadRow],
    folder: Path,
    team: Team,
    retry_failed: bool,
    on_event: OnEvent,
    tally: Tally,
) -> None:
    """Makes what is missing of `rows` in `folder`; `on_event` is told of everything, `tally` keeps the sum.

    The caller holds `manifest.only_one`. Raises OutputError when the disk is full: the next scene would find
    no more room than this one. A row that failed before, for the same reason as now, stays failed
    unless `retry_failed`.
    """
    tasks = list(missing(rows, folder, retry_failed, tally))
    while tasks:
        again: list[Task] = []
        by_name = {task.name: task for task in tasks}
        for found in team(tasks):
            event = settled(found, by_name, folder)
            on_event(event)
            if isinstance(event, Step):
                continue
            if event.status == "full":
                raise OutputError(event.error or "no space is left.")
            if event.status == "died":
                append(folder, event)
                if deaths_of(event, folder) < MOST_DEATHS:
                    again.append(replace(by_name[event.name], attempt=event.attempts + 1))
                    continue
            count(event, tally)
        tasks = again


def settled(event: Event, tasks: Mapping[str, Task], folder: Path) -> Event:
    """What happened; of a worker that died when its clip was recorded and whole, that the clip is done."""
    if isinstance(event, Step) or event.status != "died":
        return event
    task = tasks[event.name]
    before = past_of(read_manifest(folder)).get((task.name, task.fingerprint))
    if before is None or before.last is None or not is_done(task.output, before, task.aside):
        return event
    return replace(before.last, status="done")


def count(entry: Entry, tally: Tally) -> None:
    """Adds an ending to the sum."""
    tally.seconds[entry.name] = entry.seconds
    if entry.status == "done":
        tally.made.append(entry.name)
    else:
        tally.failed.append((entry.name, entry.error or "it failed."))


def deaths_of(entry: Entry, folder: Path) -> int:
    """How often this very row has killed its worker."""
    return past_of(read_manifest(folder))[entry.name, entry.fingerprint].deaths


def missing(rows: Sequence[Row | BadRow], folder: Path, retry_failed: bool, tally: Tally) -> Iterator[Task]:
    """The rows that are to be made; the others go into the sum at once."""
    past = past_of(read_manifest(folder))
    for row in rows:
        if isinstance(row, BadRow):
            tally.failed.append((row.name, reason(row)))
            continue
        try:
            known = fingerprint(row)
        except (OSError, MofaError) as error:
            tally.failed.append((row.name, f"{row.where}: {error}"))
            continue
        before = past.get((row.name, known))
        if is_done(row.output, before, folder / ASIDE / row.name):
            tally.there.append(row.name)
        elif (why := hopeless(before)) and not retry_failed:
            tally.failed.append((row.name, why))
        else:
            attempt = 1 if before is None else before.attempts + 1
            thumbnail = thumbnail_file(row.output)
            yield Task(row.name, row.request.to_data(), row.output, known, attempt, thumbnail)


def reason(row: BadRow) -> str:
    """Where and why, the place once."""
    return row.error if row.where in row.error else f"{row.where}: {row.error}"


def hopeless(past: Past | None) -> str | None:
    """Why a row is not tried again; None where it is."""
    if past is None or past.last is None:
        return None
    failed = past.last.status == "failed" or past.deaths >= MOST_DEATHS
    return (past.last.error or "it failed.") if failed else None
