"""ARKit curves move the points that they are named after."""

import torch

from mofa.faces.blendshapes import SHAPES, BlendshapeClip, blendshape_landmarks, displacement
from mofa.faces.points import MIRRORED


def test_there_are_52():
    assert len(set(SHAPES)) == 52


def test_at_rest_nothing_moves(face_points):
    clip = BlendshapeClip({name: torch.zeros(4) for name in SHAPES}, 60.0)
    assert torch.equal(blendshape_landmarks(clip, face_points).points, face_points.expand(4, -1, -1))


def test_the_jaw_opens_downwards_and_the_upper_lip_stays(face_points):
    opened = displacement("jawOpen", face_points)
    assert opened[57, 1] > 20
    assert opened[8, 1] > 20
    assert not opened[51].any()


def test_an_open_jaw_with_closed_lips_leaves_the_lips_where_they_were(face_points):
    lips = displacement("jawOpen", face_points) + displacement("mouthClose", face_points)
    assert torch.allclose(lips[48:68], torch.zeros(20, 2), atol=1e-4)


def test_a_blink_closes_the_persons_own_side(face_points):
    clip = BlendshapeClip({"eyeBlinkLeft": torch.tensor([0.0, 1.0])}, 60.0)
    points = blendshape_landmarks(clip, face_points).points[1]
    assert torch.allclose(points[43], points[47], atol=1e-4)
    assert torch.equal(points[36:42], face_points[36:42])


def test_left_and_right_mirror_each_other(face_points):
    for name in ("mouthSmile", "browDown", "eyeSquint"):
        left, right = displacement(f"{name}Left", face_points), displacement(f"{name}Right", face_points)
        assert torch.allclose(right[list(MIRRORED)], left * torch.tensor([-1.0, 1.0]), atol=1e-4)


def test_motion_follows_the_tilt_of_the_head(face_points):
    turned = face_points @ torch.tensor([[0.0, 1.0], [-1.0, 0.0]])  # by 90 degrees
    upright, lying = displacement("jawOpen", face_points), displacement("jawOpen", turned)
    assert torch.allclose(lying, upright @ torch.tensor([[0.0, 1.0], [-1.0, 0.0]]), atol=1e-3)
