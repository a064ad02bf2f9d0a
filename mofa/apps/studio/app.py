"""The studio's server: the page, the canvas's questions, and on request the API beside them."""

import asyncio
import base64
import hmac
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from mofa.apps.serve.keys import Key
from mofa.apps.studio import clips, looking
from mofa.apps.studio.guard import Failures, Guard
from mofa.apps.studio.jobs import problem
from mofa.apps.studio.page import mount_page
from mofa.apps.studio.routes import Studio, router
from mofa.errors import MofaError, ResourceError

SWEEP_SECONDS = 600
"""Between two looks for what visitors left: short beside the day that it is kept."""
VIDEOS = "/v1/videos"
"""Where programs ask, by key and not by the login."""


@dataclass(frozen=True)
class Login:
    """The name and password that a studio asks for."""

    user: str
    password: str

    def accepts(self, authorization: str) -> bool:
        """Whether an Authorization header carries them; takes the same time for every wrong one."""
        expected = base64.b64encode(f"{self.user}:{self.password}".encode())
        return hmac.compare_digest(authorization.encode(), b"Basic " + expected)


def default_home() -> Path:
    """Where visitors' folders are unless somebody says otherwise: below the system's temporary folder."""
    return Path(tempfile.gettempdir()) / f"mofa-studio-{os.getuid() if hasattr(os, 'getuid') else 'local'}"


def check_own(home: Path) -> None:
    """Makes the folder, for nobody else to look into. Raises ResourceError where somebody else made it."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and home.stat().st_uid != os.getuid():
        raise ResourceError(f"{home} belongs to somebody else: choose another folder with --home.")


def build_app(
    home: Path,
    login: Login | None = None,
    api: bool = False,
    hosts: frozenset[str] | None = None,
    by_address: bool = False,
    keys: tuple[Key, ...] = (),
    memory: int | None = None,
) -> FastAPI:
    """The whole server as an ASGI app; visitors' folders lie below `home`, the API's endpoints at /api.

    With `keys` programs ask for clips at /v1/videos, and take turns with the visitors. `hosts` are the names
    by which it may be asked for (None: any), and with `by_address` any address. `memory` are the bytes that
    the server may take (None: most of the machine's).
    Raises ModuleNotFoundError where the API is wanted and Gradio is not installed.
    """
    check_own(home)
    studio = Studio(home, keys, memory)
    app = FastAPI(lifespan=_sweeping(studio), openapi_url=None)
    app.state.studio = studio
    app.add_exception_handler(MofaError, _explained)
    app.add_exception_handler(RequestValidationError, _misunderstood)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.include_router(router)
    app.include_router(clips.router)
    app.include_router(looking.router)
    mount_page(app)
    if keys:
        from mofa.apps.serve.app import Desk, Limits, add_videos

        add_videos(app, Desk(studio.videos, studio.store, keys, Limits()), studio.pool)
    if api:
        from mofa.apps.studio.api import mount_api

        mount_api(app, studio, home)
    app.add_middleware(Gate, login=login, open_path=VIDEOS if keys else None)
    app.add_middleware(Guard, hosts=hosts, addresses=by_address, storing=studio.callers.storing)
    return app


def _sweeping(studio: Studio) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                await asyncio.to_thread(studio.sweep)
                await asyncio.sleep(SWEEP_SECONDS)

        task = asyncio.create_task(sweep())
        yield
        task.cancel()
        await asyncio.to_thread(studio.close)

    return lifespan


async def _explained(request: Request, error: Exception) -> JSONResponse:
    """A refusal with its reason. To the page's questions that is an answer: browsers report any other status
    as a fault of the page. Who asks for a file is told that it is not there."""
    asks = "application/json" in request.headers.get("accept", "")
    return JSONResponse(problem(error), status_code=200 if asks else 404)


async def _misunderstood(request: Request, error: Exception) -> JSONResponse:
    """A question that no page of ours asks, or one of before an update does."""
    said = {"error": "this question is not understood: reload the page.", "key": "page.old", "values": {}}
    return JSONResponse(said, status_code=422)


async def _gone(request: Request, error: Exception) -> JSONResponse:
    """A sender that has gone, or was let go because it was too slow; it may still listen."""
    said = {"error": "this file stopped on the way: send it again.", "key": "file.stopped", "values": {}}
    return JSONResponse(said, status_code=408)


class Gate:
    """In front of everything: asks for the login, refuses questions that other sites make a browser ask,
    and tells the browser to load nothing from elsewhere."""

    HEADERS = (
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"x-frame-options", b"SAMEORIGIN"),
        (
            b"content-security-policy",
            b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'",
        ),
    )

    def __init__(self, app: ASGIApp, login: Login | None, open_path: str | None = None) -> None:
        self._app = app
        self._login = login
        self._open_path = open_path
        self._failures = Failures()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it here."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if self._open_path is not None and scope["path"].startswith(self._open_path):
            await self._app(scope, receive, send)  # whose keys are checked there
            return
        asker = (scope.get("client") or ("",))[0]
        if self._login is not None and self._failures.too_many(asker):
            wrong = {"error": "too many wrong passwords: wait some minutes.", "key": "login.wait"}
            await JSONResponse(wrong, 429)(scope, receive, send)
            return
        if self._login is not None and not self._login.accepts(headers.get("authorization", "")):
            if "authorization" in headers:
                self._failures.note(asker)
            asks = {"WWW-Authenticate": 'Basic realm="mofa studio", charset="UTF-8"'}
            wrong = {"error": "name and password, please.", "key": "login.needed"}
            await JSONResponse(wrong, 401, asks)(scope, receive, send)
            return
        if _is_foreign(headers):
            wrong = {"error": "asked for by another site.", "key": "address.foreign"}
            await JSONResponse(wrong, 403)(scope, receive, send)
            return

        async def send_guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self.HEADERS]
            await send(message)

        await self._app(scope, receive, send_guarded)


def _is_foreign(headers: Headers) -> bool:
    """Whether a page of another site asks: browsers say where a request comes from when it changes things."""
    origin = headers.get("origin", "")
    return bool(origin) and origin.partition("://")[2] != headers.get("host", "")
