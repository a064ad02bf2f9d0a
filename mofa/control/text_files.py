"""Text as programs save it: bytes become letters, or a sentence says what they seem to be instead."""

import re

from mofa.errors import InputError

MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
"""Byte order marks, the longer before those that they begin with; Windows calls UTF-16 Unicode."""
WIDE = 0.4
"""Of the bytes at every second place: where so many are 0 and few between them, letters have two bytes."""
_NO_LETTERS = re.compile(rb"[\0-\x08\x0e-\x19\x1c-\x1f]")
"""Control characters of no text file; 1A ends old ones, 1B begins an escape."""


def text_of(content: bytes, advice: str = "save it as text") -> str:
    """The letters of a file in UTF-8, UTF-16 or UTF-32, with a byte order mark or (but for UTF-32) without.

    Raises InputError without the file's name: another encoding, which is guessed, or no text at all; then it
    gives `advice`.
    """
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), _unmarked(content))
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8" or _NO_LETTERS.search(content):
            raise InputError(f"it is not text: {advice}.", key="text.none") from None
        line = content.count(b"\n", 0, error.start) + 1
        seems = _eight_bits(content)
        raise InputError(
            f"its letters are not UTF-8 but, as it seems, {seems}, from line {line} on: save it as UTF-8, "
            'which editors offer under "Save as" or "Encoding".',
            key="text.encoding",
            encoding=seems,
        ) from None


def _unmarked(content: bytes) -> str:
    beginning = content[:4096]
    first, second = beginning[::2].count(0), beginning[1::2].count(0)
    most = WIDE * (len(beginning) // 2)
    if len(content) >= 4 and len(content) % 2 == 0:
        if second > most > 4 * first:
            return "utf-16-le"
        if first > most > 4 * second:
            return "utf-16-be"
    return "utf-8"


def _eight_bits(content: bytes) -> str:
    """The encoding that letters beyond ASCII seem to be in: those of East Asia come in pairs of bytes."""
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", content)]
    if all(run % 2 == 0 for run in runs):
        return "GBK or another East Asian one"
    if max(runs) > 3:  # no language of Latin letters has so many accents in a row
        return "Windows-1251 or another one of eight bits"
    return "Latin-1 (Windows-1252)"
