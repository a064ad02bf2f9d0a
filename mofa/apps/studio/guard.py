"""In front of the studio: questions are bounded in size and time, come by a known name, and fetch nothing.

The login and the headers for browsers are `app.Gate`'s; how much a visitor may keep is `quota`'s.
"""

import asyncio
import ipaddress
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mofa.errors import InputError

Storing = Callable[[str, int], AbstractContextManager[int]]
"""Sets room aside for so many bytes from an address, and yields how many there are."""

LARGEST_BODY = 1 << 20
"""Bytes of a question; files come by other ways and have limits of their own."""
LARGEST_UPLOAD = 300 << 20
"""Bytes: the largest of `uploads.KINDS`."""
IDLE_SECONDS = 30.0
"""Without a byte, after which a sender is taken to be gone."""
SLOWEST = 8_000.0
"""Bytes a second that a sender keeps up on average: a modem does, one who holds room and lines does not."""
MOST_FAILURES, FAILURE_SECONDS = 10, 300.0
"""Wrong logins of one address within so many seconds, before it has to wait."""
VISITORS_FILES, PROGRAMS, UPLOAD = "/studio/files/", "/v1/videos", "/upload"
"""What files come by: to a visitor's folder, with a program's request, and to Gradio."""
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

ADDRESS: ContextVar[str] = ContextVar("address", default="")
"""Who asks, as far as the network knows: jobs take turns by it."""
log = logging.getLogger("mofa.studio")


def names_of_this_machine(more: Iterable[str] = ()) -> frozenset[str]:
    """The names under which the network may ask, besides its addresses."""
    return LOCAL_NAMES | {name.lower() for name in (socket.gethostname(), socket.getfqdn(), *more)}


class Guard:
    """ASGI middleware that lets bounded questions through.

    hosts: the names that a browser may have asked for (the Host header), None for any. A page elsewhere that
    lets its own name point here could read everything otherwise (DNS rebinding).
    addresses: whether any IP address is a known name, too; no other page can own one.
    storing: sets room aside for files that an address sends past the visitors' own folders (to Gradio), and
    says how many bytes there are.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: frozenset[str] | None = None,
        addresses: bool = False,
        storing: Storing = lambda address, most: nullcontext(most),
    ) -> None:
        self._app, self._hosts, self._addresses, self._storing = app, hosts, addresses, storing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it here."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        ADDRESS.set(network_of((scope.get("client") or ("",))[0]))
        if not self._knows(headers.get("host", "")):
            wrong = "this server is not known by that name: use the address that it printed."
            await _refuse(421, wrong, "address.unknown")(scope, receive, send)
            return
        if scope["type"] == "websocket" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        path, told = scope["path"], _told_length(headers)
        if path.startswith(VISITORS_FILES):  # whose quota is asked there
            await self._take_in(LARGEST_UPLOAD, told, scope, receive, send)
        elif path.startswith(PROGRAMS) or path.endswith(UPLOAD):
            try:
                whose = "" if path.startswith(PROGRAMS) else ADDRESS.get()
                with self._storing(whose, min(told or LARGEST_UPLOAD, LARGEST_UPLOAD)) as room:
                    await self._take_in(room, told, scope, receive, send)
            except InputError as error:
                await _refuse(413, str(error), error.key)(scope, receive, send)
        elif told > LARGEST_BODY:
            await _too_large(LARGEST_BODY)(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _take_in(self, most: int, told: int, scope: Scope, receive: Receive, send: Send) -> None:
        if told > most:
            await _too_large(most)(scope, receive, send)
        else:
            await self._app(scope, _Metered(receive, most), send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _whole(receive)
        if body is None:
            await _too_large(LARGEST_BODY)(scope, receive, send)
        elif not is_text(body):
            await _refuse(400, "this question is not understood: reload the page.", "page.old")(
                scope, receive, send
            )
        elif names_an_address(body):
            wrong = "nothing is fetched for you here: upload the file itself."
            await _refuse(400, wrong, "file.address")(scope, receive, send)
        else:
            await self._app(scope, _Replayed(body, receive), send)

    def _knows(self, host: str) -> bool:
        if self._hosts is None:
            return True
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        return name.lower() in self._hosts or (self._addresses and _is_address(name))


def network_of(address: str) -> str:
    """Whose an address is: of the second kind (IPv6) everybody has a network of 2^64."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if known.version == 4:
        return str(known)
    inner = known.ipv4_mapped
    return str(inner) if inner is not None else str(ipaddress.ip_network((known, 64), strict=False))


class Failures:
    """Wrong logins by address: whoever has too many waits."""

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def too_many(self, address: str) -> bool:
        """Whether this address has to wait."""
        with self._lock:
            return len(self._recent(address)) >= MOST_FAILURES

    def note(self, address: str) -> None:
        """Remembers a wrong login, and logs it."""
        log.warning("wrong login from %s", address)
        with self._lock:
            self._times[address] = [*self._recent(address), time.monotonic()]

    def _recent(self, address: str) -> list[float]:
        oldest = time.monotonic() - FAILURE_SECONDS
        self._times = {
            who: kept for who, all_ in self._times.items() if (kept := [t for t in all_ if t > oldest])
        }
        return self._times.get(address, [])


def is_text(body: bytes) -> bool:
    """Whether what JSON spells with backslashes are whole letters: halves of them cannot be sent back."""
    if b"\\ud" not in body.lower():
        return True
    try:
        json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    except (ValueError, RecursionError):
        return True  # no JSON at all: whoever it is for says so
    return True


def names_an_address(body: bytes) -> bool:
    """Whether a call names a file by an address of the network, which Gradio would fetch."""
    if b"http" not in body.lower() and b"\\" not in body:  # JSON may spell any letter with a backslash
        return False
    try:
        left: list[Any] = [json.loads(body)]
    except (ValueError, RecursionError):
        return False  # no call at all: whoever it is for says so
    while left:
        match left.pop():
            case dict() as item:
                if _is_fetched(item.get("path")) or _is_fetched(item.get("url")):
                    return True
                left += item.values()
            case list() as items:
                left += items
    return False


def _is_fetched(value: object) -> bool:
    return isinstance(value, str) and value.strip().lower().startswith(("http:", "https:"))


class _Metered:
    """A body that may not be longer than it is allowed to be, nor stop."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most, self._came = receive, most, 0
        self._begin = time.monotonic()

    async def __call__(self) -> Message:
        """The next piece; who is too slow or sends too much is taken to be gone."""
        spent = time.monotonic() - self._begin
        patience = min(IDLE_SECONDS, IDLE_SECONDS + self._came / SLOWEST - spent)
        try:
            message = await asyncio.wait_for(self._receive(), max(patience, 0))
        except TimeoutError:
            return {"type": "http.disconnect"}
        self._came += len(message.get("body", b""))
        return message if self._came <= self._most else {"type": "http.disconnect"}


class _Replayed:
    """A body that has been read already; afterwards whether the browser is still there."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _whole(receive: Receive) -> bytes | None:
    """The body, None where it is longer than `LARGEST_BODY` or stops on the way."""
    body = bytearray()
    more, bounded = True, _Metered(receive, LARGEST_BODY)
    while more:
        message = await bounded()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)


def _told_length(headers: Headers) -> int:
    told = headers.get("content-length", "0")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 18 else LARGEST_UPLOAD + 1


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _too_large(most: int) -> JSONResponse:
    megabytes = max(most, 0) >> 20
    said = f"this is larger than {megabytes} MB, which is the most here: make it smaller."
    return _refuse(413, said, "file.large", most=megabytes)


def _refuse(status: int, reason: str, key: str, **values: int) -> JSONResponse:
    return JSONResponse({"error": reason, "key": key, "values": values}, status_code=status)
