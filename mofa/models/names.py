"""Names of ways to work, for settings that are read before torch is."""

from typing import Literal

HintPlacing = Literal["nearest", "cut"]
"""How hints come onto a network's grid: to the nearest pixel, or cut off to whole pixels and summed."""

PictureReduction = Literal["smooth", "nearest"]
"""How a picture comes onto a network's grid: antialiased, or by single pixels."""
