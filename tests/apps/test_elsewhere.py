"""A photo from an address or standard input: fetched when it is allowed, bounded, kept with the clip."""

import io
import subprocess
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mofa.apps import elsewhere
from mofa.apps.elsewhere import from_input, photo_at_hand
from mofa.errors import InputError


def png(side: int = 32) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (200, 90, 30)).save(file, "PNG")
    return file.getvalue()


class Answers(BaseHTTPRequestHandler):
    """A server with a photo, and much that is none."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        match self.path:
            case "/My%20cat.jpeg":
                self.answer(png())
            case "/moved":
                self.answer(b"", 302, Location="/My%20cat.jpeg")
            case "/file":
                self.answer(b"", 302, Location="file:///etc/passwd")
            case "/ftp":
                self.answer(b"", 302, Location="ftp://127.0.0.1/a.png")
            case "/round":
                self.answer(b"", 302, Location="/round")
            case "/page":
                self.answer(b"<html>no photo</html>")
            case "/says-large":
                self.answer(png(), **{"Content-Length": str(10**12)})
            case "/breaks-off":
                self.answer(png()[:20], **{"Content-Length": "100"})
            case "/endless":
                self.send_response(200)
                self.end_headers()
                with suppress(OSError):  # whoever asked has heard enough
                    for _ in range(1000):
                        self.wfile.write(bytes(1 << 16))
            case _:
                self.answer(b"", 404)

    def answer(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    Answers.asked = []
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()


def options(name: str, clip: Path, allow: bool = True, overwrite: bool = False) -> Namespace:
    return Namespace(input=name, output=str(clip), allow_download=allow, overwrite=overwrite)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/My%20cat.jpeg", "/moved"])
def test_a_photo_at_an_address_lies_beside_the_clip(server: str, tmp_path: Path, path: str) -> None:
    asked = options(server + path, tmp_path / "clip.mp4")
    with photo_at_hand(asked):
        assert asked.input == str(tmp_path / "clip.photo.png")
        with Image.open(asked.input) as photo:
            assert photo.size == (32, 32)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.photo.png"]


def test_nothing_is_asked_for_unless_it_is_allowed(server: str, tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="add --allow-download"),
        photo_at_hand(options(f"{server}/My%20cat.jpeg", tmp_path / "clip.mp4", allow=False)),
    ):
        pass
    assert Answers.asked == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/none", "the server says 404"),
        ("/file", "cannot be fetched"),
        ("/ftp", "none of the web"),
        ("/round", "cannot be fetched"),
        ("/page", "cannot be read as JPEG"),
        ("/says-large", "larger than"),
        ("/endless", "larger than"),
        ("/breaks-off", "broke off after 20 bytes"),
    ],
)
def test_what_is_no_photo_is_a_sentence_and_leaves_nothing(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, reason: str
) -> None:
    monkeypatch.setattr(elsewhere, "LARGEST", 1 << 20)
    with pytest.raises(InputError, match=reason), photo_at_hand(options(server + path, tmp_path / "c.mp4")):
        pass
    assert list(tmp_path.iterdir()) == []
    assert len(Answers.asked) < 10


@pytest.mark.parametrize("address", ["http://", "http://[::1", "http://127.0.0.1:1/a.png", "https://a b/c"])
def test_an_address_that_leads_nowhere_is_a_sentence(tmp_path: Path, address: str) -> None:
    with (
        pytest.raises(InputError, match=r"cannot be fetched .*check the address"),
        photo_at_hand(options(address, tmp_path / "c.mp4")),
    ):
        pass


def test_a_photo_goes_again_where_no_clip_is_made_but_not_one_that_was_there(
    server: str, tmp_path: Path
) -> None:
    asked = options(f"{server}/moved", tmp_path / "clip.mp4", overwrite=True)
    with pytest.raises(ZeroDivisionError), photo_at_hand(asked):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "clip.photo.png").write_bytes(png(64))
    with (
        pytest.raises(Exception, match="exists already"),
        photo_at_hand(options(f"{server}/moved", tmp_path / "clip.mp4")),
    ):
        pass
    with Image.open(tmp_path / "clip.photo.png") as photo:
        assert photo.size == (64, 64)


def test_standard_input_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "LARGEST", 1000)
    assert from_input(io.BytesIO(b"x" * 1000)) == b"x" * 1000
    with pytest.raises(InputError, match="larger than"):
        from_input(io.BytesIO(b"x" * 1001))
    with pytest.raises(InputError, match="nothing came"):
        from_input(io.BytesIO())


@pytest.mark.slow
def test_a_photo_from_standard_input_becomes_a_clip_that_can_be_repeated(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "mofa.apps.cli", "animate", "--quiet", "--extras", "none"]
    first = [*run, "-", "--track", "50%,50% 60%,50%", "--frames", "2", "--size", "32x32", "-o", "a.mp4"]
    made = subprocess.run(first, input=png(), cwd=tmp_path, capture_output=True, timeout=600)
    assert made.returncode == 0, made.stderr
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["a.mp4", "a.photo.png", "a.scene.yaml"]
    again = subprocess.run(
        [*run, "a.scene.yaml", "-o", "b.mp4"], cwd=tmp_path, capture_output=True, timeout=600
    )
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "b.mp4").read_bytes() == (tmp_path / "a.mp4").read_bytes()
