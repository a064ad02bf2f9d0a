"""The sense of things that comes with the package, made once; and what to say where it is damaged."""

import functools

from mofa.errors import WeightsError
from mofa.models.things_in_picture import ThingsSense
from mofa.types import SenseOfThings
from mofa.weights.things import load_things


@functools.cache
def sense_of_things() -> SenseOfThings:
    """Looks at a picture once, and is then asked about points of it: `vision.things`, `densify.edge_aware`.

    Raises WeightsError: its weights are missing or damaged.
    """
    return ThingsSense(load_things())


def sense_or_note() -> tuple[SenseOfThings | None, str | None]:
    """The sense of things, or a sentence on why there is none; colours alone have to do then."""
    try:
        return sense_of_things(), None
    except WeightsError as error:
        return None, f"{error} Until then colours alone decide what moves together."
