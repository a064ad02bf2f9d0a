"""A photo that is no file here yet: at an address (`--allow-download`), or on standard input (`-`).

It is kept beside the clip, for the scene there names it, and is gone again where no clip is made.
"""

import argparse
import http.client
import io
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import cast
from urllib.parse import unquote, urlsplit

from mofa.errors import InputError

LARGEST = 100 << 20
"""Bytes of a photo: more than cameras make."""
IDLE_SECONDS, MOST_SECONDS = 30.0, 300.0
"""How long a server may say nothing, and how long a photo may take: 100 MB at 3 Mbit/s."""
BLOCK = 1 << 16
SUFFIXES = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"RIFF": ".webp", b"II*\0": ".tif"}
"""Of the photo that is kept, by its first bytes; whoever reads it goes by content."""


@contextmanager
def photo_at_hand(options: argparse.Namespace) -> Iterator[None]:
    """While the block runs `options.input` is a file, whatever it was. Raises InputError: it cannot be."""
    if not is_elsewhere(options.input):
        yield
        return
    content = (
        from_input(cast("io.BufferedIOBase", sys.stdin.buffer)) if options.input == "-" else fetched(options)
    )
    clip = Path(options.output or f"{_stem(options.input)}-animated.mp4")
    suffix = next((name for begin, name in SUFFIXES.items() if content.startswith(begin)), ".img")
    photo = clip.with_name(f"{clip.stem}.photo{suffix}")
    options.input, options.output = str(photo), str(clip)
    from mofa.media.files import replacing
    from mofa.media.image import picture_size

    was_there = photo.exists()
    with replacing(photo, options.overwrite) as hidden:
        hidden.write_bytes(content)
        try:
            picture_size(hidden)
        except InputError as error:
            raise InputError(str(error).replace(str(hidden), "that was sent"), key=error.key) from None
    try:
        yield
    except BaseException:
        if not was_there:
            photo.unlink(missing_ok=True)
        raise


def is_elsewhere(name: str) -> bool:
    """Whether what is to be animated lies at an address, or comes by standard input."""
    return name == "-" or name.lower().startswith(("http://", "https://"))


def from_input(stream: io.BufferedIOBase) -> bytes:
    """A photo from standard input. Raises InputError: nothing comes, or too much."""
    if stream.isatty():
        raise InputError('"-" reads a photo from standard input: send one (mofa animate - < photo.jpg).')
    content = stream.read(LARGEST + 1)
    if not content:
        raise InputError("nothing came by standard input: send a photo (mofa animate - < photo.jpg).")
    if len(content) > LARGEST:
        raise InputError(f"what came by standard input is larger than {LARGEST >> 20} MB: send one photo.")
    return content


def fetched(options: argparse.Namespace) -> bytes:
    """The photo at an address. Raises InputError: it is not allowed, or cannot be had."""
    address: str = options.input
    if not options.allow_download:
        raise InputError(
            f"{address} is an address, and nothing is fetched unasked: add --allow-download, or save the "
            "photo and give its path."
        )
    try:
        with _open(address) as answer:
            return _bounded(answer, address)
    except urllib.error.HTTPError as error:
        raise InputError(
            f"{address} cannot be fetched: the server says {error.code} {error.reason}."
        ) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise InputError(f"{address} cannot be fetched ({reason}): check the address.") from None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few, to where the same is spoken."""

    max_redirections = 5

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise ValueError(f"it leads on to {newurl[:80]}, which is none of the web")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(address: str) -> http.client.HTTPResponse:
    asked = urllib.request.Request(address, headers={"User-Agent": "mofa", "Accept": "image/*"})
    answer: http.client.HTTPResponse = urllib.request.build_opener(_Redirects).open(
        asked, timeout=IDLE_SECONDS
    )
    return answer


def _bounded(answer: http.client.HTTPResponse, address: str) -> bytes:
    """All that an answer holds, as far as its length and the time it takes are a photo's."""
    too_large = InputError(f"what {address} gives is larger than {LARGEST >> 20} MB: give the photo alone.")
    told = answer.length  # None where the server has not said
    if told is not None and told > LARGEST:
        raise too_large
    content, end = bytearray(), time.monotonic() + MOST_SECONDS
    while block := answer.read1(BLOCK):
        content += block
        if len(content) > LARGEST:
            raise too_large
        if time.monotonic() > end:
            raise InputError(
                f"{address} takes longer than {MOST_SECONDS / 60:g} minutes: save the photo first."
            )
    if not content or (told is not None and len(content) < told):
        raise InputError(f"{address} broke off after {len(content)} bytes: try again.")
    return bytes(content)


def _stem(name: str) -> str:
    """What the clip of such a photo is called: by the address's end, in letters that every disk takes."""
    stem = PurePosixPath(unquote(urlsplit(name).path)).stem if name != "-" else ""
    return "".join(letter for letter in stem if letter.isalnum() or letter in "_-")[:60] or "photo"
