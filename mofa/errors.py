"""What can go wrong, in words for the person who has to act on it.

Every message is one sentence that says what, where, and what to do. The command line prints the
message and leaves with `exit_code`; a service returns it `without_folders`. No input may show a traceback.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

LONGEST = 600
"""Characters of a message: nobody reads more, and foreign text can be of any length."""


def shortened(message: str) -> str:
    """A message cut in its middle where it is too long for anybody to read; halves of letters, which nobody
    can print, as codes."""
    message = message.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(message) <= LONGEST:
        return message
    return f"{message[: LONGEST // 2]} ... {message[-LONGEST // 2 :]}"


_FOLDERS = re.compile(
    r"(?<![\w./\\-])(?:[A-Za-z]:)?(?!//)[/\\]+(?:[^\s/\\\"'()<>;,]+(?: [^\s/\\\"'()<>;,]+)*[/\\]+)+"
)
"""The folders of an absolute path, whose names may have spaces in them."""


def without_folders(message: str) -> str:
    """A message in which files go by their names alone: where they lie here is no business of somebody
    elsewhere."""
    return _FOLDERS.sub("", message)


Value = str | int | float
Kind = TypeVar("Kind", bound="MofaError")


class MofaError(Exception):
    """Base of every error that mofa raises on purpose.

    `key` names what is wrong, for those who say it in words of their own (in another language, say); `values`
    are what their words need. Without a key the sentence is all there is. `place` is where in the request it
    lies ("controls.1.end"), for those who show it there; "" where nobody has said.
    """

    exit_code = 1
    usual_key = ""
    """The key of those that are raised without one."""

    def __init__(self, *sentence: str, key: str = "", **values: Value) -> None:
        super().__init__(*sentence)
        self.key = key
        self.place = ""
        self.values: dict[str, Value] = values

    def at(self: Kind, place: str) -> Kind:
        """The same error, that says where in the request it lies."""
        self.place = place
        return self


def _and_behind(error: BaseException) -> Iterator[MofaError]:
    """The error and those behind it, the nearest first, as long as they are ours."""
    seen: BaseException | None = error
    while isinstance(seen, MofaError):
        yield seen
        seen = seen.__cause__ or seen.__context__


def reason(error: BaseException) -> tuple[str, dict[str, Value]]:
    """Key and values of an error, or of the nearest one behind it that has a key; else the usual key."""
    for seen in _and_behind(error):
        if seen.key:
            return seen.key, seen.values
    return (error.usual_key if isinstance(error, MofaError) else ""), {}


def place_of(error: BaseException) -> str:
    """Where in the request an error lies, or the nearest one behind it that says so; "" where none does."""
    return next((seen.place for seen in _and_behind(error) if seen.place), "")


@contextmanager
def about(place: str) -> Iterator[None]:
    """Says of every error from inside where in the request it lies, unless somebody nearer has said."""
    try:
        yield
    except MofaError as error:
        error.place = place_of(error) or place
        raise


class InputError(MofaError):
    """The request cannot be done as asked: the caller has to change something."""

    exit_code = 2


class OutputError(MofaError):
    """The result cannot be written where it was asked for."""

    exit_code = 2
    usual_key = "disk.write"


class WeightsError(MofaError):
    """Weights are absent, damaged, or not those that the slot needs."""

    usual_key = "weights.other"

    exit_code = 2


class ResourceError(MofaError):
    """The machine lacks a device or the memory that the request needs."""

    exit_code = 2


class OutOfMemory(ResourceError):
    """Memory ran out on the way; the same with less at once may fit."""


class Cancelled(MofaError):
    """Raised from a progress callback to stop a run; nothing half-made stays behind."""

    exit_code = 130
