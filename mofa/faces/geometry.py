"""A face mesh seen in a picture as a mesh in space, and back: MediaPipe's face geometry.

The camera sits at the origin and looks along -z, x to the right, y up, lengths in centimetres. The canonical
face, and the weights of the points that tell its pose, come with MediaPipe's face model
(assets/NOTICE.md). Method: https://github.com/google-ai-edge/mediapipe, modules/face_geometry.
"""

import io
import math
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.faces.detection import model_bytes

VERTICAL_ANGLE = math.radians(63)
"""How much of the world the picture's height shows."""
NEAR = 1.0
"""Centimetres to the plane that the picture lies on."""
VERTEX_SIZE = 5
"""Numbers per vertex of the canonical mesh: x, y, z and a texture place."""


@dataclass(frozen=True)
class CanonicalFace:
    """An average face at the origin, in centimetres, and how much each point tells about the pose."""

    points: Float[Tensor, "468 3"]
    weight: Float[Tensor, "468"]


@dataclass(frozen=True)
class MetricFace:
    """A face in space: its own shape, upright at the origin, and the `pose` that brings it into view."""

    points: Float[Tensor, "468 3"]
    pose: Float[Tensor, "4 4"]


@cache
def canonical_face() -> CanonicalFace:
    """The canonical face of MediaPipe's model. Raises WeightsError where the model file is another."""
    with zipfile.ZipFile(io.BytesIO(model_bytes())) as archive:
        metadata = archive.read("geometry_pipeline_metadata_landmarks.binarypb")
    fields = list(protobuf_fields(metadata))
    mesh = next(value for number, value in fields if number == 1)
    vertices = b"".join(value for number, value in protobuf_fields(mesh) if number == 3)
    points = torch.tensor([*struct.iter_unpack("<f", vertices)]).reshape(-1, VERTEX_SIZE)[:, :3]
    weight = torch.zeros(len(points))
    for number, value in fields:
        if number == 2:
            landmark = dict(protobuf_fields(value))
            index = int.from_bytes(landmark.get(1, b""), "little")
            (weight[index],) = struct.unpack("<f", landmark[2])
    return CanonicalFace(points, weight)


def protobuf_fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """(field number, content) in order; integers as eight bytes, lowest first (protobuf.dev, Encoding)."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 0:
            yield number, varint().to_bytes(8, "little")
            continue
        length = {1: 8, 5: 4}.get(kind) or varint()
        yield number, message[at : at + length]
        at += length


def metric_face(mesh: Float[Tensor, "mesh 3"], height: int, width: int) -> MetricFace:
    """The face in space that a mesh in the pixels of a picture of height x width shows.

    `mesh` is what `faces.detection` finds: 468 or 478 points, z in pixels, smaller being nearer. How far away
    the face is follows from its size: it is taken to be as large as the canonical one.
    """
    canonical = canonical_face()
    reference, weight = canonical.points.to(mesh), canonical.weight.to(mesh)
    plane = _on_near_plane(mesh[: len(reference)], height, width)
    depth = plane[:, 2].mean()
    # First as if all points were equally far, then with the perspective that the first guess tells.
    flat_scale = _scale(fit_similarity_3d(reference, plane * plane.new_tensor([1, 1, -1]), weight))
    first = _unprojected(plane, depth, flat_scale)
    scale = flat_scale * _scale(fit_similarity_3d(reference, first, weight))
    seen = _unprojected(plane, depth, scale)
    pose = fit_similarity_3d(reference, seen, weight)
    return MetricFace(points=transformed(torch.linalg.inv(pose), seen), pose=pose)


def project(
    points: Float[Tensor, "*t n 3"], pose: Float[Tensor, "*t 4 4"], height: int, width: int
) -> Float[Tensor, "*t n 2"]:
    """Where points of a face show up in a picture of height x width, in its pixels."""
    seen = transformed(pose, points)
    focal = height / (2 * math.tan(VERTICAL_ANGLE / 2))
    offsets = focal * seen[..., :2] / -seen[..., 2:]
    centre = points.new_tensor([(width - 1) / 2, (height - 1) / 2])
    return centre + offsets * points.new_tensor([1, -1])


def transformed(matrix: Float[Tensor, "*t 4 4"], points: Float[Tensor, "*t n 3"]) -> Float[Tensor, "*t n 3"]:
    """Points after a rotation, scale and translation."""
    return points @ matrix[..., :3, :3].mT + matrix[..., None, :3, 3]


def fit_similarity_3d(
    before: Float[Tensor, "n 3"], after: Float[Tensor, "n 3"], weight: Float[Tensor, " n"]
) -> Float[Tensor, "4 4"]:
    """The rotation, scale and translation that take points nearest to others, in weighted least squares.

    Umeyama (1991), equations 34-43.
    """
    share = (weight / weight.sum())[:, None]
    middle, target = (share * before).sum(0), (share * after).sum(0)
    centred, aim = before - middle, after - target
    u, singular, vt = torch.linalg.svd((share * aim).mT @ centred)
    signs = torch.ones_like(singular)
    signs[-1] = torch.det(u @ vt).sign()  # a rotation, no mirror
    rotation = (u * signs) @ vt
    scale = (singular * signs).sum() / (share * centred.square()).sum()
    matrix = torch.eye(4, dtype=before.dtype, device=before.device)
    matrix[:3, :3] = scale * rotation
    matrix[:3, 3] = target - scale * rotation @ middle
    return matrix


def _on_near_plane(mesh: Float[Tensor, "n 3"], height: int, width: int) -> Float[Tensor, "n 3"]:
    """Pixels to centimetres on the near plane, y up; depth on the same scale, still growing away."""
    size = 2 * NEAR * math.tan(VERTICAL_ANGLE / 2) / height
    centre = mesh.new_tensor([(width - 1) / 2, (height - 1) / 2, 0])
    return (mesh - centre) * mesh.new_tensor([size, -size, size])


def _unprojected(plane: Float[Tensor, "n 3"], depth: Tensor, scale: Tensor) -> Float[Tensor, "n 3"]:
    """Points of the near plane pushed out to where a face of that scale is, z towards the camera."""
    away = (plane[:, 2:] - depth + NEAR) / scale
    return torch.cat([plane[:, :2] * away / NEAR, -away], dim=1)


def _scale(matrix: Float[Tensor, "4 4"]) -> Tensor:
    return matrix[:3, 0].norm()
