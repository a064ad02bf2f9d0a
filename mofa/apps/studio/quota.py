"""How much visitors may keep, each and together: room is set aside before anything is written."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mofa.errors import InputError

VISITOR_BYTES = 2_000_000_000
"""That one visitor's files may take together."""
SERVER_BYTES = 20_000_000_000
"""That all visitors' files may take together."""


class Quota:
    """Room for files below one folder. Whoever writes sets room aside first, so that many who write at once
    cannot take more together than there is."""

    def __init__(self, home: Path, per_visitor: int = VISITOR_BYTES, together: int = SERVER_BYTES) -> None:
        self._home, self._per_visitor, self._together = home, per_visitor, together
        self._set_aside: dict[Path, int] = {}
        self._noted: dict[Path, list[tuple[float, int]]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def room(self, visitors: Path | None, most: int) -> Iterator[int]:
        """Sets aside up to `most` bytes for a visitor's folder (None: nobody's) while the block runs, and
        says how many.

        Raises InputError where there is no room at all.
        """
        folder = visitors or self._home
        with self._lock:
            granted = min(most, self._free(visitors))
            if granted > 0:
                self._set_aside[folder] = self._set_aside.get(folder, 0) + granted
        if granted <= 0:
            raise no_room()
        try:
            yield granted
        finally:
            with self._lock:
                self._set_aside[folder] -= granted
                if self._set_aside[folder] <= 0:
                    del self._set_aside[folder]

    def free_bytes(self) -> int:
        """What is left for everybody together."""
        with self._lock:
            return self._together - used_bytes(self._home) - sum(self._set_aside.values())

    def note(self, folder: Path, num_bytes: int, until: float) -> None:
        """Counts bytes as a visitor's until then (seconds since 1970), though they lie elsewhere."""
        with self._lock:
            self._noted.setdefault(folder, []).append((until, num_bytes))

    def _free(self, folder: Path | None) -> int:
        together = self._together - used_bytes(self._home) - sum(self._set_aside.values())
        if folder is None:
            return together
        own = self._per_visitor - used_bytes(folder) - self._set_aside.get(folder, 0)
        return min(own - self._noted_bytes(folder), together)

    def _noted_bytes(self, folder: Path) -> int:
        now = time.time()
        self._noted = {
            who: left for who, notes in self._noted.items() if (left := [n for n in notes if n[0] > now])
        }
        return sum(num_bytes for _, num_bytes in self._noted.get(folder, []))


def no_room() -> InputError:
    """What is told where a visitor, or all together, may keep no more."""
    return InputError(
        "this visit's files take too much room: begin a new visit, or wait until they are removed.",
        key="room.full",
    )


def used_bytes(folder: Path) -> int:
    """What the files below a folder take together; links are not followed."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # swept meanwhile
                total += os.lstat(os.path.join(parent, name)).st_size
    return total
