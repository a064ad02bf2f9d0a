"""Results are written under another name and renamed at the end: nothing half-made is ever seen."""

import errno
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from mofa.errors import OutputError
from mofa.media.forms import is_sequence, numbered

FRAME_PATTERN = "frame_*.png"
"""What a folder of frames holds, and all that `replacing_folder` will ever replace."""


def check_writable(paths: Sequence[Path], overwrite: bool) -> None:
    """Refuses outputs that could not be written, before any work is done; leaves nothing behind.

    A path without a suffix stands for a folder of frames, one with %04d in it for files of frames. Missing
    parent folders are no obstacle, they are created when the time comes.

    Raises OutputError: a path is taken (name `--overwrite`) or is no file, or its folder is not
    writable.
    """
    for folder in {path.parent for path in paths}:
        clear_leftovers(folder)
    for path in paths:
        if is_sequence(path):
            _check_sequence_target(path, overwrite)
        elif path.suffix:
            _check_file_target(path, overwrite)
        else:
            _check_folder_target(path, overwrite)
        with _explained(path):
            folder = next(parent for parent in path.absolute().parents if parent.exists())
        if not folder.is_dir():
            raise OutputError(
                f"{folder} is a file, so {path} cannot be written below it; choose another folder."
            )
        probe = _hidden_name(folder / path.name)
        with _explained(path):
            probe.touch(exist_ok=False)
            probe.unlink()


@contextmanager
def replacing(path: Path, overwrite: bool) -> Iterator[Path]:
    """Yields a hidden name beside `path`, with its suffix, that becomes `path` when the block succeeds.

    Parent folders are created. Whatever ends the block early, Ctrl-C included, removes the hidden
    file. Without `overwrite` the final rename never replaces a file, even one that appeared meanwhile.

    Raises OutputError: the file exists, or cannot be written (folder, permission, full disk).
    """
    clear_leftovers(path.parent)
    _check_file_target(path, overwrite)
    target = path.resolve() if path.is_symlink() else path
    hidden = _hidden_name(target)
    with _explained(path):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            yield hidden
            if overwrite:
                os.replace(hidden, target)
            else:
                _appear(hidden, target)
        finally:
            with suppress(OSError):
                hidden.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path, overwrite: bool) -> Iterator[Path]:
    """Like `replacing` for a folder of frames: yields an empty hidden folder that becomes `path`.

    An existing empty folder may be filled. With `overwrite`, a folder that holds frames
    (`FRAME_PATTERN`) and nothing else is replaced; any other content is never touched.

    Raises OutputError: the folder holds something, or cannot be written.
    """
    clear_leftovers(path.parent)
    _check_folder_target(path, overwrite)
    target = path.resolve() if path.is_symlink() else path
    hidden = _hidden_name(target)
    with _explained(path):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            hidden.mkdir()
            yield hidden
            _put_folder(hidden, target, overwrite)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


@contextmanager
def replacing_sequence(path: Path, overwrite: bool) -> Iterator[Path]:
    """Like `replacing` for a pattern such as frame-%04d.png: yields it in a hidden folder, whose files get
    their names when the block succeeds.

    With `overwrite`, files of the same names are replaced, and those of other numbers stay.
    Raises OutputError: a file of the pattern exists, or cannot be written.
    """
    clear_leftovers(path.parent)
    _check_sequence_target(path, overwrite)
    hidden = _hidden_name(path.with_suffix(""))
    with _explained(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            hidden.mkdir()
            yield hidden / path.name
            _check_sequence_target(path, overwrite)
            for new in sorted(hidden.iterdir()):
                os.replace(new, path.with_name(new.name))
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


def _of_pattern(path: Path) -> list[Path]:
    if not path.parent.is_dir():
        return []
    return [entry for entry in path.parent.iterdir() if numbered(path, entry.name)]


def _check_sequence_target(path: Path, overwrite: bool) -> None:
    with _explained(path):
        there = _of_pattern(path)
    for entry in there:
        _check_file_target(entry, overwrite)


@contextmanager
def together(folder: Path) -> Iterator[Callable[[Mapping[Path, Path], bool], None]]:
    """Makes a set of files appear whole, even where the run is killed while they get their names.

    Yields what is told, when every file is written, which hidden name stands for which path (all in `folder`)
    and whether files may be replaced. That is written down until the block has ended; where it never does,
    the next run in the folder gives the rest their names (`clear_leftovers`).
    """
    notes: list[Path] = []

    def announce(hidden: Mapping[Path, Path], overwrite: bool) -> None:
        moves = {new.name: path.name for path, new in hidden.items() if not is_sequence(path)}
        note = _hidden_name(folder / f"set{_SET}")
        with _explained(folder):
            draft = _hidden_name(folder / "draft")
            notes.extend((note, draft))
            draft.write_text(json.dumps({"overwrite": overwrite, "moves": moves}), encoding="utf-8")
            os.replace(draft, note)

    try:
        yield announce
    finally:
        for path in notes:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _finish_set(note: Path) -> None:
    """Gives the files of a run that was killed on the way the names that they were to have."""
    told = json.loads(note.read_text(encoding="utf-8"))
    for new, name in told["moves"].items():
        if _HIDDEN.fullmatch(new) is None or Path(name).name != name:
            continue  # a note from elsewhere leads nowhere
        hidden, target = note.with_name(new), note.with_name(name)
        with suppress(OSError, OutputError):  # it has its name already, or somebody else's file has it now
            if hidden.is_dir():
                _put_folder(hidden, target, told["overwrite"])
            elif told["overwrite"]:
                os.replace(hidden, target)
            else:
                _appear(hidden, target)
                hidden.unlink(missing_ok=True)


def _put_folder(hidden: Path, target: Path, overwrite: bool) -> None:
    """Gives a finished folder its name, in place of one of frames where there is one."""
    _check_folder_target(target, overwrite)
    previous = _hidden_name(target)
    try:
        if target.exists():
            os.rename(target, previous)
        try:
            os.rename(hidden, target)
        except BaseException:
            if previous.exists():
                os.rename(previous, target)
            raise
    finally:
        shutil.rmtree(previous, ignore_errors=True)


def clear_leftovers(folder: Path) -> None:
    """Removes what runs on this machine that were killed have left half-made in a folder; a set of files that
    was whole and lacked some of its names gets them."""
    left: list[Path] = []
    with suppress(OSError):  # no folder, or none to look into: whoever writes there says so
        left += [entry for entry in folder.glob(f".mofa-{_machine()}-*") if _is_left(entry)]
    for entry in left:
        if entry.suffix == _SET:
            with suppress(OSError, ValueError, KeyError, AttributeError):  # not one of ours
                _finish_set(entry)
    for entry in left:
        with suppress(OSError):
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _is_left(entry: Path) -> bool:
    match = _HIDDEN.fullmatch(entry.name)
    return match is not None and not _is_alive(int(match["process"])) and not entry.is_symlink()


_SET = ".set"
"""Suffix of the note about a set of files that are getting their names."""
_HIDDEN = re.compile(r"\.mofa-[0-9a-f]{8}-(?P<process>\d{1,10})-[0-9a-f]{12}(\.\w{1,16})?")


def _hidden_name(target: Path) -> Path:
    """Says who writes it, so that a later run knows whether they still do."""
    return target.with_name(f".mofa-{_machine()}-{os.getpid()}-{secrets.token_hex(6)}{target.suffix}")


@cache
def _machine() -> str:
    """A short name for this machine: a folder may be shared with others, whose processes we do not see."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _is_alive(process: int) -> bool:
    if os.name == "nt":  # where asking would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True


def _appear(hidden: Path, target: Path) -> None:
    """Gives a finished file its name, unless something has it already, in one step of the file system."""
    try:
        os.link(hidden, target)
    except FileExistsError:
        raise OutputError(_taken(target)) from None
    except OSError:  # no hard links here: the name is taken first
        _reserve(target)
        try:
            os.replace(hidden, target)
        except BaseException:
            target.unlink()
            raise


def _reserve(target: Path) -> None:
    """Takes the name with an empty file, which only one process can do."""
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        raise OutputError(_taken(target)) from None


def _check_file_target(path: Path, overwrite: bool) -> None:
    if not path.name:
        raise OutputError(f"{path} names no file; give a file name such as clip.mp4.")
    with _explained(path):
        is_folder = path.is_dir()
    if is_folder:
        raise OutputError(f"{path} is a folder; give a file name such as {path / 'clip.mp4'}.")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} is not an ordinary file; give another name.")
    if path.exists() and not overwrite:
        raise OutputError(_taken(path))


def _check_folder_target(path: Path, overwrite: bool) -> None:
    with _explained(path):
        exists = path.exists()
    if not exists:
        return
    if not path.is_dir():
        raise OutputError(
            f"{path} is a file, but frames go into a folder; give another name, or a suffix like .mp4."
        )
    with _explained(path):
        content = {entry.name for entry in path.iterdir()}
    frames = {entry.name for entry in path.glob(FRAME_PATTERN) if entry.is_file()}
    if content - frames:
        raise OutputError(f"{path} holds other files than frames; give a new or empty folder.")
    if frames and not overwrite:
        raise OutputError(_taken(path))


def _taken(path: Path) -> str:
    return f"{path} exists already; give another name, or --overwrite to replace it."


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns the system's refusals into sentences about `path`."""
    try:
        yield
    except OSError as error:
        raise OutputError(_refusal(path, error)) from error


def _refusal(path: Path, error: OSError) -> str:
    folder = path.absolute().parent
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            free = _free_space(folder)
            return f"The disk that holds {folder} is full{free}; free some space or choose another folder."
        case errno.EACCES | errno.EPERM:
            return f"{path} cannot be written: no permission in {folder}; choose another folder."
        case errno.EROFS:
            return f"{path} cannot be written: {folder} is read-only; choose another folder."
        case errno.EEXIST | errno.ENOTDIR:
            return f"{path} cannot be written: a file is in the way of its folder; choose another folder."
        case errno.ENAMETOOLONG:
            return f"{str(path)[:80]}... cannot be written: the name is too long; give a shorter one."
        case errno.EFBIG:
            return f"{path} cannot be written: it is larger than {folder} allows; choose another folder."
        case _:
            return f"{path} cannot be written ({error.strerror or error}); choose another place."


def _free_space(folder: Path) -> str:
    try:
        return f" ({shutil.disk_usage(folder).free / 1e6:.0f} MB free)"
    except OSError:
        return ""
