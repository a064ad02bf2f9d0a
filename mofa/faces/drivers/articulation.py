"""What no expression curve says: lips that were open in the picture close, and the head moves as a whole.

Everything is measured in the face itself, so that tilted, small and large faces move alike.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.faces.points import INNER_LIPS, JAW, NOSE_BASE, NOSE_BRIDGE, OUTER_LIPS

UPPER_INNER, LOWER_INNER = INNER_LIPS[1:4], INNER_LIPS[7:4:-1]
UPPER_OUTER, LOWER_OUTER = OUTER_LIPS[1:6], OUTER_LIPS[11:6:-1]
"""Points of the lips that face each other, from left to right."""
NEAREST_INNER, OUTER_SHARE = (0, 0, 1, 2, 2), (0.5, 1.0, 1.0, 1.0, 0.5)
"""For the outer points: which inner one is nearest, and how far they go with it; the corners stay."""
CHIN, NOSE_TIP = JAW[8], NOSE_BRIDGE[3]
UPPER_LIP_PART = 0.15
"""Of closing; the jaw carries the lower lip through the rest."""
CHIN_PART, TEETH = 0.8, 0.06
"""How far the chin goes with the lower lip, beyond a smile with the jaw shut (per nose to chin)."""


def lips_closed(face: Float[Tensor, "68 2"]) -> Float[Tensor, "68 2"]:
    """The same face with its lips together; where they were wide apart, the jaw comes along."""
    upper, lower = face[list(UPPER_INNER)], face[list(LOWER_INNER)]
    gap = lower - upper
    around = gap[list(NEAREST_INNER)] * gap.new_tensor(OUTER_SHARE)[:, None]
    closed = face.clone()
    closed[list(UPPER_INNER)] = closed[list(LOWER_INNER)] = torch.lerp(upper, lower, UPPER_LIP_PART)
    closed[list(UPPER_OUTER)] += UPPER_LIP_PART * around
    closed[list(LOWER_OUTER)] -= (1 - UPPER_LIP_PART) * around
    height = (face[CHIN] - face[NOSE_BASE[2]]).norm()
    width = gap[1].norm()
    jaw = CHIN_PART * (1 - TEETH * height / width.clamp(min=1e-6)).clamp(min=0) * gap[1]
    closed[list(JAW)] -= chin_share(face)[:, None] * jaw
    return closed


def chin_share(face: Float[Tensor, "68 2"]) -> Float[Tensor, "17"]:
    """How far each point of the jaw line goes with the chin: those six off, the angles of the jaw, stay."""
    from_chin = (torch.arange(len(JAW), dtype=face.dtype, device=face.device) - CHIN).abs()
    return 0.5 + 0.5 * (torch.pi * (from_chin / 6).clamp(max=1)).cos()


def with_head(
    points: Float[Tensor, "T 68 2"],
    roll: Float[Tensor, " T"],
    turn: Float[Tensor, " T"],
    nod: Float[Tensor, " T"],
) -> Float[Tensor, "T 68 2"]:
    """The head turned and nodding, the nose furthest and the rim least, then rolled on its neck.

    `turn` and `nod` are shifts of the nose per width of the face and per distance from nose to chin, to the
    right and down; `roll` is in radians, clockwise.
    """
    across = points[:, JAW[16]] - points[:, JAW[0]]
    down = points[:, CHIN] - points[:, NOSE_BASE[2]]
    from_nose = (points - points[:, NOSE_TIP, None]).norm(dim=-1, keepdim=True)
    reach = (across.norm(dim=-1) / 2).clamp(min=1e-6)[:, None, None]
    nearness = (1 - (from_nose / reach).square()).clamp(min=0)
    shift = turn[:, None] * across + nod[:, None] * down
    shifted = points + shift[:, None] * (0.4 + 0.6 * nearness)
    neck = (points[:, CHIN] + down)[:, None]
    cosine, sine = roll.cos(), roll.sin()
    rotation = torch.stack([torch.stack([cosine, sine], -1), torch.stack([-sine, cosine], -1)], dim=-2)
    return (shifted - neck) @ rotation + neck
