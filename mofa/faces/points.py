"""The 68 face points (iBUG order): which is which, and where they lie on the dense face mesh.

Left and right are the picture's, not the person's, except in the sketch's names.
"""

import torch
from jaxtyping import Float
from torch import Tensor

NUM_POINTS = 68
NUM_MESH_POINTS = 478
"""Points of a face in iBUG order, and of MediaPipe's mesh with irises."""

JAW = tuple(range(17))
LEFT_BROW, RIGHT_BROW = tuple(range(17, 22)), tuple(range(22, 27))
NOSE_BRIDGE, NOSE_BASE = tuple(range(27, 31)), tuple(range(31, 36))
LEFT_EYE, RIGHT_EYE = tuple(range(36, 42)), tuple(range(42, 48))
OUTER_LIPS, INNER_LIPS = tuple(range(48, 60)), tuple(range(60, 68))

CHIN = tuple(range(4, 13))
"""The part of the jaw line that drops when the mouth opens."""
STABLE = (0, 1, 2, 14, 15, 16, *NOSE_BRIDGE, *NOSE_BASE, 36, 39, 42, 45)
"""Points that the head's pose moves and expressions hardly do: cheek bones, nose, corners of the eyes."""
MIRRORED = (
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55,
    64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip
"""The point that takes each point's part on the other half of the face."""

# The MediaPipe mesh point that stands for each of the 68, as the released adapters were trained with.
MESH_INDEX = (
    234, 93, 132, 58, 172, 136, 150, 176, 152, 400, 379, 365, 397, 288, 361, 323, 454,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 6, 195, 4, 239, 241, 19, 461, 459,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91,
    78, 81, 13, 311, 308, 402, 14, 178,
)  # fmt: skip


def points_of_mesh(mesh: Float[Tensor, "*t mesh d"]) -> Float[Tensor, "*t 68 2"]:
    """The 68 points (x, y) of a face mesh of 468 or 478 points."""
    return mesh[..., MESH_INDEX, :2]


def face_size(points: Float[Tensor, "*t 68 2"]) -> Float[Tensor, "*t"]:
    """How large a face is: the square root of the area of the box round its points, in pixels."""
    extent = points.amax(-2) - points.amin(-2)
    return extent.prod(-1).sqrt()


def lid_pairs(eye: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """(upper, lower) points of an eye that meet when it closes."""
    return (eye[1], eye[5]), (eye[2], eye[4])


def fit_similarity(
    before: Float[Tensor, "*t n 2"], after: Float[Tensor, "*t n 2"]
) -> tuple[Float[Tensor, "*t 2 2"], Float[Tensor, "*t 2"]]:
    """The rotation and scale, and the offset, that take points nearest to others: x -> linear x + offset.

    Least squares over all n points; points that all coincide give the identity and a shift.
    """
    middle, target = before.mean(-2, keepdim=True), after.mean(-2, keepdim=True)
    x, y = (before - middle).unbind(-1)
    u, v = (after - target).unbind(-1)
    spread = (x * x + y * y).sum(-1)
    alike = (x * u + y * v).sum(-1)
    across = (x * v - y * u).sum(-1)
    known = spread > 0
    safe = spread.where(known, 1)
    cosine, sine = (alike / safe).where(known, 1), (across / safe).where(known, 0)
    linear = torch.stack([torch.stack([cosine, -sine], -1), torch.stack([sine, cosine], -1)], -2)
    return linear, target[..., 0, :] - (linear @ middle.mT)[..., 0]


def fit_affine(
    before: Float[Tensor, "*t n 2"], after: Float[Tensor, "*t n 2"]
) -> tuple[Float[Tensor, "*t 2 2"], Float[Tensor, "*t 2"]]:
    """Like `fit_similarity`, with shear and a scale per axis. The points must not lie on one line."""
    middle, target = before.mean(-2, keepdim=True), after.mean(-2, keepdim=True)
    centred, aim = before - middle, after - target
    linear = torch.linalg.solve(centred.mT @ centred, centred.mT @ aim).mT
    return linear, target[..., 0, :] - (linear @ middle.mT)[..., 0]


def move_points(
    linear: Float[Tensor, "*t 2 2"], offset: Float[Tensor, "*t 2"], points: Float[Tensor, "*t n 2"]
) -> Float[Tensor, "*t n 2"]:
    """Points after x -> linear x + offset."""
    return points @ linear.mT + offset[..., None, :]
