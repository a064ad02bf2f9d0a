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
# The prior variance of the common motion: nearly free when predicting, near to that of the rest when
# asking whether two groups of hints have one motion or two.
_FREE_TREND, _PRICED_TREND = 1e3, 2.0


@dataclass(frozen=True)
class Assumption:
    """Prior variances of the slopes and of the noise, and the reach of what is neither."""

    slope: float
    reach: float
    noise: float


def _assumptions() -> Iterator[Assumption]:
    return (Assumption(*values) for values in product((0.3, 1.0, 3.0), (0.2, 0.4, 0.8), (0.003, 0.03)))


def spread(positions: Array, motion: Array, queries: Array, unit: float) -> Array:
    """Motion [S, Q, 2] at the queries [Q, 2]: every step weighs the hints in the same way."""
    centre = positions.mean(axis=0)
    here, there = (positions - centre) / unit, (queries - centre) / unit
    likely, weights = [], []
    for assumption in _assumptions():
        covariance = _covariance(here, here, assumption, _FREE_TREND) + assumption.noise * np.eye(len(here))
        square, log_determinant = _fit(covariance, motion)
        likely.append(_log_likelihood(square, log_determinant, len(here)))
        weights.append(np.linalg.solve(covariance, _covariance(here, there, assumption, _FREE_TREND)))
    share = np.exp(np.array(likely) - max(likely))
    mean = np.tensordot(share / share.sum(), np.stack(weights), axes=1)
    return np.einsum("nq,snc->sqc", mean, motion)


def evidence(positions: Array, motion: Array, groups: list[Indices], unit: float) -> float:
    """Log likelihood of the hints if each group had a motion of its own; only its differences matter."""
    best = -np.inf
    for assumption in _assumptions():
        squares, log_determinants, count = 0.0, 0.0, 0
        for group in groups:
            here = (positions[group] - positions[group].mean(axis=0)) / unit
            covariance = _covariance(here, here, assumption, _PRICED_TREND)
            covariance += assumption.noise * np.eye(len(group))
            square, log_determinant = _fit(covariance, motion[:, group])
            squares += square
            log_determinants += log_determinant
            count += len(group)
        best = max(best, _log_likelihood(squares, log_determinants, count))
    return best


def leave_one_out(positions: Array, motion: Array, unit: float) -> Array:
    """[S, N, 2]: how far each hint is from the affine motion of the others (eq. 5.12), slopes held small."""
    here = (positions - positions.mean(axis=0)) / unit
    inverse = np.linalg.inv(1e4 + here @ here.T + 1e-3 * np.eye(len(here)))
    return np.einsum("nm,smc->snc", inverse / np.diag(inverse)[:, None], motion)


def _covariance(one: Array, other: Array, assumption: Assumption, trend: float) -> Array:
    apart = np.linalg.norm(one[:, None] - other[None], axis=2) / assumption.reach
    return trend + assumption.slope * one @ other.T + (1 + apart) * np.exp(-apart)


def _fit(covariance: Array, motion: Array) -> tuple[float, float]:
    """The quadratic form of the data, and the log determinant."""
    observed = motion.transpose(1, 0, 2).reshape(len(covariance), -1)
    square = float((observed * np.linalg.solve(covariance, observed)).sum())
    return square, float(np.linalg.slogdet(covariance)[1])


def _log_likelihood(square: float, log_determinant: float, count: int) -> float:
    """With the unknown variance at its most likely value, up to a constant."""
    return -0.5 * _OBSERVATIONS * (count * np.log(square / count + 1e-12) + log_determinant)
