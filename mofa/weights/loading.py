"""Puts a checkpoint into modules exactly: nothing missing, nothing left over, or an error that says so."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from mofa.errors import WeightsError
from mofa.weights.convert import read_checkpoint, shapes_of
from mofa.weights.registry import COUNTERS, find_checkpoint, recognise

Network = TypeVar("Network", bound=nn.Module)

SHOWN_KEYS = 3
"""How many offending keys an error names."""


def load_exactly(
    modules: nn.Module | Sequence[nn.Module],
    tensors: Mapping[str, Tensor],
    checkpoint: str,
    file: Path,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Gives `modules` the weights of one checkpoint; several modules share its keys out among them.

    The modules may be on the meta device: each tensor is converted on its own and takes the place of
    the module's, so there is never a second copy. `checkpoint` names the kind that `file` must be
    (`mofa.weights.registry.CHECKPOINTS`), whose harmless keys may be left over; batch counters may also
    be missing and are then zero. Without `device` the modules stay where they are (the CPU for the meta
    device); without `dtype` each tensor takes the type of the one it replaces. Integers keep theirs.
    Buffers outside the state dict are the caller's to build.

    Raises WeightsError: a key is missing, left over, or of another shape. It names the first few keys,
    the file, and what the file looks like if it is another kind of checkpoint.
    """
    parts = [modules] if isinstance(modules, nn.Module) else list(modules)
    wanted: dict[str, Tensor] = {}
    for module in parts:
        own = module.state_dict()
        assert not own.keys() & wanted.keys(), "two modules want the same keys"
        wanted |= own
    _check_keys(wanted, tensors, checkpoint, file)
    for module in parts:
        weights = {
            name: _converted(tensors.get(name), own, device, dtype)
            for name, own in module.state_dict().items()
        }
        module.load_state_dict(weights, assign=True)


def loaded(network: Network, checkpoint: str, file: Path) -> Network:
    """A network of its own, ready to read with, whose weights are all those of a checkpoint's file.

    Raises WeightsError, as `load_exactly` does.
    """
    load_exactly(network, read_checkpoint(file), checkpoint, file)
    return network.eval()


def _converted(
    tensor: Tensor | None, own: Tensor, device: torch.device | None, dtype: torch.dtype | None
) -> Tensor:
    target = device or (torch.device("cpu") if own.is_meta else own.device)
    if tensor is None:  # a batch counter
        return torch.zeros_like(own, device=target)
    if not tensor.is_floating_point():
        return tensor.to(target)
    return tensor.to(target, dtype or own.dtype)


def _check_keys(
    wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], checkpoint: str, file: Path
) -> None:
    kind = find_checkpoint(checkpoint)
    missing = [name for name in wanted if name not in found and not _listed(name, COUNTERS)]
    left_over = [name for name in found if name not in wanted and not _listed(name, COUNTERS + kind.harmless)]
    reshaped = [
        f"{name} {list(found[name].shape)} instead of {list(own.shape)}"
        for name, own in wanted.items()
        if name in found and found[name].shape != own.shape
    ]
    if not (missing or left_over or reshaped):
        return
    looks = recognise(shapes_of(found))
    if looks is not None and looks.name != kind.name:
        raise WeightsError(f"{file} looks like {looks.title}, not like {kind.title}; choose the right file.")
    complaints = [
        f"{title} {_first_few(names)}"
        for title, names in (("missing", missing), ("left over", left_over), ("other shape", reshaped))
        if names
    ]
    raise WeightsError(f"{file} does not fit {kind.title}: {'; '.join(complaints)}; choose the right file.")


def _listed(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _first_few(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_KEYS
    return ", ".join(names[:SHOWN_KEYS]) + (f" and {more} more" if more > 0 else "")
