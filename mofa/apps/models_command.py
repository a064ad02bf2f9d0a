"""`mofa models`: which weights there are, which are here, and how to get, check and drop them."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mofa.types import Progress
    from mofa.weights.registry import Slot


def add_parser(commands: Any) -> None:
    """Adds `models` to the subparsers of the command line; `run` is what it is to call."""
    parser = commands.add_parser(
        "models",
        help="list, download, import and check model weights",
        description="Weights for the diffusion renderer and the speech drivers. The warp renderer has none.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    listing = actions.add_parser("list", help="all weights: what is here, how large, under which licence")
    where = actions.add_parser("where", help="where weights are, or would be, on this machine")
    fetch = actions.add_parser("download", help="fetch weights; goes on where an earlier run stopped")
    take = actions.add_parser("import", help="take weights from a folder or a file, told apart by their keys")
    check = actions.add_parser("verify", help="compare files with their checksums and keys")
    turn = actions.add_parser("convert", help="turn pickled files into safetensors")
    give = actions.add_parser("export", help="write weights of one's own as others expect them, merged")
    drop = actions.add_parser("remove", help="delete weights from mofa's own folder")

    for action in (where, check):
        action.add_argument("slots", nargs="*", metavar="NAME", help="default: all")
    for action in (fetch, drop):
        action.add_argument("slots", nargs="+", metavar="NAME", help="a name from `mofa models list`")
    fetch.add_argument(
        "--newest", action="store_true", help="the newest version, not the one that was fetched before"
    )
    for action in (listing, where, check):
        action.add_argument("--json", action="store_true", help="print JSON")
    take.add_argument("source", type=Path, metavar="PATH", help="a folder laid out in any way, or one file")
    take.add_argument("--as", dest="slot", metavar="NAME", help="what to take it as, where several fit")
    take.add_argument("--link", action="store_true", help="point at the files instead of copying them")
    turn.add_argument("source", metavar="NAME_OR_FILE", help="weights that are here, or any checkpoint")
    turn.add_argument("-o", "--output", type=Path, metavar="FILE", help="where a converted file goes")
    turn.add_argument("--overwrite", action="store_true", help="replace an existing file")
    give.add_argument("source", type=Path, metavar="DIR", help="such as runs/x/checkpoint-2000")
    give.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="a new folder")
    give.add_argument(
        "--layout",
        choices=("diffusers", "released"),
        default="diffusers",
        help="as from_pretrained reads them (the default), or in the folders of the method's release",
    )
    drop.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Does what was asked; returns the exit code. Raises MofaError with a sentence for the user."""
    action = {
        "list": _list,
        "where": _where,
        "download": _download,
        "import": _import,
        "verify": _verify,
        "convert": _convert,
        "export": _export,
        "remove": _remove,
    }[arguments.action]
    return action(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from mofa.weights.registry import SLOTS, in_words
    from mofa.weights.store import locate

    states = [locate(slot) for slot in SLOTS]
    if arguments.json:
        return _print_json(
            [
                {
                    "name": state.slot.name,
                    "title": state.slot.title,
                    "state": _state_word(state),
                    "bytes": state.size if state.present else state.slot.size,
                    "licence": state.slot.licence.name,
                    "terms": state.slot.licence.sentence,
                    "gated": state.slot.gated,
                    "missing": [file.name for file in state.missing if not file.optional],
                }
                for state in states
            ]
        )
    from rich.console import Console
    from rich.table import Table

    table = Table("name", "state", "size", "what", "licence", box=None, pad_edge=False)
    for state in states:
        size = in_words(state.size) if state.present else f"about {in_words(state.slot.size)}"
        licence = state.slot.licence.name + (" (token needed)" if state.slot.gated else "")
        table.add_row(state.slot.name, _state_word(state), size, state.slot.title, licence)
    Console().print(table)
    return 0


def _state_word(state: Any) -> str:
    if state.present:
        return "present"
    return "incomplete" if state.paths else "absent"


def _where(arguments: argparse.Namespace) -> int:
    from mofa.weights.store import home, locate, slot_folder

    states = [locate(slot) for slot in _slots(arguments.slots)]
    if arguments.json:
        return _print_json(
            {
                "home": str(home()),
                "slots": {
                    state.slot.name: {
                        "folder": str(slot_folder(state.slot)),
                        "files": {name: str(path) for name, path in state.paths.items()},
                    }
                    for state in states
                },
            }
        )
    print(f"store: {home()}")
    for state in states:
        print(f"{state.slot.name}: {_state_word(state)}, {slot_folder(state.slot)}")
        for path in state.paths.values():
            print(f"  {path}")
    return 0


def _download(arguments: argparse.Namespace) -> int:
    from mofa.errors import Cancelled
    from mofa.weights.download import download
    from mofa.weights.pins import read_pins, unpin
    from mofa.weights.registry import in_words
    from mofa.weights.store import locate

    slots = [slot for slot in _slots(arguments.slots) if not locate(slot).present]
    for slot in slots:
        terms = f"{slot.licence.name}; {slot.licence.sentence}; {slot.licence.url}"
        print(f"{slot.name}: about {in_words(slot.size)}. Licence: {terms}")
    if arguments.newest:
        unpin(slots)
    before = read_pins()
    try:
        with _progress_in_megabytes() as progress:
            fetched = download(slots, progress)
    except KeyboardInterrupt:
        raise Cancelled("stopped; run the command again to go on where it stopped.") from None
    for name in arguments.slots:
        news = f"{len(fetched[name])} files fetched" if name in fetched else "already here"
        print(f"{name}: {news}")
    for key, version in read_pins().items():
        if key.partition("/")[0] in fetched and before.get(key) != version:
            commits = "".join(f", commit {commit[:12]}" for commit in version.revisions.values())
            print(f"recorded for later downloads: {key}, SHA-256 {version.sha256}{commits}")
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from mofa.weights.importing import import_weights
    from mofa.weights.registry import SLOTS, find_slot
    from mofa.weights.store import locate

    with _progress_in_megabytes() as progress:
        report = import_weights(arguments.source, arguments.slot, arguments.link, progress)
    for entry in report.imported:
        print(f"{entry.slot}: {entry.source}")
    for spare in report.ignored:
        print(f"left out: {spare.source}: {spare.reason}")
    if report.others:
        print(f"{report.others} other files are no checkpoints")
    for name in sorted({entry.slot for entry in report.imported} & {slot.name for slot in SLOTS}):
        state = locate(find_slot(name))
        lacking = ", ".join(file.name for file in state.missing if not file.optional)
        print(f"{name}: present" if state.present else f"{name}: still lacks {lacking}")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from mofa.errors import WeightsError
    from mofa.weights.store import locate, verify

    slots = _slots(arguments.slots)
    if arguments.slots and (absent := [slot.name for slot in slots if not locate(slot).paths]):
        raise WeightsError(
            f"{', '.join(absent)} cannot be verified: not on this machine; see `mofa models list`."
        )
    with _progress_in_megabytes() as progress:
        checks = [check for slot in slots for check in verify(slot, progress)]
    if arguments.json:
        _print_json(
            [
                {
                    "slot": check.slot,
                    "path": str(check.path),
                    "ok": check.problem is None,
                    "problem": check.problem,
                    "compared": check.compared,
                }
                for check in checks
            ]
        )
    else:
        for check in checks:
            print(f"{check.slot}: {check.path}: {check.problem or 'ok'} ({check.compared})")
        failures = sum(check.problem is not None for check in checks)
        print(f"{len(checks) - failures} passed, {failures} failed")
    return WeightsError.exit_code if any(check.problem for check in checks) else 0


def _convert(arguments: argparse.Namespace) -> int:
    from mofa.weights.convert import convert, converted_name
    from mofa.weights.registry import SLOTS, find_slot
    from mofa.weights.store import convert_stored

    if arguments.source in {slot.name for slot in SLOTS}:
        written = convert_stored(find_slot(arguments.source))
        if not written:
            print(f"{arguments.source}: is safetensors already")
    else:
        source = Path(arguments.source)
        name = converted_name(source.name)
        output = arguments.output or source.with_name(name if name != source.name else f"{name}.safetensors")
        convert(source, output, arguments.overwrite)
        written = [output]
    for path in written:
        print(path)
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from mofa.weights.exporting import export_weights

    for path in export_weights(arguments.source, arguments.output, arguments.layout):
        print(path)
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    from mofa.errors import InputError
    from mofa.weights.registry import in_words
    from mofa.weights.store import locate, remove, stored_files

    for slot in _slots(arguments.slots):
        files = stored_files(slot)
        size = sum(path.lstat().st_size for path in files)
        if files and not arguments.yes:
            if not sys.stdin.isatty():
                raise InputError(
                    f"{slot.name} ({in_words(size)}) is not removed unasked; add --yes to remove it."
                )
            if (
                input(f"Delete {slot.name}, {len(files)} files, {in_words(size)}? [y/N] ").strip().lower()
                != "y"
            ):
                print(f"{slot.name}: kept")
                continue
        freed = remove(slot)
        print(f"{slot.name}: {in_words(freed)} freed" if files else f"{slot.name}: not in mofa's own folder")
        for path in locate(slot).paths.values():
            print(f"  left in the Hugging Face cache: {path}")
    return 0


def _slots(names: Sequence[str]) -> list["Slot"]:
    from mofa.weights.registry import SLOTS, find_slot

    return [find_slot(name) for name in names] if names else list(SLOTS)


def _print_json(content: Any) -> int:
    print(json.dumps(content, indent=1))
    return 0


@contextmanager
def _progress_in_megabytes() -> Iterator["Progress"]:
    """A callback that counts bytes on a bar; nothing where the error stream is no terminal."""
    from mofa.apps.progress import progress_bars

    with progress_bars(quiet=not sys.stderr.isatty()) as show:
        yield lambda stage, done, total: show(f"{stage} (MB)", done // 10**6, total // 10**6)
