"""Names of ways to work, for settings that are read before torch is."""

from typing import Literal

KernelName = Literal["sdpa", "flash", "sage"]
"""The attention kernel: torch's own, or that of flash-attn or sageattention."""

StorageName = Literal["full", "float8"]
"""How a network's large weights are kept: as they compute, or in 8 bits."""

HintPlacing = Literal["nearest", "cut"]
"""How hints come onto a network's grid: to the nearest pixel, or cut off to whole pixels and summed."""

PictureReduction = Literal["smooth", "nearest"]
"""How a picture comes onto a network's grid: antialiased, or by single pixels."""
