"""What a place for weights is, and what a checkpoint: the words of the registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

Shapes = Mapping[str, tuple[int, ...]]
"""The keys of a checkpoint and the shape of each tensor."""


@dataclass(frozen=True)
class Checkpoint:
    """One kind of checkpoint.

    `fingerprint`: a handful of keys that no other kind has all of, with their shapes. `harmless`:
    patterns of the keys that released files carry and no inference needs.
    """

    name: str
    title: str
    fingerprint: Shapes
    harmless: tuple[str, ...] = ()


@dataclass(frozen=True)
class Licence:
    """The terms of a file: a short name, what it means in one sentence, and where the text is."""

    name: str
    sentence: str
    url: str


@dataclass(frozen=True)
class WeightFile:
    """One file of a slot.

    `name` is its place in the slot's folder of our store, `remote` its place in the released folder
    where that differs. `checkpoint` names what it must be by its keys; None for a settings file.
    `size` is in bytes.
    """

    name: str
    size: int
    checkpoint: str | None = None
    remote: str = ""
    optional: bool = False
    sha256: str = ""
    """In hexadecimal, where the publisher says it, or the file is used by its content and not by its keys."""

    @property
    def released_as(self) -> str:
        """The file's path below the released folder."""
        return self.remote or self.name


@dataclass(frozen=True)
class Source:
    """A folder of a repository on the Hugging Face hub.

    A `mirror` is a copy under somebody else's name: used where it is already on the disk, never
    downloaded from, so that nobody walks around the terms of the original.
    """

    repository: str
    folder: str = ""
    mirror: bool = False
    revision: str = ""
    """The commit that is meant; "" for the one that the first verified download finds, see `weights.pins`."""

    def path(self, file: WeightFile) -> str:
        """Where `file` is in the repository."""
        return str(PurePosixPath(self.folder) / file.released_as)


@dataclass(frozen=True)
class Slot:
    """A place for weights. `sources` in order of preference; `url` is for files that are on no hub, `package`
    the Python module whose folder holds them, `requirement` how pip is asked for it."""

    name: str
    title: str
    licence: Licence
    files: tuple[WeightFile, ...]
    sources: tuple[Source, ...] = ()
    gated: bool = False
    url: str = ""
    package: str = ""
    requirement: str = ""
    stand_in: str = ""
    """Another slot whose files serve as well where this one's are absent."""

    @property
    def size(self) -> int:
        """Bytes of all files, approximately."""
        return sum(file.size for file in self.files)
