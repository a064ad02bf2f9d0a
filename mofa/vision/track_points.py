"""Point tracks of a real clip: pyramidal Lucas-Kanade with a forward-backward check."""

from itertools import pairwise

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from torch import Tensor

from mofa.types import TrackSet

_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.01)


def track_points(
    frames: UInt8[Tensor, "T 3 H W"], max_points: int = 400, backward_error_px: float = 0.5
) -> TrackSet:
    """Follow up to `max_points` corners of frame 0 through the clip, frame by frame.

    Corners are the strongest of Shi and Tomasi ("Good Features to Track", 1994), kept apart by at
    least half of what an even spread would give. Every step is tracked there and back with pyramidal
    Lucas-Kanade (Bouguet, 2000). A point that does not return to within `backward_error_px`, or
    leaves the picture, is invisible from that frame on, and its position stays the last good one. A
    picture without corners gives N = 0.
    """
    grey = [cv2.cvtColor(frame.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY) for frame in frames.cpu()]
    height, width = grey[0].shape
    apart = max(3.0, 0.5 * (height * width / max_points) ** 0.5)
    corners = cv2.goodFeaturesToTrack(grey[0], max_points, 0.005, apart, blockSize=5)
    start = np.zeros((0, 2), np.float32) if corners is None else corners.reshape(-1, 2)

    points, visible = [start], [np.ones(len(start), dtype=bool)]
    for earlier, later in pairwise(grey):
        moved, back = _there_and_back(earlier, later, points[-1])
        returned = np.linalg.norm(back - points[-1], axis=1) <= backward_error_px
        inside = ((moved >= 0) & (moved <= [width - 1, height - 1])).all(axis=1)
        visible.append(visible[-1] & returned & inside)
        points.append(np.where(visible[-1][:, None], moved, points[-1]))
    return TrackSet(
        torch.from_numpy(np.stack(points, axis=1)).to(frames.device),
        torch.from_numpy(np.stack(visible, axis=1)).to(frames.device),
    )


def _there_and_back(
    earlier: NDArray[np.uint8], later: NDArray[np.uint8], points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where the points went, and where those come from; NaN where one of the two was not found."""
    if len(points) == 0:
        return points, points
    moved, found = _follow(earlier, later, points)
    back, returned = _follow(later, earlier, moved)
    return moved, np.where(found & returned, back, np.nan).astype(np.float32)


def _follow(
    earlier: NDArray[np.uint8], later: NDArray[np.uint8], points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    guess = points.copy()
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        earlier, later, points, guess, winSize=(21, 21), maxLevel=4, criteria=_STOP
    )
    return moved, found.astype(bool)
