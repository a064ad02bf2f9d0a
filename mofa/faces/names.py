"""Names of what a face does, for scenes, which are read before torch is."""

from typing import Literal

Turn = Literal["yaw", "pitch", "roll"]
"""The ways a head turns, in the order in which `mofa.faces.head` takes their angles."""
