"""Who is visiting: a folder for each, found by a secret in a cookie, removed a day after its last use."""

import hashlib
import logging
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mofa.apps.studio.quota import Quota, no_room
from mofa.errors import InputError

KEEP_SECONDS = 24 * 60 * 60
"""How long what a visitor left stays after they were last seen: the page says a day."""
MARKER = ".mofa-visitor"
"""The file that says that a folder is a visitor's, and may be removed when they are gone."""
log = logging.getLogger("mofa.studio")

_NAME = re.compile(r"[0-9a-f]{32}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Visitor:
    """One browser. `name` is what the cookie's secret hashes to, and the name of the folder."""

    name: str
    folder: Path
    quota: Quota | None = field(default=None, compare=False)
    account: Path | None = field(default=None, compare=False)
    """The folder whose room this one's files take, where that is a larger one."""

    @property
    def results(self) -> Path:
        """Where finished clips are, a folder for each."""
        return self.folder / "results"

    def file(self, *names: str) -> Path:
        """The visitor's file of that name, one name for each folder on the way.

        Raises InputError for a name that could lead elsewhere, and for a file that is not there.
        """
        path = self.folder.joinpath(*names)
        if not all(map(is_name, names)) or path.is_symlink() or not path.is_file():
            raise InputError(
                f'there is no file "{"/".join(names)[:100]}" in this visit: upload it again.', key="file.gone"
            )
        return path

    def room(self) -> Path:
        """The folder, made and marked as a visitor's where it is not there yet."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / MARKER).touch()
        return self.folder

    @contextmanager
    def keeping(self, most: int) -> Iterator[int]:
        """The folder is about to grow by up to `most` bytes: yields how many it may, see `Quota.room`."""
        if self.quota is None:
            yield most
            return
        with self.quota.room(self.account or self.folder, most) as granted:
            yield granted

    @contextmanager
    def having(self, needed: int) -> Iterator[None]:
        """The folder is about to grow by `needed` bytes. Raises InputError where there is less room."""
        with self.keeping(max(needed, 1)) as granted:
            if granted < needed:
                raise no_room()
            yield


class Visitors:
    """All visitors of this server, below one folder that nobody else may read."""

    def __init__(self, home: Path, quota: Quota | None = None) -> None:
        self._home, self._quota = home, quota
        home.mkdir(mode=0o700, parents=True, exist_ok=True)

    def visitor(self, token: str) -> Visitor:
        """The visitor with this secret; their day begins anew. Raises InputError for what is no secret.

        Their folder is made when something is first kept in it: who only looks leaves nothing behind.
        """
        if not _TOKEN.fullmatch(token):
            raise InputError(
                "this visit is not known: reload the page to begin a new one.", key="visit.unknown"
            )
        name = hashlib.sha256(token.encode()).hexdigest()[:32]
        folder = self._home / name
        visitor = Visitor(name, folder, self._quota)
        if folder.is_dir():
            os.utime(visitor.room())
        return visitor

    def sweep(self, now: float | None = None) -> list[str]:
        """Removes the folders that nobody has used for a day; returns the visitors' names.

        Only folders that `Visitor.room` made are touched: people may keep other things in this place.
        """
        oldest = (time.time() if now is None else now) - KEEP_SECONDS
        return [folder.name for folder in self._home.iterdir() if _swept(folder, oldest)]


def _swept(folder: Path, oldest: float) -> bool:
    """Whether a folder was a visitor's, unused for long, and is gone now; one that resists stays."""
    try:
        facts = folder.lstat()
        if not stat.S_ISDIR(facts.st_mode) or not _NAME.fullmatch(folder.name) or facts.st_mtime >= oldest:
            return False
        if not (folder / MARKER).is_file():
            return False
        shutil.rmtree(folder)
    except OSError as error:
        log.warning("%s cannot be removed (%s)", folder.name, error.strerror)
        return False
    return True


def is_name(name: str) -> bool:
    """Whether a visitor's file may be called so: a plain name that leads nowhere."""
    return _FILE_NAME.fullmatch(name) is not None


def new_token() -> str:
    """A secret for a visitor's cookie: 192 bits nobody guesses."""
    return secrets.token_urlsafe(24)
