"""The adapter's first half: the picture's feature pyramid, warped to every frame.

MOFA-Video (Niu et al., ECCV 2024, arXiv 2405.20222), section 3.2: features of the source picture at
H/8 .. H/64 are forward-splatted along the flow. Nothing here depends on the noise level or on guidance.
Module names are the released checkpoints', which hold this half and `motion_adapter`'s in one file.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mofa.errors import InputError
from mofa.models.adapter_config import AdapterConfig
from mofa.tensors.geometry import resize_flow
from mofa.tensors.splat import splat
from mofa.types import AdapterName, MotionFeatures


class PictureEmbedding(nn.Module):
    """Plain convolutions from pixels to features at H/8, SiLU in between."""

    def __init__(self, in_channels: int, widths: tuple[int, ...], out_channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for narrow, wide in pairwise(widths):
            self.blocks.append(nn.Conv2d(narrow, narrow, 3, padding=1))
            self.blocks.append(nn.Conv2d(narrow, wide, 3, stride=2, padding=1))
        self.conv_out = nn.Conv2d(widths[-1], out_channels, 3, padding=1)

    def forward(
        self, x: Float[Tensor, "B c H W"], beside: Float[Tensor, "B k H W"] | None = None
    ) -> Float[Tensor, "B C h w"]:
        """`beside` is what further channels of the picture add to its first convolution."""
        x = self.conv_in(x)
        x = F.silu(x if beside is None else x + beside)
        for block in self.blocks:
            x = F.silu(block(x))
        return self.conv_out(x)


class RegionChannel(nn.Module):
    """A fourth channel of the picture's first convolution: where it may move. It begins as nothing.

    It draws no random numbers, so that a new adapter with it is the one without it.
    """

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(config.conditioning_embedding_out_channels[0], 1, 3, 3))

    def forward(self, region: Float[Tensor, "B 1 H W"]) -> Float[Tensor, "B k H W"]:
        return F.conv2d(region, self.weight, padding=1)


class Halving(nn.Module):
    """One level down: 3x3 convolution at stride 2, SiLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)

    def forward(self, x: Float[Tensor, "B c H W"]) -> Float[Tensor, "B C h w"]:
        return F.silu(self.conv_in(x))


class FeaturePyramid(nn.Module):
    """Features at H/8 in, at H/8 .. H/64 out."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(
            Halving(fine, coarse) for fine, coarse in zip((widths[0], *widths), widths[:-1], strict=False)
        )

    def forward(self, x: Float[Tensor, "1 C h w"]) -> tuple[Float[Tensor, "1 _ _ _"], ...]:
        levels = [x]
        for encoder in self.encoders:
            levels.append(encoder(levels[-1]))
        return tuple(levels)


class ProjectedPyramid(FeaturePyramid):
    """The trajectory adapter's: every level below H/8 leaves through a 1x1 convolution of its own."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__(widths)
        self.zeroconvs = nn.ModuleList(nn.Conv2d(width, width, 1) for width in widths[:-1])

    def forward(self, x: Float[Tensor, "1 C h w"]) -> tuple[Float[Tensor, "1 _ _ _"], ...]:
        finest, *levels = super().forward(x)
        return finest, *(conv(level) for conv, level in zip(self.zeroconvs, levels, strict=True))


class Convolution(nn.Module):
    """3x3 convolution, ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "B c h w"]) -> Float[Tensor, "B C h w"]:
        return F.relu(self.conv(x))


class HourglassEncoder(nn.Module):
    """Widens its features three times."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        widths = (in_channels, 2 * width, 4 * width, 8 * width)
        self.down_blocks = nn.ModuleList(Convolution(a, b) for a, b in pairwise(widths))


class HourglassDecoder(nn.Module):
    """Narrows them again, beside those of the encoder."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up_blocks = nn.ModuleList(
            Convolution(wide * width, narrow * width) for wide, narrow in ((8, 4), (8, 2), (4, 1))
        )


class Hourglass(nn.Module):
    """An encoder and decoder with skips, narrow only in channels: no resampling."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.encoder = HourglassEncoder(in_channels, width)
        self.decoder = HourglassDecoder(width)

    def forward(self, x: Float[Tensor, "B c h w"]) -> Float[Tensor, "B C h w"]:
        narrow, middle, wide = self.encoder.down_blocks
        last, *up_blocks = reversed(self.decoder.up_blocks)
        skips = [narrow(x)]
        skips.append(middle(skips[-1]))
        x = wide(skips[-1])
        for block, skip in zip(reversed(up_blocks), reversed(skips), strict=True):
            x = torch.cat([skip, block(x)], dim=1)
        return last(x)


class MattingHead(nn.Module):
    """Where to trust warped features, and what to put where they cannot be trusted."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.hourglass = Hourglass(2 * channels + 2, width)
        self.matting_mask = nn.Conv2d(width, 1, 7, padding=3)
        self.matting = nn.Conv2d(width, channels, 7, padding=3)

    def forward(
        self,
        reference: Float[Tensor, "S C h w"],
        flow: Float[Tensor, "S 2 h w"],
        warped: Float[Tensor, "S C h w"],
    ) -> tuple[Float[Tensor, "S 1 h w"], Float[Tensor, "S C h w"]]:
        """The trust in `warped`, 0..1, and the features to use in its stead."""
        seen = self.hourglass(torch.cat([reference, flow, warped], dim=1))
        return self.matting_mask(seen).sigmoid(), self.matting(seen)


class MotionEncoder(nn.Module):
    """Picture and flow to `MotionFeatures`; the two adapters say what becomes of a warped level.

    `region_in` is a fourth channel of the picture, for adapters that are told what may move.
    """

    controlnet_cond_embedding: PictureEmbedding
    flow_encoder: FeaturePyramid
    region_in: "RegionChannel | None"

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__()
        self.controlnet_cond_embedding = picture_embedding(config)
        self.region_in = RegionChannel(config) if config.reads_region else None

    def forward(
        self,
        picture: Float[Tensor, "1 3 H W"],
        flow: Float[Tensor, "S 2 H W"],
        sketch: Float[Tensor, "T 3 H W"] | None = None,
        region: Float[Tensor, "1 H W"] | None = None,
    ) -> MotionFeatures:
        """`picture` is -1..1, `flow` in its pixels, `sketch` (landmark drawings) 0..1 with T = S + 1.

        `region` (0..1) is where frame 0 may move; None, for an adapter that reads it, is everywhere. H and W
        are multiples of 64. Frame 0 holds the unwarped features. Features that leave the picture are dropped,
        places that none reach are 0. Raises InputError when a sketch is missing, or when a sketch or region
        is given to an adapter that has no use for it.
        """
        painted = self.embed_region(region, picture)
        levels = self.flow_encoder(self.controlnet_cond_embedding(picture, painted))
        return MotionFeatures(
            levels=tuple(self.frames(level, reference, flow) for level, reference in enumerate(levels)),
            sketch=self.embed_sketch(sketch),
        )

    def embed_region(
        self, region: Float[Tensor, "1 H W"] | None, picture: Float[Tensor, "1 3 H W"]
    ) -> Float[Tensor, "1 k H W"] | None:
        """What the region adds to the picture's first convolution; None for an adapter that reads none."""
        if self.region_in is not None:
            return self.region_in(torch.ones_like(picture[:, :1]) if region is None else region[None])
        if region is not None:
            raise InputError(
                "This adapter was never told what may move: take one that was trained with objective.region."
            )
        return None

    def frames(
        self, level: int, reference: Float[Tensor, "1 C h w"], flow: Float[Tensor, "S 2 H W"]
    ) -> Float[Tensor, "T C h w"]:
        """One pyramid level at every frame."""
        raise NotImplementedError

    def embed_sketch(self, sketch: Float[Tensor, "T 3 H W"] | None) -> Float[Tensor, "T C h w"] | None:
        """The landmark drawings' features at H/8."""
        raise NotImplementedError


class TrajectoryEncoder(MotionEncoder):
    """Warped features as they are."""

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__(config)
        self.flow_encoder = ProjectedPyramid(config.block_out_channels)

    def frames(
        self, level: int, reference: Float[Tensor, "1 C h w"], flow: Float[Tensor, "S 2 H W"]
    ) -> Float[Tensor, "T C h w"]:
        _, warped = warp(reference, flow)
        return torch.cat([reference, warped])

    def embed_sketch(self, sketch: Float[Tensor, "T 3 H W"] | None) -> None:
        if sketch is not None:
            raise InputError("The trajectory adapter knows no landmark drawing: use the landmark adapter.")


class LandmarkEncoder(MotionEncoder):
    """Warped features, mended where the face turned or opened its mouth, and a drawing of its landmarks."""

    def __init__(self, config: AdapterConfig) -> None:
        super().__init__(config)
        widths = config.block_out_channels
        self.flow_encoder = FeaturePyramid(widths)
        self.controlnet_ldmk_embedding = PictureEmbedding(3, config.sketch_embedding_out_channels, widths[0])
        # Levels go by how much smaller than the picture they are: "8", "16", "32", "64".
        scales = {str(8 * 2**level): width for level, width in enumerate((widths[0], *widths[:-1]))}
        self.occlusions = nn.ModuleDict(
            {scale: MattingHead(width, config.matting_channels) for scale, width in scales.items()}
        )
        self.zero_outs = nn.ModuleDict({scale: nn.Conv2d(width, width, 1) for scale, width in scales.items()})

    def frames(
        self, level: int, reference: Float[Tensor, "1 C h w"], flow: Float[Tensor, "S 2 H W"]
    ) -> Float[Tensor, "T C h w"]:
        trust, warped, instead = self.matte(level, reference, flow)
        mended = warped * trust + instead * (1 - trust)
        return torch.cat([reference, self.zero_outs[str(8 * 2**level)](mended)])

    def matte(
        self, level: int, reference: Float[Tensor, "1 C h w"], flow: Float[Tensor, "S 2 H W"]
    ) -> tuple[Float[Tensor, "S 1 h w"], Float[Tensor, "S C h w"], Float[Tensor, "S C h w"]]:
        """How far each warped frame is trusted (0..1), the warped features, and their stand-ins."""
        level_flow, warped = warp(reference, flow)
        head = self.occlusions[str(8 * 2**level)]
        trust, instead = head(reference.expand_as(warped), level_flow, warped)
        return trust, warped, instead

    def embed_sketch(self, sketch: Float[Tensor, "T 3 H W"] | None) -> Float[Tensor, "T C h w"]:
        if sketch is None:
            raise InputError(
                "The landmark adapter needs a landmark drawing for every frame, and none was given."
            )
        return self.controlnet_ldmk_embedding(sketch)


def picture_embedding(config: AdapterConfig) -> PictureEmbedding:
    """The conditioning picture's way to the pyramid's finest level."""
    return PictureEmbedding(
        config.conditioning_channels,
        config.conditioning_embedding_out_channels,
        config.block_out_channels[0],
    )


def warp(
    reference: Float[Tensor, "1 C h w"], flow: Float[Tensor, "S 2 H W"]
) -> tuple[Float[Tensor, "S 2 h w"], Float[Tensor, "S C h w"]]:
    """The flow at the features' size, and the features splatted along it, worked out in float32."""
    height, width = reference.shape[-2:]
    level_flow = resize_flow(flow.float(), height, width, "nearest")
    average, _ = splat(reference.float().expand(len(flow), -1, -1, -1), level_flow)
    return level_flow.to(reference.dtype), average.to(reference.dtype)


def make_motion_encoder(adapter: AdapterName, config: AdapterConfig) -> MotionEncoder:
    """The first half of the named adapter, with untrained weights."""
    return TrajectoryEncoder(config) if adapter == "trajectory" else LandmarkEncoder(config)
