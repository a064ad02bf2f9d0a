"""Rotations in space."""

import torch
from jaxtyping import Float
from torch import Tensor


def rotation_about_axes(angles: Float[Tensor, "*t 3"]) -> Float[Tensor, "*t 3 3"]:
    """Matrices that turn columns about the fixed x, then y, then z axis, by angles in radians."""
    zero, one = torch.zeros_like(angles[..., 0]), torch.ones_like(angles[..., 0])
    (cx, cy, cz), (sx, sy, sz) = angles.cos().unbind(-1), angles.sin().unbind(-1)
    about_x = torch.stack([one, zero, zero, zero, cx, -sx, zero, sx, cx], -1).unflatten(-1, (3, 3))
    about_y = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], -1).unflatten(-1, (3, 3))
    about_z = torch.stack([cz, -sz, zero, sz, cz, zero, zero, zero, one], -1).unflatten(-1, (3, 3))
    return about_z @ about_y @ about_x
