"""A head turns as its capture says: which way, how far, and which points most."""

import math

import pytest
import torch

from mofa.faces.geometry import canonical_face
from mofa.faces.head import NEARNESS, flipped, turned
from mofa.faces.points import MESH_INDEX

NOSE, CHIN, LEFT_EAR, RIGHT_EAR = 30, 8, 0, 16


def moved(face, yaw=0.0, pitch=0.0, roll=0.0):
    return turned(face[None], torch.tensor([[yaw, pitch, roll]]), face)[0] - face


def test_a_head_that_is_not_turned_stays(face_points):
    torch.testing.assert_close(moved(face_points), torch.zeros(68, 2), atol=1e-4, rtol=0)


def test_yaw_takes_the_nose_to_the_persons_right_by_its_depth(face_points):
    change = moved(face_points, yaw=0.3)
    width = (face_points[RIGHT_EAR] - face_points[LEFT_EAR]).norm()
    assert float(change[NOSE, 0]) == pytest.approx(-float(width) * 0.65 * math.sin(0.3), rel=0.02)
    assert change[LEFT_EAR, 0] > 0 > change[RIGHT_EAR, 0]  # the far side comes nearer to the middle
    assert abs(float(change[NOSE, 1])) < 1e-3


def test_pitch_nods_down_and_roll_turns_clockwise(face_points):
    assert moved(face_points, pitch=0.2)[NOSE, 1] > 5
    rolled = moved(face_points, roll=0.2)
    assert rolled[27, 0] > 5  # what is above the neck goes to the right
    assert rolled[RIGHT_EAR, 1] > 5
    assert rolled[LEFT_EAR, 1] < -5


def test_a_tilted_face_turns_in_its_own_axes(face_points):
    quarter = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    for angles in ({"yaw": 0.3}, {"pitch": 0.3}, {"roll": 0.3}):
        torch.testing.assert_close(
            moved(face_points @ quarter, **angles), moved(face_points, **angles) @ quarter, atol=1e-3, rtol=0
        )


def test_depths_are_those_of_the_canonical_face():
    points = canonical_face().points[list(MESH_INDEX)]
    width = points[RIGHT_EAR, 0] - points[LEFT_EAR, 0]
    depth = (points[:, 2] - points[[LEFT_EAR, RIGHT_EAR], 2].mean()) / width
    torch.testing.assert_close(torch.tensor(NEARNESS), depth, atol=0.011, rtol=0)


def test_turns_can_be_flipped_by_name():
    angles = torch.tensor([[0.1, 0.2, 0.3]])
    assert flipped(angles, ["roll", "yaw"]).tolist() == (angles * torch.tensor([-1.0, 1.0, -1.0])).tolist()
    assert torch.equal(flipped(angles, ()), angles)
