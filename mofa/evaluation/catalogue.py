"""Suites by name: data files that say which kind of suite, and with what settings."""

from collections.abc import Mapping
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from mofa.control.words import nearest
from mofa.errors import InputError
from mofa.evaluation.drag import DragSuite
from mofa.evaluation.published import FolderSuite, McBenchSuite, MoveBenchSuite
from mofa.evaluation.scene import Suite
from mofa.evaluation.synthetic import SyntheticSuite
from mofa.evaluation.talking import TalkingSuite
from mofa.evaluation.tracked import TrackedSuite

KINDS: Mapping[str, type[Any]] = {
    "synthetic": SyntheticSuite,
    "tracked": TrackedSuite,
    "drag": DragSuite,
    "talking": TalkingSuite,
    "movebench": MoveBenchSuite,
    "mc-bench": McBenchSuite,
    "folder": FolderSuite,
}
"""What `kind` in a suite's file may say; its other keys are the fields of that class."""


def suite_names() -> list[str]:
    """The suites that come with mofa."""
    folder = files("mofa.evaluation") / "suites"
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )


def find_suite(name: str, data: Path | None = None, **changed: Any) -> Suite:
    """The suite of that name, or that of a suite file (.yaml). `data` is the folder of a suite that needs
    one, `changed` replaces settings of the file.

    Raises InputError: no such suite, or its file is not right.
    """
    if name.endswith((".yaml", ".yml")):
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"the suite file {name} cannot be read ({error}): check the path.") from None
    elif name in suite_names():
        text = (files("mofa.evaluation") / "suites" / f"{name}.yaml").read_text(encoding="utf-8")
    else:
        known = suite_names()
        raise InputError(
            f'there is no suite "{name}": did you mean "{nearest(name, known)}"? There are '
            f"{', '.join(known)}, and any suite file (.yaml)."
        )
    return built(text, name, data, changed)


def built(text: str, where: str, data: Path | None, changed: Mapping[str, Any]) -> Suite:
    """The suite that a file's text describes."""
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"the suite {where} is not valid YAML: {error}.") from None
    if not isinstance(settings, dict) or settings.get("kind") not in KINDS:
        raise InputError(f"the suite {where} needs a kind: one of {', '.join(KINDS)}.")
    kind = KINDS[settings.pop("kind")]
    known = [field.name for field in fields(kind)]
    settings |= changed
    for key in settings:
        if key not in known:
            raise InputError(
                f'the suite {where} has no setting "{key}": did you mean "{nearest(key, known)}"?'
            )
    if "data" in known:
        if data is None and "data" not in settings:
            raise InputError(f"the suite {where} needs its data: give their folder with --data DIR.")
        settings["data"] = Path(data if data is not None else settings["data"])
    elif data is not None:
        raise InputError(f"the suite {where} makes its own data: leave --data out.")
    try:
        suite: Suite = TypeAdapter(kind).validate_python(settings)
        return suite
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(f"the suite {where}: {key}: {first['msg'].lower()}.") from None
