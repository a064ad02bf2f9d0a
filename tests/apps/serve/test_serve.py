"""Jobs over HTTP: nothing is lost, nobody is starved, and who may not ask is told nothing."""

import base64
import hashlib
import hmac
import io
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("python_multipart")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from mofa.apps.serve import pool as serve_pool
from mofa.apps.serve import store as store_module
from mofa.apps.serve.app import Limits, build_app
from mofa.apps.serve.keys import Key, read_keys
from mofa.apps.serve.store import JobStore
from mofa.apps.serve.webhooks import Courier
from mofa.batch.manifest import Entry
from mofa.errors import InputError
from mofa.media.decode import read_video

SCENE = {"frames": 3, "size": "48x32", "controls": [{"kind": "camera", "move": "zoom 1.1"}]}


def photo() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (48, 32), (90, 120, 60)).save(data, "PNG")
    return data.getvalue()


def form(scene: dict | str = SCENE, **files: bytes) -> dict:
    text = scene if isinstance(scene, str) else json.dumps(scene)
    sent = [("input_reference", ("photo.png", photo()))]
    sent += [("file", (name, data)) for name, data in files.items()]
    return {"data": {"scene": text}, "files": sent}


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that makes nothing."""
    monkeypatch.setattr(serve_pool.Pool, "_serve", lambda self, number: self._closing.wait())


@pytest.fixture
def client(tmp_path: Path, idle: None) -> TestClient:
    with TestClient(build_app(tmp_path / "home")) as client:
        yield client


def test_a_job_is_queued_told_listed_and_called_off(client: TestClient) -> None:
    made = client.post("/v1/videos", **form())
    assert made.status_code == 202
    job = made.json()
    assert (job["status"], job["progress"], job["object"]) == ("queued", 0, "video")
    assert client.get(f"/v1/videos/{job['id']}").json() == job
    assert client.get(f"/v1/videos/{job['id']}/content").status_code == 409
    second = client.post("/v1/videos", **form(SCENE | {"seed": 1})).json()
    page = client.get("/v1/videos?limit=1").json()
    assert ([one["id"] for one in page["data"]], page["has_more"]) == ([second["id"]], True)
    rest = client.get(f"/v1/videos?after={second['id']}").json()
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == ([job["id"]], False)
    assert client.delete(f"/v1/videos/{job['id']}").json()["status"] == "cancelled"
    assert client.get("/v1/videos/nothing").status_code == 404


def test_asking_twice_under_ones_own_id_makes_one_job(client: TestClient) -> None:
    first = client.put("/v1/videos/my-clip.1", **form()).json()
    assert client.put("/v1/videos/my-clip.1", **form(SCENE | {"seed": 9})).json() == first
    assert client.put("/v1/videos/..", **form()).status_code in (404, 405, 422)
    assert client.put("/v1/videos/%20", **form()).status_code == 422
    assert len(client.get("/v1/videos").json()["data"]) == 1


@pytest.mark.parametrize(
    ("scene", "sentence"),
    [
        ("no: [scene", "not valid YAML or JSON"),
        ({"frames": 3, "controls": []}, "nothing is asked to move"),
        (SCENE | {"frames": "many"}, "frames"),
        (SCENE | {"controls": [{"kind": "track", "file": "/etc/passwd"}]}, "was not sent"),
        (SCENE | {"region": {"mask": "../mask.png"}}, "was not sent"),
    ],
)
def test_wrong_scenes_are_refused_in_a_sentence(client: TestClient, scene, sentence: str) -> None:
    answer = client.post("/v1/videos", **form(scene))
    assert answer.status_code == 422
    assert sentence in answer.json()["error"]["message"]
    assert client.get("/v1/videos").json()["data"] == []


def test_files_are_taken_by_their_names(client: TestClient) -> None:
    scene = SCENE | {"controls": [{"kind": "track", "file": "walk.json"}]}
    assert client.post("/v1/videos", **form(scene, **{"walk.json": b"[[[1, 2], [3, 4]]]"})).status_code == 202
    assert (
        client.post("/v1/videos", data={}, files=[("input_reference", ("p.png", photo()))]).status_code == 422
    )


def app_with(home: Path, **settings) -> FastAPI:
    return build_app(home, (Key("ann", "a" * 16, 2), Key("bob", "b" * 16, 2)), **settings)


def test_keys_are_asked_for_and_owners_see_their_own_jobs_alone(tmp_path: Path, idle: None) -> None:
    ann, bob = ({"Authorization": f"Bearer {letter * 16}"} for letter in "ab")
    with TestClient(app_with(tmp_path / "home")) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            answer = client.post("/v1/videos", headers=headers, **form())
            assert (answer.status_code, answer.json()) == (401, {"error": {"message": "unauthorized"}})
        job = client.post("/v1/videos", headers=ann, **form()).json()
        assert client.get(f"/v1/videos/{job['id']}", headers=bob).status_code == 404
        assert client.put(f"/v1/videos/{job['id']}", headers=bob, **form()).status_code == 409
        assert client.delete(f"/v1/videos/{job['id']}", headers=bob).status_code == 404
        assert client.post("/v1/videos", headers=ann, **form(SCENE | {"seed": 1})).status_code == 202
        full = client.post("/v1/videos", headers=ann, **form(SCENE | {"seed": 2}))
        assert (full.status_code, full.headers["retry-after"]) == (429, "30")
        assert client.post("/v1/videos", headers=bob, **form()).status_code == 202


def test_a_full_queue_and_a_large_request_are_refused(tmp_path: Path, idle: None) -> None:
    with TestClient(build_app(tmp_path / "home", limits=Limits(request_bytes=4000, queued=1))) as client:
        assert client.post("/v1/videos", **form(SCENE, big=b"x" * 5000)).status_code == 413
        assert client.post("/v1/videos", **form()).status_code == 202
        assert client.post("/v1/videos", **form(SCENE | {"seed": 1})).status_code == 429


def test_health_and_metrics_say_what_there_is(client: TestClient) -> None:
    client.post("/v1/videos", **form())
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").status_code == 200
    assert 'mofa_jobs{state="queued"} 1' in client.get("/metrics").text
    assert "/v1/videos/{name}/events" in client.get("/openapi.json").json()["paths"]


def test_the_queue_is_fair_over_keys_and_keeps_each_ones_order(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite")
    for index in range(300):
        owner = "ann" if index < 200 else ("bob" if index < 250 else "cem")
        store.add(f"{owner}-{index}", owner, f"f{index}", {})
    order = []
    while (job := store.take()) is not None:
        order.append(job.id)
        store.end(job.id, "failed", "a test")
    assert len(order) == len(set(order)) == 300
    turns = [name.split("-")[0] for name in order[:150]]
    assert all(set(turns[i : i + 3]) == {"ann", "bob", "cem"} for i in range(0, 150, 3))
    own = [int(name.split("-")[1]) for name in order if name.startswith("ann")]
    assert own == sorted(own)


def test_jobs_survive_the_server_and_ended_ones_stay_as_they_are(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite")
    for name in "abc":
        store.add(name, "ann", name, {"seed": name})
    assert store.take().id == "a"
    store.end("a", "completed", result=tmp_path)
    store.end("a", "failed", "too late")
    assert store.take().id == "b"
    later = JobStore(tmp_path / "jobs.sqlite")
    assert later.find("ann", "a").state == "completed"
    assert [job.id for job in later.in_progress()] == ["b"]
    later.again("b")
    taken = later.take()
    assert (taken.id, taken.attempts, taken.request) == ("b", 2, {"seed": "b"})
    assert later.counts()["queued"] == 1


def test_a_finished_twin_lends_its_result(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite")
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"clip")
    store.add("a", "ann", "same", {})
    store.take()
    store.end("a", "completed", result=clip)
    assert store.add("b", "bob", "same", {}).state == "completed"
    clip.unlink()
    assert store.add("c", "bob", "same", {}).state == "queued"


def test_events_are_numbered_and_replayed(tmp_path: Path, idle: None) -> None:
    with TestClient(build_app(tmp_path / "home")) as client:
        name = client.post("/v1/videos", **form()).json()["id"]
        client.delete(f"/v1/videos/{name}")
        text = client.get(f"/v1/videos/{name}/events").text
        assert [line for line in text.splitlines() if line.startswith("event:")] == [
            "event: queued", "event: cancelled",
        ]  # fmt: skip
        rest = client.get(f"/v1/videos/{name}/events", headers={"Last-Event-ID": "1"}).text
        assert "event: queued" not in rest
        assert "id: 2" in rest


def test_keys_come_from_a_file_of_lines(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# who\nann " + "a" * 16 + " 5\n\nbob " + "b" * 20 + "\n")
    assert read_keys(file) == (Key("ann", "a" * 16, 5), Key("bob", "b" * 20))
    file.write_text("ann " + "a" * 16 + " 5 0.5\n")
    assert read_keys(file) == (Key("ann", "a" * 16, 5, 500_000_000),)
    for text in ("", "ann short\n", "ann " + "a" * 16 + " many\n", "ann " + "a" * 16 + " 5 some\n"):
        file.write_text(text)
        with pytest.raises(InputError, match="OWNER KEY"):
            read_keys(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_keys(tmp_path / "absent")


@pytest.mark.slow
def test_a_clip_is_made_fetched_by_ranges_and_not_made_twice(tmp_path: Path) -> None:
    with TestClient(build_app(tmp_path / "home")) as client:
        name = client.post("/v1/videos", **form()).json()["id"]
        end = time.monotonic() + 240
        while client.get(f"/v1/videos/{name}").json()["status"] not in ("completed", "failed"):
            assert time.monotonic() < end
            time.sleep(0.2)
        clip = client.get(f"/v1/videos/{name}/content")
        assert clip.headers["content-type"] == "video/mp4"
        part = client.get(f"/v1/videos/{name}/content", headers={"Range": "bytes=4-7"})
        assert (part.status_code, part.content) == (206, b"ftyp")
        (tmp_path / "clip.mp4").write_bytes(clip.content)
        assert len(read_video(tmp_path / "clip.mp4").frames) == 3
        assert client.post("/v1/videos", **form()).json()["status"] == "completed"


def test_clips_beyond_an_owners_room_fail_and_deleting_makes_room(tmp_path: Path) -> None:
    store = JobStore(tmp_path / "jobs.sqlite")
    pool = serve_pool.Pool(store, tmp_path, 1, room={"ann": 10})
    (tmp_path / "clips").mkdir()

    def make(name: str, size: int) -> str:
        store.add(name, "ann", name, {})
        job = store.take()
        (tmp_path / "clips" / f"{name}.mp4").write_bytes(b"x" * size)
        pool.finish(job, Entry(name, name, f"{name}.mp4", "done"))
        return store.find("ann", name).state

    assert make("a", 6) == "completed"
    assert make("b", 5) == "failed"
    assert "5 bytes and 4 are left" in store.find("ann", "b").error
    assert not (tmp_path / "clips" / "b.mp4").exists()
    assert store.forget("ann", "a") == tmp_path / "clips" / "a.mp4"
    assert store.find("ann", "a") is None
    assert make("c", 10) == "completed"


def test_a_deleted_video_is_gone_but_not_the_clip_that_it_lent(tmp_path: Path, idle: None) -> None:
    with TestClient(build_app(tmp_path / "home")) as client:
        first = client.post("/v1/videos", **form()).json()["id"]
        store, clip = JobStore(tmp_path / "home" / "jobs.sqlite"), tmp_path / "clip.mp4"
        clip.write_bytes(b"clip")
        store.end(first, "completed", result=clip, size=4)
        second = client.post("/v1/videos", **form()).json()
        assert second["status"] == "completed"
        assert client.delete(f"/v1/videos/{first}").json()["deleted"]
        assert client.get(f"/v1/videos/{first}").status_code == 404
        assert client.get(f"/v1/videos/{second['id']}/content").content == b"clip"
        client.delete(f"/v1/videos/{second['id']}")
        assert not clip.exists()
        assert not list((tmp_path / "home" / "inputs").glob(f"*{second['id']}"))


def test_a_store_of_an_earlier_version_is_taken_up(tmp_path: Path) -> None:
    import sqlite3

    old = store_module.SCHEMA.partition(", webhook TEXT")[0] + ");"
    assert "webhook" not in old
    sqlite3.connect(tmp_path / "jobs.sqlite").executescript(old).close()
    store = JobStore(tmp_path / "jobs.sqlite")
    assert store.add("a", "ann", "f", {}, "http://example.com/").webhook == "http://example.com/"


@pytest.mark.slow
def test_a_worker_that_wants_more_than_its_memory_is_refused_it() -> None:
    pytest.importorskip("resource")
    program = (
        "from mofa.batch.workers import limit_memory\n"
        "limit_memory(2 << 30)\n"
        "bytearray(1 << 20)\n"
        "bytearray(3 << 30)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.strip().endswith("MemoryError")


def test_a_webhook_is_signed_and_tried_until_it_is_taken(tmp_path: Path) -> None:
    store, key = JobStore(tmp_path / "jobs.sqlite"), Key("ann", "a" * 16)
    answers, calls = [0, 500, 204], []

    def post(url, body, headers) -> int:
        calls.append((url, body, headers))
        return answers.pop(0)

    store.add("clip", "ann", "f", {}, "https://example.com/hook")
    store.end("clip", "failed", "a test")
    store.end("clip", "failed", "once more")
    for _ in range(5):
        Courier(store, [key], post, pauses=(0.0, 0.0)).deliver_due()
    assert len(calls) == 3
    assert {url for url, _, _ in calls} == {"https://example.com/hook"}
    assert len({headers["webhook-id"] for _, _, headers in calls}) == 1
    _, body, headers = calls[-1]
    said = json.loads(body)
    assert (said["type"], said["data"]["id"], said["data"]["error"]) == ("video.failed", "clip", "a test")
    message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(b"a" * 16, message, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_a_webhook_that_nobody_takes_is_given_up(tmp_path: Path) -> None:
    store, calls = JobStore(tmp_path / "jobs.sqlite"), []
    store.add("clip", "ann", "f", {}, "https://example.com/hook")
    store.cancel("ann", "clip")
    courier = Courier(store, [Key("ann", "a" * 16)], lambda *call: calls.append(call) or 503, pauses=(0.0,))
    for _ in range(4):
        courier.deliver_due()
    assert len(calls) == 2
    assert store.deliveries(time.time()) == []


def test_webhooks_call_allowed_hosts_alone(tmp_path: Path, idle: None) -> None:
    ann = {"Authorization": f"Bearer {'a' * 16}"}
    limits = Limits(webhooks=frozenset({"example.com"}))

    def asked(webhook: str) -> dict:
        sent = form()
        return sent | {"data": sent["data"] | {"webhook": webhook}}

    with TestClient(app_with(tmp_path / "home", limits=limits)) as client:
        for url, status in {
            "https://example.com@evil.org/": 422,
            "http://169.254.169.254/latest": 422,
            "file:///etc/passwd": 422,
            "https://example.com/hook": 202,
        }.items():
            assert client.post("/v1/videos", headers=ann, **asked(url)).status_code == status, url
    with TestClient(build_app(tmp_path / "open", limits=limits)) as client:
        answer = client.post("/v1/videos", **asked("https://example.com/hook"))
        assert "signed with a key" in answer.json()["error"]["message"]
