"""The house keeps its layers: a file imports from layers below and from its own folder, nothing else."""

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "mofa"
LAYER = {
    "types": 0, "errors": 0, "devices": 0,
    "tensors": 1,
    "control": 2, "media": 2, "vision": 2, "models": 2, "densify": 2,
    "weights": 3, "sampling": 3, "faces": 3,
    "renderers": 4,
    "pipeline": 5, "training": 5,
    "evaluation": 6, "batch": 6,
    "apps": 7, "client": 7,
}  # fmt: skip
# A library and its only homes: nobody else imports it.
HOME = {
    "cv2": ("media", "vision", "faces", "tensors"), "av": ("media",), "PIL": ("media",),
    "diffusers": ("models",), "transformers": ("models",),
    "huggingface_hub": ("weights",),
    "mediapipe": ("faces",),
    "accelerate": ("training",), "deepspeed": ("training",), "peft": ("training",),
    "webdataset": ("training",),
    "rich": ("apps",), "ray": ("apps", "batch"),
    "gradio": ("apps",), "fastapi": ("apps",), "starlette": ("apps",), "uvicorn": ("apps",),
}  # fmt: skip


def imported_modules(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: write imports in full, not relative"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def offences(file: Path) -> list[str]:
    room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room == "__init__":  # the front door names its rooms lazily
        return []
    found = []
    for name in sorted(imported_modules(file)):
        top, _, rest = name.partition(".")
        if top == "mofa":
            other = rest.split(".")[0]
            if other in LAYER and other != room and LAYER[other] >= LAYER[room] and LAYER[room] > 0:
                found.append(
                    f"{file.relative_to(PACKAGE)} (layer {LAYER[room]}) imports {name} (layer {LAYER[other]})"
                )
            if LAYER[room] == 0 and other not in ("types", "errors", "devices"):
                found.append(f"{file.relative_to(PACKAGE)} (layer 0) imports {name}")
        elif room not in HOME.get(top, (room,)):
            found.append(
                f"{file.relative_to(PACKAGE)} imports {top}, whose only home is {'/, '.join(HOME[top])}/"
            )
    return found


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_point_downwards(file: Path) -> None:
    assert not offences(file), "\n".join(offences(file))


def test_every_room_has_a_layer() -> None:
    rooms = {f.relative_to(PACKAGE).parts[0].removesuffix(".py") for f in PACKAGE.rglob("*.py")}
    assert rooms - {"__init__", "__main__"} <= LAYER.keys()


@pytest.mark.slow
def test_only_devices_says_cuda() -> None:
    sayers = [
        str(f.relative_to(PACKAGE))
        for f in PACKAGE.rglob("*.py")
        if f.name != "devices.py"
        and any(
            (isinstance(node, ast.Attribute) and node.attr == "cuda")
            or (isinstance(node, ast.Constant) and node.value == "cuda")
            for node in ast.walk(ast.parse(f.read_text(encoding="utf-8")))
        )
    ]
    assert not sayers, f"device decisions belong in mofa/devices.py, found in {sayers}"


def modules() -> dict[str, Path]:
    """Every module of the package by its full name."""
    files = sorted(PACKAGE.rglob("*.py"))
    names = (".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in files)
    return {name.removesuffix(".__init__"): file for name, file in zip(names, files, strict=True)}


def circles(imports: Mapping[str, set[str]]) -> list[list[str]]:
    """Modules that import each other, by whatever way: the graph's parts that are left when ends are cut."""
    left = {name: set(others) for name, others in imports.items()}
    while ends := [name for name, others in left.items() if not others & left.keys()]:
        for name in ends:
            del left[name]
    return [sorted(left)] if left else []


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == [["a", "b", "c"]]


@pytest.mark.slow
def test_no_module_imports_itself_by_a_detour() -> None:
    """Imports within functions count: what is only put off is a circle still."""
    known = modules()
    imports = {
        name: {found if found in known else found.rpartition(".")[0] for found in imported_modules(file)}
        for name, file in known.items()
        if name != "mofa"
    }
    assert not circles({name: others - {name} for name, others in imports.items()})
