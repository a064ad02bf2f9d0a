"""Where weights are on this machine: our own folder, one room per slot, and the Hugging Face cache.

A slot's folder holds its files under the registry's names and `manifest.json`, which keeps for every
file its SHA-256, its size and where it came from.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from mofa.errors import OutputError, WeightsError
from mofa.media.files import replacing
from mofa.types import Progress, silent
from mofa.weights.convert import PICKLE_SUFFIXES, convert, converted_name, read_shapes, sha256_of
from mofa.weights.low_rank import LOW_RANK_SETTINGS, LOW_RANK_WEIGHTS, read_low_rank
from mofa.weights.registry import (
    SLOTS,
    Slot,
    WeightFile,
    find_checkpoint,
    find_slot,
    in_words,
    odd_size,
    recognise,
)

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Record:
    """What the manifest knows of one file: SHA-256 in hexadecimal, bytes, and where it came from."""

    sha256: str
    size: int
    origin: str


@dataclass(frozen=True)
class SlotState:
    """What is there of a slot: registry name -> path of the files found, and the files that are not."""

    slot: Slot
    paths: Mapping[str, Path]
    missing: tuple[WeightFile, ...]

    @property
    def present(self) -> bool:
        """Whether the slot can be used."""
        return all(file.optional for file in self.missing)

    @property
    def size(self) -> int:
        """Bytes on this disk."""
        return sum(path.stat().st_size for path in self.paths.values())


@dataclass(frozen=True)
class Check:
    """The outcome of verifying one file: what was `compared`, and the `problem`, None where all is well."""

    slot: str
    path: Path
    problem: str | None
    compared: str


def home() -> Path:
    """The folder of everything mofa keeps: MOFA_HOME, else the platform's cache folder."""
    if chosen := os.environ.get("MOFA_HOME"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "mofa"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "mofa"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mofa"


def slot_folder(slot: Slot) -> Path:
    """The slot's folder in our store; it need not exist."""
    return home() / "models" / slot.name


def unfinished_folder(slot: Slot) -> Path:
    """Where the slot's half-fetched files wait; on the store's disk, so that landing is a rename."""
    return home() / "downloads" / slot.name


_standing_in: ContextVar[Mapping[str, Path]] = ContextVar("standing_in", default=MappingProxyType({}))


@contextmanager
def standing_in(folders: Sequence[Path]) -> Iterator[None]:
    """Within this block, weights of these folders stand in for those of their slots.

    What a folder holds (an adapter, CMP, a backbone) is told by its keys, so that what `mofa train` wrote is
    used as the released weights are. Raises WeightsError for a folder without weights that a slot takes.
    """
    token = _standing_in.set({**_standing_in.get(), **{slot_of(folder): folder for folder in folders}})
    try:
        yield
    finally:
        _standing_in.reset(token)


def slot_of(folder: Path) -> str:
    """The slot whose kind of checkpoint lies in a folder; WeightsError for none.

    It lies at the folder's top, or where the slot or its release has it.
    """
    if (change := read_low_rank(folder)) is not None:
        return change.adapter
    for path in (*_checkpoints_of(folder), *sorted(folder.glob("unet/*.safetensors"))):
        kind = recognise(read_shapes(path))
        for slot in SLOTS:
            if kind is not None and any(file.checkpoint == kind.name for file in slot.files):
                return slot.name
    raise WeightsError(
        f"{folder} holds no weights that mofa uses: name a folder that has an adapter's "
        "diffusion_pytorch_model.safetensors and config.json, such as runs/x/checkpoint-2000."
    )


def _checkpoints_of(folder: Path) -> list[Path]:
    """Checkpoints at a folder's top, else where releases have them below it."""
    places = [folder, *(folder / source.folder for slot in SLOTS for source in slot.sources if source.folder)]
    patterns = ["*.safetensors", *(f"*{suffix}" for suffix in PICKLE_SUFFIXES)]
    found = (sorted(path for pattern in patterns for path in place.glob(pattern)) for place in places)
    return next((paths for paths in found if paths), [])


def _of_own_folder(slot: Slot, folder: Path) -> SlotState:
    """A folder's files under the registry's names; a checkpoint may be called as it likes."""
    if (change := read_low_rank(folder)) is not None:
        return _changed(slot, folder, change.base)
    found = {file.name: path for file in slot.files if (path := folder / file.name).is_file()}
    single = _checkpoints_of(folder)
    lacking = [file for file in slot.files if file.checkpoint and file.name not in found]
    if len(single) == len(lacking) == 1:
        found[lacking[0].name] = single[0]
    beside = single[0].parent if single else folder
    if (config := beside / "config.json").is_file():
        found.setdefault("config.json", config)
    return SlotState(slot, found, tuple(file for file in slot.files if file.name not in found))


def _changed(slot: Slot, folder: Path, base: str) -> SlotState:
    """The files of the adapter that a low-rank change is of, and the change."""
    if base in {known.name for known in SLOTS}:
        own = _stored(find_slot(base))
        below = own if own.present or not own.slot.stand_in else _stored(find_slot(own.slot.stand_in))
    elif not Path(folder, base).is_dir():
        raise WeightsError(
            f"{folder} changes the adapter in {base}, which is not there: put it back, or write its "
            f'place as "base_model_name_or_path" in {folder / LOW_RANK_SETTINGS}.'
        )
    elif read_low_rank(Path(folder, base)) is not None:
        raise WeightsError(
            f"{folder} changes {base}, which is a low-rank change itself: merge that first with "
            f"`mofa models export {base} -o DIR`, and train from DIR."
        )
    else:
        below = _of_own_folder(slot, Path(folder, base))
    change = {name: folder / name for name in (LOW_RANK_WEIGHTS, LOW_RANK_SETTINGS)}
    return SlotState(slot, {**below.paths, **change}, below.missing)


def own_files(folder: Path) -> Mapping[str, Path]:
    """Registry name -> path of the weights in a folder of one's own, as `standing_in` takes them.

    Raises WeightsError where there are none, or what they change is absent.
    """
    slot = find_slot(slot_of(folder))
    state = _of_own_folder(slot, folder)
    if not state.present:
        lacking = ", ".join(file.name for file in state.missing if not file.optional)
        raise WeightsError(
            f"{folder} lacks {lacking} of {slot.title}: name the folder that has everything, or get what it "
            f"changes with `mofa models download {slot.name}`."
        )
    return state.paths


def locate(slot: Slot) -> SlotState:
    """Looks for the slot's files in our store, converted ones first, then in the Hugging Face cache."""
    if slot.name in _standing_in.get():
        return _of_own_folder(slot, _standing_in.get()[slot.name])
    return _stored(slot)


def _stored(slot: Slot) -> SlotState:
    found = {file.name: path for file in slot.files if (path := _locate_file(slot, file))}
    return SlotState(slot, found, tuple(file for file in slot.files if file.name not in found))


def usable(name: str) -> SlotState:
    """What serves as a slot's weights: its own files, or those of its stand-in where only they are there."""
    state = locate(find_slot(name))
    if state.present or not state.slot.stand_in:
        return state
    other = locate(find_slot(state.slot.stand_in))
    return SlotState(state.slot, other.paths, ()) if other.present else state


def require(names: Sequence[str], instead: str = "--renderer warp") -> dict[str, Mapping[str, Path]]:
    """Slot name -> registry name -> path, of all the slots named.

    Raises WeightsError where any is absent, naming all that are, and `instead` (see `explain_missing`).
    """
    states = [usable(name) for name in names]
    if absent := [state.slot.name for state in states if not state.present]:
        raise explain_missing(absent, instead)
    return {state.slot.name: state.paths for state in states}


def explain_missing(names: Sequence[str], instead: str = "--renderer warp") -> WeightsError:
    """The error of a request whose weights are absent: what, how large, which terms, what to do.

    `instead` is the option that needs none.
    """
    wishes = " and ".join(_wish(locate(find_slot(name))) for name in names)
    return WeightsError(
        f"This needs weights that are not on this machine: {wishes}; get them with "
        f"`mofa models download {' '.join(names)}`, or `mofa models import FOLDER` if you have them, "
        f"or use `{instead}`, which needs none.",
        key="weights.missing",
    )


def _wish(state: SlotState) -> str:
    slot = state.slot
    only = "" if not state.paths else f"; only {', '.join(file.name for file in state.missing)} is missing"
    token = ", needs an access token" if slot.gated else ""
    return f"{slot.name} ({in_words(slot.size)}, licence {slot.licence.name}{token}{only})"


def verify(slot: Slot, progress: Progress = silent) -> list[Check]:
    """Hashes every file of the slot that is there and compares it with what was recorded.

    Files in the Hugging Face cache are compared with the checksum that the hub gave. Checkpoints are
    also opened, to see that they are what the slot needs. `progress` counts bytes.
    """
    paths = locate(slot).paths
    return [_verify_file(slot, file, paths[file.name], progress) for file in slot.files if file.name in paths]


def _verify_file(slot: Slot, file: WeightFile, path: Path, progress: Progress) -> Check:
    expected = recorded_sha256(slot, path)
    means = {"checksum": expected is not None, "keys": file.checkpoint is not None}
    compared = " and ".join(name for name, possible in means.items() if possible) or "nothing on record"
    if expected and sha256_of(path, progress) != expected:
        problem = f"{path} has changed since it was fetched (its checksum differs); {_again(slot)}."
        return Check(slot.name, path, problem, compared)
    return Check(slot.name, path, wrong_content(file, path), compared)


def wrong_content(file: WeightFile, path: Path) -> str | None:
    """Why `path` cannot serve as `file`, by its keys or its checksum; None where it can."""
    if file.sha256 and sha256_of(path) != file.sha256:
        return f"{path} is not the published {file.name} (its checksum differs); fetch it again."
    if file.checkpoint is None:
        return None
    wanted = find_checkpoint(file.checkpoint)
    try:
        shapes = read_shapes(path)
    except WeightsError as error:
        return str(error)
    looks = recognise(shapes)
    if looks is None:
        return f"{path} is not {wanted.title}: its keys are unknown; choose another file."
    if looks != wanted:
        return f"{path} looks like {looks.title}, not like {wanted.title}; choose another file."
    size = odd_size(wanted, shapes)
    return f"{path} is {wanted.title} in another size: {size}; choose another file." if size else None


def convert_stored(slot: Slot) -> list[Path]:
    """Turns the slot's pickled files in our store into safetensors; returns the new files.

    The pickled file is removed once its replacement is written and recorded. Files in the Hugging Face
    cache stay, their conversion goes to our store.

    Raises WeightsError: nothing is there, or a file is damaged. OutputError: no room.
    """
    state = locate(slot)
    if not state.present:
        raise explain_missing([slot.name])
    written = []
    for file in slot.files:
        path = state.paths[file.name]
        if not path.name.endswith(PICKLE_SUFFIXES):
            continue
        check_room(home(), path.stat().st_size)
        target = slot_folder(slot) / converted_name(file.name)
        convert(path, target, overwrite=True)
        record(slot, target, sha256_of(target), f"converted from {path}")
        if path.parent == target.parent:
            path.unlink()
            forget(slot, path)
        written.append(target)
    return written


def stored_files(slot: Slot) -> list[Path]:
    """The slot's files in our store, links that lead nowhere included, the manifest not."""
    folder = slot_folder(slot)
    names = {name for file in slot.files for name in (file.name, converted_name(file.name))}
    return sorted(path for name in names if (path := folder / name).is_symlink() or path.is_file())


def remove(slot: Slot) -> int:
    """Deletes the slot's files from our store; returns the bytes freed. Links go, their targets stay."""
    freed = 0
    folder = slot_folder(slot)
    shutil.rmtree(unfinished_folder(slot), ignore_errors=True)
    for path in [*stored_files(slot), folder / MANIFEST]:
        freed += 0 if path.is_symlink() or not path.exists() else path.stat().st_size
        path.unlink(missing_ok=True)
    for emptied in sorted({path.parent for path in folder.rglob("*")} | {folder}, reverse=True):
        if emptied.is_dir() and not any(emptied.iterdir()):
            emptied.rmdir()
    return freed


def record(slot: Slot, path: Path, sha256: str, origin: str) -> None:
    """Notes a file of our store in the slot's manifest."""
    entry = Record(sha256, path.stat().st_size, origin)
    _write_manifest(slot, {**read_manifest(slot), _key(slot, path): entry})


def forget(slot: Slot, path: Path) -> None:
    """Takes a file out of the slot's manifest."""
    kept = read_manifest(slot)
    kept.pop(_key(slot, path), None)
    _write_manifest(slot, kept)


def read_manifest(slot: Slot) -> dict[str, Record]:
    """Registry name -> record. Empty where there is none; WeightsError where it is damaged."""
    file = slot_folder(slot) / MANIFEST
    try:
        return {name: Record(**entry) for name, entry in json.loads(file.read_text("utf-8"))["files"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{file} is damaged; delete it and {_again(slot)}.") from error


def recorded_sha256(slot: Slot, path: Path) -> str | None:
    """The checksum that `path` should have, as far as anybody noted it."""
    if path.is_relative_to(slot_folder(slot)):
        entry = read_manifest(slot).get(_key(slot, path))
        return entry.sha256 if entry else None
    # The hub's cache names the content of large files by its SHA-256.
    blob = path.resolve().name
    return blob if re.fullmatch(r"[0-9a-f]{64}", blob) else None


def check_room(folder: Path, needed: int) -> None:
    """Raises OutputError where the disk of `folder` has less than `needed` bytes free."""
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise OutputError(
            f"The disk of {folder} has {in_words(free)} free, but {in_words(needed)} are needed; "
            "free some space or set MOFA_HOME to a folder on another disk.",
            key="disk.weights",
            needed=in_words(needed),
            free=in_words(free),
        )


def _write_manifest(slot: Slot, entries: Mapping[str, Record]) -> None:
    content = {"files": {name: asdict(entry) for name, entry in sorted(entries.items())}}
    with replacing(slot_folder(slot) / MANIFEST, overwrite=True) as hidden:
        hidden.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def _key(slot: Slot, path: Path) -> str:
    return path.relative_to(slot_folder(slot)).as_posix()


def _again(slot: Slot) -> str:
    return f"get it again with `mofa models remove {slot.name}` and `mofa models download {slot.name}`"


def _locate_file(slot: Slot, file: WeightFile) -> Path | None:
    own = (slot_folder(slot) / name for name in (converted_name(file.name), file.name))
    return next(
        (path for path in (*own, *_packaged(slot, file), *_cached(slot, file)) if path.is_file()), None
    )


def _packaged(slot: Slot, file: WeightFile) -> Iterator[Path]:
    """Where an installed Python package has the file; the package itself is not run."""
    found = find_spec(slot.package) if slot.package else None
    for folder in (found.submodule_search_locations or ()) if found else ():
        yield Path(folder) / file.released_as


def _cached(slot: Slot, file: WeightFile) -> Iterator[Path]:
    """Where the Hugging Face cache has the file, if that library is installed."""
    try:
        from huggingface_hub import constants
    except ImportError:
        return
    for source in slot.sources:
        # What looks into the cache brings an HTTP client along, for which most machines have no use here.
        if not Path(constants.HF_HUB_CACHE, f"models--{source.repository.replace('/', '--')}").is_dir():
            continue
        from huggingface_hub import try_to_load_from_cache

        if isinstance(found := try_to_load_from_cache(source.repository, source.path(file)), str):
            yield Path(found)
