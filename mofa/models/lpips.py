"""LPIPS: how different two pictures look, by learned weights of AlexNet's features.

Zhang et al., "The Unreasonable Effectiveness of Deep Features", CVPR 2018; version 0.1, AlexNet, as its
authors publish it. AlexNet (Krizhevsky, 2014) has the module names of torchvision's checkpoint, the weights
those of alex.pth.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Of colours -1..1 before the network (LPIPS 0.1)."""
CHANNELS = (64, 192, 384, 256, 256)
COMPARED = (1, 4, 7, 9, 11)
"""Layers of `features` whose outputs are compared: after each ReLU."""
EPSILON = 1e-10
"""Added to a feature's length before it is divided by it, as the published weights were trained."""


class AlexNetFeatures(nn.Module):
    """AlexNet's convolutions."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth, fifth = CHANNELS
        self.features = nn.Sequential(
            nn.Conv2d(3, first, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(first, second, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
            nn.Conv2d(second, third, 3, padding=1), nn.ReLU(),
            nn.Conv2d(third, fourth, 3, padding=1), nn.ReLU(),
            nn.Conv2d(fourth, fifth, 3, padding=1), nn.ReLU(),
        )  # fmt: skip

    def forward(self, pictures: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        """What each stage sees in pictures -1..1, of unit length over the channels."""
        hidden = (pictures - as_channels(SHIFT, pictures)) / as_channels(SCALE, pictures)
        seen = []
        for index, layer in enumerate(self.features):
            hidden = layer(hidden)
            if index in COMPARED:
                seen.append(hidden / (hidden.norm(dim=1, keepdim=True) + EPSILON))
        return seen


class LpipsWeights(nn.Module):
    """What each channel's difference counts: the published `lin0` to `lin4`."""

    def __init__(self) -> None:
        super().__init__()
        for index, channels in enumerate(CHANNELS):
            # The published layers have a dropout before, which is why theirs is number 1.
            head = nn.Module()
            head.model = nn.Sequential(nn.Identity(), nn.Conv2d(channels, 1, 1, bias=False))
            self.add_module(f"lin{index}", head)

    def forward(
        self, one: Sequence[Float[Tensor, "B _ _ _"]], other: Sequence[Float[Tensor, "B _ _ _"]]
    ) -> Float[Tensor, " B"]:
        total = torch.zeros(len(one[0]))
        for index, (a, b) in enumerate(zip(one, other, strict=True)):
            weight = self.get_parameter(f"lin{index}.model.1.weight")
            total = total + F.conv2d((a - b).square(), weight).mean(dim=(1, 2, 3))
        return total


def as_channels(values: Sequence[float], like: Tensor) -> Float[Tensor, "3 1 1"]:
    """A number per channel."""
    return like.new_tensor(values)[:, None, None]
