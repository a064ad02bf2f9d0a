"""Every text that the page uses exists, in both languages."""

import re
from dataclasses import fields
from pathlib import Path

import mofa.apps.studio
from mofa.apps.studio.settings_form import CLIP_FIELDS, settings_form
from mofa.apps.studio.texts import FIELD_HELP_ZH, TEXTS
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
