"""A head that turns in space, seen from afar: its 68 points with the depth of an average face.

Angles are yaw, pitch and roll (`names.Turn`) in radians, in the camera's axes: yaw about the one that points
down (a turn to the left of the picture), pitch about the one that points right (a nod down), roll about the
one that points away (clockwise). The head is rolled first, then nods, then turns, as in Unreal Engine.
"""

from collections.abc import Collection
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.faces.names import Turn
from mofa.faces.points import JAW, LEFT_EYE, MIRRORED, RIGHT_EYE
from mofa.faces.rotation import rotation_about_axes

_LEFT_HALF = {
    0: 0.0, 1: 0.0, 2: 0.01, 3: 0.05, 4: 0.12, 5: 0.21, 6: 0.28, 7: 0.39, 8: 0.44,
    17: 0.34, 18: 0.40, 19: 0.45, 20: 0.49, 21: 0.51,
    27: 0.50, 28: 0.54, 29: 0.60, 30: 0.65, 31: 0.60, 32: 0.61, 33: 0.62,
    36: 0.37, 37: 0.40, 38: 0.41, 39: 0.40, 40: 0.41, 41: 0.40,
    48: 0.44, 49: 0.49, 50: 0.54, 51: 0.55, 57: 0.52, 58: 0.51, 59: 0.47,
    60: 0.42, 61: 0.48, 62: 0.50, 66: 0.51, 67: 0.49,
}  # fmt: skip
NEARNESS = tuple(
    _LEFT_HALF[point] if point in _LEFT_HALF else _LEFT_HALF[mirrored]
    for point, mirrored in enumerate(MIRRORED)
)
"""How far each point lies in front of the ears, in widths of the face: MediaPipe's canonical face."""


def turned(
    points: Float[Tensor, "T 68 2"], angles: Float[Tensor, "T 3"], rest: Float[Tensor, "68 2"]
) -> Float[Tensor, "T 68 2"]:
    """The points with the head turned by `angles` (yaw, pitch, roll), about the top of its neck.

    The neck's top lies between the ears, at the height of the chin. `rest` is the face that the axes, the
    neck and the depth are measured in: a face that is tilted in the picture turns in its own axes.
    """
    across = rest[list(RIGHT_EYE)].mean(0) - rest[list(LEFT_EYE)].mean(0)
    across = across / across.norm().clamp(min=1e-6)
    axes = torch.stack([across, torch.stack([-across[1], across[0]])])
    ears = rest[[JAW[0], JAW[-1]]]
    width = (ears[1] - ears[0]).norm()
    neck = ears.mean(0)
    neck = neck + ((rest[JAW[8]] - neck) @ axes[1]) * axes[1]
    flat = (points - neck) @ axes.mT
    depth = -width * points.new_tensor(NEARNESS)
    placed = torch.cat([flat, depth.expand(len(points), -1)[..., None]], dim=-1)
    yaw, pitch, roll = angles.unbind(-1)
    still = torch.zeros_like(yaw)
    rotation = (
        rotation_about_axes(torch.stack([still, yaw, still], -1))
        @ rotation_about_axes(torch.stack([pitch, still, still], -1))
        @ rotation_about_axes(torch.stack([still, still, roll], -1))
    )
    return (placed @ rotation.mT)[..., :2] @ axes + neck


def flipped(angles: Float[Tensor, "T 3"], turns: Collection[Turn]) -> Float[Tensor, "T 3"]:
    """The angles with some of them the other way round."""
    return angles * angles.new_tensor([-1.0 if turn in turns else 1.0 for turn in get_args(Turn)])
