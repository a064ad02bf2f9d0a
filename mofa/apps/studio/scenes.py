"""The canvas's state is a scene: here it becomes an AnimationRequest, and a scene file becomes it.

On the canvas files go by the names they have in the visitor's folder, so that no scene can name another.
A scene that is taken home is a zip: scene.yaml and the files it names, which `mofa animate` understands too.
"""

import errno
import io
import json
import os
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from mofa.apps.studio.uploads import KINDS, check_upload, kind_of, new_name
from mofa.apps.studio.visitors import Visitor
from mofa.errors import InputError
from mofa.media.files import replacing
from mofa.pipeline.request import (
    AnimationRequest,
    LandmarkControl,
    Outputs,
    StillControl,
    SwayControl,
    parse_scene,
    scene_text,
)

LONGEST_SIDE = 1920
"""Pixels of a visitor's clip: full HD."""
MOST_FRAMES = 1500
"""A minute at 25 frames a second."""
PREVIEW_SIDE = 384
PREVIEW_FRAMES = 16
"""Of a preview: few enough to be made in about a second, on the grid that CMP looks at."""
FACE_PREVIEW_FPS = 10.0
"""Of a preview in which nothing but faces moves: it shows the beginning, at a rate that lips need."""
SCENE_NAME = "scene.yaml"
LARGEST_DOCUMENT = 2_000_000
"""Characters; a hundred lines of a hundred points take a tenth of it."""
MOST_MEMBERS = 500
"""Files in a packed scene: two for each of the controls that a scene may have, and some."""
LARGEST_DIRECTORY = 1 << 20
"""Bytes of a zip's list of files: two kilobytes for each."""
LONGEST_ZIP_END = (1 << 16) + 22 + 20
"""Bytes at a zip's end in which its last record lies: a comment, the record, and what may be before it."""
ZIP_DAMAGE = (
    zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, ValueError, OSError
)  # fmt: skip
"""What zipfile raises while it reads a member of a damaged one."""
KEPT = "scene-"
"""What the names of scenes begin with that the page keeps for a reload."""


def request_from_scene(scene: object, visitor: Visitor) -> AnimationRequest:
    """What the canvas asks for. Raises InputError: it is no scene, too large, or names foreign files."""
    request = AnimationRequest.from_data(scene)
    if request.num_frames > MOST_FRAMES:
        raise InputError(
            f"{request.num_frames} frames are too many here: ask for {MOST_FRAMES} or fewer.",
            key="clip.long",
            frames=request.num_frames,
            most=MOST_FRAMES,
        )
    if request.size is not None and max(request.size) > LONGEST_SIDE:
        raise InputError(
            f"a clip may be at most {LONGEST_SIDE} pixels long and high here: make it smaller.",
            key="clip.large",
            most=LONGEST_SIDE,
        )
    return without_outputs(request).with_paths(lambda path: visitor.file(*path.parts))


def without_outputs(request: AnimationRequest) -> AnimationRequest:
    """The same request, to be written wherever somebody says later."""
    return request.model_copy(update={"outputs": Outputs()})


def scene_from_request(request: AnimationRequest) -> dict[str, Any]:
    """The canvas's state: files under their names in the visitor's folder, cameras in the plainest words."""
    data = request.with_paths(lambda path: Path(path.name)).to_data()
    return {key: value for key, value in data.items() if key != "outputs"}


def save_document(name: str, document: dict[str, Any], visitor: Visitor) -> None:
    """Keeps what is on a page in the visitor's folder, as the page describes it.

    It is read by the page alone, and need not be a scene that could be made yet. Raises InputError for a
    name that the page does not give, and for what is too large.
    """
    if not re.fullmatch(rf"{KEPT}[a-z0-9]{{4,20}}", name):
        raise InputError(f'a scene cannot be kept as "{name[:40]}".', key="scene.name")
    text = json.dumps(document)
    if len(text) > LARGEST_DOCUMENT:
        raise InputError("this scene has too many points to be kept: make it simpler.", key="scene.points")
    path = visitor.room() / "scenes" / f"{name}.json"
    with visitor.having(len(text)), replacing(path, overwrite=True) as hidden:
        hidden.write_text(text, encoding="utf-8")


def read_document(name: str, visitor: Visitor) -> dict[str, Any]:
    """What was kept under that name. Raises InputError when nothing was."""
    try:
        path = visitor.file("scenes", f"{name}.json")
    except InputError:
        raise unknown_scene(name) from None
    return json.loads(path.read_text(encoding="utf-8"))


def unknown_scene(name: str) -> InputError:
    """Nothing of that name is in this visit."""
    return InputError(
        f'there is no scene "{name[:40]}" in this visit: it is another browser\'s, or older than a day.',
        key="scene.absent",
    )


def adopt_files(request: AnimationRequest, visitor: Visitor) -> AnimationRequest:
    """The request over copies of its files in the visitor's folder; files already copied are not again."""

    def adopt(path: Path) -> Path:
        copy = visitor.room() / path.name
        if not copy.exists():
            shutil.copyfile(path, copy)
        return copy

    return without_outputs(request).with_paths(adopt)


def preview_request(request: AnimationRequest, width: int, height: int) -> AnimationRequest:
    """The same motion small and in few frames, for a picture of width x height; it lasts as long.

    Controls keep their share of the clip's time. Where only faces are driven, it shows the beginning.
    """
    wide, high = request.size or (width, height)
    scale = min(1.0, PREVIEW_SIDE / max(wide, high))
    frames = min(request.num_frames, PREVIEW_FRAMES)
    share = (frames - 1) / (request.num_frames - 1)
    only_faces = len(request.driven_faces) == len(request.controls)

    def sooner(control: Any) -> Any:
        if isinstance(control, (LandmarkControl, SwayControl, StillControl)):
            return control
        end = request.num_frames - 1 if control.end is None else control.end
        start = min(round(control.start * share), frames - 2)
        return control.model_copy(update={"start": start, "end": max(start + 1, round(end * share))})

    return request.model_copy(
        update={
            "size": (max(16, round(wide * scale)), max(16, round(high * scale))),
            "frames": frames,
            "fps": FACE_PREVIEW_FPS if only_faces else request.frame_rate * frames / request.num_frames,
            "renderer": "warp",
            "controls": tuple(sooner(control) for control in request.controls),
        }
    )


def pack_scene(request: AnimationRequest, target: Path | io.BytesIO) -> None:
    """Writes the scene and the files it names as one zip."""
    names: dict[Path, str] = {}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as package:

        def pack(path: Path) -> Path:
            if path not in names:
                taken = path.name in (*names.values(), SCENE_NAME)
                names[path] = f"{len(names)}-{path.name}" if taken else path.name
                package.write(path, names[path])
            return Path(names[path])

        bare = request.with_paths(pack)
        package.writestr(SCENE_NAME, without_outputs(bare).to_yaml())


def files_of(request: AnimationRequest) -> frozenset[Path]:
    """The files that a scene names."""
    files: set[Path] = set()

    def noted(path: Path) -> Path:
        files.add(path)
        return path

    request.with_paths(noted)
    return frozenset(files)


def packed_bytes(request: AnimationRequest) -> int:
    """What a packed scene takes, rather too many bytes than few."""
    return 2 * LARGEST_DOCUMENT + sum(path.stat().st_size for path in files_of(request))


def scene_to_offer(path: Path) -> Path | bytes:
    """A scene of this machine as a zip: one that is packed as it is, a file with what it names packed.

    Raises InputError: it is no scene, or one of its files is missing.
    """
    if zipfile.is_zipfile(path):
        return path
    request = without_outputs(AnimationRequest.from_file(path))
    request.with_paths(_there)
    content = io.BytesIO()
    pack_scene(request, content)
    return content.getvalue()


def _there(path: Path) -> Path:
    if not path.is_file():
        raise InputError(
            f"the scene needs {path}, which is not there: check the path in the scene.",
            key="scene.file",
            name=path.name,
        )
    return path


def unpack_scene(file: Path | io.BytesIO, visitor: Visitor, picture: str | None) -> dict[str, Any]:
    """The canvas's state from a scene file (.yaml, .json) or a packed scene (.zip).

    Files from a zip land in the visitor's folder. A scene alone names files that did not come with it: its
    photo is then `picture`, the one on the canvas, and controls whose files are missing are refused.
    """
    if isinstance(file, Path) and not zipfile.is_zipfile(file):
        with file.open("rb") as opened:
            text = opened.read(4 * LARGEST_DOCUMENT)  # more is no scene, however its letters are coded
        return _with_files(_read_text(text), {}, visitor, picture)
    with _package(file) as package:
        entries = {entry.filename: entry for entry in package.infolist() if not entry.filename.endswith("/")}
        if len(entries) > MOST_MEMBERS:
            raise InputError(
                f"the zip holds {len(entries)} files, and no scene needs so many: pack fewer.",
                key="zip.files",
                count=len(entries),
            )
        scenes = _scenes_among(entries)
        if len(scenes) != 1:
            raise InputError(
                f"the zip holds {len(scenes)} scenes: it should hold one, and its files.",
                key="zip.scenes",
                count=len(scenes),
            )
        data = _read_text(_read(package, entries.pop(scenes[0])))
        landed: dict[str, str] = {}
        try:
            for name, entry in entries.items():
                landed[name] = _land(package, entry, visitor)
            return _with_files(data, landed, visitor, picture)
        except BaseException:
            for name in landed.values():
                (visitor.folder / name).unlink(missing_ok=True)
            raise


def _scenes_among(names: Iterable[str]) -> list[str]:
    """Which files of a zip may be its scene: ours has its name, and most that is JSON is tracks or a face."""
    known = list(names)
    kinds = ((SCENE_NAME,), (".yaml", ".yml"), (".json",))
    found = ([name for name in known if name.endswith(ends)] for ends in kinds)
    return next(filter(None, found), [])


@contextmanager
def _package(file: Path | io.BytesIO) -> Iterator[zipfile.ZipFile]:
    try:
        _check_directory(file)
        package = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError) as error:
        raise InputError(f"the zip is damaged ({error}): pack the scene again.", key="zip.damaged") from None
    with package:
        yield package


def _check_directory(file: Path | io.BytesIO) -> None:
    """Raises InputError where a zip's list of files is too long to be read: each costs memory at once."""
    with file.open("rb") if isinstance(file, Path) else nullcontext(file) as content:
        content.seek(max(0, content.seek(0, io.SEEK_END) - LONGEST_ZIP_END))
        end = content.read()
        content.seek(0)
    place = end.rfind(b"PK\5\6")
    if place < 0 or len(end) < place + 22:
        raise zipfile.BadZipFile("it has no end")
    (size,) = struct.unpack_from("<I", end, place + 12)
    # A list of more than 65,535 files is told of in a record of its own before the end.
    if size > LARGEST_DIRECTORY or end[max(0, place - 20) : place].startswith(b"PK\6\7"):
        raise InputError(
            "the zip holds more files than any scene needs: pack fewer.",
            key="zip.files",
            count="65535+" if size <= LARGEST_DIRECTORY else size // 46,
        )


def _land(package: zipfile.ZipFile, entry: zipfile.ZipInfo, visitor: Visitor) -> str:
    """Takes a file out of the zip, checked as any upload is; returns its new name."""
    kind = kind_of(entry.filename)
    if entry.file_size > KINDS[kind].most_bytes:
        raise _too_large(entry, KINDS[kind].most_bytes)
    with visitor.having(entry.file_size):
        path = visitor.room() / new_name(kind, Path(entry.filename).suffix.lower())
        try:
            with _opened(package, entry) as packed, path.open("xb") as file:
                shutil.copyfileobj(packed, file)  # no more than the zip has said
            check_upload(path, kind)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return path.name


def _read(package: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """The scene itself; what is longer than any document of the page is none."""
    if entry.file_size > LARGEST_DOCUMENT:
        raise _too_large(entry, LARGEST_DOCUMENT)
    with _opened(package, entry) as packed:
        return packed.read()


@contextmanager
def _opened(package: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    try:
        with package.open(entry) as packed:
            yield packed
    except ZIP_DAMAGE as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # places before the file's beginning
            raise
        raise InputError(
            f"the zip is damaged or locked ({error}): pack the scene again.", key="zip.damaged"
        ) from None


def _too_large(entry: zipfile.ZipInfo, most: int) -> InputError:
    return InputError(
        f'"{entry.filename[:80]}" in the zip is larger than {most >> 20} MB: shrink it.',
        key="zip.file",
        name=entry.filename[:80],
    )


def _read_text(content: bytes) -> dict[str, Any]:
    data = parse_scene(scene_text(content), "scene")
    if not isinstance(data, dict):
        raise InputError(
            "this is not a scene: it should be a mapping of keys to values, see docs/scene.md.",
            key="scene.not",
        )
    return data


def _with_files(
    data: dict[str, Any], landed: dict[str, str], visitor: Visitor, picture: str | None
) -> dict[str, Any]:
    if "picture" not in data and picture is not None:
        data["picture"] = picture
    request = AnimationRequest.from_data(json.loads(json.dumps(data, default=str)))

    def find(path: Path) -> Path:
        if path.as_posix() in landed:
            return Path(landed[path.as_posix()])
        if len(path.parts) == 1 and os.path.isfile(visitor.folder / path):  # however long its name is
            return path
        if path == request.picture and picture is not None:
            return Path(picture)
        raise InputError(
            f'the scene needs the file "{path.name}": open the .zip that has it inside.',
            key="scene.file",
            name=path.name,
        )

    return scene_from_request(request.with_paths(find))
