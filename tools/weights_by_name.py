"""Random weights that anyone can make again without a file: every tensor is drawn from its own key.

Two implementations that agree on their keys thereby agree on their weights. The draw is numpy's Philox
generator under the key pair (crc32 of the tensor's key, seed), one standard normal per element, then
scaled so that activations neither fade nor explode through the depth of a network.
"""

import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

# Plain convolution stacks with ReLU or SiLU and no norm between them lose half their signal per layer:
# weights whose key names one of these parts are drawn twice as large.
UNNORMALISED_PARTS = ("cond_embedding", "ldmk_embedding", "flow_encoder", "occlusions")


def draw(key: str, shape: tuple[int, ...], seed: int, gain: float = 1.0) -> Tensor:
    """The tensor called `key`, float32 (int64 for batch counters, which are 0)."""
    kind = key.rpartition(".")[2]
    if kind == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    generator = np.random.Generator(np.random.Philox(key=[zlib.crc32(key.encode()), seed]))
    values: Any = generator.standard_normal(shape, dtype=np.float32)
    if kind == "running_var":
        values = 1.0 + 0.2 * np.abs(values)
    elif kind == "running_mean":
        values = 0.1 * values
    elif kind == "weight" and len(shape) == 1:
        values = 1.0 + 0.1 * values  # the scale of a norm
    elif len(shape) < 2:
        values = 0.05 * values  # biases and mixing factors
    else:
        loudness = 2.0 if any(part in key for part in UNNORMALISED_PARTS) else 1.0
        values = loudness * gain * values / np.sqrt(np.prod(shape[1:], dtype=np.int64))
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).reshape(shape)


def fill(module: nn.Module, seed: int, gain: float = 1.0, prefix: str = "") -> None:
    """Give every tensor of the module's state dict the values that `prefix` + its key stands for.

    Tensors are replaced one by one, so a module on the meta device never has a second copy.
    """
    for key, old in list(module.state_dict(keep_vars=True).items()):
        owner_name, _, name = key.rpartition(".")
        values = draw(prefix + key, tuple(old.shape), seed, gain)
        new = nn.Parameter(values, requires_grad=False) if isinstance(old, nn.Parameter) else values
        setattr(module.get_submodule(owner_name), name, new)


Module = TypeVar("Module", bound=nn.Module)


def build(make: Callable[[], Module], seed: int, gain: float = 1.0, prefix: str = "") -> Module:
    """The module that `make` makes, in evaluation mode, with weights by name and no initialisation."""
    with torch.device("meta"):
        module = make()
    fill(module, seed, gain, prefix)
    return module.eval()
