"""A studio of its own for the browser tests, and a Chromium to visit it with."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PHOTO = Path(__file__).parents[3] / "examples" / "photos" / "cat.jpg"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
STARTS_WITHIN = 60.0
PATIENCE = 30_000
"""Milliseconds that anything may take on an idle machine; far more than it does."""


def busyness() -> float:
    """How many times slower than an idle machine this one is now, at least 1."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def photo() -> Path:
    return PHOTO


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the studio serves."""
    pytest.importorskip("fastapi", reason="the studio needs fastapi: pip install 'mofa-video[studio]'")
    with serving(tmp_path_factory.mktemp("studio"), free_port()) as url:
        yield url


@pytest.fixture(scope="session")
def api_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a studio serves that has the API beside it."""
    pytest.importorskip("gradio", reason="the API needs gradio: pip install 'mofa-video[api]'")
    with serving(tmp_path_factory.mktemp("studio"), free_port(), "--api") as url:
        yield url


@contextmanager
def serving(home: Path, port: int, *options: str, killed: bool = False) -> Iterator[str]:
    """A studio of its own, until it is left; what is in `home` outlives it."""
    command = [sys.executable, "-m", "mofa.apps.cli", "studio", "--no-open", "--port", str(port), *options]
    # No weights, wherever the machine may have some.
    empty = {"MOFA_HOME": str(home / "weights"), "HF_HOME": str(home / "hub"), "HF_HUB_OFFLINE": "1"}
    empty |= {"OMP_NUM_THREADS": "1"}
    server = subprocess.Popen([*command, "--home", str(home / "visits")], env=os.environ | empty)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(url), STARTS_WITHIN * busyness())
        yield url
    finally:
        server.kill() if killed else server.terminate()
        server.wait(10)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/studio/start", timeout=2):
            return True
    except OSError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.1)


@pytest.fixture
def studio_of_its_own() -> Callable[..., Any]:
    """A studio that a test may end and start anew: (home, port) -> its address and port."""

    @contextmanager
    def started(home: Path, port: int | None = None) -> Iterator[tuple[str, int]]:
        port = port or free_port()
        with serving(home, port, killed=True) as url:
            yield url, port

    return started


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium, and run again")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with playwright.sync_playwright() as session:
        chromium = session.chromium.launch(executable_path=CHROMIUM, headless=True, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Opens the studio as a new visitor; at the end no page may have complained or asked elsewhere."""
    contexts: list[Any] = []
    complaints: list[str] = []
    home = address

    def open_page(
        path: str = "/", width: int = 1280, height: int = 800, address: str = home, **options: Any
    ) -> Any:
        # Playwright's own waiting needs eval, which the page's policy forbids.
        options = {"bypass_csp": True} | options
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE * min(10.0, busyness()))
        page.on("console", lambda message: is_fault(message) and complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: elsewhere(request.url, address) and complaints.append(request.url))
        page.goto(address + path)
        page.wait_for_selector("#studio[data-ready]")
        return page

    def is_fault(message: Any) -> bool:
        # The browser's own word that nobody answers; the page says so in a bar.
        return message.type == "error" and "net::ERR_" not in message.text

    def elsewhere(url: str, address: str) -> bool:
        return not url.startswith((address, "data:", "blob:"))

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture
def canvas(visit: Callable[..., Any]) -> Any:
    """A visitor's page with the cat on the canvas."""
    page = visit()
    upload(page, PHOTO)
    return page


def upload(page: Any, path: Path, button: str = ".drop") -> None:
    with page.expect_file_chooser() as chooser:
        page.click(button)
    chooser.value.set_files(path)
    page.wait_for_selector(".photo:not([hidden])")
    # The photo has its place once the stage has its size, which is a frame later and drawn in the next.
    page.evaluate("async () => { for (let k = 0; k < 4; k += 1) await new Promise(requestAnimationFrame); }")


def place(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a point of the photo (percent) is on the page."""
    box = page.locator(".photo").bounding_box()
    return box["x"] + x / 100 * box["width"], box["y"] + y / 100 * box["height"]


def drag(page: Any, *points: tuple[float, float], steps: int = 8) -> None:
    """Drags over the photo along points in percent."""
    page.mouse.move(*place(page, *points[0]))
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*place(page, *point), steps=steps)
    page.mouse.up()


def document(page: Any) -> dict[str, Any]:
    """The canvas's document."""
    return page.evaluate("window.mofaStudio.store.document")


@pytest.fixture
def hand() -> Any:
    """What a visitor's hand does, for the tests of other files."""

    class Hand:
        upload = staticmethod(upload)
        place = staticmethod(place)
        drag = staticmethod(drag)
        document = staticmethod(document)
        busyness = staticmethod(busyness)

    return Hand
