"""How much visitors may keep, each and together: room is set aside before anything is written."""

import os
import threading
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
        self._lock = threading.Lock()

    @contextmanager
    def room(self, folder: Path, most: int) -> Iterator[int]:
        """Sets aside up to `most` bytes for a visitor's folder while the block runs, and says how many.

        Raises InputError where there is no room at all.
        """
        with self._lock:
            granted = min(most, self._free(folder))
            if granted > 0:
                self._set_aside[folder] = self._set_aside.get(folder, 0) + granted
        if granted <= 0:
            raise InputError(
                "this visit's files take too much room: begin a new visit, or wait until they are removed.",
                key="room.full",
            )
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

    def _free(self, folder: Path) -> int:
        own = self._per_visitor - used_bytes(folder) - self._set_aside.get(folder, 0)
        return min(own, self._together - used_bytes(self._home) - sum(self._set_aside.values()))


def used_bytes(folder: Path) -> int:
    """What the files below a folder take together; links are not followed."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # swept meanwhile
                total += os.lstat(os.path.join(parent, name)).st_size
    return total
