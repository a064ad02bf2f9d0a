"""The studio's server without a browser: who is let in, what can be read, what the API gives."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.slow

pytest.importorskip("fastapi", reason="the studio needs fastapi: pip install 'mofa-video[studio]'")

TRACK = {"kind": "track", "points": "50%,50% 60%,50%"}
LONG = 300
"""Seconds after which a test gives up, however busy the machine is."""
SCENE = {"picture": "cat.jpg", "size": "96x64", "frames": 4, "controls": [TRACK]}


@pytest.fixture
def visitor(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=LONG) as client:
        client.get("/studio/start").raise_for_status()
        yield client


def upload(visitor: httpx.Client, content: bytes, name: str, kind: str = "photo") -> dict[str, Any]:
    return visitor.post(f"/studio/files/{kind}", params={"name": name}, content=content).json()


def test_a_photo_is_known_to_its_visitor_alone(address: str, visitor: httpx.Client, photo: Path) -> None:
    landed = upload(visitor, photo.read_bytes(), "../../My cat.JPG")
    assert (landed["width"], landed["height"]) == (451, 300)
    assert visitor.get(f"/studio/photos/{landed['name']}").headers["content-type"] == "image/jpeg"
    with httpx.Client(base_url=address, timeout=LONG) as stranger:
        stranger.get("/studio/start")
        assert stranger.get(f"/studio/photos/{landed['name']}").status_code == 404
    assert "reload" in httpx.get(f"{address}/studio/photos/{landed['name']}", timeout=LONG).json()["error"]


def test_a_place_beside_a_things_rim_means_the_thing(visitor: httpx.Client, photo: Path) -> None:
    rocket = upload(visitor, photo.with_name("rocket.jpg").read_bytes(), "rocket.jpg")["name"]

    def found(select: str, near: bool) -> dict[str, Any]:
        return visitor.post("/studio/things", json={"picture": rocket, "select": select, "near": near}).json()

    beside = "298,235"  # 9 of 640 pixels from the rocket, on the sky
    assert not found(beside, False)["thing"]
    thing = found(beside, True)
    assert thing["thing"]
    assert thing["share"] == pytest.approx(0.026, abs=0.005)
    assert found(thing["select"], False)["share"] == thing["share"], "the words say what was found"
    assert found("128,85", True)["select"] == "128,85", "nothing is near in the sky"


@pytest.mark.parametrize(
    "path",
    [
        "/studio/photos/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/studio/files/%2e%2e",
        "/studio/results/x/..%2f..%2fphoto.jpg",
        "/studio/static/..%2fapp.py",
        "/studio/static/main.js",
    ],
)
def test_nothing_outside_is_served(visitor: httpx.Client, path: str) -> None:
    assert visitor.get(path).status_code in (403, 404)


@pytest.mark.parametrize(
    ("content", "name", "kind", "reason"),
    [
        (b"", "cat.jpg", "photo", "empty"),
        (b"<svg/>", "cat.svg", "photo", "use .jpg"),
        (b"GIF89a", "cat.gif", "photo", "cannot be read"),
        (b"no video", "cat.mp4", "video", "cannot be read"),
        (b"no sound", "cat.wav", "speech", "cannot be read"),
        (b"x", "cat.jpg", "secrets", "cannot be"),
        (b"P6 9000 9000 255\n", "huge.png", "photo", "pixels"),
        (b"x" * (21 << 20), "mask.png", "mask", "larger than 20 MB"),
    ],
)
def test_a_wrong_upload_gets_one_sentence_and_leaves_nothing(
    visitor: httpx.Client, content: bytes, name: str, kind: str, reason: str
) -> None:
    answer = upload(visitor, content, name, kind)
    assert reason in answer["error"]
    assert "visitors" not in answer["error"], "where files live on the server is nobody's business"


def test_pages_of_other_sites_are_refused_and_the_browser_is_told_to_stay(
    address: str, visitor: httpx.Client
) -> None:
    foreign = {"Origin": "https://elsewhere.example"}
    assert visitor.post("/studio/preview", json={"scene": SCENE}, headers=foreign).status_code == 403
    own = visitor.post("/studio/preview", json={"scene": SCENE}, headers={"Origin": address})
    assert "upload it again" in own.json()["error"]
    policy = visitor.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


def test_the_page_is_half_a_megabyte_of_our_own(visitor: httpx.Client) -> None:
    page = visitor.get("/").text
    assert "http" not in page
    files = re.findall(r'(?:href|src)="([^"]+)"', page)
    sizes = [len(visitor.get(f"/{file}").raise_for_status().content) for file in set(files)]
    assert len(sizes) > 40
    assert sum(sizes) + len(visitor.get("/studio/start").content) < 500_000


def test_a_login_is_asked_of_everybody(tmp_path: Path) -> None:
    from fastapi.testclient import TestClient

    pytest.importorskip("gradio", reason="the API needs gradio: pip install 'mofa-video[api]'")
    from mofa.apps.studio.app import Login, build_app
    from mofa.apps.studio.page import version

    client = TestClient(build_app(tmp_path, Login("ann", "sesam"), api=True))
    script = f"/studio/static/{version()}/main.js"
    for path in ("/", "/studio/start", script, "/api/config", "/api/gradio_api/info"):
        assert client.get(path).status_code == 401, path
    wrong = base64.b64encode(b"ann:guess").decode()
    assert client.get("/studio/start", headers={"Authorization": f"Basic {wrong}"}).status_code == 401
    assert client.get("/studio/start", auth=("ann", "sesam")).status_code == 200


def test_the_example_of_the_api_runs(
    api_address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(__file__).parents[3]
    [example] = re.findall(
        r"```python\n(.*?)```", (root / "docs" / "studio.md").read_text("utf-8"), re.DOTALL
    )
    monkeypatch.chdir(root)
    made: dict[str, Any] = {}
    example = example.replace("http://127.0.0.1:7860", api_address).replace('"frames": 25', '"frames": 4')
    exec(example, made)
    assert b"ftyp" in Path(made["clip"]).read_bytes()[:16]
    assert b"ftyp" in Path(made["small_clip"]).read_bytes()[:16]
    for picture in ("flow", "overlay"):
        assert Path(made[picture]).read_bytes().startswith(b"\x89PNG")
    assert "controls" in Path(made["resolved"]).read_text(encoding="utf-8")
    with pytest.raises(Exception, match="did you mean"):
        made["client"].predict(scene=SCENE | {"frame": 3}, files=made["files"], api_name="/preview")


def test_the_api_tells_how_faces_move(api_address: str, tmp_path: Path, photo: Path) -> None:
    gradio_client = pytest.importorskip("gradio_client")
    client = gradio_client.Client(f"{api_address}/api/", verbose=False)
    rest = [[100 + 10 * (k % 9), 100 + 10 * (k // 9)] for k in range(68)]
    nod = [[[x, y + step] for x, y in rest] for step in (0, 4, 8, 4)]
    (tmp_path / "nod.json").write_text(json.dumps({"fps": 10, "points": nod}), encoding="utf-8")
    (tmp_path / "face.json").write_text(json.dumps(rest), encoding="utf-8")
    control = {"kind": "landmarks", "file": "nod.json", "landmarks": "face.json"}
    files = [gradio_client.handle_file(path) for path in (photo, *tmp_path.glob("*.json"))]
    scene = {"picture": "cat.jpg", "controls": [control]}
    moves = client.predict(scene=scene, files=files, api_name="/landmarks")
    assert (moves["frames"], moves["fps"]) == (4, 10)
    [face] = moves["faces"]
    assert face[0] == rest
    assert face[2][8][1] - rest[8][1] == pytest.approx(8, abs=1)


def test_the_api_reads_no_file_that_was_not_sent(api_address: str, photo: Path) -> None:
    def ask(scene: dict[str, Any], path: str) -> str:
        file = {"path": path, "orig_name": "cat.jpg", "meta": {"_type": "gradio.FileData"}}
        asked = httpx.post(
            f"{api_address}/api/gradio_api/call/preview", json={"data": [scene, [file]]}, timeout=LONG
        )
        event = asked.json()["event_id"]
        return httpx.get(f"{api_address}/api/gradio_api/call/preview/{event}", timeout=LONG).text

    for path in ("/etc/passwd", "pyproject.toml"):
        assert httpx.get(f"{api_address}/api/gradio_api/file={path}", timeout=LONG).status_code in (403, 404)
    assert "event: error" in ask(SCENE, str(photo))
    assert "event: error" in ask(SCENE | {"picture": str(photo)}, str(photo))
    hidden = SCENE | {"picture": {"path": str(photo), "meta": {"_type": "gradio.FileData"}}}
    assert "event: error" in ask(hidden, str(photo))
