"""Photos as they were decoded: previews, and hands that select, look at the same one again and again."""

import threading
from functools import lru_cache
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from mofa.media.image import read_picture

PHOTOS_KNOWN = 8
"""Photos that stay decoded: a hand that moves over one asks about it several times a second."""

_one_at_a_time = threading.Lock()
"""Decoding a photo takes memory, and a hundred hands may ask at once."""


def decoded(path: Path) -> Float[Tensor, "3 H W"]:
    """The picture in a file, RGB 0..1; the file is read anew when it has changed. Raises InputError as
    `read_picture` does."""
    with _one_at_a_time:
        return _decoded(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=PHOTOS_KNOWN)
def _decoded(path: Path, changed: int) -> Float[Tensor, "3 H W"]:
    return read_picture(path)
