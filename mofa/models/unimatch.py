"""Optical flow by matching: GMFlow at two scales with recurrent refinement, as UniMatch has it.

Xu et al., "GMFlow", CVPR 2022, arXiv 2111.13680; Xu et al., "Unifying Flow, Stereo and Depth Estimation",
TPAMI 2023, arXiv 2211.05783; the refinement is that of RAFT (Teed and Deng, ECCV 2020). Module names are the
released checkpoint's.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import pi, sqrt

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mofa.tensors.geometry import pixel_grid

# Mean and deviation of the photographs (0..1) that the network was trained on: ImageNet's.
PICTURE_MEAN = (0.485, 0.456, 0.406)
PICTURE_DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ScaleConfig:
    """How one scale is matched.

    Attention runs in `splits` x `splits` windows. `match_radius` is how far around the flow so far a
    match is sought, in pixels of the scale, `propagation_radius` how far flow spreads; None is everywhere.
    """

    splits: int
    match_radius: int | None
    propagation_radius: int | None


@dataclass(frozen=True)
class UniMatchConfig:
    """Sizes of the network; the defaults are the released checkpoint's.

    `channels` is the features' width, `stem` the backbone's first. Scales go from 1/8 to 1/4 of the picture.
    """

    channels: int = 128
    stem: int = 64
    num_layers: int = 6
    scales: tuple[ScaleConfig, ScaleConfig] = (ScaleConfig(2, None, None), ScaleConfig(8, 4, 1))
    refinement_radius: int = 4
    num_refinements: int = 6

    @property
    def side_multiple(self) -> int:
        """What the sides of the pictures must be multiples of: windows are equal and have even sides."""
        coarse, fine = self.scales
        return max(8 * 2 * coarse.splits, 4 * 2 * fine.splits)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance norm around a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        if stride == 1 and in_channels == out_channels:
            self.downsample: nn.Module = nn.Identity()
        else:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride), nn.InstanceNorm2d(out_channels)
            )

    def forward(self, x: Float[Tensor, "B c h w"]) -> Float[Tensor, "B C H W"]:
        y = F.relu(F.instance_norm(self.conv1(x)))
        y = F.relu(F.instance_norm(self.conv2(y)))
        return F.relu(self.downsample(x) + y)


class CNNEncoder(nn.Module):
    """Pictures to features at 1/8 and 1/4: the last convolution's one kernel serves both scales."""

    def __init__(self, stem: int, channels: int) -> None:
        super().__init__()
        widths = (stem, stem, 3 * stem // 2, 2 * stem)
        self.conv1 = nn.Conv2d(3, stem, 7, 2, padding=3, bias=False)
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(ResidualBlock(a, b, stride), ResidualBlock(b, b, 1))
            for (a, b), stride in zip(pairwise(widths), (1, 2, 1), strict=True)
        )
        self.conv2 = nn.Conv2d(widths[-1], channels, 1)
        self.trident_conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, picture: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B C _ _"]]:
        x = F.relu(F.instance_norm(self.conv1(picture)))
        x = self.conv2(self.layer3(self.layer2(self.layer1(x))))
        kernel = self.trident_conv.weight
        return [F.conv2d(x, kernel, stride=2, padding=1), F.conv2d(x, kernel, stride=1, padding=1)]


def split_windows(x: Float[Tensor, "B h w C"], splits: int) -> Float[Tensor, "Bn hw C"]:
    """The picture cut into splits x splits windows, each a sequence of pixels."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, splits, height // splits, splits, width // splits, channels)
    return x.transpose(2, 3).reshape(batch * splits**2, -1, channels)


def join_windows(
    windows: Float[Tensor, "Bn hw C"], splits: int, height: int, width: int
) -> Float[Tensor, "B h w C"]:
    """The inverse of `split_windows`."""
    channels = windows.shape[-1]
    x = windows.reshape(-1, splits, splits, height // splits, width // splits, channels)
    return x.transpose(2, 3).reshape(-1, height, width, channels)


def shifted_window_mask(height: int, width: int, splits: int, like: Tensor) -> Bool[Tensor, "n hw hw"]:
    """Who may attend to whom once windows are shifted by half: pixels wrapped around from elsewhere may not.

    Swin transformer (Liu et al., ICCV 2021), section 3.2.
    """

    def bands(size: int) -> Tensor:
        window = size // splits
        position = torch.arange(size, device=like.device)
        return (position >= size - window).long() + (position >= size - window // 2).long()

    region = (3 * bands(height)[:, None] + bands(width)).to(like.dtype)
    regions = split_windows(region[None, :, :, None], splits).squeeze(-1)
    return regions[:, :, None] == regions[:, None, :]


@dataclass(frozen=True)
class WindowGrid:
    """How the transformer cuts the picture: windows, and the mask for when they are shifted by half."""

    height: int
    width: int
    splits: int
    mask: Bool[Tensor, "n hw hw"]

    def attend(
        self,
        query: Float[Tensor, "B h w C"],
        key: Float[Tensor, "B h w C"],
        value: Float[Tensor, "B h w C"],
        shifted: bool,
    ) -> Float[Tensor, "B h w C"]:
        """Single-head attention within each window."""
        shift = (self.height // self.splits // 2, self.width // self.splits // 2) if shifted else (0, 0)
        back = (-shift[0], -shift[1])
        q, k, v = (split_windows(x.roll(back, dims=(1, 2)), self.splits) for x in (query, key, value))
        mask = self.mask.repeat(len(query), 1, 1) if shifted else None
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return join_windows(attended, self.splits, self.height, self.width).roll(shift, dims=(1, 2))


class Attention(nn.Module):
    """Attention from one picture to itself or the other, normed and added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(channels, channels, bias=False)
        self.k_proj = nn.Linear(channels, channels, bias=False)
        self.v_proj = nn.Linear(channels, channels, bias=False)
        self.merge = nn.Linear(channels, channels, bias=False)
        self.norm1 = nn.LayerNorm(channels)

    def message(self, source: Tensor, target: Tensor, grid: WindowGrid, shifted: bool) -> Tensor:
        """What `source` reads in `target`."""
        read = grid.attend(self.q_proj(source), self.k_proj(target), self.v_proj(target), shifted)
        return self.norm1(self.merge(read))

    def forward(self, source: Tensor, target: Tensor, grid: WindowGrid, shifted: bool) -> Tensor:
        return source + self.message(source, target, grid, shifted)


class FeedForwardAttention(Attention):
    """Attention whose message goes through a two-layer network together with the source."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        inner = 8 * channels
        self.mlp = nn.Sequential(
            nn.Linear(2 * channels, inner, bias=False), nn.GELU(), nn.Linear(inner, channels, bias=False)
        )
        self.norm2 = nn.LayerNorm(channels)

    def forward(self, source: Tensor, target: Tensor, grid: WindowGrid, shifted: bool) -> Tensor:
        message = self.message(source, target, grid, shifted)
        return source + self.norm2(self.mlp(torch.cat([source, message], dim=-1)))


class TransformerLayer(nn.Module):
    """Self-attention, then attention to the other picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.self_attn = Attention(channels)
        self.cross_attn_ffn = FeedForwardAttention(channels)

    def forward(self, source: Tensor, target: Tensor, grid: WindowGrid, shifted: bool) -> Tensor:
        source = self.self_attn(source, source, grid, shifted)
        return self.cross_attn_ffn(source, target, grid, shifted)


class FeatureTransformer(nn.Module):
    """Makes the features of two pictures comparable: layers with plain and shifted windows in turn."""

    def __init__(self, channels: int, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TransformerLayer(channels) for _ in range(num_layers))

    def forward(
        self, first: Float[Tensor, "1 C h w"], second: Float[Tensor, "1 C h w"], splits: int
    ) -> tuple[Float[Tensor, "1 C h w"], Float[Tensor, "1 C h w"]]:
        height, width = first.shape[-2:]
        grid = WindowGrid(height, width, splits, shifted_window_mask(height, width, splits, first))
        position = window_positions(height, width, splits, first)
        source = torch.cat([first, second]).permute(0, 2, 3, 1) + position
        for i, layer in enumerate(self.layers):
            source = layer(source, source.flip(0), grid, shifted=i % 2 == 1)
        first, second = source.permute(0, 3, 1, 2).chunk(2)
        return first, second


def window_positions(height: int, width: int, splits: int, like: Float[Tensor, "1 C h w"]) -> Tensor:
    """Sinusoids of the place within each window, [h, w, C]: first half of the channels y, second half x."""
    count = like.shape[1] // 2
    frequency = 10000 ** (2 * (torch.arange(count, device=like.device) // 2) / count)

    def waves(size: int) -> Tensor:
        window = size // splits
        place = torch.arange(1, window + 1, dtype=like.dtype, device=like.device) / (window + 1e-6) * 2 * pi
        angle = place[:, None] / frequency
        return torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=2).flatten(1).repeat(splits, 1)

    y = waves(height)[:, None].expand(-1, width, -1)
    x = waves(width)[None].expand(height, -1, -1)
    return torch.cat([y, x], dim=-1)


def look_up(features: Float[Tensor, "B C h w"], points: Float[Tensor, "B 2 *n"]) -> Float[Tensor, "B C *n"]:
    """Bilinear features at points (x, y) in pixels; outside the picture they are 0."""
    height, width = features.shape[-2:]
    flat = points.flatten(2).transpose(1, 2)
    unit = 2 * flat / flat.new_tensor([width - 1, height - 1]) - 1
    picked = F.grid_sample(features, unit[:, None], padding_mode="zeros", align_corners=True)
    return picked.reshape(len(features), features.shape[1], *points.shape[2:])


def neighbourhood(radius: int, like: Tensor) -> Float[Tensor, "2 n"]:
    """Offsets (x, y) of the (2 * radius + 1)^2 pixels around one, row by row."""
    side = 2 * radius + 1
    return pixel_grid(side, side, like).flatten(1) - radius


def match_everywhere(
    first: Float[Tensor, "1 C h w"], second: Float[Tensor, "1 C h w"]
) -> Float[Tensor, "1 2 h w"]:
    """Flow as the mean displacement under the softmax of correlations with every pixel (GMFlow, eq. 2-4)."""
    channels, height, width = first.shape[1:]
    places = pixel_grid(height, width, first).flatten(1)
    correlation = first.flatten(2).transpose(1, 2) @ second.flatten(2) / sqrt(channels)
    met = correlation.softmax(dim=-1) @ places.T
    return (met.transpose(1, 2) - places).unflatten(2, (height, width))


def match_nearby(
    first: Float[Tensor, "1 C h w"], second: Float[Tensor, "1 C h w"], radius: int
) -> Float[Tensor, "1 2 h w"]:
    """The same among the pixels within `radius`; those outside the picture do not count."""
    channels, height, width = first.shape[1:]
    offsets = neighbourhood(radius, first)
    places = pixel_grid(height, width, first)[:, None] + offsets[:, :, None, None]
    correlation = (first[:, :, None] * look_up(second, places[None])).sum(dim=1) / sqrt(channels)
    limits = places.new_tensor([width - 1, height - 1])[:, None, None, None]
    inside = ((places >= 0) & (places <= limits)).all(dim=0)
    probability = correlation.masked_fill(~inside, -torch.inf).softmax(dim=1)
    return torch.einsum("bnhw,an->bahw", probability, offsets)


class FlowPropagation(nn.Module):
    """Spreads flow to where matching failed, along the picture's self-similarity (GMFlow, section 3.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(channels, channels)
        self.k_proj = nn.Linear(channels, channels)

    def forward(
        self, features: Float[Tensor, "1 C h w"], flow: Float[Tensor, "1 2 h w"], radius: int | None
    ) -> Float[Tensor, "1 2 h w"]:
        sequence = features.flatten(2).transpose(1, 2)
        query = self.q_proj(sequence)
        if radius is None:
            # The checkpoint was trained with keys made from the queries, not from the features.
            spread = F.scaled_dot_product_attention(
                query, self.k_proj(query), flow.flatten(2).transpose(1, 2)
            )
            return spread.transpose(1, 2).reshape(flow.shape)
        size = 2 * radius + 1
        key = self.k_proj(sequence).transpose(1, 2).reshape(features.shape)
        keys = F.unfold(key, size, padding=radius).unflatten(1, (-1, size**2))
        # Neighbours outside the picture take part as zeros, as in training.
        scores = torch.einsum("bpc,bcnp->bnp", query, keys) / sqrt(features.shape[1])
        flows = F.unfold(flow, size, padding=radius).unflatten(1, (2, size**2))
        return torch.einsum("bnp,banp->bap", scores.softmax(dim=1), flows).reshape(flow.shape)


class MotionFeatureEncoder(nn.Module):
    """Correlations around the flow so far, and that flow, to features."""

    def __init__(self, correlations: int, channels: int) -> None:
        super().__init__()
        self.convc1 = nn.Conv2d(correlations, 2 * channels, 1)
        self.convc2 = nn.Conv2d(2 * channels, 3 * channels // 2, 3, padding=1)
        self.convf1 = nn.Conv2d(2, channels, 7, padding=3)
        self.convf2 = nn.Conv2d(channels, channels // 2, 3, padding=1)
        self.conv = nn.Conv2d(2 * channels, channels - 2, 3, padding=1)

    def forward(
        self, correlation: Float[Tensor, "1 n h w"], flow: Float[Tensor, "1 2 h w"]
    ) -> Float[Tensor, "1 C h w"]:
        seen = F.relu(self.convc2(F.relu(self.convc1(correlation))))
        moved = F.relu(self.convf2(F.relu(self.convf1(flow))))
        return torch.cat([F.relu(self.conv(torch.cat([seen, moved], dim=1))), flow], dim=1)


class SeparableGRU(nn.Module):
    """A gated recurrent unit whose convolutions see a row, then a column (RAFT, section 3.3)."""

    def __init__(self, channels: int, inputs: int) -> None:
        super().__init__()
        for name, kernel, padding in (("1", (1, 5), (0, 2)), ("2", (5, 1), (2, 0))):
            for gate in "zrq":
                conv = nn.Conv2d(channels + inputs, channels, kernel, padding=padding)
                setattr(self, f"conv{gate}{name}", conv)

    def forward(
        self, state: Float[Tensor, "1 C h w"], x: Float[Tensor, "1 c h w"]
    ) -> Float[Tensor, "1 C h w"]:
        for name in "12":
            update, reset, candidate = (getattr(self, f"conv{gate}{name}") for gate in "zrq")
            both = torch.cat([state, x], dim=1)
            keep = update(both).sigmoid()
            remembered = reset(both).sigmoid() * state
            state = (1 - keep) * state + keep * candidate(torch.cat([remembered, x], dim=1)).tanh()
        return state


class FlowHead(nn.Module):
    """Recurrent state to a correction of the flow."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 2 * channels, 3, padding=1)
        self.conv2 = nn.Conv2d(2 * channels, 2, 3, padding=1)

    def forward(self, state: Float[Tensor, "1 C h w"]) -> Float[Tensor, "1 2 h w"]:
        return self.conv2(F.relu(self.conv1(state)))


class Refinement(nn.Module):
    """One regression step: looks where the flow so far leads, and corrects it."""

    def __init__(self, correlations: int, channels: int, factor: int) -> None:
        super().__init__()
        self.encoder = MotionFeatureEncoder(correlations, channels)
        self.gru = SeparableGRU(channels, 2 * channels)
        self.flow_head = FlowHead(channels)
        self.mask = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * channels, 9 * factor**2, 1),
        )

    def forward(
        self,
        state: Float[Tensor, "1 C h w"],
        context: Float[Tensor, "1 C h w"],
        correlation: Float[Tensor, "1 n h w"],
        flow: Float[Tensor, "1 2 h w"],
    ) -> Float[Tensor, "1 C h w"]:
        """The new recurrent state, from which `flow_head` and `mask` read."""
        return self.gru(state, torch.cat([context, self.encoder(correlation, flow)], dim=1))


class UniMatch(nn.Module):
    """Flow from one picture to another."""

    FACTOR = 4  # the finest scale is a quarter of the picture

    def __init__(self, config: UniMatchConfig) -> None:
        super().__init__()
        channels = config.channels
        self.config = config
        self.backbone = CNNEncoder(config.stem, channels)
        self.transformer = FeatureTransformer(channels, config.num_layers)
        self.feature_flow_attn = FlowPropagation(channels)
        self.refine_proj = nn.Conv2d(channels, 2 * channels, 1)
        self.refine = Refinement((2 * config.refinement_radius + 1) ** 2, channels, self.FACTOR)

    def forward(
        self, first: Float[Tensor, "1 3 H W"], second: Float[Tensor, "1 3 H W"]
    ) -> Float[Tensor, "1 2 H W"]:
        """Flow in pixels from `first` to `second` (0..255), H and W multiples of `config.side_multiple`."""
        levels = self.backbone(normalised(torch.cat([first, second])))
        flow = torch.zeros_like(levels[0][:1, :2])
        for scale, features in zip(self.config.scales, levels, strict=True):
            if flow.shape[-2:] != features.shape[-2:]:
                flow = 2 * F.interpolate(flow, features.shape[-2:], mode="bilinear", align_corners=True)
            first_features, second_features = features.chunk(2)
            flow, matched = self.match(first_features, second_features, flow, scale)
        return self.refined(first_features, second_features, matched, flow)

    def match(
        self,
        first: Float[Tensor, "1 C h w"],
        second: Float[Tensor, "1 C h w"],
        flow: Float[Tensor, "1 2 h w"],
        scale: ScaleConfig,
    ) -> tuple[Float[Tensor, "1 2 h w"], Float[Tensor, "1 C h w"]]:
        """A better flow at one scale, and the first picture's features as the transformer left them."""
        if scale.match_radius is None:
            first, second = self.transformer(first, second, scale.splits)
            flow = flow + match_everywhere(first, second)
        else:
            height, width = second.shape[-2:]
            warped = look_up(second, pixel_grid(height, width, second) + flow)
            first, second = self.transformer(first, warped, scale.splits)
            flow = flow + match_nearby(first, second, scale.match_radius)
        return self.feature_flow_attn(first, flow, scale.propagation_radius), first

    def refined(
        self,
        first: Float[Tensor, "1 C h w"],
        second: Float[Tensor, "1 C h w"],
        matched: Float[Tensor, "1 C h w"],
        flow: Float[Tensor, "1 2 h w"],
    ) -> Float[Tensor, "1 2 H W"]:
        """The flow after regression, at the picture's size."""
        channels, height, width = first.shape[1:]
        grid = pixel_grid(height, width, flow)[:, None]
        around = neighbourhood(self.config.refinement_radius, flow)[:, :, None, None]
        # Each step starts from the same state: what it hands on is the flow alone.
        start, context = self.refine_proj(matched).chunk(2, dim=1)
        start, context = start.tanh(), context.relu()
        state = start
        for _ in range(self.config.num_refinements):
            seen = look_up(second, grid + around + flow[:, :, None])
            correlation = (first[:, :, None] * seen).sum(dim=1) / sqrt(channels)
            state = self.refine(start, context, correlation, flow)
            flow = flow + self.refine.flow_head(state)
        return upsampled(flow, self.refine.mask(state), self.FACTOR)


def normalised(pictures: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 H W"]:
    """Pictures (0..255) as the backbone was trained to see them."""
    mean, deviation = (pictures.new_tensor(v)[:, None, None] for v in (PICTURE_MEAN, PICTURE_DEVIATION))
    return (pictures / 255 - mean) / deviation


def upsampled(
    flow: Float[Tensor, "1 2 h w"], scores: Float[Tensor, "1 n h w"], factor: int
) -> Float[Tensor, "1 2 H W"]:
    """`factor` times finer: every fine pixel is a learned mean of 3 x 3 coarse ones (RAFT, section 3.3)."""
    height, width = flow.shape[-2:]
    shares = scores.reshape(1, 1, 9, factor, factor, height, width).softmax(dim=2)
    around = F.unfold(factor * flow, 3, padding=1).reshape(1, 2, 9, 1, 1, height, width)
    fine = (shares * around).sum(dim=2)
    return fine.permute(0, 1, 4, 2, 5, 3).reshape(1, 2, factor * height, factor * width)
