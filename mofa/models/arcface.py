"""ArcFace: is it still the same person? Embeddings of aligned faces.

Deng et al., "ArcFace", CVPR 2019: a residual network of 50 layers ("IResNet") whose batch norms, but the
first of each block, are folded into its convolutions, as insightface publishes it (buffalo_l, WebFace600K).
Module names are those of the safetensors copy py-feat/arcface_r50.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SIDE = 112
"""Pixels of the square that the network looks at."""
EYE, OTHER_EYE = (38.2946, 51.6963), (73.5318, 51.5014)
NOSE, MOUTH, OTHER_MOUTH = (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)
TEMPLATE = (EYE, OTHER_EYE, NOSE, MOUTH, OTHER_MOUTH)
"""Where the eyes, the tip of the nose and the corners of the mouth belong in that square (insightface)."""
DEPTHS, WIDTHS = (3, 4, 14, 3), (64, 128, 256, 512)
EMBEDDING = 512
"""The published IResNet-50's sizes (insightface)."""


class IResNet(nn.Module):
    """Aligned faces to embeddings, whose directions count."""

    def __init__(self, depths: tuple[int, ...] = DEPTHS, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, padding=1)
        self.prelu = nn.PReLU(widths[0])
        channels = widths[0]
        for number, (depth, width) in enumerate(zip(depths, widths, strict=True), start=1):
            blocks = [Block(channels, width, stride=2), *(Block(width, width) for _ in range(depth - 1))]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            channels = width
        self.num_stages = len(depths)
        side = SIDE // 2**self.num_stages
        self.bn2 = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels * side * side, EMBEDDING)
        self.features = nn.BatchNorm1d(EMBEDDING)

    def forward(self, faces: Float[Tensor, "B 3 112 112"]) -> Float[Tensor, "B 512"]:
        """Embeddings of unit length of faces 0..1."""
        hidden = self.prelu(self.conv1(2 * faces - 1))
        for number in range(1, self.num_stages + 1):
            hidden = self.get_submodule(f"layer{number}")(hidden)
        return F.normalize(self.features(self.fc(self.bn2(hidden).flatten(1))))


class Block(nn.Module):
    """What a block adds to its input, which is brought to its size where that differs."""

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inside)
        self.conv1 = nn.Conv2d(inside, outside, 3, padding=1)
        self.prelu = nn.PReLU(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, stride, padding=1)
        self.downsample = nn.Conv2d(inside, outside, 1, stride) if stride > 1 or inside != outside else None

    def forward(self, values: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        kept = values if self.downsample is None else self.downsample(values)
        return kept + self.conv2(self.prelu(self.conv1(self.bn1(values))))


def aligned_grid(
    linear: Float[Tensor, "T 2 2"], offset: Float[Tensor, "T 2"]
) -> Float[Tensor, "T 2 112 112"]:
    """Where each pixel of the aligned square lies in the picture, for similarities that lead from the square
    into it."""
    grid = torch.stack(torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="xy")).to(linear)
    return torch.einsum("tij,jhw->tihw", linear, grid) + offset[:, :, None, None]
