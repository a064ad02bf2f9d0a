"""Containers of moving pictures and sound as libav opens them: refused in one sentence, and told when they
break off."""

import io
import math
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import av

from mofa.errors import InputError
from mofa.media.image import SELF_CONTAINED, open_file
from mofa.types import Note

DAMAGE = (av.FFmpegError, ValueError, OSError, ArithmeticError, LookupError)
"""What libav's bindings raise on foreign bytes."""

MISSING_SECONDS = 0.3
"""A file whose header promises this much more than it holds has been broken off; containers round less."""

UNKNOWN_LENGTH = 0x7FFF0000
"""Recorders that write into a pipe put 2 or 4 GB where the length of a RIFF file should be."""

FIRST_BOXES = (b"ftyp", b"wide", b"free", b"skip", b"mdat", b"moov", b"pnot")
"""What an MP4 or MOV begins with."""
MOST_BOXES = 10_000
"""Of the outermost; a fragmented file has two for each fragment, but its index first."""
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
"""What an ASF file begins with, and its file properties object (Advanced Systems Format, 3.1 and 3.2)."""

LARGEST_PAGE = 65_307
"""Bytes of a page of Ogg."""

# As with pictures: no playlist, which would name addresses that nobody asked to fetch.
_SOUND_ONLY = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,caf,dts,eac3,flac,mp3,mpc,mpc8,oga,tta,voc,w64,wav,wv,"
    "matroska,webm"
)
WITH_SOUND = SELF_CONTAINED | {"format_whitelist": f"{_SOUND_ONLY},{SELF_CONTAINED['format_whitelist']}"}
"""For av.open: containers of moving pictures or sound."""

_IN_PIECES = {"mpegts", "mpeg"}
"""Formats whose files may be laid end to end, so that the clock starts again (libav: AVFMT_TS_DISCONT)."""
_EARLIER = 0.1
"""Seconds by which the clock has to go back for that."""

# Their lengths are guessed from the number of bytes, and never promise more than there is; an MP3 may count.
_GUESSED = {"mp3", "aac", "mpegts", "mpeg", "mpegvideo", "ac3", "eac3", "dts", "h264", "hevc", "m4v", "amr"}


@dataclass
class Extent:
    """How far a container's packets reach, and how far its header says they should."""

    container: av.container.InputContainer
    promised: float
    reached: float = field(default=0.0)

    def packets(self, stream: av.stream.Stream) -> Iterator[av.Packet]:
        """The packets of one stream in order, the last one empty, which flushes the decoder.

        All streams are looked at, because the promised length is that of the longest. Where the clock starts
        again, it is made to go on.
        """
        begin = start_of(self.container)
        in_pieces = not _IN_PIECES.isdisjoint(self.container.format.name.split(","))
        clocks: dict[int, float] = {}
        later = 0.0
        for packet in self.container.demux():
            if in_pieces and packet.dts is not None and packet.time_base:
                clock = float(packet.dts * packet.time_base) + later
                before = clocks.get(packet.stream.index, clock)
                if clock + _EARLIER < before:
                    later += before - clock
                    clock = before
                clocks[packet.stream.index] = clock + float((packet.duration or 0) * packet.time_base)
                ticks = round(later / packet.time_base)
                packet.dts += ticks
                packet.pts = None if packet.pts is None else packet.pts + ticks
            time = packet.pts if packet.pts is not None else packet.dts
            if time is not None and packet.time_base:
                end = float((time + (packet.duration or 0)) * packet.time_base) - begin
                self.reached = max(self.reached, end)
            if packet.stream is stream:
                yield packet

    def read_through(self, stream: av.stream.Stream) -> tuple[int, bool]:
        """How many packets of a stream there are, none of them decoded, and whether that ended at damage."""
        count = 0
        try:
            for packet in self.packets(stream):
                count += packet.size > 0
        except DAMAGE:
            return count, True
        return count, False

    def tell(self, path: Path, note: Note, damaged: bool, end: float) -> None:
        """Says that a file breaks off, if it does; `end` is how many seconds of it could be decoded."""
        if damaged or self.reached < self.promised - MISSING_SECONDS:
            note(f"{path} is cut short at {end:.1f} s: what comes before is used.")


@contextmanager
def opened(
    path: Path, kind: str, options: Mapping[str, str], refusal: str
) -> Iterator[tuple[av.container.InputContainer, Extent]]:
    """The container at `path` and its extent. Raises InputError, in the words of `refusal`, for no container,
    and as `open_file` does."""
    with open_file(path, kind) as file:
        told = max(riff_bytes(file), asf_bytes(file)) if path.is_file() else 0
        cut = path.is_file() and (told > path.stat().st_size or lacks_its_last_page(file))
        counted = path.is_file() and counts_its_frames(file)
        no_index = path.is_file() and lacks_its_index(file)
        try:
            container = av.open(file, "r", options=dict(options))
        except DAMAGE as error:
            raise (
                _without_index(path) if no_index else InputError(f"{path} {refusal}", key="file.damaged")
            ) from error
        with container:
            if no_index and moving_pictures(container) is None and sound(container) is None:
                raise _without_index(path)
            seconds = (container.duration or 0) / av.time_base
            guessed = not _GUESSED.isdisjoint(container.format.name.split(",")) and not counted
            yield container, Extent(container, math.inf if cut else 0.0 if guessed else seconds)


def _without_index(path: Path) -> InputError:
    return InputError(
        f"{path} is cut off before its index was written, without which nothing of it can be read: record, "
        "copy or download it again.",
        key="file.cut",
    )


def riff_bytes(file: BinaryIO) -> int:
    """How long a RIFF file (WAV, AVI, WebP) says it is; 0 for others and for streams, which cannot know."""
    start = file.read(12)
    file.seek(0)
    if len(start) < 12 or start[:4] != b"RIFF" or start[8:] not in (b"WAVE", b"AVI ", b"WEBP"):
        return 0
    (size,) = struct.unpack("<I", start[4:8])
    return 0 if size > UNKNOWN_LENGTH else size + 8


def lacks_its_last_page(file: BinaryIO) -> bool:
    """Whether an Ogg file ends before the page that its stream says is its last (RFC 3533, 6)."""
    ogg = file.read(4) == b"OggS"
    end = file.seek(0, io.SEEK_END)
    file.seek(max(0, end - 2 * LARGEST_PAGE))
    tail = file.read() if ogg else b""
    file.seek(0)
    last = tail.rfind(b"OggS")
    return last >= 0 and not tail[last + 5 : last + 6] >= b"\x04"


def asf_bytes(file: BinaryIO) -> int:
    """How long an ASF file (WMV, WMA) says it is; 0 for others and for streams, which cannot know."""
    start = file.read(4096)
    file.seek(0)
    place = start.find(ASF_PROPERTIES) if start.startswith(ASF) else -1
    if place < 0 or len(start) < place + 92:
        return 0
    size, flags = struct.unpack_from("<Q", start, place + 40)[0], start[place + 88]
    return 0 if flags & 1 else int(size)  # the flag of a broadcast


def lacks_its_index(file: BinaryIO) -> bool:
    """Whether an MP4 or MOV ends before its index does, the box "moov" (ISO/IEC 14496-12, 4.2 and 8.2)."""
    end, place = file.seek(0, io.SEEK_END), 0
    try:
        for _ in range(MOST_BOXES):
            file.seek(place)
            head = file.read(16)
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if place == 0 and kind not in FIRST_BOXES:
                return False
            if len(head) < 8:
                return True
            size = int.from_bytes(head[8:16], "big") if size == 1 else size
            size = size or end - place  # 0 is all that follows
            if kind == b"moov":
                return place + size > end
            if size < 8:  # the length of a recording is written when it ends
                return kind == b"mdat"
            place += size
    finally:
        file.seek(0)
    return False


def counts_its_frames(file: BinaryIO) -> bool:
    """Whether an MP3 says how many frames it has: Xing's header, or its like "Info", after the ID3 tag."""
    head = file.read(10)
    size = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(head[6:10])))
    file.seek(10 + size if head[:3] == b"ID3" and len(head) == 10 else 0)
    first = file.read(200)
    file.seek(0)
    return b"Xing" in first or b"Info" in first


def start_of(container: av.container.InputContainer) -> float:
    """The file's time 0 in seconds: when the first of its streams begins."""
    return (container.start_time or 0) / av.time_base


def moving_pictures(container: av.container.InputContainer) -> av.VideoStream | None:
    """The first stream of moving pictures; a cover that comes with a song is none."""
    cover = av.stream.Disposition.attached_pic
    known = (s for s in container.streams.video if s.codec_context is not None)
    return next((s for s in known if not s.disposition & cover), None)


def sound(container: av.container.InputContainer) -> av.AudioStream | None:
    """The first stream of sound whose header is understood."""
    return next((s for s in container.streams.audio if s.codec_context is not None), None)


def read_comment(path: Path) -> str | None:
    """The comment in a video's metadata; None where it has none.

    Raises InputError: missing, a folder, empty, or no video.
    """
    with opened(path, "video", SELF_CONTAINED, "cannot be read; save or download it again.") as (
        container,
        _,
    ):
        found = {name.lower(): text for name, text in container.metadata.items()}
    return found.get("comment")
