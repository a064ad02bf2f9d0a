"""Which version of a published file is meant: its SHA-256, and the commit of the repository that has it.

The registry says so where its publisher does. Of other files the first download that was verified is
recorded, and later ones, also after `remove`, ask for that commit and have to bring that content.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mofa.errors import WeightsError
from mofa.media.files import replacing
from mofa.weights.registry import Slot, WeightFile
from mofa.weights.store import home

PINS = "pins.json"


@dataclass(frozen=True)
class Pin:
    """A version of a file: SHA-256 in hexadecimal ("" for any), and by repository the commit that has it."""

    sha256: str = ""
    revisions: Mapping[str, str] = field(default_factory=dict)


def pinned(slot: Slot, file: WeightFile) -> Pin:
    """The version that is meant: the registry's, else the recorded one, else any.

    Raises WeightsError where the record is damaged.
    """
    known = read_pins().get(_key(slot, file), Pin())
    said = {source.repository: source.revision for source in slot.sources if source.revision}
    return Pin(file.sha256 or known.sha256, {**known.revisions, **said})


def pin(slot: Slot, file: WeightFile, sha256: str, repository: str, revision: str) -> None:
    """Records a version that was fetched and verified; `revision` "" where there are none."""
    pins, key = read_pins(), _key(slot, file)
    revisions = {**pins.get(key, Pin()).revisions, **({repository: revision} if revision else {})}
    _write({**pins, key: Pin(sha256, revisions)})


def unpin(slots: Iterable[Slot]) -> None:
    """Forgets the recorded versions of the slots' files."""
    keys = {_key(slot, file) for slot in slots for file in slot.files}
    known = read_pins()
    if keys & known.keys():
        _write({key: value for key, value in known.items() if key not in keys})


def read_pins() -> dict[str, Pin]:
    """ "slot/file" -> recorded version. Empty where there is no record; WeightsError where it is damaged."""
    file = _file()
    try:
        content = json.loads(file.read_text("utf-8"))["files"]
        return {key: Pin(str(entry["sha256"]), dict(entry["revisions"])) for key, entry in content.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{file}, which says which versions of weights were fetched, is damaged; delete it to take the "
            "newest ones."
        ) from error


def _write(pins: Mapping[str, Pin]) -> None:
    content = {"files": {key: asdict(value) for key, value in sorted(pins.items())}}
    with replacing(_file(), overwrite=True) as hidden:
        hidden.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def _file() -> Path:
    return home() / "models" / PINS


def _key(slot: Slot, file: WeightFile) -> str:
    return f"{slot.name}/{file.name}"
