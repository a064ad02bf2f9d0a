"""The client says what the server says, and in a sentence what went wrong."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("python_multipart")

import httpx
from fastapi.testclient import TestClient

from mofa.apps.serve import pool as serve_pool
from mofa.apps.serve.app import build_app
from mofa.batch.manifest import read_manifest
from mofa.batch.workers import keep_preview
from mofa.client import Client, ServerError
from mofa.errors import InputError, OutputError
from mofa.media.decode import read_video
from mofa.media.image import save_png

SCENE = {"frames": 3, "size": "48x32", "controls": [{"kind": "camera", "move": "zoom 1.1"}]}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    save_png(tmp_path / "photo.png", torch.full((3, 32, 48), 90, dtype=torch.uint8))
    return tmp_path / "photo.png"


class Through(httpx.BaseTransport):
    """Brings a request to a server that listens nowhere."""

    def __init__(self, server: TestClient) -> None:
        self.server = server

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self.server.request(
            request.method, str(request.url), headers=dict(request.headers), content=request.read()
        )
        return httpx.Response(answer.status_code, headers=dict(answer.headers), content=answer.content)


def test_a_client_asks_lists_waits_and_calls_off(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve_pool.Pool, "_serve", lambda self, number: self._closing.wait())
    with TestClient(build_app(tmp_path / "home")) as server:
        client = Client("http://test", transport=Through(server))
        video = client.create(photo, SCENE, name="mine")
        assert client.create(photo, SCENE, name="mine") == video
        other = client.create(photo, SCENE | {"seed": 1})
        assert [one.id for one in client.all()] == [other.id, "mine"]
        with pytest.raises(ServerError, match="not ended within 0 s"):
            client.wait(video, seconds=0.0)
        assert client.cancel(video).status == "cancelled"
        with pytest.raises(ServerError, match="mine cancelled"):
            client.wait("mine")
        with pytest.raises(ServerError, match="there is no clip") as refused:
            client.save(other, tmp_path / "clip.mp4")
        assert refused.value.status == 409
        with pytest.raises(OutputError, match=r"suffix \.mp4"):
            client.save(other, tmp_path / "clip.gif")
        with pytest.raises(InputError, match="cannot be read"):
            client.create(tmp_path / "nothing.png", SCENE)


def test_a_server_that_is_not_there_is_told() -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(ServerError, match="cannot be reached"):
        client.show("x")


@pytest.mark.slow
def test_no_job_of_three_keys_is_lost_or_made_twice_over_two_kills_of_the_server(
    photo: Path, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    owners = {owner: owner * 8 for owner in ("ann", "bob", "cem")}
    keys = tmp_path / "keys"
    keys.write_text("".join(f"{owner} {key}\n" for owner, key in owners.items()))
    line = [sys.executable, "-m", "mofa.apps.cli", "serve", "--home", str(tmp_path / "home")]
    line += ["--port", str(port), "--keys", str(keys)]
    clients = {owner: Client(f"http://127.0.0.1:{port}", key=key) for owner, key in owners.items()}
    names = {f"{owner}-{index}": owner for owner in owners for index in range(3)}
    server = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    try:
        until(lambda: reachable(clients["ann"]))
        for seed, (name, owner) in enumerate(names.items()):
            clients[owner].create(photo, SCENE | {"seed": seed}, name=name)
        for finished in (1, 4):
            until(lambda finished=finished: sum(map(done, clients.values())) >= finished)
            os.kill(server.pid, signal.SIGKILL)
            server.wait()
            server = subprocess.Popen(line, stdout=subprocess.DEVNULL)
            until(lambda: reachable(clients["ann"]))
        until(lambda: sum(map(done, clients.values())) == len(names))
        for name, owner in names.items():
            assert len(read_video(clients[owner].save(name, tmp_path / f"{name}.mp4")).frames) == 3
        entries = read_manifest(tmp_path / "home" / "clips")
        assert sorted(entry.name for entry in entries if entry.status == "done") == sorted(names)
    finally:
        server.terminate()
        server.wait()
        for client in clients.values():
            client.close()


def done(client: Client) -> int:
    videos = list(client.all())
    assert not any(video.status == "failed" for video in videos)
    return sum(video.status == "completed" for video in videos)


def reachable(client: Client) -> bool:
    try:
        list(client.all())
    except ServerError:
        return False
    return True


def until(true, seconds: float = 900.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_preview_is_there_as_long_as_the_worker_shows_one(
    tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve_pool.Pool, "_serve", lambda self, number: self._closing.wait())
    with (
        TestClient(build_app(tmp_path / "home")) as server,
        Client("http://x", transport=Through(server)) as c,
    ):
        name = c.create(photo, SCENE).id
        assert c.preview(name) is None
        place = serve_pool.preview_of(tmp_path / "home", name)
        keep_preview(place, torch.zeros(3, 8, 8, dtype=torch.uint8))
        keep_preview(place, torch.full((3, 8, 8), 255, dtype=torch.uint8))
        assert c.preview(name) == place.read_bytes()
        with pytest.raises(ServerError):
            Client("http://nowhere.invalid").preview(name)
    with TestClient(build_app(tmp_path / "home")):
        assert not place.exists(), "the next server finds no picture of what nobody makes"


def test_a_preview_that_cannot_be_kept_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    keep_preview(tmp_path / "file" / "x.jpg", torch.zeros(3, 8, 8, dtype=torch.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
