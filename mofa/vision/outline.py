"""Outlines: masks that follow what the picture shows."""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor


def soft_outline(
    picture: Float[Tensor, "3 H W"], inside: Bool[Tensor, "H W"], radius: int, tolerance: float
) -> Float[Tensor, "1 H W"]:
    """A mask 0..1 that follows the picture's edges within `radius` pixels of the given one's outline.

    Guided filter (He, Sun and Tang, "Guided Image Filtering", ECCV 2010). Contrast below `tolerance` (0..1
    scale) counts as flat: there the mask falls evenly across the given outline, where it is one half.
    """
    # In 0..255: the filter's float determinants underflow on smaller numbers.
    guide = np.ascontiguousarray(255 * picture.movedim(0, -1).cpu().numpy(), dtype=np.float32)
    mask = inside.cpu().numpy().astype(np.float32)
    soft = torch.from_numpy(cv2.ximgproc.guidedFilter(guide, mask, radius, (255 * tolerance) ** 2))
    return soft.clamp(0, 1).to(picture)[None]
