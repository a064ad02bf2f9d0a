"""Every text that the page uses exists, in both languages."""

import ast
import re
from dataclasses import fields
from pathlib import Path

import mofa.apps.studio
from mofa.apps.studio.jobs import problem
from mofa.apps.studio.problems import PROBLEMS
from mofa.apps.studio.settings_form import CLIP_FIELDS, settings_form
from mofa.apps.studio.texts import FIELD_HELP_ZH, TEXTS
from mofa.errors import InputError
from mofa.renderers.diffusion.settings import PRESETS, SvdSettings

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


def keyed_errors() -> dict[str, list[set[str]]]:
    """Of every key that an error is raised with: the names of the values beside it, each time."""
    found: dict[str, list[set[str]]] = {}
    for file in Path(mofa.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                continue
            if not call.func.id.endswith(("Error", "OutOfMemory", "NoSound")):
                continue
            names = {keyword.arg for keyword in call.keywords if keyword.arg} - {"key"}
            for keyword in call.keywords:
                if keyword.arg == "key":
                    keys = [node.value for node in ast.walk(keyword.value) if isinstance(node, ast.Constant)]
                    for key in keys:
                        found.setdefault(key, []).append(names)
    return found


def test_every_key_of_an_error_has_words_in_both_languages_for_the_values_beside_it() -> None:
    used = keyed_errors()
    assert len(used) > 60
    assert used.keys() | {"internal", "memory"} == PROBLEMS.keys()
    for key, words in PROBLEMS.items():
        english, chinese = (set(re.findall(r"\{(\w+)\}", words[language])) for language in ("en", "zh"))
        assert english == chinese, key
        assert all(english <= names for names in used.get(key, [])), key


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
        }
    assert problem(ValueError("x"))["key"] == "internal"
