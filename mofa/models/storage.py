"""Weights kept in 8 bits and computed with in the usual format: half the memory, a little less exact."""

import torch
from diffusers.hooks import apply_layerwise_casting
from torch import nn

STORED = torch.float8_e4m3fn
"""Four bits of exponent, three of mantissa: the format of weights, as the other one is that of gradients."""


def store_in_8_bits(network: nn.Module, dtype: torch.dtype) -> None:
    """Keeps the weights of large layers in 8 bits, each brought back to `dtype` while it computes.

    Norms and projections in and out, which 8 bits would hurt most, stay as they are. A network that is
    stored so already is left alone.
    """
    if not any(weight.dtype == STORED for weight in network.parameters()):
        apply_layerwise_casting(network, STORED, dtype)
