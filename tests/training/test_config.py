"""Recipes: every one that comes along can be read, and what is wrong with one is said in a sentence."""

from pathlib import Path

import pytest

from mofa.errors import InputError
from mofa.training.config import make_recipe, plain, read_recipe, recipe_names


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_survives_being_written(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.about
    assert make_recipe(plain(recipe), name) == recipe


def test_changes_reach_nested_keys_and_numbers_are_numbers() -> None:
    changes = ["loop.steps=7", "optimiser.learning_rate=3e-4", "data.clips.stride=2", "loop.average=null"]
    recipe = read_recipe("trajectory-stage1", changes)
    assert recipe.loop.steps == 7
    assert recipe.optimiser.learning_rate == 3e-4
    assert recipe.data.clips.stride == 2
    assert recipe.loop.average is None


@pytest.mark.parametrize("turned", [False, True])
def test_data_of_another_kind_keep_the_keys_that_both_have(turned: bool) -> None:
    changes = ["data.urls=mine/*.tar", "data.clips.stride=2", "data.kind=shards"]
    recipe = read_recipe("trajectory-stage1", changes[::-1] if turned else changes)
    assert recipe.data.urls == "mine/*.tar"
    assert (recipe.data.clips.num_frames, recipe.data.clips.stride) == (25, 2)
    assert read_recipe("landmark", ["data.kind=videos", "data.path=clips"]).data.path == Path("clips")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("loop.stepz=3", r'no key "stepz": did you mean "steps"'),
        ("data.clips.strid=3", r'no key "strid": did you mean "stride"'),
        ("objective.motion=denze", r"motion: Input should be 'dense'"),
        ("loop.steps=many", r"steps: Input should be a valid integer"),
        ("data.kind=video", r'did you mean "videos"'),
        ("loop.steps", r"write key=value"),
    ],
)
def test_what_is_wrong_is_said(change: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_recipe("trajectory-stage1", [change])


def test_an_unknown_recipe_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match='did you mean "toy-stage1"'):
        read_recipe("toy-stage-1")
    (tmp_path / "own.yaml").write_text("base: toy-stage1\nloop: {steps: 3}\n")
    assert read_recipe(str(tmp_path / "own.yaml")).loop.steps == 3
    (tmp_path / "bad.yaml").write_text("loop: [")
    with pytest.raises(InputError, match="is not YAML"):
        read_recipe(str(tmp_path / "bad.yaml"))


def test_released_recipes_differ_from_ours_by_the_conventions_alone() -> None:
    ours, released = read_recipe("trajectory-stage1"), read_recipe("trajectory-stage1-released")
    assert ours.objective.conventions.pixels == "signed"
    assert released.objective.conventions.pixels == "unit"
    assert released.data.clips.fit == "squeeze"
    assert released.optimiser.max_gradient_norm is None
