"""Where networks are while they work: on the device, or there only as long as they are needed.

Offloading changes where numbers are computed from, never the numbers.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mofa.devices import can_overlap
from mofa.models.streaming import streamed
from mofa.renderers.diffusion.settings import Offload


@dataclass(frozen=True)
class Placement:
    """The device to compute on, and what waits in main memory meanwhile.

    "none": every network stays on the device. "model": a network is there while its stage runs.
    "block": a network's blocks are there one at a time, which needs little memory.
    "stream": so are a block's single layers, each copied while the one before it computes.
    """

    device: torch.device
    offload: Offload = "none"

    @contextmanager
    def using(self, *networks: nn.Module) -> Iterator[None]:
        """The networks can be called on tensors of the device within this block."""
        match self.offload:
            case "none":
                yield
            case "model":
                with ExitStack() as stack:
                    for network in networks:
                        stack.enter_context(_visiting(network, self.device))
                    yield
            case "block":
                with ExitStack() as stack:
                    for block in (block for network in networks for block in blocks_of(network)):
                        stack.enter_context(_commuting(block, self.device))
                    yield

            case "stream":
                with ExitStack() as stack:
                    for block in (block for network in networks for block in blocks_of(network)):
                        stack.enter_context(streamed(block, self.device, can_overlap(self.device)))
                    yield

    def settle(self, *networks: nn.Module) -> None:
        """Brings networks to where they wait."""
        home = self.device if self.offload == "none" else torch.device("cpu")
        for network in networks:
            network.to(home)


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """A network's parts that are called one after another: its children, lists of them taken apart.

    Blocks of residual blocks are taken apart, too: a step that reuses the deep layers calls single ones.
    """
    blocks = []
    for child in network.children():
        listed = isinstance(child, nn.ModuleList | nn.ModuleDict) or hasattr(child, "resnets")
        blocks += blocks_of(child) if listed else [child]
    return blocks


@contextmanager
def _visiting(network: nn.Module, device: torch.device) -> Iterator[None]:
    network.to(device)
    try:
        yield
    finally:
        network.to("cpu")


@contextmanager
def _commuting(block: nn.Module, device: torch.device) -> Iterator[None]:
    def arrive(module: nn.Module, _: Any) -> None:
        module.to(device)

    def leave(module: nn.Module, _inputs: Any, _outputs: Any) -> None:
        module.to("cpu")

    hooks = [block.register_forward_pre_hook(arrive), block.register_forward_hook(leave, always_call=True)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
