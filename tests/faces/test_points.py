"""Which point is which, and the transforms that take faces onto faces."""

import torch

from mofa.faces.points import (
    MESH_INDEX,
    MIRRORED,
    face_size,
    fit_affine,
    fit_similarity,
    move_points,
    points_of_mesh,
)


def test_every_point_has_its_own_place_on_the_mesh():
    assert len(set(MESH_INDEX)) == 68
    mesh = torch.rand(2, 468, 3)
    assert torch.equal(points_of_mesh(mesh)[1, 8], mesh[1, 152, :2])  # the chin


def test_the_mirror_image_of_a_symmetric_face_is_itself(face_points):
    middle = 200 - face_points[:, 0]
    mirrored = torch.stack([middle, face_points[:, 1]], 1)[list(MIRRORED)]
    assert torch.allclose(mirrored, face_points, atol=1e-4)
    assert [MIRRORED[index] for index in MIRRORED] == list(range(68))


def test_size_goes_with_scale(face_points):
    assert torch.isclose(face_size(3 * face_points + 50), 3 * face_size(face_points))


def test_a_similarity_is_found_again(face_points):
    linear = torch.tensor([[1.2, -0.5], [0.5, 1.2]])
    offset = torch.tensor([7.0, -3.0])
    found = fit_similarity(face_points, move_points(linear, offset, face_points))
    assert torch.allclose(found[0], linear, atol=1e-4)
    assert torch.allclose(found[1], offset, atol=1e-2)


def test_an_affine_map_is_found_again_for_every_frame(face_points):
    linear = torch.tensor([[[1.2, 0.3], [-0.1, 0.8]], [[1.0, 0.0], [0.0, 1.0]]])
    offset = torch.tensor([[7.0, -3.0], [0.0, 0.0]])
    faces = face_points.expand(2, -1, -1)
    found = fit_affine(faces, move_points(linear, offset, faces))
    assert torch.allclose(found[0], linear, atol=1e-3)
    assert torch.allclose(found[1], offset, atol=1e-1)


def test_points_that_coincide_only_shift():
    linear, offset = fit_similarity(torch.zeros(4, 2), torch.ones(4, 2))
    assert torch.equal(linear, torch.eye(2))
    assert torch.equal(offset, torch.ones(2))
