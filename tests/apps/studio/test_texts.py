"""Every text that the page uses exists, in both languages."""

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import mofa.apps.studio
from mofa.apps.studio.jobs import problem
from mofa.apps.studio.problems import PROBLEMS
from mofa.apps.studio.settings_form import CLIP_FIELDS, settings_form
from mofa.apps.studio.texts import FIELD_HELP_ZH, TEXTS
from mofa.errors import InputError, OutputError, WeightsError
from mofa.pipeline.animate import prepare
from mofa.pipeline.request import BOUNDS, AnimationRequest
from mofa.renderers.diffusion.settings import PRESETS, SvdSettings

TRACK = {"kind": "track", "points": "10,10 20,20"}
STATIC = Path(mofa.apps.studio.__file__).parent / "static"


def test_every_key_in_the_scripts_has_a_text() -> None:
    used = {
        key
        for script in STATIC.rglob("*.js")
        for key in re.findall(r"""\bt\("([\w.-]+)\"""", script.read_text(encoding="utf-8"))
    }
    assert len(used) > 50
    assert used <= TEXTS.keys()


def test_every_text_is_used() -> None:
    scripts = "\n".join(script.read_text(encoding="utf-8") for script in STATIC.rglob("*.js"))
    made = set(re.findall(r"t\(`([\w.-]+\.)\$\{", scripts))
    idle = [key for key in TEXTS if f'"{key}"' not in scripts and not key.startswith(tuple(made))]
    assert idle == []


def test_keys_that_are_put_together_have_texts_too() -> None:
    names = [f"setting.{field.name}" for field in fields(SvdSettings)]
    names += [f"preset.{name}" for name in PRESETS]
    assert set(names) <= TEXTS.keys()


def test_both_languages_say_the_same_values() -> None:
    for key, text in TEXTS.items():
        assert text["en"], key
        assert text["zh"], key
        assert set(re.findall(r"\{\w+\}", text["en"])) == set(re.findall(r"\{\w+\}", text["zh"])), key


def test_every_setting_is_explained() -> None:
    assert FIELD_HELP_ZH.keys() == {*CLIP_FIELDS, *(field.name for field in fields(SvdSettings))}
    for setting in settings_form()["diffusion"]:
        assert setting["help"]["en"].endswith(".")


ELSEWHERE = (
    # The command line's, and what no scene of a visitor can name.
    *(
        "apps/batch_command",
        "apps/bench_command",
        "apps/data_command",
        "apps/elsewhere",
        "apps/eval_command",
        "apps/models_command",
    ),
    *("apps/parser", "apps/scene_options", "apps/serve", "apps/serve_command", "apps/studio_command"),
    *(
        "apps/train_command",
        "apps/studio/app",
        "apps/studio/endpoints",
        "batch",
        "client",
        "evaluation",
        "training",
    ),
    *("pipeline/caller_forms", "pipeline/load", "pipeline/mofa_adapter", "pipeline/mofa_pipeline"),
    *("pipeline/outputs", "media/flow_files", "media/forms", "media/encode", "renderers/diffusion/latents"),
    *("models/motion_encoder", "weights/exporting", "weights/importing", "weights/registry"),
    # pydantic says where in the scene what these refuse stands: scene.values.
    *("control/camera_words", "control/coordinates", "control/selection", "control/timing"),
    "control/transform_words",
    # Who opens the file gives the key: tracks.unreadable, landmarks.unreadable.
    *("control/svg_paths", "control/track_arrays", "control/track_files", "control/track_tables"),
    *("faces/blendshape_tables", "faces/landmark_files"),
)
"""Files and folders in which an error may be raised without a key, for a visitor never meets it bare."""
OF_CALLERS = {
    # What only a caller in Python can give, and words of the command line.
    *(("pipeline/inputs.py", name) for name in ("_mask", "_source_face", "_held")),
    ("pipeline/request.py", "_said"),
    *(("pipeline/export.py", name) for name in ("export_scene", "_kling_controls")),
}
"""Functions that refuse what no page can ask."""
BY_RULE = {"value.least", "value.above", "value.most", "value.below"}
"""Keys that a table gives: `request.BOUNDS`."""


def raised_errors() -> Iterator[tuple[Path, ast.Call, str]]:
    """Every place that makes an error for people: its file, the call, the function around it."""
    home = Path(mofa.__file__).parent
    for file in home.rglob("*.py"):
        for function in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in KINDS:
                    yield file.relative_to(home), call, function.name


KINDS = {
    *("MofaError", "InputError", "OutputError", "ResourceError", "WeightsError", "OutOfMemory", "NoSound"),
    "SettingError",
}


def keyed_errors() -> dict[str, list[set[str]]]:
    """Of every key that an error is raised with: the names of the values beside it, each time."""
    found: dict[str, list[set[str]]] = {}
    for _, call, _ in raised_errors():
        names = {keyword.arg for keyword in call.keywords if keyword.arg} - {"key", "setting"} | {"where"}
        for keyword in call.keywords:
            if keyword.arg == "key":
                keys = [node.value for node in ast.walk(keyword.value) if isinstance(node, ast.Constant)]
                for key in keys:
                    found.setdefault(str(key), []).append(names)
    return found


def answered_keys() -> set[str]:
    """Keys that the server answers with before any of our functions is asked."""
    texts = [Path(mofa.apps.studio.__file__).with_name(name).read_text() for name in ("app.py", "guard.py")]
    known = re.findall(r"""["'](\w+\.\w+)["']""", "".join(texts))
    return {key for key in known if key in PROBLEMS}


@pytest.mark.slow
def test_every_key_of_an_error_has_words_in_both_languages_for_the_values_beside_it() -> None:
    used = keyed_errors()
    assert len(used) > 60
    assert {key for key, _ in BOUNDS.values()} == BY_RULE
    others = {"internal", "memory", *BY_RULE, *answered_keys(), WeightsError.usual_key, OutputError.usual_key}
    assert used.keys() | others == PROBLEMS.keys()
    for key, words in PROBLEMS.items():
        english, chinese = (set(re.findall(r"\{(\w+)\}", words[language])) for language in ("en", "zh"))
        # What the server has said in English is for those who read English; others are told where it is.
        assert english - {"said"} == chinese - {"where"}, key
        assert "where" not in english, key
        assert "said" not in chinese, key
        assert all(english | chinese <= names for names in used.get(key, [])), key


@pytest.mark.slow
def test_no_visitor_meets_an_error_without_a_key() -> None:
    bare = [
        f"{file}:{call.lineno}"
        for file, call, function in raised_errors()
        if not any(keyword.arg == "key" for keyword in call.keywords)
        and call.func.id not in (WeightsError.__name__, OutputError.__name__)  # they have usual keys
        and not file.as_posix().removesuffix(".py").startswith(ELSEWHERE)
        and (file.as_posix(), function) not in OF_CALLERS
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("change", "key", "place"),
    [
        ({"fps": -1}, "value.least", "fps"),
        ({"region": {"border": 0}}, "value.above", "region.border"),
        ({"frames": 1}, "value.least", "frames"),
        ({"renderer": "oil"}, "value.choice", "renderer"),
        ({"diffusion": {"steps": -3}}, "value.least", "diffusion.steps"),
        ({"controls": []}, "scene.nothing", "controls"),
        ({"controls": [{"kind": "track", "points": "no"}]}, "scene.values", "controls.0.points"),
        ({"controls": [TRACK | {"start": 9, "end": 4}]}, "timing.end", "controls.0"),
        ({"controls": [TRACK, TRACK | {"end": 99}]}, "timing.beyond", "controls.1.end"),
        ({"colour": "red"}, "scene.values", "colour"),
        ({"picture": None}, "photo.missing", ""),
    ],
)
def test_a_scene_is_refused_by_key_and_by_the_place_that_is_meant(
    change: dict[str, Any], key: str, place: str
) -> None:
    with pytest.raises(InputError) as refused:
        AnimationRequest.from_data({"picture": "a.png", "controls": [TRACK]} | change)
    said = problem(refused.value)
    assert (said["key"], said["place"]) == (key, place)
    words = PROBLEMS[key]["zh"]
    assert not re.search(r"\{\w+\}", words.format(**said["values"]))


def test_an_error_says_which_control_it_is_about(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "grey").save(tmp_path / "a.png")
    Image.new("L", (64, 48), 0).save(tmp_path / "none.png")
    outside = TRACK | {"points": "70,20 10,10"}
    nothing = TRACK | {"region": {"mask": str(tmp_path / "none.png")}}
    for controls, key, place in [
        ([TRACK, outside], "point.outside", "controls.1"),
        ([TRACK, nothing], "mask.nothing", "controls.1.region"),
        ([TRACK, {"kind": "track", "file": str(tmp_path / "gone.csv")}], "tracks.unreadable", "controls.1"),
    ]:
        scene = {"picture": str(tmp_path / "a.png"), "size": "64x48", "frames": 4, "controls": controls}
        with pytest.raises(InputError) as refused:
            prepare(AnimationRequest.from_data(scene))
        said = problem(refused.value)
        assert (said["key"], said["place"]) == (key, place)


def test_no_words_of_the_page_name_a_path_or_an_option_of_the_command_line() -> None:
    for words in PROBLEMS.values():
        for said in words.values():
            assert not re.search(r"--\w|/\w+/|`|mofa \w+ ", said), said


def test_an_error_behind_another_gives_its_key() -> None:
    try:
        try:
            raise InputError("the mask paints nothing.", key="mask.nothing")
        except InputError as error:
            raise InputError(f"a.png: {error}") from None
    except InputError as error:
        assert problem(error) == {
            "error": "a.png: the mask paints nothing.",
            "key": "mask.nothing",
            "values": {},
            "place": "",
        }
    assert problem(ValueError("x"))["key"] == "internal"
