"""Replicas on a Ray of this machine make what is asked over HTTP; a job is called off between its steps."""

import io
import json
import time
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("python_multipart")
pytest.importorskip("ray.serve")

from fastapi.testclient import TestClient

from mofa.apps.serve.app import build_app
from mofa.media.decode import read_video

pytestmark = pytest.mark.ray

SCENE = {"frames": 3, "size": "48x32", "controls": [{"kind": "camera", "move": "zoom 1.1"}]}


def form(scene: dict) -> dict:
    photo = io.BytesIO()
    Image.new("RGB", (48, 32), (90, 120, 60)).save(photo, "PNG")
    return {
        "data": {"scene": json.dumps(scene)},
        "files": [("input_reference", ("photo.png", photo.getvalue()))],
    }


@pytest.mark.slow
def test_a_replica_makes_clips_and_stops_when_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mofa

    monkeypatch.setenv("PYTHONPATH", str(Path(mofa.__file__).parents[1]))
    with TestClient(build_app(tmp_path / "home", ray="")) as client:

        def state(name: str) -> str:
            return client.get(f"/v1/videos/{name}").json()["status"]

        def wait(name: str, *states: str) -> str:
            while (now := state(name)) not in states:
                time.sleep(0.05)
            return now

        client.put("/v1/videos/short", **form(SCENE))
        assert wait("short", "completed", "failed") == "completed"
        (tmp_path / "clip.mp4").write_bytes(client.get("/v1/videos/short/content").content)
        assert len(read_video(tmp_path / "clip.mp4").frames) == 3
        client.put("/v1/videos/long", **form(SCENE | {"frames": 1500, "size": "640x480"}))
        wait("long", "in_progress", "completed")
        client.delete("/v1/videos/long")
        assert wait("long", "cancelled", "completed", "failed") == "cancelled"
        assert client.post("/v1/videos", **form(SCENE)).json()["status"] == "completed"
