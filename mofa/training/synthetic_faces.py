"""Drawn faces whose 68 points are known exactly: for toy landmark adapters and tests.

A face is polygons over its own points (iBUG order): skin, brows, eyes, nose, mouth. The head moves and turns,
the mouth opens, the eyes close; everything that is drawn follows the points, and nothing else does.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mofa.media.image import to_bytes
from mofa.tensors.geometry import pixel_grid
from mofa.training.clips import Clips
from mofa.training.synthetic_motion import AffinePath, Easing
from mofa.training.synthetic_textures import texture


@dataclass(frozen=True)
class SyntheticFaces:
    """Drawn faces on blurred grounds; lengths are shares of the short side."""

    height: int = 64
    width: int = 64
    num_frames: int = 4
    shift: float = 0.2
    """Longest way of the head."""
    opening: float = 0.12
    """Widest opening of the mouth."""

    def build(self, seed: int) -> "FaceClips":
        """An endless row of faces."""
        return FaceClips(self, seed)


@dataclass(frozen=True)
class FaceClips:
    """Faces as clips; face i depends on settings, seed and i alone."""

    settings: SyntheticFaces
    seed: int

    def __getitem__(self, number: int) -> Clips:
        rng = np.random.Generator(np.random.Philox(key=[self.seed, number]))
        points = self._points(rng)
        ground = texture(rng, self.settings.height, self.settings.width, 2)
        colours = _colours(rng)
        frames = torch.stack([draw_face(ground, face, colours) for face in points])
        return Clips(
            frames=to_bytes(frames), landmarks=points, name=f"drawn face {number} of seed {self.seed}"
        )

    def _points(self, rng: np.random.Generator) -> Float[Tensor, "T 68 2"]:
        settings = self.settings
        short = min(settings.height, settings.width)
        times = torch.arange(settings.num_frames) / (settings.num_frames - 1)
        size = short * rng.uniform(0.55, 0.75)
        middle = (
            settings.width / 2 + short * rng.uniform(-0.1, 0.1),
            settings.height / 2 + short * rng.uniform(-0.1, 0.1),
        )
        way = rng.uniform(-1, 1, 2) * settings.shift * short
        head = AffinePath(
            middle, (float(way[0]), float(way[1])), turn=rng.uniform(-0.3, 0.3), easing=Easing("in-out")
        )
        opening = torch.from_numpy(rng.uniform(0, 1, 2)) @ torch.stack([1 - times, times]).double()
        blink = torch.from_numpy(rng.uniform(0.3, 1, 2)) @ torch.stack([1 - times, times]).double()
        faces = [
            face_points(float(o) * settings.opening, float(b)) * size + torch.tensor(middle)
            for o, b in zip(opening, blink, strict=True)
        ]
        matrices = head.matrices(times)
        return torch.stack([f @ m[:, :2].T + m[:, 2] for f, m in zip(faces, matrices, strict=True)])


def face_points(opening: float, eyes: float) -> Float[Tensor, "68 2"]:
    """68 points of a face of height 1 about its middle: `opening` of the mouth, `eyes` open 0..1."""

    def arc(
        x: float, y: float, across: float, down: float, start: float, end: float, count: int
    ) -> Float[Tensor, "n 2"]:
        angle = torch.linspace(start, end, count) * torch.pi / 180
        return torch.stack([x + across * angle.cos(), y + down * angle.sin()], dim=-1)

    def line(x: tuple[float, float], y: tuple[float, float], count: int) -> Float[Tensor, "n 2"]:
        return torch.stack([torch.linspace(*x, count), torch.linspace(*y, count)], dim=-1)

    def eye(x: float) -> Float[Tensor, "6 2"]:
        h = 0.045 * eyes
        return torch.tensor(
            [[x - 0.08, -0.1], [x - 0.03, -0.1 - h], [x + 0.03, -0.1 - h],
             [x + 0.08, -0.1], [x + 0.03, -0.1 + h], [x - 0.03, -0.1 + h]]
        )  # fmt: skip

    jaw = arc(0.0, -0.05, 0.38, 0.5, 180.0, 0.0, 17)
    brows = torch.cat(
        [arc(-0.17, -0.2, 0.13, 0.05, 200.0, 340.0, 5), arc(0.17, -0.2, 0.13, 0.05, 200.0, 340.0, 5)]
    )
    nose = torch.cat([line((0.0, 0.0), (-0.1, 0.08), 4), line((-0.06, 0.06), (0.12, 0.12), 5)])
    lips = torch.cat(
        [
            arc(0.0, 0.25, 0.15, 0.04 + opening / 2, 180.0, 360.0, 7),
            arc(0.0, 0.25, 0.15, 0.05 + opening / 2, 30.0, 150.0, 5),
            arc(0.0, 0.25, 0.11, 0.01 + opening / 2, 180.0, 360.0, 5),
            arc(0.0, 0.25, 0.11, 0.01 + opening / 2, 45.0, 135.0, 3),
        ]
    )
    return torch.cat([jaw, brows, nose, eye(-0.17), eye(0.17), lips])


def _colours(rng: np.random.Generator) -> Float[Tensor, "5 3"]:
    """Skin, brows, eyes, lips, inside of the mouth."""
    usual = torch.tensor(
        [[0.85, 0.65, 0.55], [0.25, 0.15, 0.1], [0.95, 0.95, 0.95], [0.75, 0.3, 0.3], [0.2, 0.05, 0.05]]
    )
    return (usual + torch.from_numpy(rng.uniform(-0.1, 0.1, (5, 3))).float()).clamp(0, 1)


def draw_face(
    ground: Float[Tensor, "3 H W"], points: Float[Tensor, "68 2"], colours: Float[Tensor, "5 3"]
) -> Float[Tensor, "3 H W"]:
    """The face over a ground, its forehead an arc over the jaw."""
    crown = points[27] + 1.9 * (points[27] - points[33])
    forehead = torch.stack([points[16], 0.25 * points[16] + 0.75 * crown, 0.25 * points[0] + 0.75 * crown])
    skin = torch.cat([points[:17], forehead])
    picture = ground
    for outline, colour in (
        (skin, 0), (points[17:22], 1), (points[22:27], 1), (points[36:42], 2), (points[42:48], 2),
        (points[48:60], 3), (points[60:68], 4),
    ):  # fmt: skip
        cover = filled(outline, *ground.shape[1:])
        picture = picture * (1 - cover) + colours[colour, :, None, None] * cover
    return picture


def filled(outline: Float[Tensor, "n 2"], height: int, width: int) -> Float[Tensor, "H W"]:
    """How much of every pixel a closed outline covers, from four points in it: even-odd rule."""
    whole = outline.new_zeros(height, width)
    low, high = (outline.amin(dim=0) - 1).floor().int(), (outline.amax(dim=0) + 2).ceil().int()
    columns, rows = (slice(max(0, int(low[axis])), max(0, int(high[axis]))) for axis in (0, 1))
    total = whole[rows, columns]  # nothing is covered outside
    begin, end = outline, outline.roll(-1, dims=0)
    x0, y0, x1, y1 = (v[:, None, None] for v in (begin[:, 0], begin[:, 1], end[:, 0], end[:, 1]))
    for dx in (-0.25, 0.25):
        for dy in (-0.25, 0.25):
            x, y = pixel_grid(height, width, outline)[:, rows, columns]
            x, y = x + dx, y + dy
            spans = (y0 > y) != (y1 > y)
            crossing = x0 + (y - y0) * (x1 - x0) / torch.where(y1 == y0, torch.ones_like(y1), y1 - y0)
            total += ((spans & (x < crossing)).sum(dim=0) % 2).to(total) / 4
    return whole
