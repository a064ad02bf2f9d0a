"""Parameters that processes share out among themselves (FSDP2, Zhao et al. 2023, arXiv 2304.11277).

Each process then holds a part of every tensor (a `DTensor`). Everything here that puts tensors together is
done by all processes at once, in the same order; where nothing is shared out it costs nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def is_shared_out(module: nn.Module) -> bool:
    """Whether processes hold parts of a module's parameters."""
    return any(isinstance(parameter, DTensor) for parameter in module.parameters())


def shared_as(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, shared out and placed as another is."""
    value = value.to(like.device)
    if isinstance(like, DTensor):
        return distribute_tensor(value, like.device_mesh, like.placements)
    return value


def whole_parameters(module: nn.Module) -> dict[str, Tensor]:
    """On the CPU, all of every parameter that is shared out."""
    return {
        name: whole(parameter.detach()).cpu()
        for name, parameter in module.named_parameters()
        if isinstance(parameter, DTensor)
    }


@contextmanager
def standing_in(module: nn.Module, wholes: Mapping[str, Tensor]) -> Iterator[None]:
    """The module with these tensors for parameters, so that one process can write them as files."""
    kept: list[tuple[nn.Module, str, nn.Parameter]] = []
    for prefix, part in module.named_modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            path = f"{prefix}.{name}" if prefix else name
            if path in wholes:
                kept.append((part, name, parameter))
                part.register_parameter(
                    name, nn.Parameter(wholes[path], requires_grad=parameter.requires_grad)
                )
    try:
        yield
    finally:
        for part, name, parameter in kept:
            part.register_parameter(name, parameter)
