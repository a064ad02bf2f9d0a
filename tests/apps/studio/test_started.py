"""A studio as it is started for others: its login from a file, behind a proxy, ended from outside."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

pytest.importorskip("fastapi", reason="the studio needs its extra: pip install 'mofa-video[studio]'")
if os.name == "nt":
    pytest.skip("Windows has no such signals", allow_module_level=True)

from mofa.apps.studio.guard import MOST_FAILURES

LONG = 120
"""Seconds after which a test gives up, however busy the machine is."""
LOGIN = ("ann", "sesam:open")


@dataclass
class Started:
    """A process, where it serves, and where it keeps files."""

    process: subprocess.Popen[str]
    url: str
    home: Path

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, auth=LOGIN, timeout=LONG, headers={"Accept": "application/json"}
        )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.1)


def heard() -> None:
    """Who runs the tests may have them outlive a terminal (`nohup`) or its Ctrl-C (a shell's `&`): the
    studio hears both."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    running: list[subprocess.Popen[str]] = []

    def start() -> Started:
        port = free_port()
        (tmp_path / "login").write_text(f"{':'.join(LOGIN)}\n", encoding="utf-8")
        command = [sys.executable, "-m", "mofa.apps.cli", "studio", "--no-open", "--port", str(port)]
        command += ["--auth-file", str(tmp_path / "login"), "--trust-proxy", "127.0.0.1", "--memory", "4GB"]
        process = subprocess.Popen(
            [*command, "--home", str(tmp_path / "home")],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "MOFA_HOME": str(tmp_path / "weights")},
            preexec_fn=heard,
        )
        running.append(process)
        server = Started(process, f"http://127.0.0.1:{port}", tmp_path / "home")

        def answers() -> bool:
            try:
                return httpx.get(server.url, timeout=LONG).status_code == 401
            except httpx.TransportError:
                return False

        wait_until(answers)
        return server

    yield start
    for process in running:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_login_from_a_file_and_guesses_counted_for_whom_the_proxy_names(
    started: Callable[..., Started],
) -> None:
    server = started()
    with httpx.Client(base_url=server.url, timeout=LONG) as asking:

        def status(password: str, address: str) -> int:
            forwarded = {"X-Forwarded-For": address}
            return asking.get("/", auth=("ann", password), headers=forwarded).status_code

        assert status(LOGIN[1], "10.0.0.1") == 200
        assert [status("guess", "10.0.0.1") for _ in range(MOST_FAILURES)] == [401] * MOST_FAILURES
        assert status(LOGIN[1], "10.0.0.1") == 429
        assert status(LOGIN[1], "10.0.0.2") == 200


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_studio_that_is_ended_leaves_nothing_half_made(
    started: Callable[..., Started], photo: Path, number: int, code: int
) -> None:
    server = started()
    with server.client() as ann:
        ann.get("/studio/start").raise_for_status()
        landed = ann.post("/studio/files/photo?name=p.jpg", content=photo.read_bytes()).json()["name"]
        scene = {
            "picture": landed,
            "frames": 1500,
            "size": "320x208",
            "renderer": "warp",
            "controls": [{"kind": "track", "points": "50%,50% 60%,50%"}],
        }
        ann.put("/studio/renders/abcdefgh", json={"scene": scene}).raise_for_status()
        wait_until(lambda: ann.get("/studio/jobs/abcdefgh").json()["stage"] == "render")
        wait_until(lambda: any((server.home / "visitors").glob("*/results/*")))
    server.process.send_signal(number)
    assert server.process.wait(LONG) == code
    assert "Traceback" not in (server.process.stderr or sys.stderr).read()
    assert list((server.home / "visitors").glob("*/results/*")) == []
    assert [path.name for path in (server.home / "visitors").glob("*/*.jpg")] == [landed]
