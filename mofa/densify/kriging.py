"""Smooth motion from a few hints: Gaussian-process regression with a constant and an affine trend.

The covariance of the motion at two places is `trend + slope (x . x') + matern(|x - x'| / reach)`, with
`noise` for each hint by itself, in units of one unknown variance. How steep, how rough and how noisy
motion is, nobody knows beforehand, so a small set of assumptions is weighed by how likely each makes the
hints (Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, eq. 2.30 and 5.8).
Positions [N, 2] and motion [S, N, 2] are in pixels; `unit` is the length, in pixels, of 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

# A hint's motion counts as this many independent observations: its steps depend on each other.
_OBSERVATIONS = 8
# The prior variance of the common motion: nearly free.
_FREE_TREND = 1e3
# An assumption less likely than the best one by this factor is left out: it costs as much as any other.
_UNLIKELY = 0.02


@dataclass(frozen=True)
class Assumption:
    """Prior variances of the slopes and of the noise, and the reach of what is neither."""

    slope: float
    reach: float
    noise: float


def _assumptions() -> Iterator[Assumption]:
    return (Assumption(*values) for values in product((0.3, 1.0, 3.0), (0.2, 0.4, 0.8), (0.003, 0.03)))


def shares(positions: Array, motion: Array, queries: Array, unit: float) -> Array:
    """[N, Q]: what each hint weighs at each of the queries [Q, 2], the mean over the likely assumptions.

    A single hint weighs 1 everywhere.
    """
    if len(positions) == 1:
        return np.ones((1, len(queries)))
    # A hint by itself, as most are, does not wait for SciPy.
    from scipy.linalg import cho_factor, cho_solve
    from scipy.spatial.distance import cdist

    centre = positions.mean(axis=0)
    here, there = (positions - centre) / unit, (queries - centre) / unit
    observed = motion.transpose(1, 0, 2).reshape(len(here), -1)
    among, across = (cdist(here, here), here @ here.T), (cdist(here, there), here @ there.T)
    likely, factors = [], []
    for assumption in _assumptions():
        covariance = _covariance(*among, assumption) + assumption.noise * np.eye(len(here))
        factor = cho_factor(covariance)
        square = float((observed * cho_solve(factor, observed)).sum())
        log_determinant = 2 * float(np.log(np.diag(factor[0])).sum())
        likely.append(_log_likelihood(square, log_determinant, len(here)))
        factors.append(factor)
    belief = np.exp(np.array(likely) - max(likely))
    belief[belief < _UNLIKELY] = 0
    weights = np.zeros((len(here), len(there)))
    for part, factor, assumption in zip(belief / belief.sum(), factors, _assumptions(), strict=True):
        if part > 0:
            weights += part * cho_solve(factor, _covariance(*across, assumption))
    return weights


def leave_one_out(positions: Array, motion: Array, unit: float) -> Array:
    """[S, N, 2]: how far each hint is from the affine motion of the others (eq. 5.12), slopes held small."""
    here = (positions - positions.mean(axis=0)) / unit
    inverse = np.linalg.inv(1e4 + here @ here.T + 1e-3 * np.eye(len(here)))
    return np.einsum("nm,smc->snc", inverse / np.diag(inverse)[:, None], motion)


def _covariance(distance: Array, product: Array, assumption: Assumption) -> Array:
    apart = distance / assumption.reach
    return _FREE_TREND + assumption.slope * product + (1 + apart) * np.exp(-apart)


def _log_likelihood(square: float, log_determinant: float, count: int) -> float:
    """With the unknown variance at its most likely value, up to a constant."""
    return -0.5 * _OBSERVATIONS * (count * np.log(square / count + 1e-12) + log_determinant)
