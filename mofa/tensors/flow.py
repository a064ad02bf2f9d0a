"""Flow algebra: affine motion, its sum with object motion, and values read along a flow.

A flow holds displacements from frame 0, channels (x, y), in pixels. Affine maps are 2 x 3 matrices
[linear | offset] acting on pixel coordinates.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mofa.tensors.geometry import pixel_grid


def apply_affine(matrix: Float[Tensor, "S 2 3"], points: Float[Tensor, "S 2 *n"]) -> Float[Tensor, "S 2 *n"]:
    """Each step's map applied to that step's points."""
    spread = (len(matrix), 2) + (1,) * (points.dim() - 2)
    linear = torch.einsum("sij,sj...->si...", matrix[:, :, :2], points)
    return linear + matrix[:, :, 2].reshape(spread)


def invert_affine(matrix: Float[Tensor, "S 2 3"]) -> Float[Tensor, "S 2 3"]:
    """The maps that undo `matrix`; singular maps raise torch.linalg.LinAlgError."""
    linear = torch.linalg.inv(matrix[:, :, :2])
    return torch.cat([linear, -linear @ matrix[:, :, 2:]], dim=-1)


def compose_affine(outer: Float[Tensor, "S 2 3"], inner: Float[Tensor, "S 2 3"]) -> Float[Tensor, "S 2 3"]:
    """The maps that do `inner` first and `outer` to its result."""
    linear = outer[:, :, :2] @ inner[:, :, :2]
    return torch.cat([linear, outer[:, :, :2] @ inner[:, :, 2:] + outer[:, :, 2:]], dim=-1)


def affine_flow(matrix: Float[Tensor, "S 2 3"], height: int, width: int) -> Float[Tensor, "S 2 H W"]:
    """The flow of a picture that moves as a whole: A(x) - x."""
    grid = pixel_grid(height, width, matrix).expand(len(matrix), -1, -1, -1)
    return apply_affine(matrix, grid) - grid


def add_camera(flow: Float[Tensor, "S 2 H W"], matrix: Float[Tensor, "S 2 3"]) -> Float[Tensor, "S 2 H W"]:
    """Object motion seen by a moving camera: A(x + flow) - x."""
    grid = pixel_grid(flow.shape[-2], flow.shape[-1], flow)
    return apply_affine(matrix, grid + flow) - grid


def remove_camera(flow: Float[Tensor, "S 2 H W"], matrix: Float[Tensor, "S 2 3"]) -> Float[Tensor, "S 2 H W"]:
    """The inverse of `add_camera`: what moves against the scene."""
    return add_camera(flow, invert_affine(matrix))


def bilinear_sample(
    values: Float[Tensor, "B C H W"], points: Float[Tensor, "B 2 *n"]
) -> Float[Tensor, "B C *n"]:
    """Bilinear values at points (x, y) in pixels; beyond the border the border's value holds."""
    height, width = values.shape[-2:]
    # grid_sample with align_corners=False: -1 and 1 are the outer edges of the border pixels.
    flat = points.flatten(2).transpose(1, 2)
    unit = (flat + 0.5) * flat.new_tensor([2 / width, 2 / height]) - 1
    picked = F.grid_sample(values, unit[:, None], mode="bilinear", padding_mode="border", align_corners=False)
    return picked.reshape(len(values), values.shape[1], *points.shape[2:])
