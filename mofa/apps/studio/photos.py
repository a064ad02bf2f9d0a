"""Photos as they were decoded: previews, and hands that select, look at the same one again and again."""

import threading
from collections import OrderedDict
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from mofa.media.image import picture_size, read_picture

PHOTOS_KNOWN = 8
"""Photos that stay decoded: a hand that moves over one asks about it several times a second."""
BYTES_KNOWN = 600_000_000
"""That they take together: one of 50 megapixels, the largest that comes in, or eight of a phone's 6."""


class KnownPhotos:
    """The photos that were looked at last, decoded. One is decoded at a time: it takes memory, and a hundred
    hands may ask at once."""

    def __init__(self, count: int = PHOTOS_KNOWN, num_bytes: int = BYTES_KNOWN) -> None:
        self._count, self._num_bytes = count, num_bytes
        self._known: OrderedDict[tuple[Path, int], Float[Tensor, "3 H W"]] = OrderedDict()
        self._lock = threading.Lock()

    def decoded(self, path: Path) -> Float[Tensor, "3 H W"]:
        """The picture in a file, RGB 0..1; the file is read anew when it has changed. Raises InputError as
        `read_picture` does."""
        with self._lock:
            key = path, path.stat().st_mtime_ns
            if key not in self._known:
                width, height = picture_size(path)
                self._make_room(12 * width * height)
                self._known[key] = read_picture(path)
            self._known.move_to_end(key)
            return self._known[key]

    def _make_room(self, needed: int) -> None:
        """Forgets those that were not asked for longest, until one more fits."""
        while self._known and (
            len(self._known) >= self._count or self._bytes_known() + needed > self._num_bytes
        ):
            self._known.popitem(last=False)

    def _bytes_known(self) -> int:
        return sum(photo.nbytes for photo in self._known.values())


decoded = KnownPhotos().decoded
"""The picture in a file: see `KnownPhotos.decoded`."""
