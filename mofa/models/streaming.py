"""A network's layers come to the device one by one, each while the one before it computes.

diffusers' group offloading, put on for as long as it is needed.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

HOOKS = ("layer_execution_tracker", "lazy_prefetch_group_offloading", "group_offloading")
"""What group offloading puts on modules; the one that lies outermost first."""


@contextmanager
def streamed(block: nn.Module, device: torch.device, overlapping: bool = True) -> Iterator[None]:
    """A part of a network can be called on tensors of the device within this block of code.

    Its layers wait in main memory, pinned where copies are `overlapping` with the computing, which the
    device must be able to do; the first call learns in which order they are needed.
    """
    # Importing diffusers' hooks takes seconds: whoever streams nothing is not to wait for them.
    from diffusers.hooks import HookRegistry, apply_group_offloading

    apply_group_offloading(
        block, device, torch.device("cpu"), "leaf_level", use_stream=overlapping, non_blocking=overlapping
    )
    try:
        yield
    finally:
        for module in block.modules():
            registry = getattr(module, "_diffusers_hook", None)
            if isinstance(registry, HookRegistry):
                for name in HOOKS:
                    registry.remove_hook(name, recurse=False)
        block.to("cpu")  # a call that failed has left some of it on the device
