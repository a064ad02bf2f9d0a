"""Affine motion adds to object motion and can be taken off again."""

import pytest
import torch

from mofa.tensors.flow import (
    add_camera,
    affine_flow,
    apply_affine,
    bilinear_sample,
    compose_affine,
    invert_affine,
    remove_camera,
)
from mofa.tensors.geometry import pixel_grid

TURN = torch.tensor([[[0.0, -1.0, 9.0], [1.0, 0.0, -2.0]], [[1.1, 0.0, 3.0], [0.0, 1.1, 0.5]]])


def test_a_quarter_turn_takes_right_to_down():
    turned = apply_affine(TURN[:1], torch.tensor([[[1.0], [0.0]]]))
    assert turned.flatten().tolist() == [9.0, -1.0]


def test_the_inverse_undoes_and_composition_is_one_after_the_other():
    points = torch.randn(2, 2, 7)
    assert apply_affine(invert_affine(TURN), apply_affine(TURN, points)) == pytest.approx(points, abs=1e-5)
    both = compose_affine(TURN, TURN.flip(0))
    assert apply_affine(both, points) == pytest.approx(
        apply_affine(TURN, apply_affine(TURN.flip(0), points)), abs=1e-4
    )


def test_the_camera_comes_off_again():
    flow = torch.randn(2, 2, 5, 6)
    assert remove_camera(add_camera(flow, TURN), TURN) == pytest.approx(flow, abs=1e-4)


def test_a_camera_over_a_still_picture_is_its_affine_flow():
    assert torch.equal(add_camera(torch.zeros(2, 2, 5, 6), TURN), affine_flow(TURN, 5, 6))


def test_sampling_at_pixel_centres_reads_the_pixels_and_the_border_holds():
    values = torch.randn(1, 3, 5, 6)
    assert bilinear_sample(values, pixel_grid(5, 6, values)[None]) == pytest.approx(values, abs=1e-5)
    outside = bilinear_sample(values, torch.tensor([[[-20.0, 99.0], [-20.0, 99.0]]]))
    assert outside[0, :, 0] == pytest.approx(values[0, :, 0, 0])
    assert outside[0, :, 1] == pytest.approx(values[0, :, -1, -1])


def test_sampling_between_two_pixels_is_their_mean():
    values = torch.tensor([[[[1.0, 3.0]]]])
    assert bilinear_sample(values, torch.tensor([[[0.5], [0.0]]])).item() == pytest.approx(2.0)
