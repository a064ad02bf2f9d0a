"""Hostile bytes get a reading or one sentence: no traceback, no flood of memory, no flood of work.

`make fuzz` runs the same for minutes: MOFA_FUZZ_SECONDS says how long, MOFA_FUZZ_SEED where it begins. Each
file is a good one that was changed, so that the readers get past its first bytes.
"""

import contextlib
import io
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mofa.control.track_files import read_tracks
from mofa.errors import LONGEST, MofaError, shortened
from mofa.faces.landmark_files import read_blendshapes, read_face_points, read_landmarks
from mofa.media.audio import read_audio
from mofa.media.decode import read_video, video_seconds
from mofa.media.encode import write_clip
from mofa.media.image import read_mask, read_picture
from mofa.pipeline.request import AnimationRequest
from mofa.types import Clip, Waveform

resource = pytest.importorskip("resource", reason="memory cannot be asked for on this system")

SECONDS = float(os.environ.get("MOFA_FUZZ_SECONDS", "0"))
LEAST_FILES = 200
SEED = int(os.environ.get("MOFA_FUZZ_SEED", "0"))
MOST_MEMORY = 1_000_000_000
MOST_CALLS = 40_000_000
"""Calls of functions while one file is read, those that check shapes among them: three times what the largest
of `BOMBS` takes."""

MOST_SECONDS = 20.0
"""Of the CPU for one file, while `make fuzz` runs."""

Read = Callable[[Path], object]


def scene(path: Path) -> object:
    return AnimationRequest.from_file(path)


def good_files(folder: Path) -> dict[str, bytes]:
    """A small good file of every kind, by its name."""
    frames = torch.randint(
        0, 256, (4, 3, 24, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    for name in ("clip.mp4", "clip.gif", "clip.webp"):
        sound = Waveform(torch.zeros(1, 8000), 16000) if name == "clip.mp4" else None
        write_clip(Clip(frames, 8.0, sound), folder / name)
    for form in ("PNG", "JPEG", "TIFF", "GIF", "WEBP"):
        Image.fromarray(frames[0].permute(1, 2, 0).numpy()).save(folder / f"photo.{form.lower()}", form)
    walk = np.cumsum(np.ones((5, 9, 2)), 1) * 7
    np.save(folder / "tracks.npy", walk)
    np.savez_compressed(folder / "tracks.npz", tracks=walk, visibles=np.ones((5, 9), bool))
    torch.save({"pred_tracks": torch.from_numpy(walk)[None]}, folder / "tracks.pt")
    (folder / "tracks.json").write_text(json.dumps({"tracks": walk.tolist()}))
    (folder / "tracks.csv").write_text("frame,id,x,y\n" + "\n".join(f"{k},1,{k * 3},5" for k in range(9)))
    (folder / "tracks.svg").write_text(
        '<svg viewBox="0 0 9 9"><style>.a{display:none}</style><g transform="scale(2)"><path id="p" '
        'd="M0 0C1 2 3 4 5 6a5 5 0 0110 1Z"/></g><use href="#p" x="1%"/><circle r="4"/></svg>'
    )
    (folder / "face.json").write_text(json.dumps(np.arange(136.0).reshape(68, 2).tolist()))
    (folder / "take.csv").write_text("Timecode,jawOpen\n" + "\n".join(f"1:2:3:{k},0.{k}" for k in range(9)))
    (folder / "scene.yaml").write_text(
        "picture: a.png\ncontrols:\n  - {kind: track, points: '1%,2% 30,40', ease: in-out}\n"
        "  - {kind: camera, move: 'pan right 4 px, zoom 1.1'}\nsize: 64x48\n"
    )
    return {path.name: path.read_bytes() for path in folder.iterdir()}


READERS: dict[str, tuple[Read, ...]] = {
    ".mp4": (read_video, read_audio, video_seconds),
    ".gif": (read_video, read_picture, video_seconds),
    ".webp": (read_video, read_picture),
    ".png": (read_picture, read_mask),
    ".jpeg": (read_picture,),
    ".tiff": (read_picture, read_mask),
    ".npy": (read_tracks, read_landmarks),
    ".npz": (read_tracks, read_landmarks),
    ".pt": (read_tracks,),
    ".json": (read_tracks, read_landmarks, read_face_points, scene),
    ".csv": (read_tracks, read_blendshapes),
    ".svg": (read_tracks,),
    ".yaml": (scene,),
}


NUMBERS = (b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"9999")
WORDS = (b"[" * 300, b"(" * 300, b"1e9 " * 200, b"\xf0\x9f\x9a\x80")


def taken_memory() -> int:
    """The most bytes that this process has ever taken (kilobytes on Linux)."""
    return 1024 * int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


@contextlib.contextmanager
def counted_calls() -> Iterator[list[int]]:
    """Counts the calls of functions, of Python's and of C's, in one number."""
    count = [0]

    def called(frame: object, event: str, argument: object) -> None:
        count[0] += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        yield count
    finally:
        sys.setprofile(None)


def changed(content: bytes, chance: random.Random) -> bytes:
    """A good file with some bytes replaced, taken out, repeated or cut off."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                data[place : place + chance.randint(1, 30)] = b""
            case 2:
                data[place:place] = data[place : place + 40] * chance.randint(1, 50)
            case 3:
                data[place : place + 4] = chance.choice(NUMBERS)
            case 4:
                data[place:place] = chance.choice(WORDS)
    return bytes(data[: chance.choice((len(data), chance.randrange(1, len(data) + 2)))]) or b"x"


@pytest.mark.slow
def test_changed_files_of_every_kind_get_a_reading_or_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    good = good_files(tmp_path / "good")
    chance = random.Random(SEED)
    begin, count, before = time.monotonic(), 0, taken_memory()
    while time.monotonic() - begin < SECONDS or count < LEAST_FILES:
        name = list(good)[count % len(good)]
        file = tmp_path / name
        file.write_bytes(changed(good[name], chance))
        for read in READERS[file.suffix]:
            try:
                with counted_calls() as calls:
                    read(file)
            except MofaError as error:
                assert len(shortened(str(error))) <= LONGEST + 10
            except Exception as error:
                kept = Path("fuzz-failures")
                kept.mkdir(exist_ok=True)
                (kept / f"{SEED}-{count}-{name}").write_bytes(file.read_bytes())
                raise AssertionError(
                    f"{read.__name__} of {kept}/{SEED}-{count}-{name}, seed {SEED}"
                ) from error
            assert calls[0] < MOST_CALLS, (read.__name__, name, SEED, count)
            assert taken_memory() - before < MOST_MEMORY, (read.__name__, name, SEED, count)
        count += 1
    sys.stdout.write(f"seed {SEED}: {count} files\n")


def bombs() -> dict[str, bytes]:
    """Small files that say they are large; tests/control/test_track_files.py has an archive."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 2)}
    )
    return {
        "a.npy": header.getvalue(),
        "a.svg": b"<svg><defs><path id='p0' d='M0 0L9 9'/>"
        + b"".join(b"<g id='p%d'>%s</g>" % (k, b"<use href='#p%d'/>" % (k - 1) * 9) for k in range(1, 30))
        + b"</defs><use href='#p29'/></svg>",
        "a.json": b'{"tracks": ' + b"[" * 400_000,
        "b.json": b"[" + b"[[1,2]]," * 12_000 + b"[[1,2]]]",
        "a.yaml": b"a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n",
        "b.yaml": b"- " * 500_000,
        "a.csv": b"frame,x,y\n1,2,3\n999999999,2,3\n",
        "a.gif": b"GIF89a\xff\xff\xff\xff\x80\0\0" + b"\0" * 6 + b",\0\0\0\0\xff\xff\xff\xff\0\2\2\x4c\1\0;",
    }


BOMBS = bombs()


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_small_files_that_say_they_are_large_take_little(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BOMBS[name])
    before = taken_memory()
    for read in READERS[Path(name).suffix]:
        with contextlib.suppress(MofaError), counted_calls() as calls:
            read(tmp_path / name)
        assert calls[0] < MOST_CALLS, read.__name__
    assert taken_memory() - before < MOST_MEMORY
