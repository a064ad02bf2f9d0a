"""Networks at toy widths without their group norms.

The classes of Stable Video Diffusion split every layer into 32 groups. At toy widths, 32 and 64, a group is
one channel or two, and its norm takes mean and contrast of a picture out of it: nothing learns to draw.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

NORMALISED_FIELD = "normalised"
"""In the config.json of networks that mofa trained from nothing; released ones have none, and normalise."""


class Scaled(nn.Module):
    """What a group norm leaves without its norm: a factor and an offset for every channel."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, x: Float[Tensor, "B C *size"]) -> Float[Tensor, "B C *size"]:
        """Every channel scaled and moved."""
        shape = (1, -1, *(1,) * (x.dim() - 2))
        return x * self.weight.view(shape) + self.bias.view(shape)


def without_norms(network: nn.Module) -> None:
    """Puts `Scaled` in place of every group norm; names and shapes of parameters stay."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.GroupNorm):
                with child.weight.device:
                    setattr(module, name, Scaled(child.num_channels))
