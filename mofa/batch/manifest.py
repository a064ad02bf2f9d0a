"""What a batch has made: a file of JSON lines, written as things happen, believed when read again.

A clip is made aside, recorded with its checksum, and only then put in its place. Whoever is killed in between
leaves a record and a file that fit each other, or nothing that counts.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from mofa import __version__
from mofa.batch.remote import MANIFEST
from mofa.batch.rows import Row
from mofa.errors import OutputError
from mofa.pipeline.engine import default_renderer
from mofa.pipeline.needs import all_slots
from mofa.pipeline.request import AnimationRequest
from mofa.weights.convert import sha256_of
from mofa.weights.registry import find_slot
from mofa.weights.store import locate

ASIDE, LOCK = ".mofa-batch", "lock"
Status = Literal["made", "done", "failed", "died", "full"]
"""made: the clip lies aside, whole; done: it is in its place; failed: says why; died: its worker did; full:
the disk was, which is not the scene's fault."""


@dataclass(frozen=True)
class Entry:
    """One line. `sha256` and `size` are the clip's; `error` is the sentence of a failure; `attempts` counts
    this one and those before it that are recorded, for the same fingerprint."""

    name: str
    fingerprint: str
    output: str
    status: Status
    seconds: float = 0.0
    error: str | None = None
    sha256: str | None = None
    size: int | None = None
    attempts: int = 1


def fingerprint(row: Row) -> str:
    """Changes when the clip would, and not with the places of files."""
    outputs = row.request.outputs.model_copy(update={"clip": None})
    return request_fingerprint(row.request.model_copy(update={"outputs": outputs}), row.output.suffix)


def request_fingerprint(request: AnimationRequest, suffix: str = ".mp4") -> str:
    """Of the scene, the content of the files that it names, the weights, the version, the kind of clip."""
    named = request.model_copy(update={"renderer": request.renderer or default_renderer(request)})
    parts = {
        "scene": named.with_paths(lambda path: Path(content_of(path))).to_data(),
        "suffix": suffix,
        "weights": weights_of(named),
        "version": __version__,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def content_of(path: Path) -> str:
    """The checksum of a file, read again when its size or time has changed."""
    status = path.stat()
    return _content(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=65_536)
def _content(path: Path, size: int, changed: int) -> str:
    return sha256_of(path)


def weights_of(request: AnimationRequest) -> dict[str, list[int]]:
    """Size and time of every file of weights that a request with a renderer uses."""
    paths = [path for name in all_slots(request) for path in locate(find_slot(name)).paths.values()]
    return {str(path): [path.stat().st_size, path.stat().st_mtime_ns] for path in paths}


def append(folder: Path, entry: Entry) -> None:
    """Adds a line, on the disk before this returns; lines of several processes do not mix."""
    line = json.dumps({key: value for key, value in asdict(entry).items() if value is not None})
    descriptor = os.open(folder / MANIFEST, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{line}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_manifest(folder: Path) -> list[Entry]:
    """All lines that are whole; one that was cut off by a kill, or is none of ours, is left out."""
    try:
        lines = (folder / MANIFEST).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    entries = []
    for line in lines:
        try:
            entries.append(Entry(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return entries


@dataclass(frozen=True)
class Past:
    """What is known of a row with its present fingerprint: the last entry, how often its worker died since
    it last ended otherwise, and how often it was begun."""

    last: Entry | None
    deaths: int
    attempts: int = 0


def past_of(entries: list[Entry]) -> Mapping[tuple[str, str], Past]:
    """(name, fingerprint) -> its past."""
    found: dict[tuple[str, str], Past] = {}
    for entry in entries:
        key = (entry.name, entry.fingerprint)
        before = found.get(key, Past(None, 0))
        deaths = before.deaths + (entry.status == "died")
        attempts = max(before.attempts, entry.attempts)
        found[key] = Past(entry, 0 if entry.status in ("made", "done", "failed") else deaths, attempts)
    return found


def is_done(output: Path, past: Past | None, aside: Path) -> bool:
    """Whether the clip is in its place, putting it there where a kill came just before.

    Only a clip that has the recorded size and checksum counts.
    """
    entry = past.last if past else None
    if entry is None or entry.sha256 is None:
        return False
    if entry.status == "made" and not fits(output, entry) and fits(aside / output.name, entry):
        put_in_place(aside, output)
    return fits(output, entry)


def fits(path: Path, entry: Entry) -> bool:
    """Whether a file is the recorded one; a quick look at its size first."""
    return path.is_file() and path.stat().st_size == entry.size and content_of(path) == entry.sha256


def put_in_place(aside: Path, output: Path) -> None:
    """Moves a clip and what lies beside it from `aside` to its place, the clip last."""
    files = sorted(aside.iterdir(), key=lambda path: path.name == output.name)
    for path in files:
        os.replace(path, output.with_name(path.name))
    aside.rmdir()


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keeps a second batch out of the folder while the block runs. Raises OutputError for the second.

    The system lets go of the lock when its process dies, however it does.
    """
    (folder / ASIDE).mkdir(parents=True, exist_ok=True)
    with (folder / ASIDE / LOCK).open("w") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # Windows has no such lock
            pass
        except OSError:
            raise OutputError(f"another batch is working in {folder}: wait for it, or stop it.") from None
        yield


def plain(entry: Entry) -> dict[str, Any]:
    """For machines that listen."""
    return {key: value for key, value in asdict(entry).items() if value is not None}
