"""Compiles the blocks that a network repeats: the gain of compiling it whole, in a tenth of the waiting time.

diffusers' `compile_repeated_blocks` does so for classes that list such blocks; this model's does not.
"""

import torch
from diffusers.models.attention import BasicTransformerBlock, TemporalBasicTransformerBlock
from diffusers.models.resnet import SpatioTemporalResBlock
from torch import nn

REPEATED = (BasicTransformerBlock, TemporalBasicTransformerBlock, SpatioTemporalResBlock)
"""Where Stable Video Diffusion and the adapters' trunk do nearly all of their work."""


def repeated_blocks(network: nn.Module) -> list[nn.Module]:
    """The blocks of a network that are compiled, each for itself; equal ones share what was made."""
    return [module for module in network.modules() if isinstance(module, REPEATED)]


def compile_blocks(network: nn.Module) -> None:
    """Lets the repeated blocks be compiled when they first run.

    The weights of convolutions over pictures are laid out channels last, which compiled kernels read best.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    for block in repeated_blocks(network):
        block.compile()
