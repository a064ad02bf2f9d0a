"""I3D, the network that FVD is defined by: what happens in a clip, as the scores of Kinetics' 400 actions.

Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017: Inception v1 with its kernels blown up in
time. Module names are those of the ported checkpoint rgb_imagenet.pt (pytorch-i3d). FVD (Unterthiner et al.,
2018) takes the scores before the softmax, their mean over time.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SIDE = 224
"""Pixels of the square that the network looks at; FVD's program stretches frames to it."""
ACTIONS = 400
FEWEST_FRAMES = 9
"""Shorter clips leave nothing to pool: eight frames become one."""

Triple = tuple[int, int, int]

MIXED: dict[str, tuple[int, int, int, int, int, int]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
"""Channels: alone; narrowed and 3 x 3 x 3, twice; after the pool."""
STEM = ("Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3")
POOLS: dict[str, tuple[Triple, Triple]] = {
    "Conv3d_1a_7x7": ((1, 3, 3), (1, 2, 2)),
    "Conv3d_2c_3x3": ((1, 3, 3), (1, 2, 2)),
    "Mixed_3c": ((3, 3, 3), (2, 2, 2)),
    "Mixed_4f": ((2, 2, 2), (2, 2, 2)),
}
"""Maxima after these layers: kernel and stride in time, rows and columns."""


class I3D(nn.Module):
    """Clips to scores."""

    def __init__(self, actions: int = ACTIONS) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, 7, stride=2)
        self.Conv3d_2b_1x1 = Unit(64, 64, 1)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3)
        channels = 192
        for name, widths in MIXED.items():
            self.add_module(name, Mixed(channels, widths))
            channels = widths[0] + widths[2] + widths[4] + widths[5]
        self.logits = Scores(channels, actions)

    def forward(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B actions"]:
        """Scores of clips 0..1 of any size, of nine frames or more."""
        batch = len(clips)
        frames = F.interpolate(clips.flatten(0, 1), (SIDE, SIDE), mode="bilinear", align_corners=False)
        hidden = (2 * frames - 1).unflatten(0, (batch, -1)).transpose(1, 2)
        for name in (*STEM, *MIXED):
            hidden = self.get_submodule(name)(hidden)
            if name in POOLS:
                kernel, stride = POOLS[name]
                hidden = F.max_pool3d(padded(hidden, kernel, stride), kernel, stride)
        hidden = F.avg_pool3d(hidden, (2, 7, 7), stride=1)
        return self.logits(hidden).mean(dim=(2, 3, 4))


def padded(values: Float[Tensor, "B C T H W"], kernel: Triple, stride: Triple) -> Tensor:
    """Padded with zeros as TensorFlow does: by as much as the stride needs, more at the end."""
    pads: list[int] = []
    for side, size, step in zip(values.shape[2:], kernel, stride, strict=True):
        total = max(0, (-(-side // step) - 1) * step + size - side)
        pads = [total // 2, total - total // 2, *pads]
    return F.pad(values, pads)


class Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = (kernel, kernel, kernel), (stride, stride, stride)
        self.conv3d = nn.Conv3d(inside, outside, self.kernel, self.stride, bias=False)
        self.bn = nn.BatchNorm3d(outside, eps=1e-3)

    def forward(self, values: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B D t h w"]:
        return F.relu(self.bn(self.conv3d(padded(values, self.kernel, self.stride))))


class Mixed(nn.Module):
    """Four looks at the same place, joined."""

    def __init__(self, inside: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        alone, narrow_1, wide_1, narrow_2, wide_2, pooled = widths
        self.b0 = Unit(inside, alone, 1)
        self.b1a, self.b1b = Unit(inside, narrow_1, 1), Unit(narrow_1, wide_1, 3)
        self.b2a, self.b2b = Unit(inside, narrow_2, 1), Unit(narrow_2, wide_2, 3)
        self.b3b = Unit(inside, pooled, 1)

    def forward(self, values: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B D T H W"]:
        kernel, stride = (3, 3, 3), (1, 1, 1)
        highest = F.max_pool3d(padded(values, kernel, stride), kernel, stride)
        looks = (self.b0(values), self.b1b(self.b1a(values)), self.b2b(self.b2a(values)), self.b3b(highest))
        return torch.cat(looks, dim=1)


class Scores(nn.Module):
    """One linear layer over the channels, under the checkpoint's name for it."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(inside, outside, 1)

    def forward(self, values: Float[Tensor, "B C T H W"]) -> Float[Tensor, "B D T H W"]:
        return self.conv3d(values)
