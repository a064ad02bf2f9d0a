"""A few of the jobs of people in a second browser, Firefox.

It is driven by its own protocol, Marionette: JSON over a socket, which every Firefox speaks, so that no
driver has to be installed. Playwright can drive a stock Firefox by WebDriver BiDi, but opens no page in one
that lacks the newest commands.
"""

import base64
import itertools
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.firefox]

FIREFOX = next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None)
PATIENCE = 300.0
"""Seconds after which something is taken to be stuck: far longer than a busy machine takes for it."""
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key under which WebDriver names an element."""
PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "media.autoplay.default": 0,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "marionette.port": 0,
    "webgl.force-enabled": True,
}


class Firefox:
    """One window. Commands are WebDriver's, by their names in Marionette."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._read = self._socket.makefile("rb")
        self._last = 0
        self._hear()

    def ask(self, command: str, **parameters: Any) -> Any:
        """The answer to a command. Raises RuntimeError with what Firefox says is wrong."""
        self._last += 1
        message = json.dumps([0, self._last, command, parameters]).encode()
        self._socket.sendall(b"%d:%b" % (len(message), message))
        _, _, problem, result = self._hear()
        if problem:
            raise RuntimeError(f"{command}: {problem['error']}: {problem['message']}")
        return result

    def _hear(self) -> Any:
        length = b""
        while (byte := self._read.read(1)) != b":":
            length += byte
        return json.loads(self._read.read(int(length)))

    def run(self, script: str, *values: Any) -> Any:
        """What a function's body returns, run as the page's own scripts are."""
        return self.ask("WebDriver:ExecuteScript", script=script, args=list(values))["value"]

    def wait(self, condition: str, *values: Any) -> Any:
        """Waits until an expression is true."""
        end = time.monotonic() + PATIENCE
        while not (found := self.run(f"return {condition};", *values)):
            assert time.monotonic() < end, f"not within {PATIENCE:g} s: {condition}"
            time.sleep(0.1)
        return found

    def find(self, selector: str) -> str:
        """The name of an element, once it is there."""
        self.wait("document.querySelector(arguments[0]) !== null", selector)
        return self.ask("WebDriver:FindElement", using="css selector", value=selector)["value"][ELEMENT]

    def click(self, selector: str) -> None:
        self.ask("WebDriver:ElementClick", id=self.find(selector))

    def text(self, selector: str) -> str:
        return self.run("return document.querySelector(arguments[0])?.textContent ?? '';", selector)

    def press(self, key: str) -> None:
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self.ask("WebDriver:PerformActions", actions=[{"type": "key", "id": "keys", "actions": actions}])

    def drop(self, file: Path, kind: str, on: str = "#studio") -> None:
        """Lets a file fall on the page."""
        content = base64.b64encode(file.read_bytes()).decode()
        self.run(
            """const [content, name, type, on] = arguments;
            const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
            const held = new DataTransfer();
            held.items.add(new File([bytes], name, { type }));
            const event = new DragEvent('drop', { dataTransfer: held, bubbles: true, cancelable: true });
            document.querySelector(on).dispatchEvent(event);""",
            content,
            file.name,
            kind,
            on,
        )

    def drag(self, *points: tuple[float, float], steps: int = 8) -> None:
        """Drags over the photo along points in percent of it."""
        box = self.run("const b = document.querySelector('.photo').getBoundingClientRect();"
                       "return [b.left, b.top, b.width, b.height];")  # fmt: skip
        places = [(box[0] + x / 100 * box[2], box[1] + y / 100 * box[3]) for x, y in points]

        def to(x: float, y: float) -> dict[str, Any]:
            return {"type": "pointerMove", "x": round(x), "y": round(y), "duration": 20}

        actions = [to(*places[0]), {"type": "pointerDown", "button": 0}]
        for (ax, ay), (bx, by) in itertools.pairwise(places):
            along = [k / steps for k in range(1, steps + 1)]
            actions += [to(ax + share * (bx - ax), ay + share * (by - ay)) for share in along]
        actions.append({"type": "pointerUp", "button": 0})
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": actions}
        self.ask("WebDriver:PerformActions", actions=[mouse])


@contextmanager
def running(profile: Path) -> Iterator[Firefox]:
    """A headless Firefox with a profile of its own, until it is left."""
    assert FIREFOX is not None
    profile.mkdir()
    written = [
        f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()
    ]
    (profile / "user.js").write_text("".join(written))
    command = [FIREFOX, "--headless", "--marionette", "--no-remote", "--profile", str(profile)]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:
        try:
            yield _connected(profile)
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _connected(profile: Path) -> Firefox:
    # It takes a free port, and says which when it listens.
    told, end = profile / "MarionetteActivePort", time.monotonic() + PATIENCE
    while not (told.exists() and told.read_text().strip()):
        assert time.monotonic() < end, f"Firefox does not listen within {PATIENCE:g} s"
        time.sleep(0.1)
    browser = Firefox(int(told.read_text()))
    browser.ask("WebDriver:NewSession")
    browser.ask("WebDriver:SetWindowRect", width=1280, height=860)
    return browser


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    if FIREFOX is None:
        pytest.skip("no Firefox on this machine: apt-get install firefox-esr, and run again")
    with running(tmp_path_factory.mktemp("firefox") / "profile") as browser:
        yield browser


@pytest.fixture
def visit(firefox: Firefox, address: str) -> Callable[..., Firefox]:
    """Opens the studio as a new visitor."""

    def opened(language: str = "en") -> Firefox:
        firefox.ask("WebDriver:Navigate", url=address)
        firefox.ask("WebDriver:DeleteAllCookies")
        firefox.run("localStorage.clear(); localStorage.setItem('mofa-language', arguments[0]);", language)
        firefox.ask("WebDriver:Navigate", url=address)
        firefox.wait("document.querySelector('#studio[data-ready]') !== null")
        return firefox

    return opened


def still(page: Firefox) -> None:
    """Waits until nothing is on its way."""
    page.wait("Number(document.documentElement.dataset.pending) === 0")


def controls(page: Firefox) -> list[dict[str, Any]]:
    still(page)
    return page.run("return JSON.parse(JSON.stringify(mofaStudio.store.document.controls));")


def example(page: Firefox, name: str) -> None:
    """An example's photo, without what is drawn on it."""
    page.click(f"[data-example='{name}']")
    page.wait("document.querySelector('.photo')?.naturalWidth > 0")
    still(page)
    page.run(
        """const { store } = mofaStudio;
        const bare = JSON.parse('{"controls": [], "region": null, "frames": 8, "size": [160, 108]}');
        store.load({ ...store.document, ...bare });"""
    )
    still(page)


def test_a_rocket_lifts_off_by_one_stroke(visit: Callable[..., Firefox]) -> None:
    page = visit()
    example(page, "1-liftoff")
    page.drag((50.2, 55), (50.2, 25))
    page.wait("mofaStudio.store.document.controls[0]?.region?.select")
    page.wait("document.querySelector('.canvas').dataset.moving !== 'still'")
    assert page.run("return document.querySelector('[data-chip=thing]').ariaPressed;") == "true"
    page.click("#generate")
    page.wait("document.querySelector('.results video')")
    if page.run("return document.createElement('video').canPlayType('video/mp4; codecs=\"avc1.640028\"');"):
        page.wait("document.querySelector('.results video').readyState >= 2")
    else:  # a machine without the codec
        page.wait("document.querySelector('.result-stage > .notice')?.textContent")
    page.press("\ue00c")
    page.wait("document.querySelector('.results').hidden")


def test_a_reload_brings_everything_back(visit: Callable[..., Firefox]) -> None:
    page = visit()
    example(page, "3-dandelion")
    page.drag((30, 40), (45, 45))
    before = controls(page)
    assert len(before) == 1
    page.wait("location.search.startsWith('?scene=')")
    page.ask("WebDriver:Refresh")
    page.wait("document.querySelector('#studio[data-ready]') !== null")
    assert controls(page) == before
    assert page.run("return document.getElementById('undo').disabled;") is True


def test_a_wrong_file_is_refused_in_the_readers_language_and_a_right_one_taken(
    visit: Callable[..., Firefox], tmp_path: Path, photo: Path
) -> None:
    page = visit("zh")
    wrong = tmp_path / "holiday.jpg"
    wrong.write_text("no picture at all", encoding="utf-8")
    page.drop(wrong, "image/jpeg")
    page.wait("document.querySelector('.welcome .notice').textContent")
    assert "无法读取" in page.text(".welcome .notice")
    page.drop(photo, "image/jpeg")
    page.wait("document.querySelector('.photo')?.naturalWidth === 451")
    assert page.text(".notice") == ""


def test_keys_undo_and_play(visit: Callable[..., Firefox], photo: Path) -> None:
    page = visit()
    page.drop(photo, "image/jpeg")
    page.wait("document.querySelector('.photo')?.naturalWidth === 451")
    page.drag((40, 60), (55, 55))
    assert len(controls(page)) == 1
    page.press(" ")
    page.wait("mofaStudio.player.frame > 2")
    page.run("mofaStudio.store.undo();")
    assert controls(page) == []
