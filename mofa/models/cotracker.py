"""CoTracker3: points of frame 0 followed through a whole clip, through occlusion, by a trained network.

Karaev et al., arXiv 2410.11831, the offline model. Every point starts where it was and is moved in rounds:
how its surroundings in frame 0 correlate with what lies around its present place, in four scales, goes into
a transformer over time and over points, which says how far to move it and whether it is seen. Module names
are those of the checkpoint scaled_offline.pth (their spelling included).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mofa.tensors.flow import bilinear_sample


@dataclass(frozen=True)
class CoTrackerConfig:
    """Sizes; the standard ones are the released model's.

    `height` and `width` are what clips are stretched to, `window` the frames whose time embedding is stored,
    `radius` the reach of a look around a place in pixels of the features, which are `STRIDE` times coarser.
    """

    height: int = 384
    width: int = 512
    window: int = 60
    features: int = 128
    hidden: int = 384
    heads: int = 8
    depth: int = 3
    virtual: int = 64
    radius: int = 3
    levels: int = 4
    correlation: int = 256

    @property
    def token(self) -> int:
        """Numbers per point and frame: seen, sure, correlations, steps to its neighbours in time."""
        return 2 + self.levels * self.correlation + STEPS * (1 + 2 * OCTAVES)


STRIDE = 4
STEPS, OCTAVES = 4, 10
"""Steps (to the next frame and the one before, x and y) are told with sines and cosines of ten octaves."""
SMALLEST = 1e-12
"""Under the root of a feature's length."""


class CoTracker3(nn.Module):
    """A clip and points of its first frame to their ways."""

    def __init__(self, config: CoTrackerConfig = CoTrackerConfig()) -> None:
        super().__init__()
        self.config = config
        self.fnet = Encoder(config.features)
        self.updateformer = UpdateTransformer(config)
        around = (2 * config.radius + 1) ** 2
        self.corr_mlp = Mlp(around * around, config.hidden, config.correlation, nn.GELU())
        self.register_buffer("time_emb", torch.zeros(1, config.window, config.token))

    def forward(
        self, frames: Float[Tensor, "T 3 H W"], starts: Float[Tensor, "N 2"], rounds: int
    ) -> tuple[Float[Tensor, "T N 2"], Float[Tensor, "T N"]]:
        """Places in pixels and how visible each point is, 0..1, in a clip 0..255 of the config's size."""
        pyramid = self._pyramid(frames)
        num_frames = len(frames)
        places = (starts / STRIDE).expand(num_frames, -1, -1)
        seen = places.new_zeros(num_frames, len(starts))
        sure = torch.zeros_like(seen)
        looks = [
            self._around(level[:1], starts[None] / STRIDE / 2**scale)[0]
            for scale, level in enumerate(pyramid)
        ]
        for _ in range(rounds):
            alike = self._correlations(pyramid, looks, places)
            tokens = torch.cat([seen[..., None], sure[..., None], alike, self._steps(places)], dim=-1)
            tokens = tokens + self._time(num_frames)[:, None]
            change = self.updateformer(tokens.transpose(0, 1)).transpose(0, 1)
            places = places + change[..., :2]
            seen, sure = seen + change[..., 2], sure + change[..., 3]
        return places * STRIDE, seen.sigmoid()

    def _pyramid(self, frames: Float[Tensor, "T 3 H W"]) -> list[Float[Tensor, "T C _ _"]]:
        """Features of unit length, then means of two by two."""
        seen = self.fnet(2 * (frames / 255) - 1)
        levels = [seen / seen.square().sum(dim=1, keepdim=True).clamp(min=SMALLEST).sqrt()]
        while len(levels) < self.config.levels:
            levels.append(F.avg_pool2d(levels[-1], 2))
        return levels

    def _around(
        self, level: Float[Tensor, "T C h w"], places: Float[Tensor, "T N 2"]
    ) -> Float[Tensor, "T C N A"]:
        """Features in a square around each place, column by column."""
        reach = torch.arange(-self.config.radius, self.config.radius + 1).to(places)
        x, y = torch.meshgrid(reach, reach, indexing="ij")
        offsets = torch.stack([x.flatten(), y.flatten()])
        return bilinear_sample(level, places.mT[..., None] + offsets[:, None])

    def _correlations(
        self,
        pyramid: Sequence[Float[Tensor, "T C _ _"]],
        looks: Sequence[Float[Tensor, "C N A"]],
        places: Float[Tensor, "T N 2"],
    ) -> Float[Tensor, "T N D"]:
        """How all that lies around a point resembles all that lay around it in frame 0, per scale."""
        found = []
        for scale, (level, look) in enumerate(zip(pyramid, looks, strict=True)):
            around = self._around(level, places / 2**scale)
            volume = torch.einsum("tcna,cnb->tnab", around, look)
            found.append(self.corr_mlp(volume.flatten(2)))
        return torch.cat(found, dim=-1)

    def _steps(self, places: Float[Tensor, "T N 2"]) -> Float[Tensor, "T N D"]:
        """From the next frame's place and from the one before, in sizes of the picture, and their waves."""
        step = places[1:] - places[:-1]
        none = torch.zeros_like(places[:1])
        both = torch.cat([torch.cat([-step, none]), torch.cat([none, step])], dim=-1)
        size = both.new_tensor([self.config.width, self.config.height]) / STRIDE
        both = both / size.repeat(2)
        waves = (both[..., None, :] * 2.0 ** torch.arange(OCTAVES).to(both)[:, None]).flatten(-2)
        return torch.cat([both, waves.sin(), (waves + torch.pi / 2).sin()], dim=-1)

    def _time(self, num_frames: int) -> Float[Tensor, "T D"]:
        """The stored embedding of time, stretched over the clip."""
        stored = self.get_buffer("time_emb")
        if num_frames == stored.shape[1]:
            return stored[0]
        return F.interpolate(stored.mT, size=num_frames, mode="linear").mT[0]


class Encoder(nn.Module):
    """Pictures to features, four times coarser: four depths, brought together."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = channels // 2, channels // 4 * 3
        self.conv1 = nn.Conv2d(3, first, 7, stride=2, padding=3)
        self.layer1 = nn.Sequential(Residual(first, first), Residual(first, first))
        self.layer2 = nn.Sequential(Residual(first, second, stride=2), Residual(second, second))
        self.layer3 = nn.Sequential(Residual(second, channels, stride=2), Residual(channels, channels))
        self.layer4 = nn.Sequential(Residual(channels, channels, stride=2), Residual(channels, channels))
        self.conv2 = nn.Conv2d(first + second + 2 * channels, 2 * channels, 3, padding=1)
        self.conv3 = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, pictures: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        size = (pictures.shape[2] // STRIDE, pictures.shape[3] // STRIDE)
        hidden, depths = F.relu(F.instance_norm(self.conv1(pictures))), []
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            hidden = layer(hidden)
            depths.append(F.interpolate(hidden, size, mode="bilinear", align_corners=True))
        return self.conv3(F.relu(F.instance_norm(self.conv2(torch.cat(depths, dim=1)))))


class Residual(nn.Module):
    """Two convolutions, added to their input."""

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1)
        self.downsample = nn.Sequential(nn.Conv2d(inside, outside, 1, stride)) if stride > 1 else None

    def forward(self, values: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        hidden = F.relu(F.instance_norm(self.conv1(values)))
        hidden = F.relu(F.instance_norm(self.conv2(hidden)))
        kept = values if self.downsample is None else F.instance_norm(self.downsample(values))
        return F.relu(kept + hidden)


class UpdateTransformer(nn.Module):
    """Attention along each point's time, then between the points of a frame, by way of virtual points."""

    def __init__(self, config: CoTrackerConfig) -> None:
        super().__init__()
        width, heads = config.hidden, config.heads

        def repeated(block: type["SelfBlock"] | type["CrossBlock"]) -> nn.ModuleList:
            return nn.ModuleList(block(width, heads) for _ in range(config.depth))

        self.input_transform = nn.Linear(config.token, width)
        self.flow_head, self.vis_conf_head = nn.Linear(width, 2), nn.Linear(width, 2)
        self.virual_tracks = nn.Parameter(torch.zeros(1, config.virtual, 1, width))
        self.time_blocks = repeated(SelfBlock)
        self.space_virtual_blocks = repeated(SelfBlock)
        self.space_point2virtual_blocks = repeated(CrossBlock)
        self.space_virtual2point_blocks = repeated(CrossBlock)

    def forward(self, tokens: Float[Tensor, "N T D"]) -> Float[Tensor, "N T 4"]:
        """Changes of x and y in feature pixels, of visibility and of certainty."""
        count = len(tokens)
        virtual = self.virual_tracks[0].expand(-1, tokens.shape[1], -1)
        hidden = torch.cat([self.input_transform(tokens), virtual])
        blocks = (
            self.time_blocks,
            self.space_virtual2point_blocks,
            self.space_virtual_blocks,
            self.space_point2virtual_blocks,
        )
        for over_time, gather, among, spread in zip(*blocks, strict=True):
            frames = over_time(hidden).transpose(0, 1)
            points, virtual = frames[:, :count], frames[:, count:]
            virtual = among(gather(virtual, points))
            hidden = torch.cat([spread(points, virtual), virtual], dim=1).transpose(0, 1)
        return torch.cat([self.flow_head(hidden[:count]), self.vis_conf_head(hidden[:count])], dim=-1)


class Attention(nn.Module):
    """Multi-head attention of one sequence to another."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_kv = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.to_out = nn.Linear(width, width)

    def forward(
        self, values: Float[Tensor, "B N D"], context: Float[Tensor, "B M D"]
    ) -> Float[Tensor, "B N D"]:
        parts = (self.to_q(values), *self.to_kv(context).chunk(2, dim=-1))
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        return self.to_out(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers."""

    def __init__(self, inside: int, hidden: int, outside: int, between: nn.Module) -> None:
        super().__init__()
        self.fc1, self.fc2, self.between = nn.Linear(inside, hidden), nn.Linear(hidden, outside), between

    def forward(self, values: Float[Tensor, "*B D"]) -> Float[Tensor, "*B E"]:
        return self.fc2(self.between(self.fc1(values)))


class SelfBlock(nn.Module):
    """A sequence attends to itself."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.mlp = Mlp(width, 4 * width, width, nn.GELU(approximate="tanh"))

    def forward(self, values: Float[Tensor, "B N D"]) -> Float[Tensor, "B N D"]:
        normed = plain_norm(values)
        values = values + self.attn(normed, normed)
        return values + self.mlp(plain_norm(values))


class CrossBlock(nn.Module):
    """A sequence attends to another."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_context = nn.LayerNorm(width)
        self.cross_attn = Attention(width, heads)
        self.mlp = Mlp(width, 4 * width, width, nn.GELU(approximate="tanh"))

    def forward(
        self, values: Float[Tensor, "B N D"], context: Float[Tensor, "B M D"]
    ) -> Float[Tensor, "B N D"]:
        values = values + self.cross_attn(plain_norm(values), self.norm_context(context))
        return values + self.mlp(plain_norm(values))


def plain_norm(values: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
    """Layer norm without weights."""
    return F.layer_norm(values, values.shape[-1:], eps=1e-6)
