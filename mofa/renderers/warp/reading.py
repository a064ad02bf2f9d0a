"""A picture read at points between its pixels: bicubic, mirrored beyond the border."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mofa.renderers.warp.inverse import window_grid
from mofa.tensors.neighbourhood import window_around


def read(
    values: Float[Tensor, "C H W"], points: Float[Tensor, "2 h w"], window: tuple[slice, slice]
) -> Float[Tensor, "C h w"]:
    """Values of a picture, in a window (rows and columns), at points (x, y) of it.

    What rests on its own pixel is not looked up.
    """
    moves, found = (points != window_grid(window, points)).any(0), values[:, window[0], window[1]].clone()
    if moves.any():
        rows, columns = window_around(moves, share=0.0, least=0)
        looked_up = read_at(values, points[:, rows, columns])
        found[:, rows, columns] = torch.where(moves[rows, columns], looked_up, found[:, rows, columns])
    return found


def read_at(values: Float[Tensor, "C H W"], points: Float[Tensor, "2 h w"]) -> Float[Tensor, "C h w"]:
    """Bicubic values at points (x, y) in pixels; the picture continues mirrored."""
    height, width = values.shape[-2:]
    scale = points.new_tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)])
    unit = (points.movedim(0, -1) * scale - 1)[None]
    return F.grid_sample(values[None], unit, mode="bicubic", padding_mode="reflection", align_corners=True)[0]
