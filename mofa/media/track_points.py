"""Point tracks of a real clip: pyramidal Lucas-Kanade with a forward-backward check."""

import cv2
import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import Tensor

from mofa.types import TrackSet

_WINDOW = {
    "winSize": (21, 21),
    "maxLevel": 4,
    "criteria": (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.01),
}


def track_points(
    frames: UInt8[Tensor, "T 3 H W"], max_points: int = 400, backward_error_px: float = 0.5
) -> TrackSet:
    """Follow up to `max_points` corners of frame 0 through the clip, frame by frame.

    Corners are the strongest of Shi and Tomasi ("Good Features to Track", 1994), kept apart by
    about half of what an even spread would give. Every step is tracked forth and back with
    pyramidal Lucas-Kanade (Bouguet, 2000); a point that does not return to within
    `backward_error_px`, or leaves the picture, is invisible from that frame on and its position
    repeats the last good one. A picture without corners gives N = 0.
    """
    grey = [cv2.cvtColor(frame.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY) for frame in frames.cpu()]
    height, width = grey[0].shape
    apart = max(3.0, 0.5 * (height * width / max_points) ** 0.5)
    corners = cv2.goodFeaturesToTrack(grey[0], max_points, 0.005, apart, blockSize=5)
    start = np.zeros((0, 2), np.float32) if corners is None else corners.reshape(-1, 2)

    points, visible = [start], [np.ones(len(start), dtype=bool)]
    for previous, current in zip(grey[:-1], grey[1:], strict=True):
        moved, good = _step(previous, current, points[-1], backward_error_px)
        inside = ((moved >= 0) & (moved <= [width - 1, height - 1])).all(axis=1)
        alive = visible[-1] & good & inside
        points.append(np.where(alive[:, None], moved, points[-1]).astype(np.float32))
        visible.append(alive)
    return TrackSet(
        torch.from_numpy(np.stack(points, axis=1)).to(frames.device),
        torch.from_numpy(np.stack(visible, axis=1)).to(frames.device),
    )


def _step(
    previous: np.ndarray, current: np.ndarray, points: np.ndarray, backward_error_px: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where the points went, and whether tracking them back ends where they started."""
    if len(points) == 0:
        return points, np.zeros(0, dtype=bool)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(previous, current, points, None, **_WINDOW)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(current, previous, moved, None, **_WINDOW)
    error = np.linalg.norm(back - points, axis=1)
    return moved, found[:, 0].astype(bool) & returned[:, 0].astype(bool) & (error <= backward_error_px)
