"""The page: one HTML file, its scripts and its styles, as they lie in static/."""

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
STYLES = (
    "tokens", "base", "header", "tools", "canvas", "welcome", "timeline", "panel", "generate", "results",
    "sheet", "over", "small", "phone",
)  # fmt: skip
"""The parts of static/style, in the order in which they overrule each other."""
_PLACE = "studio/static/"
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
"""Nothing from elsewhere, and no script that is not a file of ours."""
_A_YEAR = "public, max-age=31536000, immutable"

router = APIRouter()


def mount_page(app: FastAPI) -> None:
    """Puts the page at / and what it loads below an address that changes with its content."""
    app.include_router(router)
    app.mount(f"/studio/static/{version()}", _Forever(directory=STATIC), name="static")


@router.get("/")
def page() -> HTMLResponse:
    """The page, naming everything it will load, so that the browser asks for all of it at once."""
    styles = [f'<link rel="stylesheet" href="{_PLACE}style/{name}.css">' for name in STYLES]
    scripts = [
        f'<link rel="modulepreload" href="{_PLACE}{script.relative_to(STATIC).as_posix()}">'
        for script in sorted(STATIC.rglob("*.js"))
    ]
    html = (STATIC / "index.html").read_text(encoding="utf-8")
    html = html.replace("<!-- files -->", "\n".join([*styles, *scripts]))
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": POLICY}
    return HTMLResponse(html.replace(_PLACE, f"{_PLACE}{version()}/"), headers=headers)


@cache
def version() -> str:
    """A name for the present content of static/: a browser never mixes files of two versions."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(STATIC).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


class _Forever(StaticFiles):
    """Files whose address names their content: a browser need not ask for them twice."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = _A_YEAR
        return response
