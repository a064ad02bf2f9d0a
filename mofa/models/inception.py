"""The Inception network that FID is defined by: pool features of pictures.

Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, as TensorFlow released it on 2015-12-05
(1008 classes), which differs from later ones in its pools: means leave the border out, and the last block
takes a maximum. Module names are those of the ported checkpoint pt_inception-2015-12-05-6726825d.pth
(pytorch-fid).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SIDE = 299
"""Pixels of the square that the network looks at; FID's programs stretch pictures to it."""
WIDTH = 2048
"""Features of a picture."""

Pool = Literal["mean", "max", "halve"]


@dataclass(frozen=True)
class Conv:
    """A convolution with batch norm: as large as its input, or, at stride 2 or `bare`, without padding."""

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    bare: bool = False


Path = Sequence[Conv | tuple[Conv, Conv]]
"""Convolutions one after another; a pair looks at the same input, and both answers are kept."""


@dataclass(frozen=True)
class BlockPlan:
    """Paths beside each other and a pool: of neighbours, projected to `pooled` channels, or halving."""

    name: str
    paths: Sequence[Path]
    pool: Pool
    pooled: int = 0


THREE, WIDE, HIGH = (3, 3), (1, 7), (7, 1)


def early(name: str, pooled: int) -> BlockPlan:
    """The blocks at 35 x 35."""
    double = [Conv("branch3x3dbl_1", 64), *(Conv(f"branch3x3dbl_{i}", 96, THREE) for i in (2, 3))]
    five = [Conv("branch5x5_1", 48), Conv("branch5x5_2", 64, (5, 5))]
    return BlockPlan(name, [[Conv("branch1x1", 64)], five, double], "mean", pooled)


def middle(name: str, inner: int) -> BlockPlan:
    """The blocks at 17 x 17, whose convolutions are taken apart."""
    seven = [Conv("branch7x7_1", inner), Conv("branch7x7_2", inner, WIDE), Conv("branch7x7_3", 192, HIGH)]
    double = [Conv("branch7x7dbl_1", inner), *(
        Conv(f"branch7x7dbl_{i}", 192 if i == 5 else inner, WIDE if i % 2 else HIGH) for i in (2, 3, 4, 5)
    )]  # fmt: skip
    return BlockPlan(name, [[Conv("branch1x1", 192)], seven, double], "mean", 192)


def late(name: str, pool: Pool) -> BlockPlan:
    """The blocks at 8 x 8, whose paths fork."""

    def fork(stem: str) -> tuple[Conv, Conv]:
        return Conv(f"{stem}a", 384, (1, 3)), Conv(f"{stem}b", 384, (3, 1))

    three: Path = [Conv("branch3x3_1", 384), fork("branch3x3_2")]
    double: Path = [Conv("branch3x3dbl_1", 448), Conv("branch3x3dbl_2", 384, THREE), fork("branch3x3dbl_3")]
    return BlockPlan(name, [[Conv("branch1x1", 320)], three, double], pool, 192)


STEM = (
    (Conv("Conv2d_1a_3x3", 32, THREE, 2), Conv("Conv2d_2a_3x3", 32, THREE, bare=True),
     Conv("Conv2d_2b_3x3", 64, THREE)),
    (Conv("Conv2d_3b_1x1", 80), Conv("Conv2d_4a_3x3", 192, THREE, bare=True)),
)  # fmt: skip
BLOCKS = (
    *(early(f"Mixed_5{letter}", pooled) for letter, pooled in (("b", 32), ("c", 64), ("d", 64))),
    BlockPlan("Mixed_6a", [
        [Conv("branch3x3", 384, THREE, 2)],
        [Conv("branch3x3dbl_1", 64), Conv("branch3x3dbl_2", 96, THREE), Conv("branch3x3dbl_3", 96, THREE, 2)],
    ], "halve"),
    *(middle(f"Mixed_6{letter}", inner) for letter, inner in zip("bcde", (128, 160, 160, 192), strict=True)),
    BlockPlan("Mixed_7a", [
        [Conv("branch3x3_1", 192), Conv("branch3x3_2", 320, THREE, 2)],
        [Conv("branch7x7x3_1", 192), Conv("branch7x7x3_2", 192, WIDE), Conv("branch7x7x3_3", 192, HIGH),
         Conv("branch7x7x3_4", 192, THREE, 2)],
    ], "halve"),
    late("Mixed_7b", "mean"),
    late("Mixed_7c", "max"),
)  # fmt: skip


class Inception(nn.Module):
    """Pictures to pool features. The classifier, which FID does not look at, is left out."""

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        for group in STEM:
            for conv in group:
                self.add_module(conv.name, ConvNorm(channels, conv))
                channels = conv.channels
        for plan in BLOCKS:
            block = Block(channels, plan)
            self.add_module(plan.name, block)
            channels = block.channels

    def forward(self, pictures: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 2048"]:
        """Features of pictures 0..1 of any size."""
        hidden = 2 * F.interpolate(pictures, (SIDE, SIDE), mode="bilinear", align_corners=False) - 1
        for group in STEM:
            for conv in group:
                hidden = self.get_submodule(conv.name)(hidden)
            hidden = F.max_pool2d(hidden, 3, stride=2)
        for plan in BLOCKS:
            hidden = self.get_submodule(plan.name)(hidden)
        return hidden.mean(dim=(2, 3))


class Block(nn.Module):
    """Paths beside each other; their answers and the pool's are joined."""

    def __init__(self, inside: int, plan: BlockPlan) -> None:
        super().__init__()
        self.plan, self.channels = plan, plan.pooled or inside
        for path in plan.paths:
            channels = inside
            for step in path:
                convs = step if isinstance(step, tuple) else (step,)
                for conv in convs:
                    self.add_module(conv.name, ConvNorm(channels, conv))
                channels = sum(conv.channels for conv in convs)
            self.channels += channels
        if plan.pooled:
            self.branch_pool = ConvNorm(inside, Conv("branch_pool", plan.pooled))

    def forward(self, values: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        return torch.cat([*(self._along(path, values) for path in self.plan.paths), self._pooled(values)], 1)

    def _along(self, path: Path, values: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        for step in path:
            convs = step if isinstance(step, tuple) else (step,)
            values = torch.cat([self.get_submodule(conv.name)(values) for conv in convs], dim=1)
        return values

    def _pooled(self, values: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        if self.plan.pool == "halve":
            return F.max_pool2d(values, 3, stride=2)
        if self.plan.pool == "max":
            return self.branch_pool(F.max_pool2d(values, 3, stride=1, padding=1))
        return self.branch_pool(F.avg_pool2d(values, 3, stride=1, padding=1, count_include_pad=False))


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inside: int, plan: Conv) -> None:
        super().__init__()
        padding = (0, 0) if plan.bare or plan.stride > 1 else (plan.kernel[0] // 2, plan.kernel[1] // 2)
        self.conv = nn.Conv2d(inside, plan.channels, plan.kernel, plan.stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(plan.channels, eps=1e-3)

    def forward(self, values: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        return F.relu(self.bn(self.conv(values)))
