"""A training run as data: recipes are YAML files whose every key is a field of a frozen dataclass."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from mofa.control.words import nearest
from mofa.errors import InputError
from mofa.training.registry import OBJECTIVES, SOURCES, find_kind


@dataclass(frozen=True)
class OptimiserSettings:
    """How parameters are changed; the defaults are the paper's."""

    name: Literal["adamw", "adamw-8bit", "sgd"] = "adamw"
    learning_rate: float = 2e-5
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 1e-2
    momentum: float = 0.9
    """Of sgd, in place of betas and epsilon."""
    schedule: Literal["constant", "cosine", "linear", "tenths"] = "constant"
    """What becomes of the rate after the warm-up: nothing, it falls to zero at the last step, or to a tenth
    at each of `falls`."""
    falls: tuple[int, ...] = ()
    """Steps at which a rate in tenths falls."""
    warmup_steps: int = 0
    max_gradient_norm: float | None = 1.0
    """Gradients longer than this are shortened to it; null leaves them."""


@dataclass(frozen=True)
class GenerationSettings:
    """Clips that a validation makes of held-out examples, as a grid beside their truth, and with numbers."""

    examples: int = 0
    """How many; 0 is none."""
    steps: int = 25
    """Denoising steps of each."""
    guidance: tuple[float, float] = (1.0, 3.0)
    """Guidance scale of the first frame and of the last."""


@dataclass(frozen=True)
class LoopSettings:
    """How long, how much at once, and what is written on the way."""

    steps: int = 1000
    batch: int = 1
    """Examples per process and pass."""
    accumulation: int = 1
    """Passes whose gradients make one step."""
    seed: int = 42
    precision: Literal["no", "bf16", "fp16"] = "no"
    """Number format of the passes; the trained weights are float32."""
    frozen_precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """Number format of the networks that are not trained."""
    gradient_checkpointing: bool = False
    average: float | None = None
    """Decay of the running mean of the trained weights (EMA), which then is the result; null is none."""
    workers: int = 0
    """Processes that prepare examples; 0 prepares them between steps."""
    checkpoint_every: int = 500
    keep: int = 3
    """Checkpoints that stay, beside the best."""
    validate_every: int = 0
    validation_examples: int = 8
    generation: GenerationSettings = GenerationSettings()
    """Clips made at validations, and before the first step."""
    log_every: int = 10
    report_to: tuple[Literal["tensorboard", "wandb"], ...] = ()
    """Where numbers go beside metrics.jsonl."""


@dataclass(frozen=True)
class Recipe:
    """Everything a run depends on. `objective`, `data` and `validation` say at `kind` what they are."""

    objective: Any
    data: Any
    about: str = ""
    validation: Any = None
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    loop: LoopSettings = field(default_factory=LoopSettings)


def recipe_names() -> tuple[str, ...]:
    """The recipes that come with mofa."""
    return tuple(sorted(path.name[:-5] for path in _shelf().iterdir() if path.name.endswith(".yaml")))


def launch_files() -> tuple[Path, ...]:
    """Files for `accelerate launch --config_file`, for several devices."""
    return tuple(sorted(Path(str(files("mofa.training").joinpath("launching"))).glob("*.yaml")))


def read_recipe(source: str, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of that name or file, with `key.below=value` changes.

    Raises InputError: no such recipe, unknown keys (it names the nearest), values of another kind.
    """
    data = _read(source, ())
    # What is of another kind has other keys, so kinds come before them in whatever order they are given.
    for change in sorted(changes, key=lambda change: not change.partition("=")[0].endswith(".kind")):
        _apply(data, change)
    return make_recipe(data, source)


def make_recipe(data: Mapping[str, Any], source: str) -> Recipe:
    """The recipe that plain data states."""
    content = dict(data)
    kinds: dict[str, Any] = {}
    for key, known in (("objective", OBJECTIVES), ("data", SOURCES), ("validation", SOURCES)):
        part = content.pop(key, None)
        if part is None and key == "validation":
            continue
        if not isinstance(part, Mapping):
            raise InputError(f"{source} has no {key}: write {key}: with a kind below it.")
        part = dict(part)
        where = f"{source}: {key}"
        kinds[key] = _fill(find_kind(part.pop("kind", None), known, where), part, where)
    for key, kind in (("optimiser", OptimiserSettings), ("loop", LoopSettings)):
        kinds[key] = _fill(kind, content.pop(key, None) or {}, f"{source}: {key}")
    _check_keys(Recipe, content, source)
    return Recipe(about=str(content.get("about", "")), **kinds)


def plain(recipe: Recipe) -> dict[str, Any]:
    """The resolved recipe as plain data that `make_recipe` takes back."""
    content: dict[str, Any] = {"about": recipe.about}
    for key, known in (("objective", OBJECTIVES), ("data", SOURCES), ("validation", SOURCES)):
        part = getattr(recipe, key)
        if part is not None:
            content[key] = {"kind": _word(part, known)} | _simple(asdict(part))
    return content | {"optimiser": _simple(asdict(recipe.optimiser)), "loop": _simple(asdict(recipe.loop))}


def _word(part: Any, kinds: Mapping[str, str]) -> str:
    path = f"{type(part).__module__}:{type(part).__name__}"
    return next(word for word, target in kinds.items() if target == path)


def _simple(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _simple(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_simple(below) for below in value]
    return str(value) if isinstance(value, Path) else value


def _shelf() -> Any:
    return files("mofa.training").joinpath("recipes")


def _read(source: str, seen: tuple[str, ...]) -> dict[str, Any]:
    """The YAML's content over that of the recipe it names at `base`."""
    if source in seen:
        raise InputError(f"the recipe {source} is its own base: remove the line `base`.")
    if source in recipe_names():
        text = _shelf().joinpath(f"{source}.yaml").read_text(encoding="utf-8")
    elif Path(source).is_file():
        text = Path(source).read_text(encoding="utf-8")
    else:
        raise InputError(
            f'there is no recipe or file "{source}": did you mean "{nearest(source, recipe_names())}"? '
            f"Recipes: {', '.join(recipe_names())}."
        )
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{source} is not YAML ({' '.join(str(error).split())}): mend it.") from error
    if not isinstance(data, dict):
        raise InputError(f"{source} holds no keys: see `mofa train --list` for recipes to begin with.")
    base = data.pop("base", None)
    return data if base is None else _merged(_read(str(base), (*seen, source)), data)


def _merged(below: dict[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        # Another kind has other keys: nothing of the old one is kept.
        both = both and value.get("kind", merged[key].get("kind")) == merged[key].get("kind")
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _apply(data: dict[str, Any], change: str) -> None:
    """Sets `a.b=value` in nested mappings."""
    path, equals, value = change.partition("=")
    if not equals or not path:
        raise InputError(f'"{change}" changes nothing: write key=value, such as loop.steps=200.')
    *parents, last = path.split(".")
    place = data
    for name in parents:
        below = place.get(name)
        if not isinstance(below, dict):
            below = place[name] = {}
        place = below
    try:
        place[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f'"{value}" in "{change}" cannot be read: put it in quotes.') from error
    known = {"objective": OBJECTIVES, "data": SOURCES, "validation": SOURCES}.get(path.removesuffix(".kind"))
    if last == "kind" and known is not None:
        names = {each.name for each in fields(find_kind(place[last], known, path.removesuffix(".kind")))}
        for key in place.keys() - names - {"kind"}:
            del place[key]


def _fill(kind: type[Any], values: Any, where: str) -> Any:
    """The dataclass with these values; InputError says which key is wrong and how."""
    if not isinstance(values, Mapping):
        raise InputError(f"{where} is {values!r}, not a group of keys.")
    _check_keys(kind, values, where)
    try:
        return TypeAdapter(kind).validate_python(_floats(dict(values), kind))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{where}{'.' + key if key else ''}: {first['msg'].removeprefix('Value error, ')}; "
            f"it is {first['input']!r}."
        ) from error


def _floats(values: dict[str, Any], kind: type[Any]) -> dict[str, Any]:
    """YAML 1.1 reads 2e-5 as text: where a number is wanted, text that is one becomes one."""
    hints = get_type_hints(kind)
    for name, value in values.items():
        if isinstance(value, str) and float in (hints.get(name), *getattr(hints.get(name), "__args__", ())):
            try:
                values[name] = float(value)
            except ValueError:
                continue
    return values


def _check_keys(kind: type[Any], values: Mapping[str, Any], where: str) -> None:
    known = tuple(f.name for f in fields(kind))
    for key, value in values.items():
        if key not in known:
            raise InputError(
                f'{where} has no key "{key}": did you mean "{nearest(str(key), known)}"? '
                f"There are {', '.join(known)}."
            )
        below = _dataclass_of(get_type_hints(kind).get(key))
        if below is not None and isinstance(value, Mapping):
            _check_keys(below, value, f"{where}.{key}")


def _dataclass_of(hint: Any) -> type[Any] | None:
    return next((kind for kind in _kinds(hint) if isinstance(kind, type) and is_dataclass(kind)), None)


def _kinds(hint: Any) -> Iterator[Any]:
    yield hint
    yield from getattr(hint, "__args__", ())
