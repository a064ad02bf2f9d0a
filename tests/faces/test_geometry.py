import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mofa.faces.geometry import (
    canonical_face,
    fit_similarity_3d,
    metric_face,
    project,
    protobuf_fields,
    transformed,
)
from mofa.faces.rotation import rotation_about_axes

HEIGHT, WIDTH = 480, 640


def pose(angles: tuple[float, float, float], place: tuple[float, float, float]) -> Tensor:
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = rotation_about_axes(torch.tensor(angles, dtype=torch.float64).deg2rad())
    matrix[:3, 3] = torch.tensor(place)
    return matrix


def seen(points: Tensor, where: Tensor) -> Tensor:
    """What a face finder would report: pixels, and depth on their scale around the face's middle."""
    flat = project(points, where, HEIGHT, WIDTH)
    depth = transformed(where, points)[:, 2]
    sideways = points.new_tensor([[0, 0, depth.mean()], [1, 0, depth.mean()]])
    scale = project(sideways, torch.eye(4).to(points), HEIGHT, WIDTH)[:, 0].diff()
    return torch.cat([flat, ((depth.mean() - depth) * scale)[:, None]], dim=1)


def test_the_canonical_face_is_upright_and_as_large_as_a_face() -> None:
    face = canonical_face()
    assert face.points.shape == (468, 3)
    width, height, _ = face.points.amax(0) - face.points.amin(0)
    assert 13 < width < 17
    assert 16 < height < 20
    nose, chin, forehead = face.points[4], face.points[152], face.points[10]
    assert forehead[1] > nose[1] > chin[1]
    assert nose[2] == face.points[:, 2].amax()
    assert (face.weight > 0).sum() == 33


@pytest.mark.parametrize("angles", [(0.0, 0.0, 0.0), (10.0, -25.0, 5.0), (-15.0, 30.0, -20.0)])
def test_a_face_is_found_in_space_and_projects_back_onto_itself(angles: tuple[float, float, float]) -> None:
    points = canonical_face().points.double()
    where = pose(angles, (2.0, -3.0, -40.0))
    mesh = seen(points, where)
    found = metric_face(mesh, HEIGHT, WIDTH)
    back = project(found.points, found.pose, HEIGHT, WIDTH)
    size = (mesh[:, :2].amax(0) - mesh[:, :2].amin(0)).prod().sqrt()
    assert (back - mesh[:, :2]).norm(dim=1).mean() < 0.001 * size
    # Depth from a single picture is weak perspective's guess: centimetres, not millimetres.
    torch.testing.assert_close(found.pose[:3, :3], where[:3, :3], atol=0.05, rtol=0)
    torch.testing.assert_close(found.pose[:3, 3], where[:3, 3], atol=1.5, rtol=0)
    assert (found.points - points).norm(dim=1).mean() < 0.5


def test_float32_is_enough() -> None:
    mesh = seen(canonical_face().points.double(), pose((5.0, 10.0, 0.0), (0.0, 0.0, -35.0))).float()
    mesh = torch.cat([mesh, mesh[:10]])  # the irises' points are left out
    found = metric_face(mesh, HEIGHT, WIDTH)
    assert found.points.shape == (468, 3)
    back = project(found.points, found.pose, HEIGHT, WIDTH)
    torch.testing.assert_close(back, mesh[:468, :2], atol=0.05, rtol=0)


def test_the_middle_of_the_picture_is_straight_ahead_and_up_is_up() -> None:
    points = torch.tensor([[0.0, 0.0, -10.0], [1.0, 0.0, -10.0], [0.0, 1.0, -10.0]])
    places = project(points, torch.eye(4), HEIGHT, WIDTH)
    assert places[0].tolist() == [319.5, 239.5]
    assert places[1, 0] > 319.5
    assert places[2, 1] < 239.5


def test_a_similarity_is_found_whatever_has_no_weight() -> None:
    generator = torch.Generator().manual_seed(0)
    before = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    matrix = pose((20.0, 40.0, -30.0), (1.0, 2.0, 3.0))
    matrix[:3, :3] *= 2.5
    after = transformed(matrix, before)
    after[10:] += 5
    weight = torch.cat([torch.rand(10, generator=generator), torch.zeros(10)]).double()
    torch.testing.assert_close(fit_similarity_3d(before, after, weight), matrix)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(1, 200), st.binary(max_size=300)), max_size=6))
def test_fields_of_a_message_are_read_back(fields: list[tuple[int, bytes]]) -> None:
    def varint(value: int) -> bytes:
        head, rest = value & 0x7F, value >> 7
        return bytes([head | 0x80]) + varint(rest) if rest else bytes([head])

    message = b"".join(varint(number << 3 | 2) + varint(len(value)) + value for number, value in fields)
    assert list(protobuf_fields(message)) == fields
