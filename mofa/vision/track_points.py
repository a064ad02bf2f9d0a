"""Point tracks of a real clip: pyramidal Lucas-Kanade with a forward-backward check.

`follow_points` keeps to the last frame and forgives what changes; `follow_surface` holds on to what a point
looked like in frame 0, and so neither drifts nor takes another surface for its own.
"""

from itertools import pairwise

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from mofa.types import TrackSet
from mofa.vision.affine_patches import cut_patches, find_again

LOOKS_ALIKE, STILL_ITSELF = 0.85, 0.8
"""Correlation of a patch with its look in frame 0: above the first its place is taken from there, below the
second the point is lost. From synthetic scenes: strict enough that nothing hidden is followed by accident."""
FARTHEST_CORRECTION = 3.0
"""Pixels per frame by which the look in frame 0 may correct the step from the frame before."""
FOLD = (0.2, 5.0)
"""Areas, relative to frame 0, beyond which a patch has degenerated."""
SURFACE_WINDOW, SURFACE_LEVELS = 11, 3
"""Smaller than in `follow_points`: near an outline a large window follows what lies behind."""

# OpenCV's own defaults for this tracker.
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.01)


def track_points(
    frames: UInt8[Tensor, "T 3 H W"], max_points: int = 400, backward_error_px: float = 0.5
) -> TrackSet:
    """Follow up to `max_points` corners of frame 0 through the clip, see `follow_points`.

    Corners are the strongest of Shi and Tomasi ("Good Features to Track", 1994), kept apart by at
    least half of what an even spread would give. A picture without corners gives N = 0.
    """
    return follow_points(frames, find_corners(frames[0], max_points), backward_error_px)


def find_corners(picture: UInt8[Tensor, "3 H W"], max_points: int) -> Float[Tensor, "N 2"]:
    """The strongest corners of a picture, the best first."""
    grey = _grey(picture)
    height, width = grey.shape
    apart = max(3.0, 0.5 * (height * width / max_points) ** 0.5)
    corners = cv2.goodFeaturesToTrack(grey, max_points, 0.005, apart, blockSize=5)
    found = np.zeros((0, 2), np.float32) if corners is None else corners.reshape(-1, 2)
    return torch.from_numpy(found).to(picture.device)


def follow_points(
    frames: UInt8[Tensor, "T 3 H W"], starts: Float[Tensor, "N 2"], backward_error_px: float = 0.5
) -> TrackSet:
    """Follow the points `starts` of frame 0 through the clip, frame by frame.

    Every step is tracked there and back with pyramidal Lucas-Kanade (Bouguet, 2000). A point that does not
    return to within `backward_error_px`, or leaves the picture, is invisible from that frame on, and its
    position stays the last good one.
    """
    grey = [_grey(frame) for frame in frames]
    height, width = grey[0].shape
    start = starts.detach().cpu().numpy().astype(np.float32)

    points = [start]
    visible = [np.asarray(((start >= -0.5) & (start <= [width - 0.5, height - 0.5])).all(axis=1))]
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


def follow_surface(
    frames: UInt8[Tensor, "T 3 H W"],
    starts: Float[Tensor, "N 2"],
    backward_error_px: float = 0.5,
    uncertain_px: float = 0.5,
) -> TrackSet:
    """Follow the points `starts` of frame 0 as long as their surroundings look as they did there.

    Each step is that of `follow_points`, with a smaller window; then the patch of frame 0 is found again near
    its end, turned and grown as it may be (`affine_patches`). A point is lost from the frame on in which it
    does not return, leaves the picture, does not look alike, or its place is less certain than
    `uncertain_px`. On textured synthetic scenes of 17 frames it reads 0.05 px off on average.
    """
    grey = [_grey(frame) for frame in frames]
    smooth = [torch.from_numpy(cv2.GaussianBlur(g.astype(np.float32), (0, 0), 0.7)) for g in grey]
    height, width = grey[0].shape
    place = starts.detach().cpu().float().contiguous()
    patches = cut_patches(smooth[0], place)
    maps = torch.cat([torch.eye(2).expand(len(place), 2, 2), place[:, :, None]], dim=-1)
    limit = torch.tensor([width, height]) - 0.5

    points, visible = [place], [((place >= -0.5) & (place <= limit)).all(dim=1)]
    for (earlier, later), look in zip(pairwise(grey), smooth[1:], strict=True):
        moved, back = _there_and_back(earlier, later, place.numpy(), SURFACE_WINDOW, SURFACE_LEVELS)
        returned = torch.from_numpy(np.linalg.norm(back - place.numpy(), axis=1) <= backward_error_px)
        guess = torch.cat([maps[:, :, :2], torch.from_numpy(moved)[:, :, None]], dim=-1)
        found, alike = find_again(patches, look, guess)
        area = torch.linalg.det(found[:, :, :2])
        near = (found[:, :, 2] - guess[:, :, 2]).norm(dim=-1) < FARTHEST_CORRECTION
        sure = (alike > LOOKS_ALIKE) & near & (area > FOLD[0]) & (area < FOLD[1])
        stepped = torch.where(sure[:, None, None], found, guess)
        inside = ((stepped[:, :, 2] >= -0.5) & (stepped[:, :, 2] <= limit)).all(dim=1)
        certain = (alike > STILL_ITSELF) & (patches.uncertainty(alike) < uncertain_px)
        seen = visible[-1] & returned & inside & certain
        maps = torch.where(seen[:, None, None], stepped, maps)
        place = maps[:, :, 2].contiguous()
        points.append(place)
        visible.append(seen)
    return TrackSet(
        torch.stack(points, dim=1).to(frames.device), torch.stack(visible, dim=1).to(frames.device)
    )


def _grey(frame: UInt8[Tensor, "3 H W"]) -> NDArray[np.uint8]:
    return cv2.cvtColor(frame.permute(1, 2, 0).cpu().numpy(), cv2.COLOR_RGB2GRAY)


def _there_and_back(
    earlier: NDArray[np.uint8],
    later: NDArray[np.uint8],
    points: NDArray[np.float32],
    window: int = 21,
    levels: int = 4,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where the points went, and where those come from; NaN where one of the two was not found."""
    if len(points) == 0:
        return points, points
    moved, found = _follow(earlier, later, points, window, levels)
    back, returned = _follow(later, earlier, moved, window, levels)
    return moved, np.where(found & returned, back, np.nan).astype(np.float32)


def _follow(
    earlier: NDArray[np.uint8],
    later: NDArray[np.uint8],
    points: NDArray[np.float32],
    window: int,
    levels: int,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    guess = points.copy()
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        earlier, later, points, guess, winSize=(window, window), maxLevel=levels, criteria=_STOP
    )
    return moved, found.astype(bool)
