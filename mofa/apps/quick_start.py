"""Loading what a command needs, without the garbage collector in between."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_start() -> Iterator[None]:
    """For imports: what they make stays, so nothing is looked through for garbage, now or later.

    Importing torch and the rest makes so many objects that the collector takes a quarter of the time.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()
