"""Clips worked out before training and packed into shards, so that no device waits for a decoder.

A shard is written whole or not at all, and clip i of a source is the same every time: what is there already
is not made again.
"""

import io
import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mofa.errors import InputError
from mofa.media.files import replacing
from mofa.training.config import Recipe
from mofa.training.protocol import Source
from mofa.training.shards import packed
from mofa.types import Progress, silent


@dataclass(frozen=True)
class Preparation:
    """`count` clips of a recipe's data, `per_shard` of them in each shard, made by `workers` processes."""

    recipe: Recipe
    folder: Path
    count: int
    per_shard: int = 100
    workers: int = 0

    @property
    def shards(self) -> int:
        """How many shards that makes."""
        return -(-self.count // self.per_shard)

    def path(self, shard: int) -> Path:
        """Where a shard lies."""
        return self.folder / f"{shard:06d}.tar"


def prepare_shards(preparation: Preparation, progress: Progress = silent) -> list[Path]:
    """Writes the shards that are not there yet; returns those.

    Raises InputError: the data can only be read in order, or hold nothing to read.
    """
    missing = [i for i in range(preparation.shards) if not preparation.path(i).exists()]
    before = preparation.shards - len(missing)
    for done, _ in enumerate(_made(preparation, missing), start=before + 1):
        progress("prepare", done, preparation.shards)
    return [preparation.path(i) for i in missing]


def _made(preparation: Preparation, missing: list[int]) -> Iterator[Path]:
    if preparation.workers < 2:
        yield from (write_shard(preparation, shard) for shard in missing)
        return
    with ProcessPoolExecutor(preparation.workers) as pool:
        yield from pool.map(write_shard, [preparation] * len(missing), missing)


def write_shard(preparation: Preparation, shard: int) -> Path:
    """One shard, from the clips of its numbers."""
    source = preparation.recipe.data.build(preparation.recipe.loop.seed)
    if not isinstance(source, Source):
        raise InputError("shards cannot be prepared from shards: set data.kind to videos or synthetic.")
    begin = shard * preparation.per_shard
    numbers = range(begin, min(begin + preparation.per_shard, preparation.count))
    path = preparation.path(shard)
    with replacing(path, overwrite=False) as hidden, tarfile.open(hidden, "w") as tar:
        for number in numbers:
            _add(tar, f"{number:08d}.npz", packed(source[number]))
    return path


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
