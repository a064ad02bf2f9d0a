"""The words that a recipe may write at `kind`, and the dataclasses they stand for.

A new objective or source is one line here: the class is imported when a recipe names it, and not before.
"""

from importlib import import_module
from typing import Any

from mofa.control.words import nearest
from mofa.errors import InputError

OBJECTIVES = {
    "adapter": "mofa.training.objectives:AdapterRecipe",
    "backbone": "mofa.training.objectives:BackboneRecipe",
    "sparse-to-dense": "mofa.training.objectives:SparseToDenseRecipe",
    "things": "mofa.training.things.recipe:ThingsRecipe",
}
SOURCES = {
    "synthetic": "mofa.training.sources:SyntheticClips",
    "scenes-and-faces": "mofa.training.sources:ScenesAndFaces",
    "faces": "mofa.training.synthetic_faces:SyntheticFaces",
    "videos": "mofa.training.videos:Videos",
    "shards": "mofa.training.shards:Shards",
    "things": "mofa.training.things.recipe:ThingsData",
}


def find_kind(kind: object, kinds: dict[str, str], where: str) -> type[Any]:
    """The dataclass that a word stands for; raises InputError with the nearest word that exists."""
    if not isinstance(kind, str) or kind not in kinds:
        hint = f'did you mean "{nearest(str(kind), tuple(kinds))}"? ' if kind else ""
        raise InputError(f"{where}.kind is {kind!r}: {hint}There are {', '.join(kinds)}.")
    module, _, name = kinds[kind].partition(":")
    found: type[Any] = getattr(import_module(module), name)
    return found
