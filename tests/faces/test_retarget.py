"""Motion goes from face to face; shape, size and place do not."""

import pytest
import torch

from mofa.faces.points import STABLE, face_size, move_points
from mofa.faces.retarget import MotionStrengths, at_rate, retarget
from mofa.types import LandmarkClip


@pytest.fixture
def driver(face_points) -> LandmarkClip:
    """Another face, wider, smaller: at rest, then its mouth opens and a brow rises, then its head turns."""
    shaped = face_points * torch.tensor([0.6, 0.5]) + torch.tensor([300.0, 20.0])
    speaking = shaped.clone()
    speaking[57:59, 1] += 6
    speaking[19, 1] -= 4
    turned = move_points(torch.tensor([[0.9, -0.2], [0.2, 0.9]]), torch.tensor([12.0, 5.0]), shaped)
    points = torch.stack([shaped, speaking, turned])
    return LandmarkClip(points, torch.ones(3), 25.0)


def test_a_driver_at_rest_moves_nothing(face_points, driver):
    still = LandmarkClip(driver.points[:1].expand(5, -1, -1), torch.ones(5), 25.0)
    assert torch.allclose(retarget(still, face_points).points, face_points.expand(5, -1, -1), atol=1e-3)


def test_a_face_that_drives_itself_does_what_it_did(face_points):
    clip = LandmarkClip(face_points + torch.randn(6, 68, 2).cumsum(0), torch.ones(6), 25.0)
    assert torch.allclose(retarget(clip, clip.points[0]).points, clip.points, atol=1e-2)


def test_motion_is_as_large_as_the_face(face_points, driver):
    small, large = retarget(driver, face_points), retarget(driver, 3 * face_points)
    assert torch.allclose(large.points, 3 * small.points, atol=1e-2)
    opened = small.points[1] - face_points
    growth = float(face_size(face_points) / face_size(driver.points[0]))
    assert opened[57, 1].item() == pytest.approx(6 * growth, rel=0.15)


def test_frame_0_is_the_source_even_in_absolute_motion(face_points, driver):
    for absolute in (False, True):
        assert torch.equal(retarget(driver, face_points, absolute=absolute).points[0], face_points)


def test_absolute_motion_takes_over_the_drivers_shape(face_points, driver):
    moved = retarget(driver, face_points, absolute=True).points[1]
    jaw_width = moved[16, 0] - moved[0, 0]
    jaw_height = moved[8, 1] - moved[0, 1]
    theirs = driver.points[1]
    ratio = (theirs[16, 0] - theirs[0, 0]) / (theirs[8, 1] - theirs[0, 1])
    assert float(jaw_width / jaw_height) == pytest.approx(float(ratio), rel=1e-3)


@pytest.mark.parametrize(
    ("strengths", "rests", "moves"),
    [
        (MotionStrengths(mouth=0.0), (57, 8), (19,)),
        (MotionStrengths(brows=0.0), (19,), (57,)),
        (MotionStrengths(eyes=0.0), (37,), (57, 19)),
    ],
)
def test_each_feature_has_its_own_strength(face_points, driver, strengths, rests, moves):
    difference = (retarget(driver, face_points, strengths).points[1] - face_points).norm(dim=1)
    assert all(difference[point] < 0.05 for point in rests)
    assert all(difference[point] > 2 for point in moves)


def test_without_pose_the_head_stays_where_it_is(face_points, driver):
    still = retarget(driver, face_points, MotionStrengths(pose=0.0)).points[2]
    assert torch.allclose(still[list(STABLE)], face_points[list(STABLE)], atol=0.05)
    halfway = retarget(driver, face_points, MotionStrengths(pose=0.5)).points[2]
    whole = retarget(driver, face_points).points[2]
    assert torch.allclose(halfway[30] - face_points[30], (whole[30] - face_points[30]) / 2, atol=0.05)


def test_another_rate_keeps_the_time(driver):
    resampled = at_rate(driver, 50.0, 7)
    assert torch.allclose(resampled.points[2], driver.points[1])
    assert torch.allclose(resampled.points[1], (driver.points[0] + driver.points[1]) / 2)
    assert torch.allclose(resampled.points[6], driver.points[2])  # held
    assert resampled.fps == 50
