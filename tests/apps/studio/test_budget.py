"""Jobs say what memory they need: too much is refused, and together they stay below what there is."""

import threading
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the studio needs its extra: pip install 'mofa-video[studio]'")

from fastapi.testclient import TestClient
from PIL import Image

from mofa.apps.parser import num_bytes
from mofa.apps.studio.app import build_app
from mofa.apps.studio.budget import Budget
from mofa.errors import Cancelled, ResourceError

LONG = 300
"""Seconds after which a test gives up, however busy the machine is."""


def test_what_could_never_fit_is_refused_with_what_to_do() -> None:
    budget = Budget(2_000_000_000)
    with pytest.raises(ResourceError, match=r"about 2\.5 GB .* 2\.0 GB .* choose a smaller size"):
        budget.check(2_500_000_000)
    budget.check(2_000_000_000)
    assert Budget.of_server(4_000_000_000).num_bytes == 2_000_000_000
    assert Budget.of_server(None).num_bytes >= 1_000_000_000


def test_jobs_of_all_queues_together_stay_below_the_budget() -> None:
    budget, seen, lock = Budget(10), [], threading.Lock()

    def job(needed: int) -> None:
        with budget.held(needed), lock:
            seen.append(budget.taken)

    threads = [threading.Thread(target=job, args=(needed,)) for needed in (7, 6, 3, 9, 1, 10, 4, 4, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert len(seen) == len(threads)
    assert max(seen) <= 10
    assert budget.taken == 0


@pytest.mark.slow
def test_whoever_came_first_begins_first_and_nobody_passes_a_large_job() -> None:
    budget, begun = Budget(10), []
    waits = [threading.Event() for _ in range(2)]

    def job(name: str, needed: int) -> None:
        with budget.held(needed, waits[len(begun) and 1].set if name == "small" else waits[0].set):
            begun.append(name)

    with budget.held(5):
        large = threading.Thread(target=job, args=("large", 8))
        large.start()
        assert waits[0].wait(LONG), "it waits, and looks"
        small = threading.Thread(target=job, args=("small", 1))
        small.start()
        assert begun == []
    for thread in (large, small):
        thread.join(LONG)
    assert begun == ["large", "small"]


@pytest.mark.slow
def test_a_job_that_waits_for_memory_can_be_called_off() -> None:
    budget = Budget(10)

    def cancelled() -> None:
        raise Cancelled("cancelled.")

    with budget.held(8):
        with pytest.raises(Cancelled), budget.held(8, cancelled):
            pass
        with budget.held(2):
            assert budget.taken == 10
    assert budget.taken == 0


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4_000_000_000), ("4", 4_000_000_000), ("1.5 gb", 1_500_000_000), ("512MiB", 512 << 20)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert num_bytes(text) == size


@pytest.mark.parametrize("text", ["", "four", "-1GB", "4TB", "1e9", "GB", "9" * 500 + "x", "nan"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(Exception, match="no size"):
        num_bytes(text)


@pytest.mark.slow
def test_a_studio_refuses_clips_previews_and_faces_beyond_its_memory(tmp_path: Path) -> None:
    """A mask of 50 megapixels is 150 kilobytes of PNG, and 400 MB of memory."""
    Image.new("RGB", (64, 48)).save(tmp_path / "p.png")
    Image.new("1", (7000, 7000)).save(tmp_path / "m.png")
    assert (tmp_path / "m.png").stat().st_size < 200_000
    app = build_app(tmp_path / "home", memory=3_000_000_000)
    with TestClient(app, headers={"Accept": "application/json"}) as client:
        client.get("/studio/start")

        def upload(kind: str, name: str) -> str:
            content = (tmp_path / name).read_bytes()
            return client.post(f"/studio/files/{kind}", params={"name": name}, content=content).json()["name"]

        photo = upload("photo", "p.png")
        tracks = [
            {"kind": "track", "points": "20,20 40,20", "region": {"mask": upload("mask", "m.png")}}
            for _ in range(3)
        ]
        scene = {"picture": photo, "frames": 3, "controls": tracks, "renderer": "warp"}
        for answer in (
            client.put("/studio/renders/abcdefgh", json={"scene": scene}),
            client.post("/studio/preview", json={"scene": scene}),
            client.post("/studio/landmarks", json={"scene": scene}),
        ):
            told = answer.json()
            assert told["key"] == "memory.budget", told
            assert told["values"]["most"] == "1.0"
        assert client.get("/studio/jobs/abcdefgh").json()["key"] == "job.unknown"
