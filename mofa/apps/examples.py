"""The examples that come with the package."""

from pathlib import Path

import mofa
from mofa.errors import InputError


def example_names() -> list[str]:
    """Names of the examples, the first one first."""
    return [path.stem for path in sorted(_folder().glob("*.yaml"))]


def example(name: str | None) -> Path:
    """The scene file of an example: by its name, with or without the leading number; the first when None."""
    names = example_names()
    found = [n for n in names if name is None or name in (n, n.partition("-")[2])]
    if not found:
        raise InputError(
            f'there is no example "{name}": choose one of {", ".join(names)}.', key="scene.absent"
        )
    return _folder() / f"{found[0]}.yaml"


def _folder() -> Path:
    # A wheel carries the folder inside the package; a checkout has it beside the package.
    package = Path(mofa.__file__).parent
    for folder in (package / "examples", package.parent / "examples"):
        if folder.is_dir():
            return folder
    raise InputError(
        f"the examples are missing from this installation ({package}): install mofa again.",
        key="install.damaged",
    )
