"""What a batch is to make: scenes out of files, folders, tables, and one template over many photos."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mofa.batch.remote import Mirror, is_url
from mofa.errors import InputError, ResourceError
from mofa.pipeline.request import AnimationRequest, parse_scene, read_scene_text

SCENES, TABLES = (".yaml", ".yml", ".json"), (".csv", ".jsonl")
PHOTOS = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp", ".tif", ".tiff")
ROW_KEYS = ("scene", "name")
"""Columns of a table that are no scene keys: the scene file that a row starts from, and what it is called."""


@dataclass(frozen=True)
class Row:
    """One clip to be made: its name, the request (whose clip is its output), and where it was asked for."""

    name: str
    request: AnimationRequest
    where: str

    @property
    def output(self) -> Path:
        """The clip's file."""
        assert self.request.outputs.clip is not None
        return self.request.outputs.clip


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be made, and the sentence that says why."""

    name: str
    where: str
    error: str


@dataclass(frozen=True)
class Template:
    """A scene in which {picture} stands for a photo and {name} for its name, and the folder it lies in."""

    data: Mapping[str, Any]
    folder: Path


def read_rows(
    sources: Sequence[str],
    folder: Path,
    template: Path | None = None,
    suffix: str = ".mp4",
    mirror: Mirror | None = None,
) -> list[Row | BadRow]:
    """Every clip that `sources` ask for, in order, written to `folder`/NAME.mp4.

    A source is a scene file, a table (.csv, .jsonl) of scene keys, a folder of either, a pattern with `*`,
    or, with a template, a photo or a folder of photos; each may be at a URL, and so may what a scene names,
    where there is a `mirror` to fetch it to. A row that is wrong is a BadRow; the others go on.
    Raises InputError for a source that is nothing of this.
    """
    pattern = read_template(template) if template is not None else None
    found: list[Row | BadRow] = []
    taken: dict[Path, str] = {}
    for where, name, make in asked(sources, pattern, mirror):
        row = row_or_reason(where, name, make, folder, suffix, mirror)
        if isinstance(row, Row):
            if (other := taken.get(row.output)) is not None:
                row = BadRow(row.name, where, f"its output {row.output} is that of {other}: rename one.")
            else:
                taken[row.output] = where
        found.append(row)
    return found


Make = Mapping[str, Any] | InputError
"""The data of a scene with absolute paths, or why there is none."""


def asked(
    sources: Iterable[str], template: Template | None, mirror: Mirror | None = None
) -> Iterator[tuple[str, str, Make]]:
    """Where, name and data of every clip that is asked for."""
    for path in files_of(sources, PHOTOS if template is not None else (*SCENES, *TABLES), mirror):
        suffix = path.suffix.lower()
        if template is not None and suffix in PHOTOS:
            yield str(path), path.stem, filled(template, path)
        elif suffix in TABLES:
            yield from table_rows(path, template)
        elif suffix in SCENES:
            yield str(path), scene_name(path), scene_data(path)
        else:
            raise InputError(f"{path} is no scene (.yaml, .json) and no table (.csv, .jsonl).")


def files_of(sources: Iterable[str], wanted: Sequence[str], mirror: Mirror | None = None) -> Iterator[Path]:
    """The files that sources name; folders and patterns in alphabetical order."""
    for source in sources:
        path = Path(source)
        if mirror is not None and is_url(source):
            found = list(mirror.files(source))
            yield from (path for path in found if len(found) == 1 or path.suffix.lower() in wanted)
        elif path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in wanted and p.is_file())
            yield from (p for p in inside if not p.name.startswith("."))
        elif "*" in source or "?" in source:
            matches = sorted(Path(path.anchor or ".").glob(str(path.relative_to(path.anchor))))
            if not matches:
                raise InputError(f"no file matches {source}.")
            yield from matches
        elif path.exists():
            yield path
        else:
            raise InputError(f"{source} does not exist: check the path.")


def scene_name(path: Path) -> str:
    """A scene file's name without its suffixes."""
    return path.stem.removesuffix(".scene")


def scene_data(path: Path) -> Make:
    """A scene file's data, paths resolved against its folder."""
    try:
        return plain(AnimationRequest.from_file(path))
    except InputError as error:
        return error


def plain(request: AnimationRequest) -> dict[str, Any]:
    """As plain data; a batch writes extras only where they were asked for by name."""
    data = request.to_data()
    if "extras" not in request.outputs.model_fields_set:
        data.pop("outputs", None)
    return data


def read_template(path: Path) -> Template:
    """A scene file with placeholders. Raises InputError."""
    data = parse_scene(read_scene_text(path), str(path))
    if not isinstance(data, dict):
        raise InputError(f"{path}: a scene is a mapping of keys to values, see docs/scene.md.")
    return Template(data, path.parent)


def filled(template: Template, photo: Path) -> Make:
    """The template for one photo; where it names no picture, the photo is it."""
    words = {"picture": str(photo.resolve()), "name": photo.stem}
    data = replaced(dict(template.data), words)
    data.setdefault("picture", words["picture"])
    try:
        return plain(AnimationRequest.from_data(data, str(photo)).relative_to(template.folder))
    except InputError as error:
        return error


def replaced(value: Any, words: Mapping[str, str]) -> Any:
    """Plain data with {word} replaced in every text."""
    match value:
        case dict():
            return {key: replaced(item, words) for key, item in value.items()}
        case list():
            return [replaced(item, words) for item in value]
        case str():
            for word, text in words.items():
                value = value.replace(f"{{{word}}}", text)
            return value
        case _:
            return value


def table_rows(path: Path, template: Template | None) -> Iterator[tuple[str, str, Make]]:
    """The rows of a table. A row names scene keys, a dot going deeper (diffusion.steps), and may start from a
    `scene` file or the template; `name` is what its clip is called."""
    for number, row in numbered(path):
        where = f"{path}, row {number}"
        if isinstance(row, InputError):
            yield where, f"{path.stem}-{number}", row
            continue
        given = {key: value for key, value in row.items() if value not in (None, "")}
        name = str(given.get("name") or f"{path.stem}-{number}")
        try:
            yield where, name, row_data(given, path.parent, template, where)
        except InputError as error:
            yield where, name, error


def row_data(
    given: Mapping[str, Any], folder: Path, template: Template | None, where: str
) -> Mapping[str, Any]:
    """A row's scene. Raises InputError."""
    data: dict[str, Any] = {}
    if "scene" in given:
        data = plain(AnimationRequest.from_file(folder / str(given["scene"])))
    elif template is not None:
        photo = folder / str(given.get("picture", ""))
        base = replaced(dict(template.data), {"picture": str(photo.resolve()), "name": photo.stem})
        own = dict(base)
        own.setdefault("picture", str(photo.resolve()))
        data = plain(AnimationRequest.from_data(own, where).relative_to(template.folder))
    for key, value in given.items():
        if key not in ROW_KEYS and not (key == "picture" and template is not None and "scene" not in given):
            put(data, key, value, where)
    return plain(AnimationRequest.from_data(data, where).relative_to(folder))


def put(data: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Sets a key, which a dot takes deeper. Raises InputError where something else is in the way."""
    *outer, last = key.split(".")
    for part in outer:
        data = data.setdefault(part, {})
        if not isinstance(data, dict):
            raise InputError(f"{where}: {key} goes into {part}, which holds no keys.")
    data[last] = value


def numbered(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | InputError]]:
    """Rows from 1 on; a line that cannot be read is its own row's fault. Raises InputError for the whole."""
    text = read_scene_text(path)
    if path.suffix.lower() == ".jsonl":
        for number, line in enumerate((line for line in text.splitlines() if line.strip()), 1):
            yield number, json_row(line)
        return
    reader = csv.DictReader(io.StringIO(text), strict=True)
    if not reader.fieldnames or not all(name.strip() for name in reader.fieldnames):
        raise InputError(
            f"{path} has no header: its first line names the scene keys, such as picture,frames."
        )
    number = 0
    try:
        for number, row in enumerate(reader, 1):
            if None in row or None in row.values():
                yield number, InputError("it has another number of columns than the header.")
            else:
                yield number, {key.strip(): scalar(value) for key, value in row.items()}
    except csv.Error as error:
        yield number + 1, InputError(f"the table cannot be read on from here: {error}.")


def json_row(line: str) -> Mapping[str, Any] | InputError:
    """One line of a .jsonl file."""
    try:
        row = json.loads(line)
    except ValueError:
        return InputError("it is no JSON.")
    return row if isinstance(row, dict) else InputError("it is no JSON object of scene keys.")


def scalar(text: str) -> Any:
    """A cell as YAML would read it: numbers, true and false, lists; what is none of it is text."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def row_or_reason(
    where: str, name: str, data: Make, folder: Path, suffix: str, mirror: Mirror | None = None
) -> Row | BadRow:
    """A row whose scene is right, files that it names included, with its place in `folder`."""
    if isinstance(data, InputError):
        return BadRow(name, where, str(data))
    if not name or "/" in name or "\\" in name or name.startswith("."):
        return BadRow(name, where, f"{name!r} is no name for a clip: use letters, digits, - and _.")
    try:
        request = AnimationRequest.from_data(data, where)
        if mirror is not None:
            request = request.with_paths(mirror.localized)
    except (InputError, ResourceError) as error:
        return BadRow(name, where, str(error))
    extras = request.outputs.extras if "outputs" in data else ()
    outputs = request.outputs.model_copy(update={"clip": folder / f"{name}{suffix}", "extras": extras})
    request = request.model_copy(update={"outputs": outputs})
    if missing := next((path for path in input_files(request) if not path.is_file()), None):
        return BadRow(name, where, f"{missing} does not exist: check the path.")
    return Row(name, request, where)


def input_files(request: AnimationRequest) -> list[Path]:
    """The files that a request reads."""
    found: list[Path] = []

    def note(path: Path) -> Path:
        found.append(path)
        return path

    outputs = request.outputs.model_copy(update={"clip": None})
    request.model_copy(update={"outputs": outputs}).with_paths(note)
    return list(dict.fromkeys(found))
