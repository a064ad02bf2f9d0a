"""The motion of a scene of which every part is told, over several readings of its hints.

Where one motion ends and the next begins is not known: a slow hint may tell of the ground, of something
else, or of the slow side of what moves fast. So the hints are read in several ways. In the first, all tell
of one smooth motion; in each other one, those faster than some share of the fastest tell of one motion and
the slower ones of another, and every place belongs to the one that is cheaper to reach over the picture's
edges. The mean of the readings is the least wrong one when none is known to be right.
"""

from dataclasses import dataclass

import numpy as np

from mofa.models.hint_layers import Told
from mofa.models.kriging import Array, Mask, shares


@dataclass(frozen=True)
class ReadingSettings:
    """How a scene's hints are read."""

    thresholds: tuple[float, ...] = (0.2, 0.4, 0.6)
    """Shares of the largest motion that part fast hints from slow ones, one reading each."""
    sharpness: float = 6.0
    """Exponent of the inverse way by which a place is shared out between fast and slow hints."""
    reach: float = 1.4
    """How much further fast hints reach than slow ones: what is told to move is what matters."""
    near: float = 0.5
    """Length, in costs of travel, below which ways do not differ."""


def scene_motion(told: Told, queries: Array, settings: ReadingSettings) -> Array:
    """Motion [S, Q, 2] at the cells' centres (queries [Q, 2], in pixels), the mean over all readings."""
    speed = np.linalg.norm(told.motion, axis=2).max(axis=0)
    everyone = np.ones(len(speed), dtype=bool)
    readings = [everyone, *(speed > threshold * speed.max() for threshold in settings.thresholds)]
    distinct, count = np.unique(readings, axis=0, return_counts=True)
    weights = [n * _weights(told, fast, queries, settings) for n, fast in zip(count, distinct, strict=True)]
    return np.einsum("nq,snc->sqc", sum(weights) / len(readings), told.motion)


def _weights(told: Told, fast: Mask, queries: Array, settings: ReadingSettings) -> Array:
    """[N, Q]: what each hint weighs at each place if fast and slow ones tell of two motions."""
    weights = np.zeros((len(fast), len(queries)))
    belongs = _belongs(told, fast, settings)
    for hints, share in ((fast, belongs), (~fast, 1 - belongs)):
        if hints.any():
            weights[hints] = share * shares(told.positions[hints], told.motion[:, hints], queries, told.unit)
    return weights


def _belongs(told: Told, fast: Mask, settings: ReadingSettings) -> Array:
    """[Q], 0..1: how far each cell belongs to the fast hints, by inverse distance (Shepard, 1968)."""
    nearness = (told.cost.reshape(len(fast), -1) + settings.near) ** -settings.sharpness
    nearness[fast] *= settings.reach**settings.sharpness
    return nearness[fast].sum(axis=0) / nearness.sum(axis=0)
