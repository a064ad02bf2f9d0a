"""Takes weights that are already on the disk into our store, told apart by their keys, not their names."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mofa.errors import InputError, WeightsError
from mofa.media.files import replacing
from mofa.types import Progress, silent
from mofa.weights.convert import checkpoint_form, read_shapes, sha256_of
from mofa.weights.face_model_files import MODEL_FILE, STANDARD_FILE, face_model_folder
from mofa.weights.registry import (
    SLOTS,
    Checkpoint,
    Slot,
    WeightFile,
    find_slot,
    in_words,
    odd_size,
    recognise,
)
from mofa.weights.store import check_room, home, record, slot_folder

_BLOCK = 1 << 22
"""Bytes copied at a time."""


@dataclass(frozen=True)
class Imported:
    """A file that was taken: from where, for which slot, and to where."""

    source: Path
    slot: str
    path: Path


@dataclass(frozen=True)
class Ignored:
    """A checkpoint that was not taken, and why."""

    source: Path
    reason: str


@dataclass(frozen=True)
class ImportReport:
    """What became of every checkpoint found; `others` counts the files that are none."""

    imported: tuple[Imported, ...]
    ignored: tuple[Ignored, ...]
    others: int


@dataclass(frozen=True)
class _Match:
    """A file of the disk that is to become `file` of `slot`; `as_released`: it lies where releases put it."""

    source: Path
    slot: Slot
    file: WeightFile
    as_released: bool


def import_weights(
    source: Path, slot: str | None = None, link: bool = False, progress: Progress = silent
) -> ImportReport:
    """Finds checkpoints in `source` (a file, or a folder with everything below it) and takes them.

    Each is recognised by its keys. Where two slots take the same kind, the released folder it lies in
    decides, or `slot`. Settings files beside it come along. With `link` the store points at the files
    instead of copying them. Each file appears in the store whole or not at all.

    Raises InputError: `source` does not exist, or there is no such slot. WeightsError: nothing of use
    was found. OutputError: not enough room.
    """
    if not source.exists():
        raise InputError(f"{source} does not exist; give a folder with weights, or one file.")
    chosen = find_slot(slot) if slot else None
    matches: list[_Match] = []
    ignored: list[Ignored] = []
    others = 0
    for path in _files_below(source):
        outcome = _examine(path, chosen)
        if outcome is None:
            others += 1
        elif isinstance(outcome, Ignored):
            ignored.append(outcome)
        else:
            matches.append(outcome)
    taken, spare = _without_duplicates(matches)
    face_model = tuple(_take_face_model(path, link) for path in _files_below(source) if _is_face_model(path))
    if not taken and face_model:
        return ImportReport(face_model, tuple(ignored), others - len(face_model))
    if not taken:
        raise WeightsError(_nothing_found(source, ignored, others))
    everything = [companion for match in taken for companion in (match, *_settings_beside(match))]
    if not link:
        check_room(home(), sum(match.source.stat().st_size for match in everything))
    imported = tuple(_take(match, link, progress) for match in _without_duplicates(everything)[0])
    return ImportReport((*imported, *face_model), tuple(ignored) + spare, others - len(face_model))


def _is_face_model(path: Path) -> bool:
    """Whether a file is one of the two of the Basel Face Model, by its name: the releases keep it."""
    return path.name in (MODEL_FILE, STANDARD_FILE)


def _take_face_model(path: Path, link: bool) -> Imported:
    target = face_model_folder() / path.name
    if target.exists() and target.resolve() == path.resolve():
        return Imported(path, "bfm", target)
    if link:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(path.resolve())
    else:
        with replacing(target, overwrite=True) as hidden:
            shutil.copyfile(path, hidden)
    return Imported(path, "bfm", target)


def _files_below(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
        return
    for folder, inner, names in os.walk(source):
        inner.sort()
        yield from (path for name in sorted(names) if (path := Path(folder) / name).is_file())


def _examine(path: Path, chosen: Slot | None) -> _Match | Ignored | None:
    """What to do with a file: take it, leave it for a reason, or pass over it as no checkpoint."""
    try:
        match checkpoint_form(path):
            case None:
                return None
            case "torchscript":
                return Ignored(path, "a TorchScript program, not used by mofa")
        shapes = read_shapes(path)
    except WeightsError as error:
        return Ignored(path, str(error))
    kind = recognise(shapes)
    if kind is None:
        return Ignored(path, "nothing that mofa uses")
    if size := odd_size(kind, shapes):
        return Ignored(path, f"{kind.title} in another size: {size}")
    return _choose(path, kind, chosen)


def _choose(path: Path, kind: Checkpoint, chosen: Slot | None) -> _Match | Ignored:
    takers = [(slot, file) for slot in SLOTS for file in slot.files if file.checkpoint == kind.name]
    if chosen:
        takers = [(slot, file) for slot, file in takers if slot == chosen]
    placed = [(slot, file) for slot, file in takers if _lies_as_released(path, slot, file)]
    if len(placed) == 1 or len(takers) == 1:
        slot, file = (placed or takers)[0]
        return _Match(path, slot, file, bool(placed))
    if not takers:
        return Ignored(path, f"{kind.title}, which is not for {chosen.name}" if chosen else kind.title)
    names = " or ".join(f"--as {slot.name}" for slot, _ in takers)
    return Ignored(path, f"{kind.title}, which fits several places: say {names}")


def _lies_as_released(path: Path, slot: Slot, file: WeightFile) -> bool:
    """Whether the path ends as in a release, whose `ckpts/mofa` or `models` people put anywhere.

    Both precisions of a release are laid out alike, and differ in the file's name.
    """
    parts = path.absolute().parts
    endings = (PurePosixPath(source.folder).parts[-1:] for source in slot.sources)
    names = {PurePosixPath(file.released_as).parts, PurePosixPath(file.name).parts}
    released = [ending + name for ending in endings for name in names]
    return any(parts[-len(ending) :] == ending for ending in released)


def _without_duplicates(matches: list[_Match]) -> tuple[list[_Match], tuple[Ignored, ...]]:
    """One source per place: the one that lies as released, else the first; and the others."""
    best: dict[tuple[str, str], _Match] = {}
    spare = []
    for match in sorted(matches, key=lambda match: not match.as_released):
        winner = best.setdefault((match.slot.name, match.file.name), match)
        if winner is not match:
            spare.append(Ignored(match.source, f"{match.slot.name} was taken from {winner.source} already"))
    return list(best.values()), tuple(spare)


def _settings_beside(match: _Match) -> Iterator[_Match]:
    """The settings files that belong to a checkpoint, from its own folder or the released one above."""
    inside = PurePosixPath(match.file.name).parent
    root = match.source.parents[len(inside.parts)]
    for file in match.slot.files:
        if file.checkpoint is not None:
            continue
        beside = match.source.parent / PurePosixPath(file.name).name
        same_folder = PurePosixPath(file.name).parent == inside
        candidates = [beside] if same_folder else [root / file.name] if inside.parts else []
        yield from (_Match(path, match.slot, file, False) for path in candidates if path.is_file())


def _take(match: _Match, link: bool, progress: Progress) -> Imported:
    source = match.source.resolve()
    target = slot_folder(match.slot) / match.file.name
    if target.is_file() and target.resolve() == source and not target.is_symlink():
        sha256 = sha256_of(target, progress)
    elif link:
        sha256 = sha256_of(source, progress)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(source)
    else:
        # A link of an earlier import must not lead the copy onto its own source.
        if target.is_symlink():
            target.unlink()
        with replacing(target, overwrite=True) as hidden:
            sha256 = _copy(source, hidden, progress)
    record(match.slot, target, sha256, f"imported from {source}")
    return Imported(match.source, match.slot.name, target)


def _copy(source: Path, target: Path, progress: Progress) -> str:
    """Copies the bytes; returns their SHA-256."""
    digest, done, size = hashlib.sha256(), 0, source.stat().st_size
    with source.open("rb") as reading, target.open("wb") as writing:
        while block := reading.read(_BLOCK):
            digest.update(block)
            writing.write(block)
            done += len(block)
            progress(f"copying {source.name}", done, size)
    return digest.hexdigest()


def _nothing_found(source: Path, ignored: list[Ignored], others: int) -> str:
    if not ignored:
        return f"{source} holds no checkpoint ({others} other files); give the folder that has the weights."
    first = ignored[0]
    more = f", and {len(ignored) - 1} more" if len(ignored) > 1 else ""
    size = in_words(first.source.stat().st_size)
    return f"{source} holds nothing to import: {first.source.name} ({size}) is {first.reason}{more}."
