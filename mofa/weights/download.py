"""Fetches weights from where they are published: the Hugging Face hub, or an author's own storage.

huggingface_hub resumes what was cut short and honours HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE. Files
that its cache holds already are used where they lie.
"""

import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mofa.errors import MofaError, OutputError, WeightsError
from mofa.types import Progress, silent
from mofa.weights.convert import sha256_of
from mofa.weights.registry import Slot, Source, WeightFile, in_words
from mofa.weights.store import check_room, home, locate, record, slot_folder, unfinished_folder, wrong_content

_BLOCK = 1 << 20
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Offer:
    """A file as a server announces it: bytes, SHA-256 where it says one, and where it is."""

    slot: Slot
    file: WeightFile
    size: int
    sha256: str | None
    source: Source | None
    path: str


def download(slots: Sequence[Slot], progress: Progress = silent) -> dict[str, list[Path]]:
    """Fetches what is missing of the slots into our store; returns the new files by slot name.

    Nothing is fetched before every file has been announced and there is room for all of them. What is
    interrupted goes on where it stopped when called again. `progress` counts bytes of each file.

    Raises WeightsError: a gated repository without access, no network, offline by wish, or content
    that is not what was announced. OutputError: not enough room.
    """
    wanted = [(slot, file) for slot in slots for file in locate(slot).missing]
    for slot in {slot.name: slot for slot, _ in wanted}.values():
        _check_access(slot)
    offers = [offer for slot, file in wanted if (offer := _offer(slot, file))]
    check_room(home(), sum(offer.size for offer in offers))
    fetched: dict[str, list[Path]] = {slot.name: [] for slot in slots}
    for offer in offers:
        fetched[offer.slot.name].append(_fetch(offer, progress))
    for slot in slots:
        shutil.rmtree(unfinished_folder(slot), ignore_errors=True)
    return fetched


def _check_access(slot: Slot) -> None:
    if not slot.gated:
        return
    if not _hub().get_token():
        raise WeightsError(_closed(slot))


def _closed(slot: Slot) -> str:
    return (
        f"{slot.name} ({in_words(slot.size)}) is only given to those who accepted its terms: accept them at "
        f"{slot.licence.url}, make an access token at https://huggingface.co/settings/tokens, and run "
        "`hf auth login` or set HF_TOKEN."
    )


def _offer(slot: Slot, file: WeightFile) -> Offer | None:
    """The first place that has the file. None for an optional file that nobody has."""
    if slot.url:
        return Offer(slot, file, file.size, None, None, slot.url)
    hub = _hub()
    for source in slot.sources:
        if source.mirror:
            continue
        path = source.path(file)
        with _explained(slot):
            try:
                announced = hub.get_hf_file_metadata(hub.hf_hub_url(source.repository, path))
            except hub.errors.RemoteEntryNotFoundError:
                continue
        # The tag of a large file is its SHA-256, that of a small one is git's.
        checksum = announced.etag if re.fullmatch(r"[0-9a-f]{64}", announced.etag or "") else None
        return Offer(slot, file, announced.size or file.size, checksum, source, path)
    if file.optional:
        return None
    places = " or ".join(f"{source.repository}/{source.path(file)}" for source in slot.sources)
    raise WeightsError(
        f"{file.name} of {slot.name} is no longer at {places}; get it elsewhere and use `mofa models import`."
    )


def _fetch(offer: Offer, progress: Progress) -> Path:
    landed = _fetch_from_hub(offer, progress) if offer.source else _fetch_from_url(offer, progress)
    sha256 = sha256_of(landed, progress)
    broken = offer.sha256 is not None and sha256 != offer.sha256
    if broken or wrong_content(offer.file, landed):
        landed.unlink()
        raise WeightsError(
            f"{offer.file.name} of {offer.slot.name} arrived damaged and was deleted; "
            f"run `mofa models download {offer.slot.name}` again."
        )
    target = slot_folder(offer.slot) / offer.file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(landed, target)
    origin = f"{offer.source.repository}/{offer.path}" if offer.source else offer.path
    record(offer.slot, target, sha256, origin)
    return target


def _fetch_from_hub(offer: Offer, progress: Progress) -> Path:
    assert offer.source is not None
    stage = f"{offer.slot.name}: {offer.file.name}"
    with _explained(offer.slot):
        return Path(
            _hub().hf_hub_download(
                offer.source.repository,
                offer.path,
                local_dir=unfinished_folder(offer.slot),
                tqdm_class=_reporter(progress, stage, offer.size),
            )
        )


def _reporter(progress: Progress, stage: str, size: int) -> type:
    """A progress bar class, as the hub's library wants one, that draws nothing and calls `progress`."""
    from huggingface_hub.utils import tqdm

    class Reporter(tqdm):
        reached = 0

        def __init__(self, *args: Any, **settings: Any) -> None:
            self.done = settings.get("initial") or 0
            super().__init__(*args, **{**settings, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.done += n or 0
            # The library may show one transfer by two bars; the one ahead counts.
            Reporter.reached = max(Reporter.reached, int(self.done))
            progress(stage, Reporter.reached, size)

    return Reporter


def _fetch_from_url(offer: Offer, progress: Progress) -> Path:
    """Plain HTTP, going on where an earlier try stopped if the server can."""
    landed = unfinished_folder(offer.slot) / offer.file.name
    landed.parent.mkdir(parents=True, exist_ok=True)
    part = landed.with_name(landed.name + ".part")
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(offer.path, headers={"Range": f"bytes={start}-"} if start else {})
    with _explained(offer.slot), urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:
        resumed = response.status == 206
        done = start if resumed else 0
        size = done + int(response.headers.get("Content-Length") or offer.size)
        check_room(home(), size - done)
        with part.open("ab" if resumed else "wb") as file:
            while block := response.read(_BLOCK):
                file.write(block)
                done += len(block)
                progress(f"{offer.slot.name}: {offer.file.name}", done, size)
    os.replace(part, landed)
    return landed


@contextmanager
def _explained(slot: Slot) -> Iterator[None]:
    """Turns what goes wrong on the way to a server into one sentence about `slot`."""
    try:
        yield
    except MofaError:
        raise
    except Exception as error:
        raise _refusal(slot, error) from error


def _refusal(slot: Slot, error: Exception) -> MofaError:
    names = {kind.__name__ for kind in type(error).__mro__}
    instead = f"get {slot.name} elsewhere and use `mofa models import FOLDER`"
    if "OfflineModeIsEnabled" in names:
        return WeightsError(f"HF_HUB_OFFLINE forbids to fetch {slot.name}; unset it, or {instead}.")
    if "GatedRepoError" in names:
        return WeightsError(_closed(slot))
    if isinstance(error, OSError) and error.errno == 28:
        return OutputError(
            f"The disk of {home()} is full; free some space and run the command again to go on."
        )
    status = getattr(getattr(error, "response", None), "status_code", None) or getattr(error, "code", None)
    server = os.environ.get("HF_ENDPOINT") or ("the Hugging Face hub" if slot.sources else slot.url)
    if status:
        return WeightsError(f"{server} refused {slot.name} (HTTP {status}); try again later, or {instead}.")
    return WeightsError(f"{server} cannot be reached for {slot.name}; check the network, or {instead}.")


def _hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as error:
        raise WeightsError(
            "Downloads need the packages of the diffusion extra: pip install 'mofa[diffusion]'."
        ) from error
    return huggingface_hub
