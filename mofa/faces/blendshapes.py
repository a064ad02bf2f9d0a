"""ARKit's 52 expression curves, and the head's rotation beside them, as motion of a face's own 68 points.

Each curve moves some points by a fixed share of the distance between the eyes, along the face's own axes
(across: the line of the eyes). The shares are rough measures of a grown-up face; the curves that move none
of the 68 points (gaze, cheeks, tongue) are accepted and do nothing. Left and right are the person's, as in
ARKit. How the head turns is told in `faces.head`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.faces.head import turned
from mofa.faces.points import LEFT_EYE, MIRRORED, NUM_POINTS, RIGHT_EYE, lid_pairs
from mofa.types import LandmarkClip

SIDES = ("Left", "Right")
PAIRED = (
    "browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut",
    "eyeLookUp", "eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress",
    "mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer", "jaw", "mouth",
)  # fmt: skip
SINGLE = (
    "browInnerUp", "cheekPuff", "jawForward", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "tongueOut",
)  # fmt: skip
SHAPES = (*SINGLE, *(name + side for name in PAIRED for side in SIDES))
"""The names of all 52."""

Moves = tuple[tuple[tuple[int, ...], float, float], ...]
"""Which points move, and how far across (to the right of the picture) and down, in eye distances."""

_UPPER_LIP = (50, 51, 52, 61, 62, 63)
_LOWER_LIP = (56, 57, 58, 65, 66, 67)
_LOWER_SIDES = (55, 59)
_CORNERS = (48, 54, 60, 64)
"""Points of the mouth, iBUG order."""
_DROP = 0.55
"""Eye distances: how far the lower lip drops with jawOpen 1; chosen by eye."""
_LIPS_DROP: Moves = (
    ((57, 66), 0, _DROP),
    ((56, 58, 65, 67), 0, 0.85 * _DROP),
    (_LOWER_SIDES, 0, 0.62 * _DROP),
    (_CORNERS, 0, 0.3 * _DROP),
)
_JAW_DROP: Moves = (
    ((7, 8, 9), 0, _DROP),
    ((6, 10), 0, 0.85 * _DROP),
    ((5, 11), 0, 0.6 * _DROP),
    ((4, 12), 0, 0.35 * _DROP),
    ((3, 13), 0, 0.15 * _DROP),
)
_LEFT_CORNER, _RIGHT_CORNER = (48, 60), (54, 64)
_NEAR_RIGHT_CORNER = (53, 55)
"""The mouth's corners, and the points of the outer lips beside one."""

_SINGLE_MOVES: Mapping[str, Moves] = {
    "browInnerUp": (((20, 21, 22, 23), 0, -0.14), ((19, 24), 0, -0.07)),
    "jawOpen": _LIPS_DROP + _JAW_DROP,
    "mouthClose": tuple((points, across, -down) for points, across, down in _LIPS_DROP),
    "mouthFunnel": (
        (_LEFT_CORNER, 0.12, 0), (_RIGHT_CORNER, -0.12, 0), ((49, 59), 0.06, 0), ((53, 55), -0.06, 0),
        (_UPPER_LIP, 0, -0.06), (_LOWER_LIP, 0, 0.06),
    ),
    "mouthPucker": (
        (_LEFT_CORNER, 0.18, 0), (_RIGHT_CORNER, -0.18, 0), ((49, 59), 0.11, 0), ((53, 55), -0.11, 0),
    ),
    "mouthRollLower": (((56, 57, 58), 0, -0.05),),
    "mouthRollUpper": (((50, 51, 52), 0, 0.04),),
    "mouthShrugLower": ((_LOWER_LIP, 0, -0.06), ((7, 8, 9), 0, -0.05)),
    "mouthShrugUpper": ((_UPPER_LIP, 0, -0.05),),
}  # fmt: skip
# Of the half that is on the right of the picture, the person's left; the other is its mirror image.
_LEFT_MOVES: Mapping[str, Moves] = {
    "browDown": (((22, 23), -0.03, 0.11), ((24, 25, 26), 0, 0.09)),
    "browOuterUp": (((25, 26), 0, -0.13), ((24,), 0, -0.1)),
    "mouthDimple": ((_RIGHT_CORNER, 0.06, 0),),
    "mouthFrown": ((_RIGHT_CORNER, 0, 0.1), (_NEAR_RIGHT_CORNER, 0, 0.05)),
    "mouthLowerDown": (((55, 56, 65), 0, 0.1), ((57, 66), 0, 0.05)),
    "mouthPress": (((52, 63), 0, 0.02), ((56, 65), 0, -0.02)),
    "mouthSmile": ((_RIGHT_CORNER, 0.1, -0.12), (_NEAR_RIGHT_CORNER, 0.05, -0.06)),
    "mouthStretch": ((_RIGHT_CORNER, 0.12, 0.04), (_NEAR_RIGHT_CORNER, 0.06, 0.02)),
    "mouthUpperUp": (((52, 53, 63), 0, -0.1), ((51, 62), 0, -0.05)),
    "noseSneer": (((34, 35), 0, -0.04), ((52, 53), 0, -0.03)),
    "jaw": (((6, 7, 8, 9, 10), 0.1, 0), ((*_LOWER_LIP, *_LOWER_SIDES), 0.08, 0)),
    "mouth": (((*_UPPER_LIP, *_LOWER_LIP, *_LOWER_SIDES, *_CORNERS, 49, 53), 0.15, 0),),
}
# (share of the eye's opening by which the upper lid comes down, the lower one comes up)
_LID_MOVES: Mapping[str, tuple[float, float]] = {
    "eyeBlink": (0.88, 0.12),
    "eyeSquint": (0.1, 0.25),
    "eyeWide": (-0.25, 0.0),
}


@dataclass(frozen=True)
class BlendshapeClip:
    """Expression curves [T] by ARKit name, 0 at rest and 1 at the most; names that are missing rest.

    `head` is how the head is turned, as `faces.head` takes it; None where nothing says so.
    """

    curves: Mapping[str, Float[Tensor, " T"]]
    fps: float
    head: Float[Tensor, "T 3"] | None = None


def blendshape_landmarks(clip: BlendshapeClip, face: Float[Tensor, "68 2"]) -> LandmarkClip:
    """The curves as motion of this face, which is taken to be at rest; in the pixels of `face`."""
    points = face.expand(len(next(iter(clip.curves.values()))), NUM_POINTS, 2)
    for name, curve in clip.curves.items():
        points = points + curve.to(face)[:, None, None] * displacement(name, face)
    if clip.head is not None:
        points = turned(points, clip.head.to(face), face)
    return LandmarkClip(points, points.new_ones(len(points)), clip.fps)


def displacement(shape: str, face: Float[Tensor, "68 2"]) -> Float[Tensor, "68 2"]:
    """How far each point of this face moves, in pixels, when the curve of that name is 1."""
    side = next((side for side in SIDES if shape.endswith(side)), None)
    name = shape.removesuffix(side) if side else shape
    if name in _LID_MOVES:
        return _lids(name, RIGHT_EYE if side == "Left" else LEFT_EYE, face)
    across = face[list(RIGHT_EYE)].mean(0) - face[list(LEFT_EYE)].mean(0)
    axes = torch.stack([across, torch.stack([-across[1], across[0]])])
    moves = (_LEFT_MOVES if side else _SINGLE_MOVES).get(name, ())
    shares = face.new_zeros(NUM_POINTS, 2)
    for points, to_the_right, down in moves:
        shares[list(points)] += shares.new_tensor([to_the_right, down])
    if side == "Right":
        shares = shares[list(MIRRORED)] * shares.new_tensor([-1.0, 1.0])
    return shares @ axes


def _lids(name: str, eye: tuple[int, ...], face: Float[Tensor, "68 2"]) -> Float[Tensor, "68 2"]:
    down, up = _LID_MOVES[name]
    moved = torch.zeros_like(face)
    for upper, lower in lid_pairs(eye):
        opening = face[lower] - face[upper]
        moved[upper], moved[lower] = down * opening, -up * opening
    return moved
