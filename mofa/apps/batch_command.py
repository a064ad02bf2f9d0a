"""`mofa batch`: many scenes overnight, by several processes, going on where it was stopped."""

import argparse
import glob
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mofa.media.forms import FORMS, LOOPING

if TYPE_CHECKING:
    from mofa.batch.remote import Mirror
    from mofa.batch.rows import BadRow, Row
    from mofa.batch.run import OnEvent, Tally, Team
    from mofa.batch.workers import Event

WATCH_SECONDS = 2.0
"""How often a watched folder is looked at, and how long a file must have been left alone to be read."""


def add_parser(commands: Any) -> None:
    """Adds `batch` to the subparsers of the command line; `run` is what it is to call."""
    parser = commands.add_parser(
        "batch",
        help="make the clips of many scenes, going on where it was stopped",
        description=(
            "Makes DIR/NAME.mp4 of every scene. What is there and still holds is not made again, and\n"
            "a scene that fails costs its own clip alone (docs/scale.md).\n\n"
            "  mofa batch scenes/*.yaml -o clips --workers 2\n"
            "  mofa batch table.csv -o clips\n"
            "  mofa batch photos/ --template zoom.yaml -o clips"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SCENES",
        help="scene files, folders of them, patterns, tables (.csv, .jsonl); with --template photos, too",
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder or URL of the clips")
    parser.add_argument(
        "--template", type=Path, metavar="SCENE", help="scene in which {picture} and {name} are each photo's"
    )
    parser.add_argument(
        "--format",
        default="mp4",
        choices=[suffix[1:] for suffix in (*FORMS, *LOOPING)],
        help="of the clips (mp4)",
    )
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes at a time (1)")
    parser.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="let actors of a Ray cluster make the clips, which sees the same folders; without ADDRESS a Ray "
        "of its own on this machine",
    )
    parser.add_argument("--retry-failed", action="store_true", help="try again what failed before")
    parser.add_argument("--watch", action="store_true", help="go on with scenes that appear, until Ctrl-C")
    parser.add_argument("--quiet", action="store_true", help="no progress, no summary")
    parser.add_argument("--json", action="store_true", help="print every event as a line of JSON")
    parser.add_argument("--verbose", action="store_true", help="tell what is done, and how long it takes")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Makes what is missing; 1 when a row failed. Raises MofaError with a sentence for the user."""
    from mofa.batch import processes

    # Before the imports and checks of this process, which go on beside it.
    arguments.processes = processes.imported_once() if arguments.ray is None else None
    from mofa.batch.manifest import only_one
    from mofa.batch.page import write_page
    from mofa.batch.remote import is_url
    from mofa.batch.run import Tally
    from mofa.errors import InputError

    arguments.mirror = mirror_of(arguments)
    remote = arguments.mirror is not None and is_url(arguments.output)
    if remote and arguments.ray is not None:
        raise InputError("--ray writes to a folder that every machine sees: give one with -o.")
    arguments.output = arguments.mirror.take_up(arguments.output) if remote else Path(arguments.output)
    if arguments.workers < 1:
        raise InputError(f"--workers {arguments.workers} cannot be: give 1 or more.")
    check_folder(arguments.output)
    rows_of(arguments)  # what is wrong with the sources is told before a folder is made
    with only_one(arguments.output):
        while True:
            rows, tally = rows_of(arguments), Tally()
            make(rows, arguments, tally)
            if not arguments.watch or tally.made or tally.failed:
                page = write_page(rows, arguments.output, tally)
                if remote:
                    upload(rows, arguments.mirror, arguments.output, tally)
            if not arguments.watch:
                break
            time.sleep(WATCH_SECONDS)
    if not (arguments.quiet or arguments.json):
        print_summary(tally, page)
    if arguments.json:
        summary = {"there": tally.there, "made": tally.made, "failed": tally.failed, "page": str(page)}
        print(json.dumps({"event": "finished"} | summary), flush=True)
    return 1 if tally.failed else 0


def mirror_of(arguments: argparse.Namespace) -> "Mirror | None":
    """Where files at URLs are fetched to; None where fsspec is not installed and nothing asks for it."""
    from importlib.util import find_spec

    from mofa.batch.remote import Mirror, default_mirror, is_url

    asks = any(is_url(text) for text in (*arguments.sources, arguments.output))
    return Mirror(default_mirror()) if asks or find_spec("fsspec") else None


def upload(rows: "Sequence[Row | BadRow]", mirror: "Mirror", folder: Path, tally: "Tally") -> None:
    """Brings what is there to its URLs: clips and what lies beside them, then the page and the record."""
    from mofa.batch.remote import MANIFEST
    from mofa.batch.rows import Row

    finished, new = {*tally.there, *tally.made}, set(tally.made)
    for row in rows:
        if isinstance(row, Row) and row.name in finished:
            for path in sorted(folder.glob(f"{glob.escape(row.output.stem)}.*")):
                if path.is_file() and (row.name in new or not mirror.is_uploaded(path)):
                    mirror.upload(path)
    for name in ("index.html", MANIFEST):
        mirror.upload(folder / name)


def check_folder(folder: Path) -> None:
    """Refuses, before any work is done, a folder that cannot be written to. Raises OutputError."""
    from mofa.media.files import check_writable

    check_writable([folder / "index.html"], overwrite=True)


def rows_of(arguments: argparse.Namespace) -> "list[Row | BadRow]":
    """What the sources ask for now. A watched folder may be empty, and may hold files still being written."""
    from mofa.batch.rows import Row, input_files, read_rows
    from mofa.errors import InputError

    form, mirror = f".{arguments.format}", arguments.mirror
    rows = read_rows(arguments.sources, arguments.output, arguments.template, form, mirror)
    if not rows and not arguments.watch:
        raise InputError(f"there are no scenes in {', '.join(arguments.sources)}.")
    if not arguments.watch:
        return rows
    newest = time.time() - WATCH_SECONDS
    return [
        row
        for row in rows
        if not isinstance(row, Row)
        or all(path.stat().st_mtime < newest for path in (*input_files(row.request), *source_of(row)))
    ]


def source_of(row: "Row") -> list[Path]:
    """The file that asked for a row."""
    path = Path(row.where)
    return [path] if path.is_file() else []


def make(rows: "Sequence[Row | BadRow]", arguments: argparse.Namespace, tally: "Tally") -> None:
    """Runs what is missing under the progress that was asked for."""
    from mofa.batch.run import run_batch

    with event_handler(len(rows), arguments, tally) as on_event:
        run_batch(rows, arguments.output, team_of(arguments), arguments.retry_failed, on_event, tally)


def team_of(arguments: argparse.Namespace) -> "Team":
    """Who makes the clips: processes of this machine, or actors on Ray. Raises ResourceError."""
    from mofa.batch import workers
    from mofa.errors import ResourceError

    if arguments.ray is None:
        return partial(workers.make_all, workers=arguments.workers, context=arguments.processes)
    try:
        from mofa.batch import on_ray
    except ImportError as error:
        raise ResourceError('--ray needs the ray extra: pip install "mofa-video[ray]".') from error
    return partial(on_ray.make_all, workers=arguments.workers, address=arguments.ray or None)


@contextmanager
def event_handler(total: int, arguments: argparse.Namespace, tally: "Tally") -> "Iterator[OnEvent]":
    """What is told while the batch runs: lines of JSON, bars, or nothing."""
    if arguments.json:
        yield print_event
    elif arguments.quiet:
        yield lambda event: None
    else:
        with bars(total, tally) as on_event:
            yield on_event


def print_event(event: "Event") -> None:
    """One line of JSON."""
    from dataclasses import asdict

    from mofa.batch.manifest import Entry, plain

    if isinstance(event, Entry):
        print(json.dumps({"event": event.status} | plain(event)), flush=True)
    else:
        print(json.dumps({"event": "progress"} | asdict(event)), flush=True)


@contextmanager
def bars(total: int, tally: "Tally") -> "Iterator[OnEvent]":
    """One bar for the batch, with its rate and the time left, and a line per worker."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from mofa.batch.manifest import Entry

    lines: dict[int, Any] = {}
    begin = time.monotonic()
    display = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]}"),
        console=Console(stderr=True),
    )
    whole = display.add_task("clips", total=total, rate="")

    def on_event(event: "Event") -> None:
        if isinstance(event, Entry):
            rate = 60 * len(tally.made) / max(time.monotonic() - begin, 1e-3)
            display.update(whole, completed=tally.finished, rate=f"{rate:.1f} a minute")
            return
        if event.worker not in lines:
            lines[event.worker] = display.add_task("", total=1, rate="")
        text = f"  {event.worker + 1}: {event.name}, {event.stage}"
        display.update(lines[event.worker], description=text, completed=event.done, total=event.total)

    with display:
        yield on_event
        display.update(whole, completed=tally.finished)


def print_summary(tally: "Tally", page: Path) -> None:
    """The sum, failures first."""
    for name, error in tally.failed:
        print(f"mofa: {name}: {error}", file=sys.stderr)
    print(f"{len(tally.made)} made, {len(tally.there)} there already, {len(tally.failed)} failed: {page}")
