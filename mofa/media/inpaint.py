"""What a picture shows behind things: holes filled from their surroundings, and soft outlines."""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor


def inpaint(picture: Float[Tensor, "3 H W"], hole: Bool[Tensor, "H W"]) -> Float[Tensor, "3 H W"]:
    """The picture (0..1) with `hole` filled from around it; the rest is returned as it is."""
    if not hole.any():
        return picture
    pixels = to_bytes(picture)
    filled = cv2.inpaint(pixels, hole.cpu().numpy().astype(np.uint8), 5, cv2.INPAINT_TELEA)
    return torch.where(hole, from_bytes(filled, picture), picture)


def soft_outline(
    picture: Float[Tensor, "3 H W"], inside: Bool[Tensor, "H W"], radius: int, tolerance: float
) -> Float[Tensor, "1 H W"]:
    """A mask 0..1 that follows the picture's edges within `radius` pixels of the given one's outline.

    Guided filter (He, Sun and Tang, "Guided Image Filtering", ECCV 2010) with its ramp steepened to half its
    width. Contrast below `tolerance` (0..1 scale) counts as flat: there the outline stays where it was given.
    """
    # In 0..255: the filter's float determinants underflow on smaller numbers.
    guide = np.ascontiguousarray(255 * picture.movedim(0, -1).cpu().numpy(), dtype=np.float32)
    mask = inside.cpu().numpy().astype(np.float32)
    soft = torch.from_numpy(cv2.ximgproc.guidedFilter(guide, mask, radius, (255 * tolerance) ** 2))
    return (2 * soft - 0.5).clamp(0, 1).to(picture)[None]


def to_bytes(picture: Float[Tensor, "3 H W"]) -> np.ndarray:
    """A picture as OpenCV likes it: [H, W, 3] bytes."""
    return np.ascontiguousarray((picture * 255).round().byte().movedim(0, -1).cpu().numpy())


def from_bytes(pixels: np.ndarray, like: Tensor) -> Float[Tensor, "3 H W"]:
    """The inverse of `to_bytes`, with the device and dtype of `like`."""
    return torch.from_numpy(pixels).movedim(-1, 0).to(like) / 255
