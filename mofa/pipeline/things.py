"""The sense of things that comes with the package: made once, and what to say where it is damaged."""

import functools
import weakref
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from mofa.densify.edge_aware import spread_hints
from mofa.errors import WeightsError
from mofa.models.things_in_picture import ThingsSense
from mofa.types import DenseMotion, LookedAt, Progress, SenseOfThings, SparseMotion, silent
from mofa.vision.things import SharpSense
from mofa.weights.things import load_things


@dataclass
class Remembering:
    """A sense that remembers the last picture it looked at: one request asks about it several times."""

    sense: SenseOfThings
    _last: tuple[weakref.ref[Tensor], LookedAt] | None = field(default=None, repr=False)

    def __call__(self, picture: Float[Tensor, "3 H W"]) -> LookedAt:
        """The picture, looked at."""
        last = self._last
        if last is not None and last[0]() is picture:
            return last[1]
        look = self.sense(picture)
        self._last = weakref.ref(picture), look
        return look


@functools.cache
def sense_of_things() -> SenseOfThings:
    """Looks at a picture once, and is then asked about points of it: `vision.things`, `densify.edge_aware`.

    Raises WeightsError: its weights are missing or damaged.
    """
    return Remembering(ThingsSense(load_things()))


def sense_or_note() -> tuple[SenseOfThings | None, str | None]:
    """The sense of things, or a sentence on why there is none; colours alone have to do then."""
    try:
        return sense_of_things(), None
    except WeightsError as error:
        return None, f"{error} Until then colours alone decide what moves together."


def densify_things(
    image: Float[Tensor, "3 H W"],
    hints: SparseMotion,
    region: Float[Tensor, "1 H W"] | None = None,
    progress: Progress = silent,
) -> DenseMotion:
    """`densify.edge_aware` with the sense of things, or, where its weights are damaged, without."""
    sense, _ = sense_or_note()
    return spread_hints(image, hints, region, progress, sense=sense and SharpSense(sense))
