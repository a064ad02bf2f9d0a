"""How a synthetic layer moves: affine paths eased over time, and waves that bend it. Exact both ways.

A layer's point p of frame 0 is at `camera(parent(own(p + bend * waves(p))))` later on; each of the three is
an affine map per time. Waves are shallow enough for the inverse, a fixed point, to converge.
"""

from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.control.timing import EaseName, eased
from mofa.tensors.flow import apply_affine, compose_affine, invert_affine

STEEPEST_WAVE = 0.35
"""Most that the waves' displacement changes per pixel: below 1 they never fold, and the inverse converges."""

INVERSE_ROUNDS = 8
"""0.35^8 of a wave's height is left as error: a thousandth of a pixel for heights of 5 px."""


@dataclass(frozen=True)
class Easing:
    """How far along a motion is at each time: (0, 0) to (1, 1), or swinging there and back `swings` times."""

    ease: EaseName = "linear"
    swings: float = 0.0

    def __call__(self, times: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
        """`times` are 0 at the source and 1 at the end; a little before 0 a motion is mirrored."""
        if self.swings:
            return torch.sin(2 * torch.pi * self.swings * times)
        return eased(self.ease, times.abs().clamp(max=1)) * times.sign()


@dataclass(frozen=True)
class AffinePath:
    """A turn, growth and shear about `pivot` and a curved way for it; `easing` says when.

    `shift` is where the pivot ends (px), `curve` how far the way bulges out half-way (px), `turn` is in
    radians (clockwise, as y points down), `log_scale` the logarithm of the final size, `shear` the
    final x per y.
    """

    pivot: tuple[float, float]
    shift: tuple[float, float] = (0.0, 0.0)
    curve: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    log_scale: float = 0.0
    shear: float = 0.0
    easing: Easing = Easing()

    def matrices(self, times: Float[Tensor, " N"]) -> Float[Tensor, "N 2 3"]:
        """The map at each time; the identity at time 0."""
        share = self.easing(times)
        angle, scale = share * self.turn, (share * self.log_scale).exp()
        cos, sin = angle.cos() * scale, angle.sin() * scale
        lean = share * self.shear
        linear = torch.stack(
            [torch.stack([cos, cos * lean - sin], -1), torch.stack([sin, sin * lean + cos], -1)], -2
        )
        pivot, shift, curve = (times.new_tensor(v) for v in (self.pivot, self.shift, self.curve))
        way = share[:, None] * shift + (4 * share * (1 - share))[:, None] * curve
        return torch.cat([linear, (pivot - linear @ pivot + way)[..., None]], dim=-1)


@dataclass(frozen=True)
class Waves:
    """A standing bend, the sum of W sine waves: `height` (x, y) in px, `frequency` in radians per px."""

    height: Float[Tensor, "W 2"]
    frequency: Float[Tensor, "W 2"]
    phase: Float[Tensor, " W"]
    easing: Easing = Easing()

    def __call__(self, points: Float[Tensor, "S 2 *n"]) -> Float[Tensor, "S 2 *n"]:
        """Displacement of every point at full bend."""
        spread = (-1,) + (1,) * (points.dim() - 2)
        angle = torch.einsum("wc,sc...->sw...", self.frequency, points) + self.phase.reshape(spread)
        return torch.einsum("wc,sw...->sc...", self.height, angle.sin())


def gentle(waves: Waves) -> Waves:
    """The same waves, lowered where they would be steeper than `STEEPEST_WAVE`."""
    steepness = float((waves.height.norm(dim=1) * waves.frequency.norm(dim=1)).sum())
    factor = min(1.0, STEEPEST_WAVE / max(steepness, 1e-9))
    return Waves(waves.height * factor, waves.frequency, waves.phase, waves.easing)


@dataclass(frozen=True)
class Motion:
    """A layer's motion: affine paths, outermost (the camera) first, and what bends the layer before them."""

    paths: tuple[AffinePath, ...]
    waves: Waves | None = None

    def at(self, times: Float[Tensor, " N"]) -> "Moved":
        """The motion at these times (0 source, 1 last frame)."""
        matrices = reduce(compose_affine, (path.matrices(times) for path in self.paths))
        bend = torch.zeros_like(times) if self.waves is None else self.waves.easing(times)
        return Moved(matrices, bend, self.waves)


@dataclass(frozen=True)
class Moved:
    """A motion at N times: points of frame 0 to where they are then, and back."""

    matrices: Float[Tensor, "N 2 3"]
    bend: Float[Tensor, " N"]
    waves: Waves | None

    def __getitem__(self, which: slice) -> "Moved":
        return Moved(self.matrices[which], self.bend[which], self.waves)

    def forward(self, points: Float[Tensor, " 2 *n"]) -> Float[Tensor, "N 2 *n"]:
        """Where the points (x, y) of frame 0 are at each time."""
        here = points.expand(len(self.bend), *points.shape)
        if self.waves is not None:
            # The waves stand still in the layer: one evaluation serves all times.
            spread = (-1,) + (1,) * points.dim()
            here = points + self.bend.reshape(spread) * self.waves(points[None])
        return apply_affine(self.matrices, here)

    def backward(self, points: Float[Tensor, " 2 *n"]) -> Float[Tensor, "N 2 *n"]:
        """Where in frame 0 what is at `points` at each time was."""
        straight = apply_affine(
            invert_affine(self.matrices), points.expand(len(self.bend), *points.shape).contiguous()
        )
        if self.waves is None or not self.bend.any():
            return straight
        bend = self.bend.reshape((-1,) + (1,) * points.dim())
        before = straight
        for _ in range(INVERSE_ROUNDS):
            before = straight - bend * self.waves(before)
        return before
