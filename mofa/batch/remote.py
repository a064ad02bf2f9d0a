"""Scenes, photos and clips at URLs (s3://, gs://, https://, whatever fsspec opens): a folder of this machine
mirrors them, and everything else works on the mirror.

Needs the remote extra, and for most stores a package that fsspec names when it is absent.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

from mofa.errors import InputError, MofaError, OutputError, ResourceError
from mofa.media.files import replacing

URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+)://(?P<rest>.+)", re.DOTALL)
AS_PATH = re.compile(r"(?:.*/)?(?P<scheme>[a-z][a-z0-9+.-]+):/(?P<rest>[^/].*)", re.DOTALL)
"""What becomes of a URL that is taken for a path: two slashes are one, and a folder may stand before it."""
MANIFEST = "manifest.jsonl"
"""The record of a batch, in its folder."""
PLAIN = " ()+,=@[]{}!'&~"
"""What stays as it is in the names of the mirror's files, beside letters, digits and _.-~."""
UNVERSIONED = ("http", "https")
"""Where nothing reliable says whether a file has changed: it is fetched again by every call."""


def is_url(text: str) -> bool:
    """Whether something is at a URL and not on this machine; file:// is what it says."""
    return URL.fullmatch(text) is not None


def default_mirror() -> Path:
    """Where mirrors are unless XDG_CACHE_HOME says otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mofa" / "mirror"


@dataclass(frozen=True)
class Mirror:
    """A folder whose tree is scheme/host/path; a file is fetched when wanted, and again if it changed."""

    folder: Path

    def local(self, url: str) -> Path:
        """The place of a URL in the mirror. Raises InputError for one that could lead out of it."""
        match = URL.fullmatch(url)
        parts = PurePosixPath(match["rest"].lstrip("/")).parts if match else ()
        if match is None or not parts or ".." in parts:
            raise InputError(f"{url[:200]} is no address of a file.")
        return self.folder.joinpath(match["scheme"], *(quote(part, safe=PLAIN) for part in parts))

    def url(self, path: Path) -> str | None:
        """The URL that a path of the mirror, or a URL taken for a path, stands for."""
        if match := AS_PATH.fullmatch(path.as_posix()):
            return f"{match['scheme']}://{match['rest']}"
        try:
            scheme, *parts = Path(os.path.normpath(path)).relative_to(self.folder).parts
        except ValueError:
            return None
        return f"{scheme}://{'/'.join(map(unquote, parts))}"

    def localized(self, path: Path) -> Path:
        """A path that a request names, fetched to the mirror where it is at a URL. Raises InputError."""
        url = self.url(path)
        return path if url is None else self.fetch(url)

    def files(self, source: str) -> Iterator[Path]:
        """The files that a URL names, fetched: itself, those in a folder, or those that match a pattern.

        Raises InputError where there is none.
        """
        store, place = opened(source)
        with explained(source):
            if "*" in place or "?" in place:
                found = sorted(store.glob(place))
            elif store.isdir(place):
                found = sorted(
                    entry["name"] for entry in store.ls(place, detail=True) if entry["type"] == "file"
                )
            else:
                found = [place]
        if not found:
            raise InputError(f"no file matches {source}.")
        for name in found:
            yield self.fetch(str(store.unstrip_protocol(name)))

    def fetch(self, url: str) -> Path:
        """A file's copy in the mirror, as new as the file. Raises InputError where it cannot be read."""
        target = self.local(url)
        store, place = opened(url)
        with explained(url):
            version = "" if url.startswith(UNVERSIONED) else str(store.ukey(place))
            known = target.with_name(f".{target.name}.version")
            if version and target.exists() and known.exists() and known.read_text() == version:
                return target
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target, overwrite=True) as hidden:
                store.get_file(place, str(hidden))
            known.write_text(version)
        return target

    def upload(self, path: Path) -> None:
        """Writes a file of the mirror to its URL; whole files appear there, or none. Raises OutputError."""
        url = self.url(path)
        assert url is not None
        store, place = opened(url)
        try:
            store.makedirs(place.rpartition("/")[0], exist_ok=True)
            store.put_file(str(path), place)
        except Exception as error:  # every store has exceptions of its own
            raise OutputError(
                f"{url} cannot be written ({error}): check the address and your rights."
            ) from error

    def is_uploaded(self, path: Path) -> bool:
        """Whether a file of that size is at its URL."""
        url = self.url(path)
        assert url is not None
        store, place = opened(url)
        try:
            return bool(store.info(place)["size"] == path.stat().st_size)
        except Exception:  # what cannot be asked for is uploaded, which says why it cannot
            return False

    def take_up(self, url: str) -> Path:
        """The mirror of a batch's folder, with the manifest and the clips that another machine has made."""
        folder = self.local(url)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / MANIFEST).exists():
            store, place = opened(url)
            if store.exists(f"{place}/{MANIFEST}"):
                for path in self.files(url):
                    path.with_name(f".{path.name}.version").unlink()
        return folder


def opened(url: str) -> tuple[Any, str]:
    """The store behind a URL, and the place in it. Raises ResourceError where a package is missing."""
    try:
        import fsspec

        return fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ResourceError(f'{url[:200]}: {error}. pip install "mofa-video[remote]", too.') from None
    except ValueError as error:
        raise InputError(f"{url[:200]} cannot be opened ({error}).") from None


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turns what a store raises into a sentence about a URL."""
    try:
        yield
    except MofaError:
        raise
    except Exception as error:  # every store has exceptions of its own
        what = str(error) if str(error) and url not in str(error) else type(error).__name__
        raise InputError(f"{url[:200]} cannot be read ({what}): check the address.") from error
