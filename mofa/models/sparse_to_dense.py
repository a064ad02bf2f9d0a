"""Dense motion from a few hints, learned: Conditional Motion Propagation (Zhan et al., CVPR 2019).

A dilated ResNet-50 sees the picture once; a shallow encoder sees each step's hints; a decoder classifies
every pixel's displacement, per axis, into 99 bins between -50 and 50 px, whose expectation is the flow.
Module names are the released checkpoint's (there under `module.`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mofa.models.names import HintPlacing, PictureReduction
from mofa.tensors.geometry import resize_flow
from mofa.tensors.hints import rasterise, rasterise_cut
from mofa.types import FlowField, Progress, SparseMotion, silent


@dataclass(frozen=True)
class SparseToDenseConfig:
    """Sizes of the network; the defaults are the released checkpoint's.

    `side` is the square grid that picture and hints are brought to, a multiple of 64. `width` is the
    channel count that every other one is a multiple of. Displacements are classified into `num_bins`
    per axis between -`reach` and `reach` pixels of that grid.
    """

    side: int = 384
    width: int = 64
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    num_bins: int = 99
    reach: float = 50.0


@dataclass(frozen=True)
class ImageFeatures:
    """What the decoder needs of the picture: the same for every step, or in training one per step."""

    eighth: Float[Tensor, "B a h8 w8"]
    quarter: Float[Tensor, "B b h4 w4"]
    half: Float[Tensor, "B c h2 w2"]


class Bottleneck(nn.Module):
    """The residual block of ResNet-50: 1x1, 3x3, 1x1."""

    def __init__(self, in_channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        out_channels = 4 * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        if in_channels != out_channels:
            self.downsample: nn.Module = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )
        else:
            self.downsample = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def residual_stage(in_channels: int, width: int, blocks: int, stride: int, dilation: int) -> nn.Sequential:
    """`blocks` bottlenecks of which the first changes size and channels."""
    first = Bottleneck(in_channels, width, stride, dilation)
    return nn.Sequential(first, *(Bottleneck(4 * width, width, 1, dilation) for _ in range(blocks - 1)))


class ImageEncoder(nn.Module):
    """ResNet-50 whose last two stages are dilated instead of strided: features at 1/8, 1/4 and 1/2."""

    def __init__(self, width: int, blocks: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = residual_stage(width, width, blocks[0], stride=1, dilation=1)
        self.layer2 = residual_stage(4 * width, 2 * width, blocks[1], stride=2, dilation=1)
        self.layer3 = residual_stage(8 * width, 4 * width, blocks[2], stride=1, dilation=2)
        self.layer4 = residual_stage(16 * width, 8 * width, blocks[3], stride=1, dilation=4)
        self.conv5 = nn.Conv2d(32 * width, 4 * width, 1)

    def forward(self, image: Float[Tensor, "B 3 h w"]) -> ImageFeatures:
        half = F.relu(self.bn1(self.conv1(image)))
        quarter = self.layer1(F.max_pool2d(half, 3, 2, padding=1))
        eighth = self.conv5(self.layer4(self.layer3(self.layer2(quarter))))
        return ImageFeatures(eighth, quarter, half)


class HintEncoder(nn.Module):
    """Hints (x, y, known, known) to features at 1/8."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(4, channels, 5, 2, padding=2),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.AvgPool2d(2),
        )

    def forward(self, hints: Float[Tensor, "S 4 h w"]) -> Float[Tensor, "S c h8 w8"]:
        return self.features(hints)


def convolutions(in_channels: int, out_channels: int, kernel: int, count: int = 1) -> list[nn.Module]:
    """`count` times convolution, batch norm, ReLU at constant size."""
    layers: list[nn.Module] = []
    for i in range(count):
        layers += [
            nn.Conv2d(out_channels if i else in_channels, out_channels, kernel, padding=kernel // 2),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        ]
    return layers


def enlarge(x: Tensor, size: torch.Size) -> Tensor:
    """Bilinear with the corner pixels' centres on each other, as the network was trained."""
    return F.interpolate(x, size[-2:], mode="bilinear", align_corners=True)


class MotionDecoder(nn.Module):
    """Four branches that look further and further, fused, then refined with the picture's finer features."""

    def __init__(self, width: int, num_bins: int) -> None:
        super().__init__()
        in_channels = 4 * width + width // 4
        channels = 2 * width
        self.decoder1 = nn.Sequential(*convolutions(in_channels, channels, 3, count=3))
        self.decoder2 = nn.Sequential(nn.MaxPool2d(2), *convolutions(in_channels, channels, 3, count=3))
        self.decoder4 = nn.Sequential(nn.MaxPool2d(4), *convolutions(in_channels, channels, 3, count=3))
        self.decoder8 = nn.Sequential(nn.MaxPool2d(8), *convolutions(in_channels, channels, 3, count=3))
        self.fusion8 = nn.Sequential(*convolutions(4 * channels, 4 * width, 3))
        self.skipconv4 = nn.Sequential(*convolutions(4 * width, 2 * width, 3))
        self.fusion4 = nn.Sequential(*convolutions(6 * width, 2 * width, 3))
        self.skipconv2 = nn.Sequential(*convolutions(width, width // 2, 3))
        self.fusion2 = nn.Sequential(*convolutions(2 * width + width // 2, width, 3))
        self.head = nn.Conv2d(width, 2 * num_bins, 1)

    def project_skips(self, image: ImageFeatures) -> ImageFeatures:
        """The picture's share of the decoder, done once for all steps."""
        return ImageFeatures(image.eighth, self.skipconv4(image.quarter), self.skipconv2(image.half))

    def forward(self, image: ImageFeatures, hints: Float[Tensor, "S c h8 w8"]) -> Float[Tensor, "S k h2 w2"]:
        """Bin scores for each step; `image` has been through `project_skips`."""
        steps = len(hints)
        x = torch.cat([image.eighth.expand(steps, -1, -1, -1), hints], dim=1)
        branches = (self.decoder1, self.decoder2, self.decoder4, self.decoder8)
        x = self.fusion8(torch.cat([enlarge(branch(x), x.shape) for branch in branches], dim=1))
        for skip, fusion in ((image.quarter, self.fusion4), (image.half, self.fusion2)):
            x = fusion(torch.cat([enlarge(x, skip.shape), skip.expand(steps, -1, -1, -1)], dim=1))
        return self.head(x)


class ConditionalMotionPropagation(nn.Module):
    """The sparse-to-dense network on its own square grid."""

    def __init__(self, config: SparseToDenseConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = ImageEncoder(config.width, config.blocks)
        self.flow_encoder = HintEncoder(config.width // 4)
        self.flow_decoder = MotionDecoder(config.width, config.num_bins)

    def encode(self, image: Float[Tensor, "B 3 h w"]) -> ImageFeatures:
        """The picture (-1..1, side x side) as the decoder wants it; does not depend on the hints."""
        return self.flow_decoder.project_skips(self.image_encoder(image))

    def classify(
        self,
        image: ImageFeatures,
        displacement: Float[Tensor, "S 2 h w"],
        known: Bool[Tensor, "S 1 h w"],
    ) -> Float[Tensor, "S k h2 w2"]:
        """Bin scores at half size: channels 0..num_bins-1 for x, the rest for y."""
        mask = known.to(displacement.dtype)
        return self.flow_decoder(image, self.flow_encoder(torch.cat([displacement, mask, mask], dim=1)))

    def forward(
        self,
        image: ImageFeatures,
        displacement: Float[Tensor, "S 2 h w"],
        known: Bool[Tensor, "S 1 h w"],
    ) -> Float[Tensor, "S 2 h w"]:
        """Dense flow in pixels of the grid. `displacement` is 0 where `known` is False."""
        return enlarge(self.propagate(image, displacement, known), displacement.shape)

    def propagate(
        self,
        image: ImageFeatures,
        displacement: Float[Tensor, "S 2 h w"],
        known: Bool[Tensor, "S 1 h w"],
    ) -> Float[Tensor, "S 2 h2 w2"]:
        """The same flow, in pixels of the whole grid, still at half the grid's size."""
        return expected_displacement(self.classify(image, displacement, known), self.config.reach)


def expected_displacement(scores: Float[Tensor, "S k h w"], reach: float) -> Float[Tensor, "S 2 h w"]:
    """Mean displacement under the softmax over equal bins that tile -reach..reach, x and y apart."""
    num_bins = scores.shape[1] // 2
    bin_width = 2 * reach / num_bins
    bins = torch.arange(num_bins, dtype=scores.dtype, device=scores.device)
    centres = (bins + 0.5) * bin_width - reach
    probability = scores.unflatten(1, (2, num_bins)).softmax(dim=2)
    return torch.einsum("sakhw,k->sahw", probability, centres)


@dataclass(frozen=True)
class GridMotion:
    """Motion as the network says it, 0.3 MB a step; the picture's size is made of the steps asked for.

    `coarse` is in pixels of the network's grid, whose `side` is twice its own; `known` says of which steps
    there was a hint, `inside` where the region is. `valid` is where both are so, and the flow 0 elsewhere.
    """

    coarse: Float[Tensor, "S 2 g g"]
    known: Bool[Tensor, " S"]
    inside: Bool[Tensor, "1 H W"]
    side: int

    def over(self, steps: Sequence[int], /) -> FlowField:
        """The flow at these steps, in the picture's pixels."""
        chosen, (height, width) = list(steps), self.inside.shape[1:]
        valid = self.inside & self.known[chosen].view(-1, 1, 1, 1)
        grid = enlarge(self.coarse[chosen], torch.Size((self.side, self.side)))
        return FlowField(resize_flow(grid, height, width, "nearest") * valid, valid)

    def at_every_step(self) -> FlowField:
        """The flow of all S steps at once: for clips that are short enough to be held as flow."""
        return self.over(range(len(self.known)))

    def to(self, device: torch.device) -> "GridMotion":
        """The same motion on another device."""
        return replace(
            self, coarse=self.coarse.to(device), known=self.known.to(device), inside=self.inside.to(device)
        )


@dataclass(frozen=True)
class SparseToDense:
    """Conditional Motion Propagation behind the same call as `edge_aware.spread_hints`."""

    network: ConditionalMotionPropagation
    steps_at_once: int = 4
    hints: HintPlacing = "nearest"
    picture: PictureReduction = "smooth"

    @torch.no_grad()
    def __call__(
        self,
        image: Float[Tensor, "3 H W"],
        hints: SparseMotion,
        region: Float[Tensor, "1 H W"] | None = None,
        progress: Progress = silent,
    ) -> GridMotion:
        """Motion everywhere from motion at the hints.

        `image` is 0..1; the motion is for its pixels, for as many steps as the hints have. Motions beyond
        `reach` pixels of the network's grid come out no longer than that. With a region (0..1), hints
        outside of it are not heard; there, and at steps for which no hint is known, `valid` is False and
        the flow 0.
        """
        side = self.network.config.side
        inside = torch.ones_like(image[:1]) if region is None else (region > 0).to(image)
        displacement, known = self._placed(hints)
        known = known & (F.adaptive_max_pool2d(inside, side) > 0)
        features = self.network.encode(self._reduced(image) * 2 - 1)
        steps = len(displacement)
        chunks = []
        for start in range(0, steps, self.steps_at_once):
            chunk = slice(start, start + self.steps_at_once)
            chunks.append(self.network.propagate(features, displacement[chunk] * known[chunk], known[chunk]))
            progress("densify", min(chunk.stop, steps), steps)
        return GridMotion(torch.cat(chunks), known.any(dim=(1, 2, 3)), inside > 0, side)

    def _placed(self, hints: SparseMotion) -> tuple[Float[Tensor, "S 2 g g"], Bool[Tensor, "S 1 g g"]]:
        side = self.network.config.side
        match self.hints:
            case "nearest":
                return rasterise(hints, side, side)
            case "cut":
                return rasterise_cut(hints, side, side)

    def _reduced(self, image: Float[Tensor, "3 H W"]) -> Float[Tensor, "1 3 g g"]:
        size = (self.network.config.side,) * 2
        match self.picture:
            case "smooth":
                return F.interpolate(image[None], size, mode="bilinear", antialias=True)
            case "nearest":
                return F.interpolate(image[None], size, mode="nearest")
