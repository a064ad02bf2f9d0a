"""Hostile zips and questions get an answer or one sentence, and leave nothing where they are refused.

`make fuzz` runs the same for minutes, with seeds of its own: see tests/test_fuzz.py.
"""

import contextlib
import copy
import io
import json
import os
import random
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the studio needs its extra: pip install 'mofa-video[studio]'")
pytest.importorskip("resource", reason="memory cannot be asked for on this system")

import resource

from fastapi.testclient import TestClient
from PIL import Image

from mofa.apps.studio.app import build_app
from mofa.apps.studio.scenes import request_from_scene, unpack_scene
from mofa.apps.studio.visitors import Visitors, new_token
from mofa.errors import LONGEST, InputError, shortened

SECONDS = float(os.environ.get("MOFA_FUZZ_SECONDS", "0"))
SEED = int(os.environ.get("MOFA_FUZZ_SEED", "0"))
LEAST_ZIPS, LEAST_QUESTIONS = 150, 150
MOST_MEMORY, MOST_SECONDS = 1_000_000_000, 20.0
"""Bytes by which the process may grow, and seconds of the CPU for one question (while `make fuzz` runs)."""
AS_JSON = {"Accept": "application/json", "Content-Type": "application/json"}
LONGEST_ANSWER = 20_000
"""Characters of a refusal, whatever was sent."""

NUMBERS = (None, True, -1, 0, 1, 2.5, 1e308, -1e-300, float("nan"), float("inf"), 10**30, int("9" * 4299))
WORDS = (
    "",
    " ",
    "x" * 3000,
    "1/0",
    "!!int ''",
    "9" * 400,
    "\0",
    "\ud83d",
    "warp",
    "diffusion",
    "10,10 " * 900,
)
MEANT = ("50%,50%", "zoom 1e400", "pan right 1e30 px", "1920x1920", "99999x99999", "0x0", "-4x4")
PLACES = ("../../etc/passwd", "/etc/passwd", "http://127.0.0.1:9/a.png")
SHAPES = (
    [],
    {},
    [[]],
    [[[[[[]]]]]],
    [1e300, 1e300],
    ["a"],
    {"a": {"b": {}}},
    {"mask": "m.png"},
    {"border": -4},
)
VALUES: tuple[Any, ...] = (*NUMBERS, *WORDS, *MEANT, *PLACES, *SHAPES, {"select": "1,1 " * 60})
MEMBERS = (
    "../x.png",
    "/etc/x.png",
    "C:\\x.png",
    "",
    "n" * 300 + ".png",
    "a.yaml",
    "x.exe",
    ".png",
    "d/",
)


def places_in(data: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where there is a value in plain data."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place, *(inner for key, value in items for inner in places_in(value, (*place, key)))]


def twisted(data: Any, chance: random.Random) -> Any:
    """Plain data with some of its values replaced, taken out, repeated, or under other keys; neither it nor
    `VALUES` is changed."""
    data = copy.deepcopy(data)
    for _ in range(chance.randint(1, 3)):
        place = chance.choice([place for place in places_in(data) if place] or [()])
        if not place:
            return copy.deepcopy(chance.choice(VALUES))
        parent = data
        for key in place[:-1]:
            parent = parent[key]
        match chance.randrange(6):
            case 0:
                del parent[place[-1]]
            case 1 if isinstance(parent, list):
                parent[:] = parent * chance.randint(2, 40)
            case 2 if isinstance(parent, dict):
                parent[chance.choice(("x" * 200, "", "kind", "file", "size"))] = parent.pop(place[-1])
            case _:
                parent[place[-1]] = copy.deepcopy(chance.choice(VALUES))
    return data


def test_twisting_leaves_what_it_draws_from_as_it_was() -> None:
    before, chance = repr((SCENE, VALUES)), random.Random(0)
    for _ in range(2000):
        twisted(SCENE, chance)
    assert repr((SCENE, VALUES)) == before


def taken_memory() -> int:
    return 1024 * int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def files_below(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


@dataclass
class Rounds:
    """Goes on for so many rounds, and while the time lasts; each is bounded in memory and, in long runs, in
    seconds of the CPU."""

    least: int
    count: int = 0

    def __iter__(self) -> Iterator[random.Random]:
        chance, begin, memory = random.Random(SEED), time.monotonic(), taken_memory()
        while time.monotonic() - begin < SECONDS or self.count < self.least:
            spent = time.process_time()
            yield chance
            assert taken_memory() - memory < MOST_MEMORY, (SEED, self.count)
            assert not SECONDS or time.process_time() - spent < MOST_SECONDS, (SEED, self.count)
            self.count += 1
        sys.stdout.write(f"seed {SEED}: {self.count} rounds\n")


def kept(name: str, content: bytes) -> str:
    """Where a failure is kept."""
    folder = Path("fuzz-failures")
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return str(folder / name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A photo, a mask and tracks."""
    Image.effect_noise((64, 48), 90).convert("RGB").save(tmp_path / "p.png")
    Image.new("L", (64, 48), 255).save(tmp_path / "m.png")
    np.save(tmp_path / "t.npy", np.cumsum(np.ones((3, 6, 2)), 1) * 5)
    return tmp_path


SCENE: dict[str, Any] = {
    "picture": "p.png",
    "size": "64x48",
    "frames": 4,
    "fps": 8,
    "renderer": "warp",
    "controls": [
        {"kind": "track", "points": "10,10 30,20", "region": {"mask": "m.png"}, "start": 0, "end": 2},
        {"kind": "track", "file": "t.npy", "size": "64x48"},
        {"kind": "transform", "region": {"select": "20,20"}, "rotate": 20, "scale": 1.1},
        {"kind": "camera", "move": "pan right 4 px, zoom 1.1"},
    ],
}


def zipped(folder: Path, chance: random.Random) -> bytes:
    """A packed scene with something wrong in what it holds, or in its bytes."""
    scene = SCENE if chance.random() < 0.5 else twisted(SCENE, chance)
    members = {name: (folder / name).read_bytes() for name in ("p.png", "m.png", "t.npy")}
    members["scene.yaml"] = json.dumps(scene).encode("utf-8", "surrogatepass")
    if chance.random() < 0.5:
        name = chance.choice(list(members))
        members[chance.choice(MEMBERS)] = members[name] if chance.random() < 0.5 else members.pop(name)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as package:
        for name, content in members.items():
            package.writestr(name or "x", content)
            if chance.random() < 0.05:
                with contextlib.suppress(UserWarning):
                    package.writestr(f"again-{len(content)}.png", content)
    data = bytearray(packed.getvalue())
    for _ in range(chance.choice((0, 0, 1, 3))):
        place = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[place] = chance.randrange(256)
            case 1:  # near the list of files, where sizes are
                place = max(0, data.rfind(b"PK\x01\x02") + chance.randrange(46))
                data[place : place + 4] = chance.choice((b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f"))
            case 2:
                del data[place:]
            case 3:
                data[place:place] = data[place : place + 60]
        if not data:
            return b"PK"
    return bytes(data)


@pytest.mark.slow
def test_zips_of_all_kinds_open_or_leave_nothing(folder: Path) -> None:
    visitor = Visitors(folder / "visitors").visitor(new_token())
    visitor.room()
    for chance in (rounds := Rounds(LEAST_ZIPS)):
        content = zipped(folder, chance)
        file = folder / "scene.zip"
        file.write_bytes(content)
        before = files_below(visitor.folder)
        try:
            scene = unpack_scene(file, visitor, None)
            with contextlib.suppress(InputError):
                request_from_scene(scene, visitor)
        except InputError as error:
            assert len(shortened(str(error))) <= LONGEST + 10
            assert files_below(visitor.folder) == before, (SEED, rounds.count)
        except Exception as error:
            raise AssertionError(kept(f"{SEED}-{rounds.count}.zip", content)) from error
        for path in files_below(visitor.folder).keys() - before.keys():
            Path(path).unlink()


@dataclass(frozen=True)
class Question:
    """One thing that the page may ask: a path with a name in it, and what is sent along."""

    method: str
    path: str
    body: Any = None
    content: bytes = b""

    def twisted(self, chance: random.Random) -> "Question":
        """The same with something wrong."""
        path, body, content = self.path, self.body, self.content
        if body is not None and chance.random() < 0.9:
            body = twisted(body, chance)
        if content:
            data = bytearray(content)
            for _ in range(chance.randint(0, 6)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            content = bytes(data[: chance.choice((len(data), chance.randrange(len(data))))])
        if chance.random() < 0.2:
            head, _, tail = path.rpartition("/")
            path = f"{head}/{chance.choice(('..%2f..', 'x' * 300, '%00', '-', tail + '.', '%ff', ''))}"
        return Question(self.method, path, body, content)

    @property
    def sent(self) -> bytes:
        """What goes along, as bytes."""
        return self.content if self.body is None else json.dumps(self.body).encode("utf-8", "replace")


def questions(client: TestClient, folder: Path) -> list[Question]:
    """All that the page asks, well asked."""
    words = json.dumps(SCENE)
    names = {}
    for kind, name in (("photo", "p.png"), ("mask", "m.png"), ("tracks", "t.npy")):
        content = (folder / name).read_bytes()
        answer = client.post(f"/studio/files/{kind}", params={"name": name}, content=content)
        names[name] = answer.json()["name"]
        words = words.replace(name, names[name])
    scene, photo = {"scene": json.loads(words)}, (folder / "p.png").read_bytes()
    selection = {"picture": names["p.png"], "select": "20,20 +30,30 -5,5:part"}
    return [
        Question("POST", "/studio/preview", scene),
        Question("POST", "/studio/landmarks", scene),
        Question("POST", "/studio/weights", scene),
        Question("POST", "/studio/scenes/pack", scene),
        Question("PUT", "/studio/renders/abcdefgh", scene),
        Question("PUT", "/studio/scenes/scene-abcd", {"document": scene}),
        Question("GET", "/studio/scenes/scene-abcd"),
        Question("POST", "/studio/things", selection),
        Question("POST", "/studio/scenes/open", {"name": "none.zip", "picture": names["p.png"]}),
        Question("POST", "/studio/files/photo?name=a.png", content=photo),
        Question("POST", "/studio/files/mask?name=a.png", content=photo),
        Question("POST", "/studio/files/scene?name=a.yaml", content=words.encode()),
        Question("POST", "/studio/files/video?name=a.mp4", content=photo),
        Question("POST", "/studio/files/speech?name=a.wav", content=b"RIFF\x24\0\0\0WAVEfmt " + bytes(40)),
        Question("GET", f"/studio/photos/{names['p.png']}"),
        Question("GET", f"/studio/files/{names['m.png']}"),
        Question("GET", "/studio/results/1a/as/gif"),
        Question("GET", "/studio/clips/1a/for/ati"),
        Question("PUT", "/studio/clips/1a", {"title": "a clip"}),
        Question("DELETE", "/studio/clips/1a"),
        Question("GET", "/studio/jobs/abcdefgh"),
        Question("GET", "/studio/shared/aaaaaaaaaaaaaaaaaaaaaa.mp4"),
    ]


def is_refused(answer: Any, home: Path) -> bool:
    """Whether an answer is a refusal; whatever it is, it has to be one that a person can be shown."""
    assert answer.status_code < 500, answer.text[:300]
    if "json" not in answer.headers.get("content-type", ""):
        return answer.status_code >= 400
    assert str(home) not in answer.text, answer.text[:300]
    assert "something went wrong" not in answer.text.lower(), answer.text[:300]
    data = answer.json()
    if answer.status_code < 400 and not (isinstance(data, dict) and data.get("error")):
        return False
    assert len(answer.text) < LONGEST_ANSWER, len(answer.text)
    assert data.get("key") != "internal", answer.text[:300]
    return True


@pytest.mark.slow
def test_questions_of_all_kinds_get_an_answer_or_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = folder / "home"
    if not SECONDS:  # the clip itself is made in long runs alone
        monkeypatch.setattr("mofa.apps.studio.making.Workshop.clip", lambda *_: {"name": "x"})
    app = build_app(home, memory=4_000_000_000)
    with TestClient(app, headers=AS_JSON) as client:
        client.get("/studio/start")
        known = questions(client, folder)
        for chance in (rounds := Rounds(LEAST_QUESTIONS)):
            question = chance.choice(known).twisted(chance)
            before = files_below(home / "visitors").keys()
            try:
                headers = {"Content-Type": "application/json"}
                answer = client.request(
                    question.method, question.path, content=question.sent, headers=headers
                )
                refused = is_refused(answer, home)
            except Exception as error:
                where = kept(f"{SEED}-{rounds.count}-question", repr(question).encode("utf-8", "replace"))
                raise AssertionError(where) from error
            if refused:
                assert not files_below(home / "visitors").keys() - before, question
            client.delete("/studio/jobs/abcdefgh")
