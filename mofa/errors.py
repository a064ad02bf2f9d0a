"""What can go wrong, in words for the person who has to act on it.

Every message is one sentence that says what, where, and what to do. The command line prints the
message and leaves with `exit_code`; a service returns it as it is. No input may show a traceback.
"""

LONGEST = 600
"""Characters of a message: nobody reads more, and foreign text can be of any length."""


def shortened(message: str) -> str:
    """A message cut in its middle where it is too long for anybody to read."""
    if len(message) <= LONGEST:
        return message
    return f"{message[: LONGEST // 2]} ... {message[-LONGEST // 2 :]}"


Value = str | int | float


class MofaError(Exception):
    """Base of every error that mofa raises on purpose.

    `key` names what is wrong, for those who say it in words of their own (in another language, say); `values`
    are what their words need. Without a key the sentence is all there is.
    """

    exit_code = 1

    def __init__(self, *sentence: str, key: str = "", **values: Value) -> None:
        super().__init__(*sentence)
        self.key = key
        self.values: dict[str, Value] = values


def reason(error: BaseException) -> tuple[str, dict[str, Value]]:
    """Key and values of an error, or of the nearest one behind it that has a key; "" where none has."""
    seen: BaseException | None = error
    while isinstance(seen, MofaError):
        if seen.key:
            return seen.key, seen.values
        seen = seen.__cause__ or seen.__context__
    return "", {}


class InputError(MofaError):
    """The request cannot be done as asked: the caller has to change something."""

    exit_code = 2


class OutputError(MofaError):
    """The result cannot be written where it was asked for."""

    exit_code = 2


class WeightsError(MofaError):
    """Weights are absent, damaged, or not those that the slot needs."""

    exit_code = 2


class ResourceError(MofaError):
    """The machine lacks a device or the memory that the request needs."""

    exit_code = 2


class OutOfMemory(ResourceError):
    """Memory ran out on the way; the same with less at once may fit."""


class Cancelled(MofaError):
    """Raised from a progress callback to stop a run; nothing half-made stays behind."""

    exit_code = 130
