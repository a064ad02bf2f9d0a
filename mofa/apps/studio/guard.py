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
from contextvars import ContextVar
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 1 << 20
"""Bytes of a question; files come by `UPLOADS` and have limits of their own."""
LARGEST_UPLOAD = 300 << 20
"""Bytes: the largest of `uploads.KINDS`."""
IDLE_SECONDS = 30.0
"""Without a byte, after which a sender is taken to be gone."""
MOST_FAILURES, FAILURE_SECONDS = 10, 300.0
"""Wrong logins of one address within so many seconds, before it has to wait."""
UPLOADS = ("/studio/files/", "/upload")
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
    free_bytes: how much the server may still store.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: frozenset[str] | None = None,
        addresses: bool = False,
        free_bytes: Callable[[], int] = lambda: LARGEST_UPLOAD,
    ) -> None:
        self._app, self._hosts, self._addresses, self._free_bytes = app, hosts, addresses, free_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it here."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        ADDRESS.set((scope.get("client") or ("",))[0])
        if not self._knows(headers.get("host", "")):
            wrong = "this server is not known by that name: use the address that it printed."
            await _refuse(421, wrong, "address.unknown")(scope, receive, send)
            return
        if scope["type"] == "websocket" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        upload = scope["path"].startswith((UPLOADS[0], "/v1/videos")) or scope["path"].endswith(UPLOADS[1])
        most = min(LARGEST_UPLOAD, self._free_bytes()) if upload else LARGEST_BODY
        if _told_length(headers) > most:
            await _too_large(most)(scope, receive, send)
        elif upload:
            await self._app(scope, _Metered(receive, most), send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _whole(receive)
        if body is None:
            await _too_large(LARGEST_BODY)(scope, receive, send)
        elif b"http" in body.lower() and names_an_address(body):
            wrong = "nothing is fetched for you here: upload the file itself."
            await _refuse(400, wrong, "file.address")(scope, receive, send)
        else:
            await self._app(scope, _Replayed(body, receive), send)

    def _knows(self, host: str) -> bool:
        if self._hosts is None:
            return True
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        return name.lower() in self._hosts or (self._addresses and _is_address(name))


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


def names_an_address(body: bytes) -> bool:
    """Whether a call names a file by an address of the network, which Gradio would fetch."""
    try:
        left: list[Any] = [json.loads(body)]
    except (ValueError, RecursionError):
        return False  # no call at all: whoever it is for says so
    while left:
        match left.pop():
            case dict() as item:
                for key in ("path", "url"):
                    if isinstance(item.get(key), str) and item[key].strip().lower().startswith(
                        ("http:", "https:")
                    ):
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
        self._receive, self._left = receive, most

    async def __call__(self) -> Message:
        try:
            message = await asyncio.wait_for(self._receive(), IDLE_SECONDS)
        except TimeoutError:
            return {"type": "http.disconnect"}
        self._left -= len(message.get("body", b""))
        return message if self._left >= 0 else {"type": "http.disconnect"}


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
    more = True
    while more:
        try:
            message = await asyncio.wait_for(receive(), IDLE_SECONDS)
        except TimeoutError:
            return None
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            return None
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
