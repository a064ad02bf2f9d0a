"""Patches of one picture found again in another, however they turned and grew: affine Lucas-Kanade.

The inverse compositional form (Baker and Matthews, "Lucas-Kanade 20 Years On", IJCV 2004) of the affine
consistency check of Shi and Tomasi ("Good Features to Track", CVPR 1994), on all patches at once.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.tensors.flow import bilinear_sample

RADIUS = 7
"""Pixels from the middle of a patch to its side."""
ROUNDS = 12
"""Gauss-Newton steps; most patches need four."""
DAMPING = 1e-3
"""Share of the mean curvature that is added to all: a patch with one edge does not slide along it."""


@dataclass(frozen=True)
class Patches:
    """Patches round N points of a picture: where their pixels are relative to the point, and their
    brightness, mean 0 and deviation 1, with the directions of steepest descent and the inverse curvature."""

    offsets: Float[Tensor, "2 P"]
    values: Float[Tensor, "N P"]
    descent: Float[Tensor, "N 6 P"]
    inverse: Float[Tensor, "N 6 6"]

    def uncertainty(self, alike: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
        """Standard deviation in pixels of a place found with that correlation: what is left over, as noise,
        through the curvature (Förstner and Gülch, 1987). Large on flat ground and along straight edges."""
        spread = self.inverse[:, 2, 2] + self.inverse[:, 5, 5]
        return (2 * (1 - alike).clamp(min=0) * spread).sqrt()


def cut_patches(picture: Float[Tensor, "H W"], points: Float[Tensor, "N 2"]) -> Patches:
    """The patches round `points` (x, y) of a picture in brightness."""
    side = torch.arange(-RADIUS, RADIUS + 1, dtype=picture.dtype)
    y, x = torch.meshgrid(side, side, indexing="ij")
    offsets = torch.stack([x.flatten(), y.flatten()])
    rise = torch.stack(torch.gradient(picture)[::-1])
    places = points[:, :, None] + offsets
    read = _read(torch.cat([picture[None], rise]), places)
    values, deviation = _normalised(read[:, 0])
    slope = read[:, 1:] / deviation[:, None]
    by_parameter = torch.cat([offsets, torch.ones_like(offsets[:1])])
    descent = (slope[:, :, None] * by_parameter).flatten(1, 2)
    # A change of brightness or contrast is no motion.
    descent = descent - descent.mean(-1, keepdim=True)
    share = (descent @ values[:, :, None]) / values.shape[1]
    descent = descent - share * values[:, None]
    curvature = descent @ descent.mT
    damping = DAMPING * curvature.diagonal(dim1=1, dim2=2).clamp(min=1e-6)
    return Patches(offsets, values, descent, torch.linalg.inv(curvature + torch.diag_embed(damping)))


def find_again(
    patches: Patches, picture: Float[Tensor, "H W"], guess: Float[Tensor, "N 2 3"]
) -> tuple[Float[Tensor, "N 2 3"], Float[Tensor, " N"]]:
    """Where the patches are in another picture, as affine maps from offsets to places, and how well they fit:
    the correlation, at most 1. `guess` is where the search starts; its last column are the points."""
    maps = guess.clone()
    for _ in range(ROUNDS):
        apart = _normalised(_seen(patches, picture, maps))[0] - patches.values
        step = (patches.inverse @ (patches.descent @ apart[:, :, None]))[..., 0].unflatten(1, (2, 3))
        maps = _undone(maps, step)
    return maps, (_normalised(_seen(patches, picture, maps))[0] * patches.values).mean(-1)


def _seen(
    patches: Patches, picture: Float[Tensor, "H W"], maps: Float[Tensor, "N 2 3"]
) -> Float[Tensor, "N P"]:
    return _read(picture[None], maps[:, :, :2] @ patches.offsets + maps[:, :, 2:])[:, 0]


def _read(values: Float[Tensor, "C H W"], places: Float[Tensor, "N 2 P"]) -> Float[Tensor, "N C P"]:
    return bilinear_sample(values[None], places.permute(1, 0, 2)[None])[0].transpose(0, 1)


def _normalised(values: Float[Tensor, "N P"]) -> tuple[Float[Tensor, "N P"], Float[Tensor, "N 1"]]:
    centred = values - values.mean(-1, keepdim=True)
    deviation = centred.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-3)
    return centred / deviation, deviation


def _undone(maps: Float[Tensor, "N 2 3"], step: Float[Tensor, "N 2 3"]) -> Float[Tensor, "N 2 3"]:
    """`maps` after the inverse of the small map identity + step; steps that would fold a patch are cut."""
    longest = step[:, :, :2].abs().amax((1, 2), keepdim=True)
    step = step * (0.3 / longest.clamp(min=0.3))
    linear = torch.linalg.inv(torch.eye(2) + step[:, :, :2])
    turned = maps[:, :, :2] @ linear
    return torch.cat([turned, maps[:, :, 2:] - turned @ step[:, :, 2:]], dim=-1)
