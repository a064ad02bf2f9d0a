"""Compiles the blocks that a network repeats: the gain of compiling it whole, in a tenth of the waiting time.

diffusers' `compile_repeated_blocks` does so for classes that list such blocks; this model's does not.
"""

from diffusers.models.attention import BasicTransformerBlock, TemporalBasicTransformerBlock
from diffusers.models.resnet import SpatioTemporalResBlock
from torch import nn

REPEATED = (BasicTransformerBlock, TemporalBasicTransformerBlock, SpatioTemporalResBlock)
"""Where Stable Video Diffusion and the adapters' trunk do nearly all of their work."""


def repeated_blocks(network: nn.Module) -> list[nn.Module]:
    """The blocks of a network that are compiled, each for itself; equal ones share what was made."""
    return [module for module in network.modules() if isinstance(module, REPEATED)]


def compile_blocks(network: nn.Module) -> None:
    """Lets the repeated blocks be compiled when they first run."""
    for block in repeated_blocks(network):
        block.compile()
