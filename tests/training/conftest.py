"""A tiny task behind the words of the registry."""

import importlib.util
import sys
from pathlib import Path

import pytest

from mofa.training import registry
from mofa.training.config import Recipe, make_recipe

_spec = importlib.util.spec_from_file_location("training_toy", Path(__file__).parent / "toy.py")
assert _spec is not None
assert _spec.loader is not None
toy = importlib.util.module_from_spec(_spec)
sys.modules["training_toy"] = toy
_spec.loader.exec_module(toy)


@pytest.fixture
def line_recipe(monkeypatch: pytest.MonkeyPatch):
    """Makes recipes for a line through points: `line_recipe(poisoned=3, steps=5)`."""
    monkeypatch.setitem(registry.OBJECTIVES, "line", "training_toy:LineRecipe")
    monkeypatch.setitem(registry.SOURCES, "points", "training_toy:PointData")

    def make(poisoned: int = -1, learning_rate: float = 0.05, **loop: object) -> Recipe:
        return make_recipe(
            {
                "objective": {"kind": "line"},
                "data": {"kind": "points", "poisoned": poisoned},
                "validation": {"kind": "points"},
                "optimiser": {"learning_rate": learning_rate, "schedule": "cosine"},
                "loop": {"steps": 8, "batch": 4, "average": 0.9, "checkpoint_every": 4, "keep": 9} | loop,
            },
            "test",
        )

    return make
