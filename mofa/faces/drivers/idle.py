"""What a face does whatever it says: it blinks and is never quite still."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mofa.tensors.smoothstep import smoothstep

BLINK_SECONDS = 0.2
BLINK_INTERVAL, SHORTEST_INTERVAL = 3.2, 1.0
"""Mean and least seconds from one blink to the next (Bentivoglio et al. 1997: 17 a minute at rest)."""


def blinks(time: Float[Tensor, " T"], generator: np.random.Generator) -> Float[Tensor, " T"]:
    """Lids over time: closed in a third of a blink, opened in the rest, intervals as in people who talk."""
    lids = torch.zeros_like(time)
    begin = 0.6 + generator.exponential(BLINK_INTERVAL / 2)
    while begin < float(time[-1]):
        done = (time - begin) / BLINK_SECONDS
        lids = torch.maximum(lids, torch.minimum(smoothstep(3 * done), smoothstep(1.5 * (1 - done))))
        begin += SHORTEST_INTERVAL + generator.exponential(BLINK_INTERVAL - SHORTEST_INTERVAL)
    return lids


def drift(time: Float[Tensor, " T"], generator: np.random.Generator) -> Float[Tensor, " T"]:
    """A slow wandering about 0, from 0, within about -1..1: a few swings of periods that share no beat."""
    periods = np.array([2.3, 3.7, 6.1]) * generator.uniform(0.85, 1.15, 3)
    phases = generator.uniform(0, 2 * np.pi, 3)
    swings = [
        share * (torch.sin(2 * torch.pi * time / period + phase) - math.sin(phase))
        for share, period, phase in zip((0.2, 0.3, 0.5), periods, phases, strict=True)
    ]
    # Half of the reach: the value at time 0, which is taken off, may be as far out as any other.
    return smoothstep(time / 2) * sum(swings, torch.zeros_like(time)) / 2
