"""The motion brush: a painted region on the working picture, and the hints that it holds."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mofa.errors import InputError
from mofa.tensors.flow import bilinear_sample
from mofa.tensors.geometry import pixel_grid
from mofa.types import CropBox, SparseMotion

ASPECT_TOLERANCE = 0.02  # a mask painted on a reduced copy is rounded to whole pixels


def fit_mask(
    mask: Float[Tensor, "1 h w"], original_width: int, original_height: int, crop: CropBox
) -> Float[Tensor, "1 H W"]:
    """A mask of the original picture, painted at any size, on the working picture: 0..1, soft at its edges.

    Padding around the original lies outside the region. Raises InputError when the mask has another aspect
    than the picture (by more than 2 %), or paints nothing that the working picture shows.
    """
    region = fitted(mask, original_width, original_height, crop)
    if not (region >= 0.5).any():
        raise InputError(
            "the mask paints nothing of the picture that is shown: paint what may move in white.",
            key="mask.nothing",
        )
    return region


def check_aspect(mask: Float[Tensor, "1 h w"], original_width: int, original_height: int) -> None:
    """Raises InputError for a mask of another aspect than the original picture's (by more than 2 %)."""
    height, width = mask.shape[1:]
    if abs(width * original_height / (height * original_width) - 1) > ASPECT_TOLERANCE:
        raise InputError(
            f"the mask is {width} x {height}, which is another aspect than the picture's {original_width} x "
            f"{original_height}: paint it on a copy of the picture.",
            key="mask.aspect",
            width=width,
            height=height,
        )


def fitted(
    mask: Float[Tensor, "1 h w"], original_width: int, original_height: int, crop: CropBox
) -> Float[Tensor, "1 H W"]:
    """Shares (0..1) of the original picture, of any size, on the working picture; 0 in its padding.

    Raises InputError for another aspect than the picture's (by more than 2 %).
    """
    check_aspect(mask, original_width, original_height)
    # First to the scale of the working picture, averaging over the pixels that become one, then to its place.
    scaled_width = max(1, round(original_width * crop.scale_x))
    scaled_height = max(1, round(original_height * crop.scale_y))
    scaled = F.interpolate(mask[None], (scaled_height, scaled_width), mode="bilinear", antialias=True)
    origin = mask.new_tensor([crop.left * crop.scale_x, crop.top * crop.scale_y])
    places = pixel_grid(crop.working_height, crop.working_width, mask) + origin[:, None, None]
    end = mask.new_tensor([scaled_width, scaled_height])[:, None, None] - 0.5
    inside = ((places >= -0.5) & (places <= end)).all(0)
    return torch.where(inside, bilinear_sample(scaled, places[None])[0], 0).clamp(0, 1)


def band(percent: float, height: int, width: int) -> Float[Tensor, "1 H W"]:
    """The picture's border as a region: 1 at the edge, 0 from `percent` of the longer side on, falling over
    the inner half of the way, so that what moves past it is held back little by little."""
    x, y = pixel_grid(height, width, torch.empty(0))
    away = torch.stack([x, y, width - 1 - x, height - 1 - y]).amin(0)
    reach = percent / 100 * max(height, width)
    return (2 - 2 * away / reach).clamp(0, 1)[None]


def inside(hints: SparseMotion, region: Float[Tensor, "1 H W"]) -> Bool[Tensor, " N"]:
    """Which hints start in the region: on a pixel of at least 0.5."""
    column, row = torch.floor(hints.positions + 0.5).long().unbind(-1)
    return region[0, row.clamp(0, hints.height - 1), column.clamp(0, hints.width - 1)] >= 0.5
