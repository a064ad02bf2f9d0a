"""How much memory the jobs of a server may take together: each says before it begins what it needs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mofa.devices import total_memory
from mofa.errors import ResourceError

GB = 1_000_000_000
SERVER = 2 * GB
"""Bytes that a studio takes beside its jobs: torch, Gradio and the libraries 0.5 GB (measured), photos that
stay decoded 0.6 (`photos.BYTES_KNOWN`), and a look at a photo of 50 megapixels that comes in, 0.75."""
SHARE = 0.8
"""Of the machine's memory, where nobody says how much the studio may take."""
LOOKS_EVERY = 0.5
"""Seconds between two looks whether a job that waits for memory is still wanted."""


class Budget:
    """Memory for jobs. One that could never fit is refused, one that does not fit now waits for its turn."""

    def __init__(self, num_bytes: int) -> None:
        self.num_bytes = num_bytes
        self._held: list[int] = []
        self._line: list[object] = []
        self._changed = threading.Condition()

    @classmethod
    def of_server(cls, memory: int | None) -> "Budget":
        """What a server that may take `memory` bytes (None: most of the machine's) leaves for its jobs."""
        return cls(memory - SERVER if memory is not None else max(GB, round(SHARE * total_memory()) - SERVER))

    def check(self, needed: int) -> None:
        """Raises ResourceError for a job that takes more than there is for all."""
        if needed > self.num_bytes:
            asked, most = f"{needed / GB:.1f}", f"{self.num_bytes / GB:.1f}"
            raise ResourceError(
                f"this would take about {asked} GB of memory, and {most} GB are there for "
                "clips: choose a smaller size, a smaller photo or fewer masks and videos.",
                key="memory.budget",
                needed=asked,
                most=most,
            )

    @contextmanager
    def held(self, needed: int, look: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Waits, in the order of those who came, until so many bytes are free; they are taken while the block
        runs. `look` is called now and then meanwhile, and may raise. Raises ResourceError as `check` does."""
        self.check(needed)
        ticket = object()
        with self._changed:
            self._line.append(ticket)
            try:
                while self._line[0] is not ticket or sum(self._held) + needed > self.num_bytes:
                    self._changed.wait(LOOKS_EVERY)
                    look()
                self._held.append(needed)
            finally:
                self._line.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._held.remove(needed)
                self._changed.notify_all()

    @property
    def taken(self) -> int:
        """Bytes that jobs hold now."""
        with self._changed:
            return sum(self._held)
