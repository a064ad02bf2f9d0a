"""Who is visiting: a folder for each, found by a secret in a cookie, removed a day after its last use."""

import hashlib
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mofa.errors import InputError

KEEP_SECONDS = 24 * 60 * 60
LARGEST_FOLDER = 2_000_000_000
"""Bytes that one visitor's files may take together."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Visitor:
    """One browser. `name` is what the cookie's secret hashes to, and the name of the folder."""

    name: str
    folder: Path

    @property
    def results(self) -> Path:
        """Where finished clips are, a folder for each."""
        return self.folder / "results"

    def file(self, *names: str) -> Path:
        """The visitor's file of that name, one name for each folder on the way.

        Raises InputError for a name that could lead elsewhere, and for a file that is not there.
        """
        path = self.folder.joinpath(*names)
        if not all(_FILE_NAME.fullmatch(name) for name in names) or path.is_symlink() or not path.is_file():
            raise InputError(f'there is no file "{"/".join(names)[:100]}" in this visit: upload it again.')
        return path

    def used_bytes(self) -> int:
        """What the visitor's files take together."""
        return sum(size for _, size in _files(self.folder))


class Visitors:
    """All visitors of this server, below one folder that nobody else may read."""

    def __init__(self, home: Path) -> None:
        self._home = home
        home.mkdir(mode=0o700, parents=True, exist_ok=True)

    def visitor(self, token: str) -> Visitor:
        """The visitor with this secret; their day begins anew. Raises InputError for what is no secret."""
        if not _TOKEN.fullmatch(token):
            raise InputError("this visit is not known: reload the page to begin a new one.")
        name = hashlib.sha256(token.encode()).hexdigest()[:32]
        folder = self._home / name
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.touch()
        return Visitor(name, folder)

    def sweep(self, now: float | None = None) -> list[str]:
        """Removes the folders that nobody has used for a day; returns the visitors' names."""
        oldest = (time.time() if now is None else now) - KEEP_SECONDS
        stale = [folder for folder in self._home.iterdir() if folder.stat().st_mtime < oldest]
        for folder in stale:
            shutil.rmtree(folder, ignore_errors=True)
        return [folder.name for folder in stale]


def new_token() -> str:
    """A secret for a visitor's cookie: 192 bits nobody guesses."""
    return secrets.token_urlsafe(24)


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in folder.rglob("*"):
        with suppress(OSError):  # swept meanwhile
            if path.is_file():
                yield path, path.lstat().st_size
