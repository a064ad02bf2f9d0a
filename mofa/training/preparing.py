"""Clips worked out before training and packed into shards, so that no device waits for a decoder.

A shard is written whole or not at all, and clip i of a source is the same every time: what is there already
is not made again.
"""

import io
import json
import logging
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from mofa.devices import sharing_cores
from mofa.errors import InputError, ResourceError
from mofa.media.files import replacing
from mofa.training.config import Recipe, plain
from mofa.training.precomputing import Kept, NoFace, Precomputing
from mofa.training.protocol import Source
from mofa.training.shards import packed
from mofa.types import Progress, silent

LOG = logging.getLogger(__name__)
DESCRIPTION = "prepared.json"
"""Beside the shards: what they were made of, so that no others are put among them."""


@dataclass(frozen=True)
class Preparation:
    """`count` clips of a recipe's data, `per_shard` of them in each shard, made by `workers` processes.

    `kinds` of what frozen networks say about them is kept beside them, worked out on `device`.
    """

    recipe: Recipe
    folder: Path
    count: int
    per_shard: int = 100
    workers: int = 0
    kinds: tuple[Kept, ...] = ()
    device: str | None = None

    @property
    def precomputing(self) -> Precomputing:
        """What works out everything that is kept beside clips."""
        return Precomputing(self.recipe, self.kinds, self.device)

    @property
    def description(self) -> str:
        """Everything that a shard's content depends on."""
        content = plain(self.recipe)
        # What a clip is depends on the data, the seed, and where something is kept on what it is made with.
        made = {"data": content["data"], "seed": self.recipe.loop.seed, "per_shard": self.per_shard}
        if self.kinds:
            networks = {"objective": content["objective"], "precision": self.recipe.loop.frozen_precision}
            made |= {"kinds": list(self.kinds)} | networks
        return json.dumps(made, indent=1, default=str)

    @property
    def shards(self) -> int:
        """How many shards that makes."""
        return -(-self.count // self.per_shard)

    def path(self, shard: int) -> Path:
        """Where a shard lies."""
        return self.folder / f"{shard:06d}.tar"


Spread = Callable[[Preparation, list[int]], Iterator[Path]]
"""Makes shards of these numbers, somewhere, and tells each as it is done."""


def prepare_shards(
    preparation: Preparation, progress: Progress = silent, spread: Spread | None = None
) -> list[Path]:
    """Writes the shards that are not there yet; returns those. `spread` makes them elsewhere than here.

    Raises InputError: the data can only be read in order or hold nothing to read, the folder holds shards of
    something else, or what is to be kept cannot be worked out. WeightsError: weights for it are absent.
    ResourceError: a process died.
    """
    preparation.precomputing.check()
    check_same(preparation)
    missing = [i for i in range(preparation.shards) if not preparation.path(i).exists()]
    before = preparation.shards - len(missing)
    for done, _ in enumerate((spread or _made)(preparation, missing), start=before + 1):
        progress("prepare", done, preparation.shards)
    return [preparation.path(i) for i in missing]


def check_same(preparation: Preparation) -> None:
    """Writes down what the folder's shards are made of; InputError where there are others in it."""
    path, wish = preparation.folder / DESCRIPTION, preparation.description
    if not path.exists():
        with replacing(path, overwrite=False) as hidden:
            hidden.write_text(wish, encoding="utf-8")
        return
    was, now = (json.loads(text) for text in (path.read_text(encoding="utf-8"), wish))
    if was != now:
        other = sorted(key for key in was.keys() | now.keys() if was.get(key) != now.get(key))
        raise InputError(
            f"{preparation.folder} holds shards that were made with another {' and '.join(other)} "
            f"({DESCRIPTION} says which): name another folder."
        )


def _made(preparation: Preparation, missing: list[int]) -> Iterator[Path]:
    if preparation.workers < 2:
        yield from (write_shard(preparation, shard) for shard in missing)
        return
    with sharing_cores(preparation.workers) as pool:
        try:
            yield from pool.map(write_shard, [preparation] * len(missing), missing)
        except BrokenProcessPool as error:
            raise ResourceError(
                "a process that makes shards has died: memory is the usual reason; lower --workers, and run "
                "the same again: shards that are there stay."
            ) from error


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
            try:
                clip = preparation.precomputing(source[number])
            except NoFace as error:
                LOG.warning("left out: %s", error)
                continue
            _add(tar, f"{number:08d}.npz", packed(clip))
    return path


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
