"""What a GIF says of its frames before any is decoded (Graphics Interchange Format 89a, 17 to 26)."""

import struct
from typing import BinaryIO

EXTENSION, IMAGE, TRAILER = b"!", b",", b";"


def gif_extent(file: BinaryIO) -> tuple[int, int]:
    """Width and height that hold every frame; (0, 0) for no GIF.

    A frame may lie partly outside the picture that the header tells of: decoders make the picture grow.
    """
    file.seek(0)
    head = file.read(13)
    width = height = 0
    if len(head) == 13 and head[:3] == b"GIF":
        width, height = struct.unpack("<HH", head[6:10])
        file.seek(_colours(head[10]), 1)
        while (kind := file.read(1)) not in (b"", TRAILER):
            if kind == EXTENSION:
                file.seek(1, 1)
                _skip(file)
            elif kind == IMAGE and len(place := file.read(9)) == 9:
                left, top, across, down = struct.unpack("<4H", place[:8])
                width, height = max(width, left + across), max(height, top + down)
                file.seek(_colours(place[8]) + 1, 1)  # and the size of the codes
                _skip(file)
    file.seek(0)
    return width, height


def _colours(flags: int) -> int:
    """Bytes of the colour table that these flags announce."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip(file: BinaryIO) -> None:
    """Goes past a chain of blocks."""
    while length := file.read(1):
        if length == b"\0":
            return
        file.seek(length[0], 1)
