"""Where pixels are: crops and their inverses, and the resizing of what lives in pixels.

Pixel (0, 0) is the centre of the top left pixel, so a picture of width W spans -0.5 .. W - 0.5 and
resampling by a factor s takes x to (x + 0.5) * s - 0.5.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mofa.types import CropBox

Fit = Literal["crop", "pad"]


def pixel_grid(height: int, width: int, like: Tensor) -> Float[Tensor, "2 H W"]:
    """(x, y) of every pixel centre, with the dtype and device of `like`."""
    y, x = torch.meshgrid(
        torch.arange(height, dtype=like.dtype, device=like.device),
        torch.arange(width, dtype=like.dtype, device=like.device),
        indexing="ij",
    )
    return torch.stack([x, y])


def fit_crop(
    original_width: int, original_height: int, working_width: int, working_height: int, fit: Fit
) -> CropBox:
    """The centred window of the original that fills a working picture of another aspect.

    "crop" cuts what does not fit, "pad" keeps the whole picture and reaches beyond it. Scales are
    equal on both axes.
    """
    scales = working_width / original_width, working_height / original_height
    scale = max(scales) if fit == "crop" else min(scales)
    width, height = working_width / scale, working_height / scale
    return CropBox(
        left=(original_width - width) / 2,
        top=(original_height - height) / 2,
        width=width,
        height=height,
        working_width=working_width,
        working_height=working_height,
    )


def shrunk(width: int, height: int, long_side: int) -> tuple[int, int]:
    """Width and height of the largest picture of this aspect, no larger than it is, within a long side."""
    scale = min(1.0, long_side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def to_working(points: Float[Tensor, "*n 2"], crop: CropBox) -> Float[Tensor, "*n 2"]:
    """Points (x, y) of the original picture, seen in the working picture."""
    scale, shift = _to_working(points, crop)
    return points * scale + shift


def to_original(points: Float[Tensor, "*n 2"], crop: CropBox) -> Float[Tensor, "*n 2"]:
    """The inverse of `to_working`."""
    scale, shift = _to_working(points, crop)
    return (points - shift) / scale


def _to_working(like: Tensor, crop: CropBox) -> tuple[Float[Tensor, "2"], Float[Tensor, "2"]]:
    # Pixel centres lie on halves. One scale and one shift: a crop that changes nothing is exact.
    scales = crop.scale_x, crop.scale_y
    shifts = [(0.5 - start) * scale - 0.5 for start, scale in zip((crop.left, crop.top), scales, strict=True)]
    return like.new_tensor(scales), like.new_tensor(shifts)


def resize_flow(
    flow: Float[Tensor, "S 2 H W"],
    height: int,
    width: int,
    resize: Literal["bilinear", "nearest"] = "bilinear",
) -> Float[Tensor, "S 2 h w"]:
    """Flow on another grid: positions and, per axis, values scale with the picture."""
    factors = flow.new_tensor([width / flow.shape[-1], height / flow.shape[-2]])
    align_corners = None if resize == "nearest" else False
    resized = F.interpolate(flow, (height, width), mode=resize, align_corners=align_corners)
    return resized * factors[:, None, None]


def cut_window(values: Float[Tensor, "*b H W"], crop: CropBox) -> Float[Tensor, "*b h w"]:
    """A window on whole pixels, without resampling; beyond the border the border pixels are repeated."""
    height, width = values.shape[-2:]
    rows = torch.arange(int(crop.top), int(crop.top) + crop.working_height).clamp(0, height - 1)
    columns = torch.arange(int(crop.left), int(crop.left) + crop.working_width).clamp(0, width - 1)
    return values[..., rows.to(values.device), :][..., columns.to(values.device)]
