"""The motion of a scene of which every part is placed, over several readings of its hints.

Where one motion ends and the next begins is not known: a slow hint may tell of the ground, of something
else, or of the slow side of what moves fast. So the hints are read in several ways. In the first, all tell
of one smooth motion. In the next ones, those faster than some share of the fastest tell of one motion and
the slower ones of another. In the last, each tells of its surroundings alone. In every reading a place
belongs to the motion that is cheap to reach over the picture's edges, and likely to be of its thing, where
somebody can tell things. The mean of the readings errs less than any of them where none is known to be right.
"""

from dataclasses import dataclass

import numpy as np

from mofa.densify.kriging import Array, Indices, shares
from mofa.densify.layers import PlacedHints


@dataclass(frozen=True)
class ReadingSettings:
    """How a scene's hints are read."""

    thresholds: tuple[float, ...] = (0.2, 0.4, 0.6)
    """Shares of the largest motion that part fast hints from slow ones, one reading each."""
    sharpness: float = 6.0
    """Exponent of the inverse way by which a place is shared out among motions."""
    reach: float = 1.4
    """How much further fast hints reach than slow ones: what is told to move is what matters."""
    stranger: float = 0.1
    """What a hint counts for where nothing is of its thing, beside 1 more where all is."""
    near: float = 0.5
    """Length, in costs of travel, below which ways do not differ."""


def scene_shares(placed: PlacedHints, queries: Array, settings: ReadingSettings) -> Array:
    """[N, Q]: what each hint weighs at the cells' centres (queries [Q, 2], in pixels).

    The mean over all readings.
    """
    speed = np.linalg.norm(placed.motion, axis=2).max(axis=0)
    nearness = (placed.cost.reshape(len(speed), -1) + settings.near) ** -settings.sharpness
    if placed.known is not None:
        nearness *= settings.stranger + placed.known.belonging.reshape(nearness.shape)
    one_motion, each_alone = np.ones(len(speed), dtype=np.int64), 1 + np.arange(len(speed))
    fast_and_slow = [speed > threshold * speed.max() for threshold in settings.thresholds]
    readings, count = np.unique([one_motion, *fast_and_slow, each_alone], axis=0, return_counts=True)
    weights = np.zeros_like(nearness)
    for reading, times in zip(readings, count, strict=True):
        reach = np.where(reading > 0, settings.reach**settings.sharpness, 1.0)
        weights += times * _weights(placed, reading, reach[:, None] * nearness, queries)
    return weights / count.sum()


def _weights(placed: PlacedHints, reading: Indices, nearness: Array, queries: Array) -> Array:
    """[N, Q]: what each hint weighs at each place, given how near [N, Q] it is.

    A reading numbers the motion that each hint tells of; 0 is the slow one. A place is shared out among
    the motions by nearness (Shepard, 1968), and within one by kriging.
    """
    weights = nearness / nearness.sum(axis=0)
    for motion in np.unique(reading):
        hints = np.flatnonzero(reading == motion)
        share = weights[hints].sum(axis=0)
        weights[hints] = share * shares(
            placed.positions[hints], placed.motion[:, hints], queries, placed.unit
        )
    return weights
