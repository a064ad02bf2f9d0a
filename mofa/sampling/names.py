"""The words by which settings choose how to sample, apart from the rest: reading them loads no torch."""

from typing import Final, Literal

SamplerName = Literal["euler", "consistency"]
"""How a step is made, see `mofa.sampling.sampler`."""

Reused = Literal["deep", "residuals"]
"""deep: all but the outermost layers of the network. residuals: only the adapters' corrections."""

CONSISTENCY_POINTS: Final = 40
"""Noise levels that AnimateLCM-SVD was distilled on: a clip of few steps visits some of them."""
