"""Outlines: masks that follow what the picture shows."""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

Plane = NDArray[np.float64]


def soft_outline(
    picture: Float[Tensor, "3 H W"], inside: Bool[Tensor, "H W"], radius: int, tolerance: float
) -> Float[Tensor, "1 H W"]:
    """A mask 0..1 that follows the picture's edges within `radius` pixels of the given one's outline.

    Contrast below `tolerance` (0..1 scale) counts as flat: there the mask falls evenly across the given
    outline, where it is one half.
    """
    channels = [np.ascontiguousarray(channel) for channel in picture.double().cpu().numpy()]
    soft = guided_filter(channels, inside.cpu().numpy().astype(np.float64), radius, tolerance**2)
    return torch.from_numpy(soft).clamp(0, 1).to(picture)[None]


def guided_filter(guide: list[Plane], mask: Plane, radius: int, ridge: float) -> Plane:
    """The mask as what a line in the guide's three channels makes of it in every window, averaged.

    He, Sun and Tang, "Guided Image Filtering" (ECCV 2010), equations 14 to 16: windows are squares of
    2 radius + 1 pixels, the picture continues mirrored, `ridge` is added to the channels' variances.
    """

    def mean(values: Plane) -> Plane:
        blurred = cv2.boxFilter(values, -1, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)
        return np.asarray(blurred)

    def covariance(a: Plane, mean_a: Plane, b: Plane, mean_b: Plane) -> Plane:
        return mean(a * b) - mean_a * mean_b

    (r, g, b), level = guide, mean(mask)
    mr, mg, mb = mean(r), mean(g), mean(b)
    rr, rg, rb = covariance(r, mr, r, mr) + ridge, covariance(r, mr, g, mg), covariance(r, mr, b, mb)
    gg, gb, bb = covariance(g, mg, g, mg) + ridge, covariance(g, mg, b, mb), covariance(b, mb, b, mb) + ridge
    told = [covariance(c, mc, mask, level) for c, mc in ((r, mr), (g, mg), (b, mb))]
    # The symmetric 3 x 3 system, solved by its adjugate: a general solver is six times slower.
    rows = (
        (gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg),
        (rb * gb - rg * bb, rr * bb - rb * rb, rb * rg - rr * gb),
        (rg * gb - rb * gg, rb * rg - rr * gb, rr * gg - rg * rg),
    )
    determinant = rr * rows[0][0] + rg * rows[0][1] + rb * rows[0][2]
    slopes = [sum(a * c for a, c in zip(row, told, strict=True)) / determinant for row in rows]
    offset = level - slopes[0] * mr - slopes[1] * mg - slopes[2] * mb
    return mean(slopes[0]) * r + mean(slopes[1]) * g + mean(slopes[2]) * b + mean(offset)
