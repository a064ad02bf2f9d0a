"""A studio of its own for the browser tests, and a Chromium to visit it with."""

import itertools
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
PATIENCE = 300.0
"""Seconds after which a test gives up waiting for something: far longer than a busy machine takes for it."""

AT_REST = """(round) => {
  const { documentElement: { dataset } } = document;
  const calm = window.calm?.round === round ? window.calm : (window.calm = { round, frames: 0 });
  const ready = document.querySelector('#studio[data-ready]');
  const awaited = Number(dataset.pending) > 0 && !document.querySelector('.reconnecting:not([hidden])');
  const moves = ({ playState, effect }) => playState === 'running'
    && Number.isFinite(effect.getComputedTiming().endTime) && !effect.target.closest('[role=progressbar]');
  calm.frames = ready && !awaited && !document.getAnimations().some(moves) ? calm.frames + 1 : 0;
  return calm.frames > 3;
}"""
"""Nothing is on its way for some frames: what an answer changes is drawn in the next one, what that moves is
measured in the one after it. Clips in the making, and what cannot be reached, go on."""

rounds = itertools.count()


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
        wait_until(lambda: answers(url))
        yield url
    finally:
        server.kill() if killed else server.terminate()
        server.wait(PATIENCE)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/studio/start", timeout=PATIENCE):
            return True
    except OSError:
        return False


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"not within {PATIENCE:g} s"
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
        page.set_default_timeout(1000 * PATIENCE)
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
    settled(page)


def settled(page: Any) -> Any:
    """The page, once all that it has asked for has come and is drawn."""
    page.wait_for_function(AT_REST, arg=next(rounds))
    return page


def place(page: Any, x: float, y: float) -> tuple[float, float]:
    """Where a point of the photo (percent) is on the page, once that is sure."""
    box = settled(page).locator(".photo").bounding_box()
    return box["x"] + x / 100 * box["width"], box["y"] + y / 100 * box["height"]


def drag(page: Any, *points: tuple[float, float], steps: int = 8) -> None:
    """Drags over the photo along points in percent, and waits for what comes of it."""
    first, *others = [place(page, *point) for point in points]
    page.mouse.move(*first)
    page.mouse.down()
    for other in others:
        page.mouse.move(*other, steps=steps)
    page.mouse.up()
    settled(page)


def document(page: Any) -> dict[str, Any]:
    """The canvas's document, once nothing on its way can change it."""
    return settled(page).evaluate("window.mofaStudio.store.document")


MADE = {
    "state": "running",
    "stage": "render",
    "done": 1,
    "total": 10,
    "ahead": 0,
    "result": None,
    "error": None,
}


@contextmanager
def unheard(page: Any, shown: int = 0) -> Iterator[None]:
    """Meanwhile the page hears of its clip that it is being made, however soon that is done, and that so many
    pictures of it were shown."""
    told_of_it = MADE | {"shown": shown}

    def begun(route: Any) -> None:
        route.fulfill(json=route.fetch().json() | told_of_it)

    def asked(route: Any) -> None:
        if route.request.method == "GET":
            name = route.request.url.rpartition("/")[2]
            route.fulfill(json=told_of_it | {"job": name, "seconds_left": None})
        else:
            route.continue_()

    told = {"**/studio/renders/*": begun, "**/studio/jobs/*": asked}
    for path, answer in told.items():
        page.route(path, answer)
    yield
    for path, answer in told.items():
        page.unroute(path, answer)


@pytest.fixture
def hand() -> Any:
    """What a visitor's hand does, for the tests of other files."""

    class Hand:
        upload = staticmethod(upload)
        settled = staticmethod(settled)
        unheard = staticmethod(unheard)
        place = staticmethod(place)
        drag = staticmethod(drag)
        document = staticmethod(document)

    return Hand
