"""What is asked of a studio is bounded, comes by a known name, and fetches nothing."""

import gc
import json
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

pytest.importorskip("fastapi", reason="the studio needs its extra: pip install 'mofa-video[studio]'")

from fastapi.testclient import TestClient

from mofa.apps.studio import guard
from mofa.apps.studio.app import Login, build_app
from mofa.apps.studio.guard import LOCAL_NAMES, Failures, names_an_address, names_of_this_machine
from mofa.apps.studio.jobs import FairQueue, Job, sentence
from mofa.errors import InputError

LOCAL = "http://127.0.0.1:7860"
LONG = 300
"""Seconds after which a test gives up, however busy the machine is."""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(build_app(tmp_path / "home", hosts=LOCAL_NAMES), base_url=LOCAL) as asking:
        yield asking


def test_only_known_names_are_answered(client: TestClient) -> None:
    for host in ("127.0.0.1:7860", "localhost:7860", "LOCALHOST", "[::1]:7860"):
        assert client.get("/studio/start", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example:7860", "127.0.0.1.evil.example", "192.168.1.5:7860", "", "localhost.evil:80"):
        answer = client.get("/studio/start", headers={"Host": host})
        assert answer.status_code == 421, host
        assert "not known by that name" in answer.json()["error"]


def test_on_a_network_addresses_and_the_names_given_are_known(tmp_path: Path) -> None:
    app = build_app(tmp_path, hosts=names_of_this_machine(["Studio.Example"]), by_address=True)
    client = TestClient(app)
    for host, status in (("192.168.1.5:80", 200), ("studio.example", 200), ("other.example", 421)):
        assert client.get("/studio/start", headers={"Host": host}).status_code == status


def test_a_long_question_is_refused_whether_it_says_so_or_not(client: TestClient) -> None:
    client.get("/studio/start")
    scene = {"scene": {"picture": "x" * (2 << 20)}}
    assert client.post("/studio/preview", json=scene).status_code == 413

    def pieces() -> Iterator[bytes]:
        for _ in range(30):
            yield b"x" * 100_000

    assert client.post("/studio/preview", content=pieces()).status_code == 413
    file = client.post("/studio/files/mask", params={"name": "a.png"}, content=b"x" * (2 << 20))
    assert file.status_code != 413, "files have limits of their own"


def test_a_sender_that_stops_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    monkeypatch.setattr(guard, "IDLE_SECONDS", 0.05)

    async def never() -> guard.Message:
        await asyncio.sleep(2 * LONG)
        raise AssertionError("nobody waits so long")

    async def ask() -> None:
        assert await guard._whole(never) is None
        assert (await guard._Metered(never, 100)())["type"] == "http.disconnect"

    # In a thread of its own: a browser that other tests keep open has a loop running in this one.
    with ThreadPoolExecutor() as threads:
        threads.submit(lambda: asyncio.run(asyncio.wait_for(ask(), LONG))).result()


@pytest.mark.parametrize(
    "file",
    [
        {"path": "http://127.0.0.1:9/x", "meta": {"_type": "gradio.FileData"}},
        {"path": "x", "url": "HTTPS://elsewhere.example/x"},
        {"path": " http://127.0.0.1/", "orig_name": "a"},
    ],
)
def test_nothing_is_fetched_for_a_caller(client: TestClient, file: dict[str, object]) -> None:
    for nested in ([{}, [file]], [file], {"deep": {"er": [file]}}):
        answer = client.post("/gradio_api/call/preview", json={"data": nested})
        assert answer.status_code == 400
        assert "nothing is fetched" in answer.json()["error"]


def test_words_about_addresses_are_no_addresses() -> None:
    assert not names_an_address(json.dumps({"name": "http://x", "list": ["https://y"]}).encode())
    assert not names_an_address(b"http no json")
    assert not names_an_address(b"[" * 100_000 + b"http")


def test_wrong_passwords_are_throttled_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    client = TestClient(build_app(tmp_path, Login("ann", "sesam")))
    assert client.get("/", auth=("ann", "sesam")).status_code == 200
    for _ in range(guard.MOST_FAILURES):
        assert client.get("/", auth=("ann", "guess")).status_code == 401
    assert client.get("/", auth=("ann", "sesam")).status_code == 429, "the right one waits as well"
    assert "wrong login from" in caplog.text
    failures = Failures()
    failures.note("here")
    assert not failures.too_many("elsewhere")


def test_who_only_looks_leaves_nothing_behind(tmp_path: Path) -> None:
    client = TestClient(build_app(tmp_path))
    for _ in range(3):
        client.get("/studio/start")
        client.cookies.clear()
    client.cookies.set("mofa_visitor", "a" * 32)
    client.get("/studio/photos/a.jpg")
    assert list((tmp_path / "visitors").iterdir()) == []


def finished(queue: FairQueue, job: Job) -> BaseException | None:
    return job.future.exception(timeout=LONG)


def test_a_job_that_failed_holds_nothing(tmp_path: Path) -> None:
    """A traceback keeps every tensor on its way."""
    held: list[weakref.ref] = []

    def work(_: object) -> None:
        frames = torch.zeros(100)
        held.append(weakref.ref(frames))
        try:
            raise ValueError("deep down")
        except ValueError as error:
            raise InputError("it cannot be done.") from error

    queue = FairQueue("test")
    job = queue.submit("ann", work)
    assert str(finished(queue, job)) == "it cannot be done."
    gc.collect()
    assert held[0]() is None


def test_addresses_take_turns_however_many_cookies_they_have() -> None:
    queue, begun, go = FairQueue("test"), [], threading.Event()
    queue.submit("first", lambda _: go.wait(LONG))

    def job(owner: str, address: str) -> Job:
        guard.ADDRESS.set(address)
        return queue.submit(owner, lambda _: begun.append(owner))

    jobs = [job(f"greedy {k}", "10.0.0.1") for k in range(6)] + [job("modest", "10.0.0.2")]
    guard.ADDRESS.set("")
    assert queue.ahead(jobs[-1]) <= 2
    go.set()
    for one in jobs:
        one.future.result(timeout=LONG)
    assert begun.index("modest") <= 1


def test_messages_have_a_length_limit() -> None:
    assert len(sentence(InputError("x" * 100_000))) < 700
