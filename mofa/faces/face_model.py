"""A linear face model (Basel Face Model with expressions) and the camera it is seen with.

Shape = mean + identity + expression; the face is turned, moved, and projected onto a picture of 224 x 224.
The camera of Deng et al. (arXiv 1903.08527): 10 units away, focal length 1015 px, y up.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mofa.faces.rotation import rotation_about_axes

SIDE = 224
"""Pixels of the square picture that the camera sees."""
FOCAL, DISTANCE = 1015.0, 10.0
"""The camera's, in pixels and in the model's units."""


@dataclass(frozen=True)
class Coefficients:
    """What the model says of a face over T frames; angles in radians about x, y, z."""

    identity: Float[Tensor, "*T i"]
    expression: Float[Tensor, "*T e"]
    angles: Float[Tensor, "*T 3"]
    translation: Float[Tensor, "*T 3"]


@dataclass(frozen=True)
class FaceModel:
    """The part of the face model that the 68 keypoints need."""

    mean: Float[Tensor, "68 3"]
    identity: Float[Tensor, "68 3 i"]
    expression: Float[Tensor, "68 3 e"]

    def keypoints(self, face: Coefficients) -> Float[Tensor, "*T 68 2"]:
        """The 68 points in the 224 x 224 picture, (x, y), y up."""
        shape = (
            self.mean
            + torch.einsum("pai,...i->...pa", self.identity, face.identity)
            + torch.einsum("pae,...e->...pa", self.expression, face.expression)
        )
        placed = shape @ rotation_about_axes(face.angles).mT + face.translation[..., None, :]
        depth = DISTANCE - placed[..., 2:]
        return FOCAL * placed[..., :2] / depth + SIDE / 2


def keypoints_of(
    mean: Float[Tensor, " n"],
    identity: Float[Tensor, "n i"],
    expression: Float[Tensor, "n e"],
    keypoints: Int[Tensor, "68"],
) -> FaceModel:
    """Of a model of n / 3 vertices what its keypoints (counted from 0) need; the mean face is centred."""
    vertices = mean.reshape(-1, 3)
    centred = vertices - vertices.mean(dim=0)
    return FaceModel(
        mean=centred[keypoints],
        identity=identity.unflatten(0, (-1, 3))[keypoints],
        expression=expression.unflatten(0, (-1, 3))[keypoints],
    )
