"""What is asked of a studio is bounded, comes by a known name, and fetches nothing."""

import gc
import json
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

pytest.importorskip("fastapi", reason="the studio needs its extra: pip install 'mofa-video[studio]'")

from fastapi.testclient import TestClient
from PIL import Image

from mofa.apps.studio import guard
from mofa.apps.studio.app import Login, build_app
from mofa.apps.studio.callers import Callers
from mofa.apps.studio.guard import LOCAL_NAMES, Failures, names_an_address, names_of_this_machine
from mofa.apps.studio.jobs import FairQueue, Job, problem, sentence
from mofa.apps.studio.photos import KnownPhotos
from mofa.apps.studio.quota import Quota
from mofa.apps.studio.visitors import KEEP_SECONDS
from mofa.errors import Cancelled, InputError, without_folders

LOCAL = "http://127.0.0.1:7860"
LONG = 300
"""Seconds after which a test gives up, however busy the machine is."""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    with TestClient(build_app(tmp_path / "home", hosts=LOCAL_NAMES), base_url=LOCAL) as asking:
        yield asking


@pytest.mark.slow
def test_only_known_names_are_answered(client: TestClient) -> None:
    for host in ("127.0.0.1:7860", "localhost:7860", "LOCALHOST", "[::1]:7860"):
        assert client.get("/studio/start", headers={"Host": host}).status_code == 200, host
    for host in ("evil.example:7860", "127.0.0.1.evil.example", "192.168.1.5:7860", "", "localhost.evil:80"):
        answer = client.get("/studio/start", headers={"Host": host})
        assert answer.status_code == 421, host
        assert "not known by that name" in answer.json()["error"]


@pytest.mark.slow
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


def test_an_upload_that_stops_is_told_and_leaves_nothing(client: TestClient, tmp_path: Path) -> None:
    import asyncio

    client.get("/studio/start").raise_for_status()
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    headers = {"host": "localhost", "cookie": cookie, "content-length": "5000000"}
    scope = {
        "type": "http", "method": "POST", "path": "/studio/files/photo", "query_string": b"name=a.jpg",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "http_version": "1.1", "scheme": "http", "root_path": "", "client": ("127.0.0.1", 1),
        "server": ("localhost", 80), "raw_path": b"/studio/files/photo",
    }  # fmt: skip
    coming = [{"type": "http.request", "body": b"x" * 1000, "more_body": True}]
    said: list[guard.Message] = []

    async def receive() -> guard.Message:
        return coming.pop(0) if coming else {"type": "http.disconnect"}

    async def send(message: guard.Message) -> None:
        said.append(message)

    with ThreadPoolExecutor() as threads:
        threads.submit(lambda: asyncio.run(client.app(scope, receive, send))).result()
    assert said[0]["status"] == 408
    assert b"file.stopped" in said[1]["body"]
    assert list(tmp_path.rglob("photo-*")) == []


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


@pytest.mark.parametrize("said", ["\\u0068ttp://127.0.0.1:9/x", "\\thttps://127.0.0.1/x", "h\\u0074tp:/x"])
@pytest.mark.parametrize("key", ["path", "\\u0075rl"])
def test_an_address_is_one_however_its_letters_are_written(client: TestClient, said: str, key: str) -> None:
    body = f'{{"data": [{{}}, [{{"{key}": "{said}", "meta": {{"_type": "gradio.FileData"}}}}]]}}'
    answer = client.post("/gradio_api/call/preview", content=body)
    assert answer.status_code == 400
    assert answer.json()["key"] == "file.address"


def test_halves_of_letters_are_no_question(client: TestClient) -> None:
    for body, status in ((b'{"picture": "\\ud83d"}', 400), (b'{"picture": "\\uD83D\\uDE00"}', 404)):
        answer = client.post("/studio/faces", content=body)
        assert answer.status_code == status, answer.text
    assert sentence(InputError("\ud83d is no file.")) == "\\ud83d is no file."


async def nothing() -> guard.Message:
    return {"type": "http.request", "body": b"x", "more_body": True}


def test_a_sender_that_trickles_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then kept a line, and room for a whole file, for ever."""
    import asyncio

    now = [100.0]
    monkeypatch.setattr(guard.time, "monotonic", lambda: now[0])
    sender = guard._Metered(nothing, 1000)

    async def ask() -> list[str]:
        told = []
        for pause in (0.0, guard.IDLE_SECONDS - 1, 0.5, 1.0):
            now[0] += pause
            told.append((await sender())["type"])
        return told

    with ThreadPoolExecutor() as threads:
        told = threads.submit(lambda: asyncio.run(ask())).result()
    assert told == ["http.request"] * 3 + ["http.disconnect"]


def test_addresses_that_one_person_has_are_one() -> None:
    assert guard.network_of("2001:db8::1") == guard.network_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert guard.network_of("::ffff:10.0.0.1") == guard.network_of("10.0.0.1") == "10.0.0.1"
    assert guard.network_of("fe80::1%eth0") == "fe80::/64"
    assert guard.network_of("testclient") == "testclient"


def test_callers_of_the_api_share_the_room_of_their_address(tmp_path: Path) -> None:
    quota = Quota(tmp_path, per_visitor=1000, together=1500)
    callers = Callers(tmp_path / "callers", quota)
    first, second = callers.visitor("10.0.0.1"), callers.visitor("10.0.0.1")
    assert first.folder != second.folder
    first.room().joinpath("a.npy").write_bytes(bytes(600))
    with pytest.raises(InputError, match="too much room"), second.having(500):
        pass
    with callers.visitor("10.0.0.2").having(500):
        pass
    with callers.storing("10.0.0.1", 300) as granted:
        assert granted == 300
    with pytest.raises(InputError, match="too much room"), callers.storing("10.0.0.1", 300):
        raise AssertionError("what Gradio has stored counts")
    with callers.storing("10.0.0.1", 100), callers.storing("", 800) as granted:
        assert granted == 800, "of programs with keys only what there is altogether counts"
    with pytest.raises(InputError, match="too much room"), callers.storing("", 5000):
        pass
    assert callers.sweep(time.time() + 10 * KEEP_SECONDS) == [first.name]
    assert not first.folder.exists()


def test_uploads_to_the_api_are_refused_where_there_is_no_room(tmp_path: Path) -> None:
    app = build_app(tmp_path / "home")
    app.state.studio.quota._per_visitor = 1000
    client = TestClient(app)
    told = client.post("/api/gradio_api/upload", content=bytes(2000))
    assert (told.status_code, told.json()["key"]) == (413, "room.full")
    assert client.post("/api/gradio_api/upload", content=bytes(900)).status_code == 404, "it got through"
    assert client.post("/api/gradio_api/upload", content=bytes(900)).status_code == 413


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
def test_a_job_that_was_cancelled_holds_nothing(known: bool) -> None:
    """Whether it is stopped at its own report or by what it waits for; 165 MB of frames stayed once."""
    held: list[weakref.ref] = []
    queue, begun, go = FairQueue("test"), threading.Event(), threading.Event()

    def work(job: Job) -> None:
        frames = torch.zeros(1000)
        held.append(weakref.ref(frames))
        job.show(frames.new_zeros(3, 8, 8, dtype=torch.uint8))
        begun.set()
        assert go.wait(LONG)
        try:
            job.report("render", 1, 2)
        except Cancelled as error:
            raise Cancelled("cancelled; nothing half-made was left behind.") from (error if known else None)

    job = queue.submit("ann", work)
    assert begun.wait(LONG)
    queue.cancel(job)
    go.set()
    assert isinstance(finished(queue, job), Cancelled)
    assert queue.submit("ann", lambda _: 1).future.result(LONG) == 1, "the queue has left it"
    gc.collect()
    assert held[0]() is None
    assert job.preview == b""


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


def test_no_message_says_where_files_lie_here() -> None:
    where = "/srv/mofa home/visitors/e1465a8c/tracks-1.npz"
    told = problem(
        InputError(f"track file {where}: it is empty.", key="x", said=where, name="C:\\a b\\c.png")
    )
    assert told["error"] == "track file tracks-1.npz: it is empty."
    assert told["values"] == {"said": "tracks-1.npz", "name": "c.png"}
    assert "/srv" not in sentence(OSError(f"no space left: '{where}'"))
    for harmless in ("25/30 fps, see docs/scene.md", "https://example.org/a/b", "3 / 4 or -1/2", "/"):
        assert without_folders(harmless) == harmless


@pytest.mark.slow
def test_photos_stay_decoded_within_bounds(tmp_path: Path) -> None:
    photos = KnownPhotos(count=3, num_bytes=12 * 64 * 64 * 2)
    held = []
    for number in range(5):
        Image.new("RGB", (64, 64), (number, 0, 0)).save(tmp_path / f"{number}.png")
        held.append(weakref.ref(photos.decoded(tmp_path / f"{number}.png")))
    gc.collect()
    assert [ref() is not None for ref in held] == [False, False, False, True, True]
    Image.new("RGB", (200, 200)).save(tmp_path / "large.png")
    photos.decoded(tmp_path / "large.png")
    gc.collect()
    assert [ref() for ref in held] == [None] * 5, "one that is larger than all room is the only one"
    again = photos.decoded(tmp_path / "large.png")
    assert photos.decoded(tmp_path / "large.png") is again
