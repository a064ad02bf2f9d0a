"""A network that tells the thing under a click: its part, the whole, and the group it belongs to.

A picture is looked at once (`embed`): EfficientNet-lite0 (Tan and Le, 2019; the variant without squeeze and
excitation) and a small top-down decoder (feature pyramid, Lin and others, 2017) give embeddings at strides
16, 8 and 4. Every prompt, one or several clicks on the thing and beside it, is then answered by a light head
(`answer`) from how alike every place is to the places clicked. It answers twice: the first answer's mask
gathers what the thing looks like as a whole, and the second sees how alike every place is to that, so that a
many-coloured thing is found from a click on one of its colours. As in interactive segmentation (Sofiiuk and
others, "Reviving iterative training with mask guidance", 2022) the second pass also sees the first mask.
"""

import copy
import itertools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

LEVELS = ("part", "thing", "group")
STRIDE = 4
"""Pixels of the picture the network sees per cell of its answers."""
MULTIPLE = 32
"""Both sides of the picture the network sees are multiples of this."""

# EfficientNet-lite0: expansion, kernel, stride and channels of each block.
# The published last block (320 channels) is left out: it serves the classification head.
_BLOCKS = (
    (1, 3, 1, 16),
    *((6, 3, 2, 24), (6, 3, 1, 24)),
    *((6, 5, 2, 40), (6, 5, 1, 40)),
    *((6, 3, 2, 80), (6, 3, 1, 80), (6, 3, 1, 80)),
    *((6, 5, 1, 112), (6, 5, 1, 112), (6, 5, 1, 112)),
    *((6, 5, 2, 192), (6, 5, 1, 192), (6, 5, 1, 192), (6, 5, 1, 192)),
)
_TAPS = (2, 4, 10, 14)  # the blocks after which strides 4, 8, 16 and 32 are read
_CHANNELS = (24, 40, 112, 192)  # of those blocks
_GROUPS = 8  # likeness is compared in as many groups of channels


@dataclass(frozen=True)
class Embedding:
    """What the network knows of a picture: its features at strides 16, 8 and 4, and local context."""

    coarse: "Features"
    middle: "Features"
    fine: "Features"
    context: Float[Tensor, "B 24 h8 w8"]
    detail: Float[Tensor, "B 12 h4 w4"]


@dataclass(frozen=True)
class Features:
    """By which places are compared: as they are, and with each group of channels brought to unit length.

    The latter is what every question asks for, so that it is made once per picture.
    """

    raw: Float[Tensor, "B C h w"]
    units: Float[Tensor, "B G C_by_G h w"]

    @classmethod
    def of(cls, raw: Float[Tensor, "B C h w"]) -> "Features":
        """The features, grouped."""
        groups = raw.contiguous().unflatten(1, (_GROUPS, -1))
        # Tensor.norm along a middle dimension takes 20 times as long; the small term keeps its slope finite.
        length = (groups.square().sum(2, keepdim=True) + 1e-12).sqrt()
        return cls(raw, groups / (length + 1e-2))

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.raw.shape[-2], self.raw.shape[-1]


@dataclass(frozen=True)
class Prompts:
    """Clicks: positions [B, K, P, 2] in pixels of the picture seen, and signs [B, K, P].

    Each of K questions about a picture has up to P clicks: sign 1 lies on the thing, -1 beside it, 0 is
    none. At least one click of each question is on the thing.
    """

    positions: Float[Tensor, "B K P 2"]
    signs: Float[Tensor, "B K P"]


@dataclass(frozen=True)
class Answers:
    """Per question: logits [B, K, 3, h, w] (part, thing, group), each one's expected IoU as a logit
    [B, K, 3], and a logit [B, K] of there being a thing at all."""

    logits: Float[Tensor, "B K 3 h w"]
    scores: Float[Tensor, "B K 3"]
    is_thing: Float[Tensor, "B K"]


class _Convolution(nn.Module):
    """Convolution with its batch norm folded in, padded as TensorFlow's SAME does for even sides."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: bool = True
    ) -> None:
        super().__init__()
        total = kernel - stride
        even = total // 2 if total % 2 == 0 else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, even, groups=groups)
        self.padding = None if total % 2 == 0 else (total // 2, total - total // 2) * 2
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x if self.padding is None else F.pad(x, self.padding))
        return F.relu6(x, inplace=True) if self.act else x


class Encoder(nn.Module):
    """EfficientNet-lite0 without its last block; pictures in -1..1."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Convolution(3, 32, 3, 2)
        self.blocks = nn.ModuleList()
        channels = 32
        for expansion, kernel, stride, outputs in _BLOCKS:
            wide = channels * expansion
            expand = [_Convolution(channels, wide)] if expansion > 1 else []
            depthwise = _Convolution(wide, wide, kernel, stride, wide)
            self.blocks.append(nn.Sequential(*expand, depthwise, _Convolution(wide, outputs, act=False)))
            channels = outputs

    def forward(self, picture: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        """Features at strides 4, 8, 16 and 32."""
        x, taps = self.stem(picture), []
        for index, block in enumerate(self.blocks):
            y = block(x)
            x = x + y if y.shape == x.shape else y
            if index in _TAPS:
                taps.append(x)
        return taps


def _block(inputs: int, outputs: int, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _upsample(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


class Decoder(nn.Module):
    """From features at four strides to embeddings at three, coarse to fine."""

    def __init__(self) -> None:
        super().__init__()
        c4, c8, c16, c32 = _CHANNELS
        self.deep, self.everywhere = nn.Conv2d(c32, 96, 1), nn.Linear(c32, 96)
        self.lateral16, self.join16 = nn.Conv2d(c16, 96, 1), _block(96, 96)
        self.lateral8, self.down8, self.join8 = nn.Conv2d(c8, 64, 1), nn.Conv2d(96, 64, 1), _block(64, 64)
        self.lateral4, self.down4, self.join4 = nn.Conv2d(c4 + 3, 48, 1), nn.Conv2d(64, 48, 1), _block(48, 48)
        self.coarse, self.middle, self.fine = nn.Conv2d(96, 64, 1), nn.Conv2d(64, 64, 1), nn.Conv2d(48, 32, 1)
        self.context, self.detail = nn.Conv2d(64, 24, 1), nn.Conv2d(48, 12, 1)

    def forward(self, features: list[Tensor], picture: Float[Tensor, "B 3 H W"]) -> Embedding:
        f4, f8, f16, f32 = features
        p32 = F.relu(self.deep(f32) + self.everywhere(f32.mean((2, 3)))[..., None, None])
        p16 = self.join16(self.lateral16(f16) + _upsample(p32, f16))
        p8 = self.join8(self.lateral8(f8) + _upsample(self.down8(p16), f8))
        seen = torch.cat([f4, F.avg_pool2d(picture, STRIDE)], dim=1)
        p4 = self.join4(self.lateral4(seen) + _upsample(self.down4(p8), f4))
        features16, features8, features4 = map(
            Features.of, (self.coarse(p16), self.middle(p8), self.fine(p4))
        )
        return Embedding(features16, features8, features4, self.context(p8), self.detail(p4))


class Head(nn.Module):
    """Answers prompts: dilated convolutions over likeness and place at stride 8, refined at stride 4."""

    def __init__(self, width: int = 48, fine_width: int = 24) -> None:
        super().__init__()
        levels = len(LEVELS)
        # Likeness to clicks on and beside it and to the mask so far, at two strides; context; place; mask.
        inputs = 6 * _GROUPS + 24 + 5 + levels
        self.read, self.tune = _block(inputs, width), nn.Linear(128, 2 * width)
        self.near, self.wide = _block(width, width, 2), _block(width, width, 4)
        self.wider, self.settle = _block(width, width, 8), _block(width, width)
        self.middle_logits, self.pass_on = nn.Conv2d(width, levels, 1), nn.Conv2d(width, 16, 1)
        self.read_fine = nn.Conv2d(16 + 3 * _GROUPS + 12 + 2 + levels, fine_width, 1)
        self.join_fine, self.fine_logits = _block(fine_width, fine_width), nn.Conv2d(fine_width, levels, 1)
        self.judge = nn.Sequential(nn.Linear(2 * width + levels, 48), nn.ReLU(), nn.Linear(48, levels + 1))

    def forward(self, seen: Embedding, prompts: Prompts, before: Tensor | None = None) -> Answers:
        """Answers to the prompts; `before` [B, K, 3, h, w] are the logits of an earlier pass."""
        batch, count = prompts.signs.shape[:2]
        h4, w4 = seen.fine.grid
        if before is None:
            before = seen.detail.new_zeros(batch, count, len(LEVELS), h4, w4)
            weight = None
        else:
            weight = before[:, :, LEVELS.index("thing")].sigmoid()
        coarse, clicked16 = _likenesses(seen.coarse, prompts, 4 * STRIDE, weight)
        middle, clicked8 = _likenesses(seen.middle, prompts, 2 * STRIDE, weight)
        fine, _ = _likenesses(seen.fine, prompts, STRIDE, weight)

        def each(x: Tensor) -> Tensor:
            """A picture's own features, once per question."""
            return x[:, None].expand(-1, count, -1, -1, -1).flatten(0, 1)

        before = before.flatten(0, 1).clamp(-6, 6) / 3
        where = _places(prompts, seen.middle.grid, 2 * STRIDE)
        x = torch.cat(
            [
                _upsample(coarse, seen.context),
                middle,
                each(seen.context),
                where,
                F.avg_pool2d(before, 2),
            ],
            dim=1,
        )
        tuned = self.tune(torch.cat([clicked16, clicked8], -1)).flatten(0, 1)
        gain, shift = tuned[..., None, None].chunk(2, 1)
        x = self.read(x) * (1 + gain) + shift
        for step in (self.near, self.wide, self.wider, self.settle):
            x = x + step(x)
        spots = _places(prompts, (h4, w4), STRIDE)[:, 3:]
        y = torch.cat(
            [_upsample(self.pass_on(x), seen.detail), fine, each(seen.detail), spots, before], dim=1
        )
        y = F.relu(self.read_fine(y))
        y = y + self.join_fine(y)
        logits = _upsample(self.middle_logits(x), seen.detail) + self.fine_logits(y)
        judged = self.judge(self._summary(x, logits)).view(batch, count, len(LEVELS) + 1)
        shaped = logits.view(batch, count, len(LEVELS), h4, w4)
        return Answers(shaped, judged[..., :-1], judged[..., -1])

    @staticmethod
    def _summary(x: Tensor, logits: Tensor) -> Tensor:
        """[B K, C]: the features within the thing found and everywhere, and how sure each answer is."""
        share = F.avg_pool2d(logits.detach().sigmoid(), 2)
        thing = share[:, LEVELS.index("thing")][:, None]
        within = (x * thing).sum((2, 3)) / (thing.sum((2, 3)) + 1e-3)
        certain = (share * share).sum((2, 3)) / (share.sum((2, 3)) + 1e-3)
        return torch.cat([within, x.mean((2, 3)), certain], dim=1)


def _likenesses(
    x: Features, prompts: Prompts, stride: int, weight: Float[Tensor, "B K h4 w4"] | None
) -> tuple[Float[Tensor, "BK G3 h w"], Float[Tensor, "B K C"]]:
    """How alike every place is to the clicks on the thing, beside it, and to the mask so far.

    Also the mean embedding at the clicks on the thing.
    """
    at = _sample(x.raw, prompts.positions.flatten(1, 2), stride).unflatten(1, prompts.signs.shape[1:])
    on, beside = prompts.signs > 0, prompts.signs < 0
    mean = (at * on[..., None]).sum(2) / on.sum(2, keepdim=True).clamp(min=1)
    alike = _cosine(x.units, at.flatten(1, 2)).unflatten(1, prompts.signs.shape[1:])

    def best(which: Tensor) -> Tensor:
        kept = alike.masked_fill(~which[..., None, None, None], -1.0).amax(2)
        return torch.where(which.any(2)[..., None, None, None], kept, torch.zeros_like(kept))

    if weight is None:
        whole = torch.zeros_like(alike[:, :, 0])
    else:
        share = F.interpolate(weight, x.grid, mode="area")
        prototype = torch.einsum("bkhw,bchw->bkc", share, x.raw) / (share.sum((2, 3)) + 1e-3)[..., None]
        whole = _cosine(x.units, prototype)
    return torch.cat([best(on), best(beside), whole], dim=2).flatten(0, 1), mean


def _sample(x: Float[Tensor, "B C h w"], positions: Float[Tensor, "B N 2"], stride: int) -> Tensor:
    """[B, N, C]: bilinear at positions in pixels of the picture seen."""
    size = positions.new_tensor([x.shape[-1], x.shape[-2]])
    grid = ((positions + 0.5) / stride / size * 2 - 1)[:, None]
    return F.grid_sample(x, grid.to(x.dtype), align_corners=False, padding_mode="border")[:, :, 0].mT


def _cosine(
    places: Float[Tensor, "B G C_by_G h w"], vectors: Float[Tensor, "B N C"]
) -> Float[Tensor, "B N G h w"]:
    """Cosine of the angle between every place and every vector, per group of channels."""
    units = vectors.unflatten(2, (_GROUPS, -1))
    units = units / (units.norm(dim=3, keepdim=True) + 1e-2)
    return torch.einsum("bgchw,bngc->bnghw", places, units)


def _places(prompts: Prompts, grid: tuple[int, int], stride: int) -> Float[Tensor, "BK 5 h w"]:
    """Offset (x, y) and distance from the clicks' middle, in half diagonals; nearness to either kind."""
    height, width = grid
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    here = (torch.stack([x, y]).to(prompts.positions) + 0.5) * stride - 0.5
    unit = 0.5 * stride * float(height**2 + width**2) ** 0.5
    on, beside = prompts.signs > 0, prompts.signs < 0
    middle = (prompts.positions * on[..., None]).sum(2) / on.sum(2)[..., None].clamp(min=1)
    offset = (here - middle[..., None, None]) / unit
    apart = ((here - prompts.positions[..., None, None]) / unit).square().sum(3)
    # Nearness falls to 1/e within some 6 % of half the diagonal: about two cells of stride 8 at 320 px.
    near = (-apart * 250).exp()
    spots = torch.stack([(near * which[..., None, None]).amax(2) for which in (on, beside)], dim=2)
    distance = (offset.square().sum(2, keepdim=True) + 1e-4).sqrt()
    return torch.cat([offset, distance, spots], dim=2).flatten(0, 1)


class ThingsNet(nn.Module):
    """Embeds pictures and answers prompts."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()
        # Two heads, not one that is used twice: what they read is spread differently, and their batch norms
        # would know neither.
        self.first, self.second = Head(), Head()

    def embed(self, picture: Float[Tensor, "B 3 H W"]) -> Embedding:
        """Once per picture, in -1..1, both sides multiples of MULTIPLE."""
        return self.decoder(self.encoder(picture), picture)

    def answer(self, seen: Embedding, prompts: Prompts) -> Answers:
        """Both passes; clicks beside the thing correct the first, which knows clicks on it alone."""
        first = self.first(seen, Prompts(prompts.positions, prompts.signs.clamp(min=0)))
        return self.second(seen, prompts, first.logits.detach())


def folded(net: ThingsNet) -> ThingsNet:
    """The network for answering alone: its batch norms lie in the convolutions before them."""
    net = copy.deepcopy(net).eval()
    for block in [module for module in net.modules() if isinstance(module, nn.Sequential)]:
        parts = list(block)
        for index, (convolution, norm) in enumerate(itertools.pairwise(parts)):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                block[index], block[index + 1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    return net


def start_from_imagenet(encoder: Encoder, published: dict[str, Tensor]) -> None:
    """Copy EfficientNet-lite0's published ImageNet weights (lukemelas layout) in, batch norms folded."""

    def put(into: _Convolution, convolution: str, norm: str) -> None:
        scale = published[f"{norm}.weight"] / (published[f"{norm}.running_var"] + 1e-3).sqrt()
        bias = published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * scale
        into.conv.load_state_dict(
            {"weight": published[f"{convolution}.weight"] * scale[:, None, None, None], "bias": bias}
        )

    put(encoder.stem, "_conv_stem", "_bn0")
    layout = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
    for index, block in enumerate(encoder.blocks):
        modules = list(block.children())
        for module, (convolution, norm) in zip(modules, layout[-len(modules) :], strict=True):
            assert isinstance(module, _Convolution)
            put(module, f"_blocks.{index}.{convolution}", f"_blocks.{index}.{norm}")
