"""Whether a difference means something: bootstrap intervals of paired differences."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
CONFIDENCE = 0.95
"""The usual ones of a bootstrap interval (Efron and Tibshirani 1993)."""


@dataclass(frozen=True)
class Interval:
    """A mean over `count` scenes and where it lies with 95 % confidence."""

    mean: float
    low: float
    high: float
    count: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the mean differs from zero more than chance would have it."""
        return self.low > 0 or self.high < 0


def bootstrap_mean(values: Sequence[float], seed: int = 0) -> Interval:
    """The mean and its percentile bootstrap interval (Efron, 1979) of 10,000 resamples; one value or none has
    no interval but itself. The same seed gives the same interval."""
    numbers = np.asarray(values, dtype=np.float64)
    if len(numbers) < 2:
        mean = float(numbers.mean()) if len(numbers) else float("nan")
        return Interval(mean, mean, mean, len(numbers))
    rng = np.random.default_rng(seed)
    means = np.concatenate(
        [
            numbers[rng.integers(len(numbers), size=(500, len(numbers)))].mean(1)
            for _ in range(RESAMPLES // 500)
        ]
    )
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return Interval(float(numbers.mean()), float(low), float(high), len(numbers))
