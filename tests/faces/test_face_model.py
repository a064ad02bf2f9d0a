import math

import pytest
import torch

from mofa.faces.face_model import Coefficients, FaceModel, keypoints_of

POINT = torch.zeros(68, 3)
POINT[1], POINT[2] = torch.tensor([1.0, 0, 0]), torch.tensor([0, 1.0, 0])
MODEL = FaceModel(mean=POINT, identity=torch.zeros(68, 3, 80), expression=torch.zeros(68, 3, 64))
STILL = Coefficients(torch.zeros(80), torch.zeros(64), torch.zeros(3), torch.zeros(3))


def test_a_face_without_coefficients_looks_at_the_camera() -> None:
    points = MODEL.keypoints(STILL)
    assert points[0].tolist() == [112, 112]
    assert points[1].tolist() == pytest.approx([112 + 101.5, 112])
    assert points[2].tolist() == pytest.approx([112, 112 + 101.5])  # y up


def test_translation_towards_the_camera_enlarges() -> None:
    near = Coefficients(STILL.identity, STILL.expression, STILL.angles, torch.tensor([0.0, 0, 5]))
    assert MODEL.keypoints(near)[1].tolist() == pytest.approx([112 + 203, 112])


def test_a_roll_takes_right_to_up() -> None:
    rolled = Coefficients(STILL.identity, STILL.expression, torch.tensor([0, 0, math.pi / 2]), torch.zeros(3))
    assert MODEL.keypoints(rolled)[1].tolist() == pytest.approx([112, 112 + 101.5], abs=1e-3)


def test_expressions_move_points_frame_by_frame() -> None:
    expression = torch.zeros(68, 3, 64)
    expression[5, 1, 7] = 2.0
    model = FaceModel(MODEL.mean, MODEL.identity, expression)
    curve = torch.zeros(4, 64)
    curve[:, 7] = torch.arange(4.0) / 10
    frames = 4
    clip = Coefficients(torch.zeros(frames, 80), curve, torch.zeros(frames, 3), torch.zeros(frames, 3))
    points = model.keypoints(clip)
    assert points.shape == (4, 68, 2)
    torch.testing.assert_close(points[:, 5, 1] - 112, 101.5 * 0.2 * torch.arange(4.0), atol=1e-3, rtol=0)
    torch.testing.assert_close(points[:, 1], points[:1, 1].expand(4, -1))


def test_keypoints_are_picked_from_a_centred_model() -> None:
    vertices = torch.randn(100, 3, generator=torch.Generator().manual_seed(0)) + 5
    basis = torch.arange(300.0)[:, None]
    model = keypoints_of(vertices.flatten(), basis, basis, torch.arange(68) + 10)
    torch.testing.assert_close(model.mean, (vertices - vertices.mean(0))[10:78])
    assert model.identity[0, :, 0].tolist() == [30, 31, 32]
