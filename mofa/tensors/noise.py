"""Noise keyed by (seed, frame): what a frame starts from depends on nothing else.

Not on the window that holds it, its place in a batch, the length of the clip, or the device.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import ndtri
from torch import Tensor

from mofa.errors import InputError

# The key of the noise on the source picture itself: no frame of a clip has this index.
SOURCE_PICTURE: Final = 2**63


def frame_noise(
    seed: int, frames: Iterable[int], shape: tuple[int, ...], like: Tensor
) -> Float[Tensor, "F ..."]:
    """One standard normal sample of `shape` per frame index, on the device and in the dtype of `like`.

    Drawn on the CPU with the counter-based Philox generator (Salmon et al. 2011, "Parallel random
    numbers: as easy as 1, 2, 3") under the key (seed, frame), through the inverse of the normal
    distribution function, in float32. Raises InputError for a seed outside 0 .. 2^64 - 1.
    """
    if not 0 <= seed < 2**64:
        raise InputError(f"The seed {seed} is out of range: choose one from 0 to 2^64 - 1.", key="seed.range")
    return torch.stack([_standard_normal(seed, frame, shape) for frame in frames]).to(like)


def _standard_normal(seed: int, frame: int, shape: tuple[int, ...]) -> Float[Tensor, "..."]:
    # NumPy promises the raw stream of a generator for good, but not what its distributions make of it.
    key = np.array([seed, frame], dtype=np.uint64)
    bits = np.random.Philox(key=key).random_raw(int(np.prod(shape)))
    uniform = ((bits >> np.uint64(12)) + 0.5) * 2.0**-52
    return torch.from_numpy(ndtri(uniform).astype(np.float32)).view(shape)
