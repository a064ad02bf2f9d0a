"""Checkpoints: folders that appear whole or not at all, and from which a run goes on as if never stopped.

    runs/x/checkpoint-2000/
        config.json, diffusion_pytorch_model.safetensors   the result, as mofa's loaders read it
        training/state.json                                step, processes, recipe: what the run was
        training/weights.safetensors                       trained parameters, and buffers of what is trained
        training/optimiser.safetensors, average.safetensors

Nothing is pickled. All randomness of a run is keyed by example (`protocol.Draws`) and needs no saving.
"""

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mofa.errors import InputError, OutputError, WeightsError
from mofa.training.protocol import Objective
from mofa.training.sharding import shared_as, standing_in, whole, whole_parameters
from mofa.training.stepping import Memory

NAME = re.compile(r"checkpoint-(\d+)")
HIDDEN = ".unfinished-"


@dataclass
class RunState:
    """What changes while a run goes on, apart from the networks."""

    step: int = 0
    average: dict[str, Tensor] | None = None
    best: float | None = None
    best_step: int | None = None


@dataclass(frozen=True)
class Snapshot:
    """What a checkpoint keeps of a run, on the CPU; `wholes` are parameters that processes hold parts of."""

    weights: dict[str, Tensor]
    memory: dict[str, Tensor]
    numbers: dict[str, float]
    average: dict[str, Tensor] | None
    wholes: dict[str, Tensor]


def take_snapshot(objective: Objective, optimiser: Memory, state: RunState) -> Snapshot:
    """The run as it is now; where parameters are shared out, all processes take it together."""
    memory, numbers = _optimiser_state(objective, optimiser)
    average = None if state.average is None else _apart(state.average)
    return Snapshot(weights_of(objective), memory, numbers, average, whole_parameters(objective))


def checkpoints(run: Path) -> dict[int, Path]:
    """Step -> folder of a run's checkpoints, oldest first."""
    if not run.is_dir():
        return {}
    found = {int(m[1]): path for path in run.iterdir() if (m := NAME.fullmatch(path.name))}
    return dict(sorted(found.items()))


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yields a hidden folder that becomes `path` when the block succeeds, and is removed when it does not.

    Its files are on the disk before its name is: after a power cut, too, a folder that is there is whole.
    """
    hidden = path.with_name(f"{HIDDEN}{path.name}-{secrets.token_hex(4)}")
    try:
        hidden.mkdir(parents=True)
        yield hidden
        for file in hidden.rglob("*"):
            _to_disk(file)
        _to_disk(hidden)
        os.rename(hidden, path)
        _to_disk(path.parent)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(run: Path) -> None:
    """Removes what runs that were killed left unfinished."""
    for path in run.glob(f"{HIDDEN}*"):
        shutil.rmtree(path, ignore_errors=True)


def write_checkpoint(
    run: Path,
    objective: Objective,
    snapshot: Snapshot,
    state: RunState,
    about: Mapping[str, Any],
) -> Path:
    """Writes `checkpoint-STEP`; `about` goes into its state.json. A folder that is there already stays.

    Raises OutputError where it cannot be written; nothing half-written is left.
    """
    path = run / f"checkpoint-{state.step}"
    if path.exists():
        return path
    try:
        with whole_folder(path) as folder:
            _write(folder, objective, snapshot, state, about)
    except OSError as error:
        if path.exists():  # another process of the run was first
            return path
        raise OutputError(f"{path} could not be written ({error.strerror or error}).") from error
    except Exception as error:
        # safetensors reports a full disk in words of its own.
        if "No space left" not in str(error):
            raise
        raise OutputError(f"{path} could not be written (No space left on device).") from error
    return path


def _write(
    folder: Path,
    objective: Objective,
    snapshot: Snapshot,
    state: RunState,
    about: Mapping[str, Any],
) -> None:
    with standing_in(objective, snapshot.wholes):
        if snapshot.average is not None:
            objective.follow(snapshot.average)
        try:
            objective.write(folder)
        finally:
            objective.follow(snapshot.weights)
    training = folder / "training"
    training.mkdir()
    save_file(snapshot.weights, training / "weights.safetensors")
    save_file(snapshot.memory, training / "optimiser.safetensors")
    if snapshot.average is not None:
        save_file(snapshot.average, training / "average.safetensors")
    content = {
        "step": state.step,
        "best": state.best,
        "best_step": state.best_step,
        "optimiser": snapshot.numbers,
        **about,
    }
    (training / "state.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def weights_of(objective: Objective) -> dict[str, Tensor]:
    """Trained parameters, and the buffers of modules that have some: running means of norms."""
    weights = {name: parameter.detach() for name, parameter in objective.trained.items()}
    for prefix, module in objective.named_modules():
        if any(parameter.requires_grad for parameter in module.parameters(recurse=False)):
            for name, buffer in module.named_buffers(recurse=False):
                weights[f"{prefix}.{name}"] = buffer
    return _apart(weights)


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU that share no memory."""
    return {name: whole(tensor.detach()).cpu().clone().contiguous() for name, tensor in tensors.items()}


def _optimiser_state(objective: Objective, optimiser: Memory) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The optimiser's memory by parameter name: tensors, and plain numbers."""
    names = {id(parameter): name for name, parameter in objective.trained.items()}
    tensors, numbers = {}, {}
    for parameter, memory in optimiser.state.items():
        for key, value in memory.items():
            place = f"{names[id(parameter)]}/{key}"
            if isinstance(value, Tensor):
                tensors[place] = value
            elif isinstance(value, int | float):
                numbers[place] = value
    return _apart(tensors), numbers


def read_state(checkpoint: Path) -> dict[str, Any]:
    """A checkpoint's state.json; WeightsError where there is none."""
    path = checkpoint / "training" / "state.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{checkpoint} is no checkpoint of a training run ({path} cannot be read): name a folder "
            "checkpoint-N, or latest."
        ) from error
    return dict(content)


def read_checkpoint_into(checkpoint: Path, objective: Objective, optimiser: Memory) -> RunState:
    """Puts a checkpoint's weights and the optimiser's memory in place; returns the rest.

    Raises WeightsError where its parameters are not the objective's: another recipe or architecture.
    """
    read_weights_into(checkpoint, objective)
    return read_memory_into(checkpoint, objective, optimiser)


def read_weights_into(checkpoint: Path, objective: Objective) -> None:
    """Puts a checkpoint's weights in place, before they are shared out; WeightsError for others."""
    weights = load_file(checkpoint / "training" / "weights.safetensors")
    own = weights_of(objective)
    _check_same(own, weights, checkpoint)
    buffers = dict(objective.named_buffers())
    with torch.no_grad():
        for name, value in weights.items():
            target = objective.trained.get(name, buffers.get(name))
            assert target is not None
            target.copy_(value)


def read_memory_into(checkpoint: Path, objective: Objective, optimiser: Memory) -> RunState:
    """Puts the optimiser's memory in place, shared out as the parameters are; returns what else changes."""
    content, folder = read_state(checkpoint), checkpoint / "training"
    memory = load_file(folder / "optimiser.safetensors")
    _restore_optimiser(objective, optimiser, memory, content["optimiser"])
    average = folder / "average.safetensors"
    parameters = objective.trained
    return RunState(
        step=content["step"],
        best=content["best"],
        best_step=content["best_step"],
        average={name: shared_as(value, parameters[name]) for name, value in load_file(average).items()}
        if average.exists()
        else None,
    )


def _check_same(own: Mapping[str, Tensor], found: Mapping[str, Tensor], checkpoint: Path) -> None:
    wrong = sorted(own.keys() ^ found.keys())
    wrong += [name for name in own if name in found and own[name].shape != found[name].shape]
    if wrong:
        raise WeightsError(
            f"{checkpoint} is of another architecture or recipe ({len(wrong)} parameters differ, such as "
            f"{wrong[0]}): resume with the recipe it was made with, or start anew in another folder."
        )


def _restore_optimiser(
    objective: Objective,
    optimiser: Memory,
    tensors: Mapping[str, Tensor],
    numbers: Mapping[str, float],
) -> None:
    parameters = objective.trained
    for place, value in (tensors | dict(numbers)).items():  # type: ignore[operator]
        name, _, key = place.rpartition("/")
        memory = optimiser.state[parameters[name]]
        # AdamW counts its steps on the CPU wherever its parameters are.
        on_device = isinstance(value, Tensor) and value.dim() > 0
        memory[key] = shared_as(value, parameters[name]) if on_device else value


def prune(run: Path, keep: int, best_step: int | None) -> None:
    """Removes all checkpoints but the last `keep` and the best."""
    for step, path in list(checkpoints(run).items())[: -keep or None]:
        if step != best_step:
            gone = path.with_name(f"{HIDDEN}{path.name}")
            os.rename(path, gone)
            shutil.rmtree(gone, ignore_errors=True)


def find_resume(run: Path, wish: str) -> Path | None:
    """The checkpoint that `latest` or a path means; None where `latest` finds none.

    Raises InputError for a path that is no checkpoint.
    """
    if wish == "latest":
        found = checkpoints(run)
        return found[max(found)] if found else None
    path = Path(wish)
    if not path.is_dir():
        raise InputError(f"{path} does not exist: name a folder checkpoint-N, or latest.")
    return path
