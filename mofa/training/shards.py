"""Clips from WebDataset shards: tar files, on the disk or behind any fsspec address.

A sample is a video (`KEY.mp4`), or what `mofa data prepare` made (`KEY.npz`): frames with flow, landmarks,
latents and embeddings worked out before. Shards are read from front to back, so a run that goes on passes
over what it has seen without decoding it.
"""

import io
import logging
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import fsspec
import numpy as np
import torch
from webdataset.tariterators import group_by_keys, tar_file_expander

from mofa.errors import InputError
from mofa.media.clips import video_facts
from mofa.training.clips import Clips
from mofa.training.videos import VIDEO_SUFFIXES, ClipSettings, clip_of, shuffled

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Shards:
    """Clips from tar shards."""

    urls: str = "shards/*.tar"
    """Addresses with * and {000..127}: local, or of any file system that fsspec knows."""
    clips: ClipSettings = ClipSettings()
    """How clips are cut out of shards of videos; prepared ones are as they were prepared."""

    def build(self, seed: int) -> "ShardStream":
        """The shards; raises InputError where there are none."""
        return ShardStream(tuple(found_shards(self.urls)), self.clips, seed)


@dataclass
class ShardStream:
    """Shards, every one once in an order, then in another.

    Readers share the shards out, or where there are too few of them, their samples. What cannot be read is
    left out; each file is counted and named once in the log.
    """

    urls: tuple[str, ...]
    settings: ClipSettings
    seed: int
    _left_out: set[str] = field(default_factory=set)

    def share(self, part: int, parts: int, skip: int) -> Iterator[Clips]:
        """The endless row of one reader after `skip` clips."""
        number = 0
        epoch = 0
        while True:
            before = number
            for sample in self._samples(part, parts, epoch):
                if number >= skip:
                    clip = self._clip(sample, number, part)
                    if clip is None:
                        continue
                    yield clip
                number += 1
            if number == before:
                raise InputError(
                    f"reader {part + 1} of {parts} found nothing to read in {len(self.urls)} shards, such as "
                    f"{self.urls[0]}: check them with `tar tf`, or use fewer workers."
                )
            epoch += 1

    def _samples(self, part: int, parts: int, epoch: int) -> Iterator[dict[str, Any]]:
        order = [self.urls[i] for i in shuffled(len(self.urls), self.seed, epoch)]
        if len(order) >= parts:
            for url in order[part::parts]:
                yield from samples_of(url, self._leave_out)
            return
        everything = (sample for url in order for sample in samples_of(url, self._leave_out))
        for i, sample in enumerate(everything):
            if i % parts == part:
                yield sample

    def _clip(self, sample: dict[str, Any], number: int, part: int) -> Clips | None:
        """The clip that a sample holds; None for what cannot be read."""
        name = f"{sample['__key__']} of {sample['__url__']}"
        rng = np.random.Generator(np.random.Philox(key=[self.seed, part * 2**32 + number]))
        try:
            return clip_in(sample, name, self.settings, rng)
        except InputError as error:
            self._leave_out(name, str(error))
            return None

    def _leave_out(self, what: str, reason: str) -> None:
        if what not in self._left_out:
            self._left_out.add(what)
            LOG.warning("left out (%d so far): %s", len(self._left_out), reason)


def samples_of(url: str, leave_out: Callable[[str, str], None]) -> Iterator[dict[str, Any]]:
    """The samples of one shard, as bytes by suffix; a shard that breaks off gives those before.

    `leave_out` is told what is left out, and of it in a sentence.
    """
    yield from group_by_keys(_members_of(url, leave_out), handler=_give_up)


def _members_of(url: str, leave_out: Callable[[str, str], None]) -> Iterator[dict[str, Any]]:
    try:
        with fsspec.open(url, "rb") as stream:
            yield from tar_file_expander([{"url": url, "stream": stream}], handler=_give_up)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        # webdataset puts the stream and the address behind libraries' own words.
        reason = str(error.args[0] if error.args else error).partition(" @ ")[0]
        leave_out(url, f"the rest of {url}, which breaks off or is damaged ({reason}).")


def _give_up(error: Exception) -> bool:
    raise error


def clip_in(sample: dict[str, Any], name: str, settings: ClipSettings, rng: np.random.Generator) -> Clips:
    """The clip of a sample; InputError where there is none or it is damaged."""
    if "npz" in sample:
        return unpacked(sample["npz"], name)
    for suffix in VIDEO_SUFFIXES:
        if suffix[1:] in sample:
            file = io.BytesIO(sample[suffix[1:]])
            return clip_of(file, name, video_facts(file, name), settings, rng)
    members = sorted(key for key in sample if not key.startswith("__"))
    raise InputError(f"{name} holds neither a video nor a prepared clip, but {', '.join(members)}.")


def packed(clip: Clips) -> bytes:
    """A prepared clip as bytes; flows and latents in half precision."""
    arrays: dict[str, Any] = {}
    for f in fields(clip):
        value = getattr(clip, f.name)
        if isinstance(value, torch.Tensor):
            half = value.is_floating_point() and f.name != "landmarks"
            arrays[f.name] = (value.half() if half else value).cpu().numpy()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def unpacked(content: bytes, name: str) -> Clips:
    """The clip that `packed` made; InputError where the bytes are damaged."""
    known = {f.name for f in fields(Clips)} - {"name"}
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {key: torch.from_numpy(file[key]) for key in file.files}
    except Exception as error:  # zip, zlib and numpy each have errors of their own
        raise InputError(f"{name} is damaged ({error}).") from error
    if "frames" not in arrays or not arrays.keys() <= known:
        raise InputError(f"{name} is no clip that `mofa data prepare` made: it holds {', '.join(arrays)}.")
    tensors = {key: value.float() if value.is_floating_point() else value for key, value in arrays.items()}
    return Clips(name=name, **tensors)


def found_shards(urls: str) -> Iterator[str]:
    """The addresses that a pattern means; raises InputError for none."""
    from braceexpand import braceexpand

    found = []
    for pattern in braceexpand(urls):
        if "*" in pattern:
            system, path = fsspec.core.url_to_fs(pattern)
            found += [system.unstrip_protocol(name) for name in sorted(system.glob(path))]
        else:
            found.append(pattern)
    if not found:
        raise InputError(f"no shards are at {urls}: set data.urls to tar files, such as shards/*.tar.")
    yield from found
