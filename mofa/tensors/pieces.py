"""Masks on a grid in pieces: what hangs together, holes in it, and what is too thin.

OpenCV answers as `scipy.ndimage` does (tests hold it to that), whose import takes a quarter of a second.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Int

CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def pieces_of_mask(mask: Bool[np.ndarray, "H W"], diagonally: bool = False) -> Int[np.ndarray, "H W"]:
    """A number from 1 on for every piece of the mask that hangs together, 0 outside it."""
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=8 if diagonally else 4)[1]


def without_holes(mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """The mask, and what cannot be reached from the border without crossing it."""
    outside = pieces_of_mask(np.pad(~mask, 1, constant_values=True))
    return (outside != outside[0, 0])[1:-1, 1:-1]


def opened(mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """The mask without what is too thin for a cross of five pixels; nothing of it lies beyond the border."""
    core = cv2.erode(mask.astype(np.uint8), CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return cv2.dilate(core, CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0).astype(bool)


def mixed(labels: Int[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Where the square of nine pixels around a pixel holds more than one number (below 2**24)."""
    values, square = labels.astype(np.float32), np.ones((3, 3), np.uint8)
    return cv2.dilate(values, square) != cv2.erode(values, square)
