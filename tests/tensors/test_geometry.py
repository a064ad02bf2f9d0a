"""Crops have inverses, and what lives in pixels is resized with the picture."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mofa.tensors.geometry import cut_window, fit_crop, pixel_grid, resize_flow, to_original, to_working
from mofa.types import CropBox

sides = st.integers(8, 4000)


@given(sides, sides, sides, sides, st.sampled_from(["crop", "pad"]))
def test_a_point_survives_the_crop_and_back(width, height, working_width, working_height, fit):
    crop = fit_crop(width, height, working_width, working_height, fit)
    points = torch.tensor([[0.0, 0.0], [width - 1, height - 1], [width / 3, height / 5]], dtype=torch.float64)
    assert to_original(to_working(points, crop), crop) == pytest.approx(points, abs=1e-6)


@given(sides, sides, sides, sides)
def test_crop_stays_inside_and_pad_keeps_everything(width, height, working_width, working_height):
    inside = fit_crop(width, height, working_width, working_height, "crop")
    assert inside.left >= -1e-6
    assert inside.top >= -1e-6
    assert inside.width <= width + 1e-6
    around = fit_crop(width, height, working_width, working_height, "pad")
    assert around.width >= width - 1e-6
    assert around.height >= height - 1e-6
    assert around.scale_x == pytest.approx(around.scale_y)


def test_the_same_size_is_the_identity():
    crop = fit_crop(30, 20, 30, 20, "crop")
    points = torch.rand(5, 2) * 20
    assert torch.equal(to_working(points, crop), points)


def test_a_flow_that_says_go_to_the_right_edge_still_says_so_after_resizing():
    flow = torch.zeros(1, 2, 10, 20)
    flow[:, 0], flow[:, 1] = 4.0, -2.0
    bigger = resize_flow(flow, 30, 40)
    assert bigger.shape == (1, 2, 30, 40)
    assert torch.allclose(bigger[:, 0], torch.tensor(8.0))
    assert torch.allclose(bigger[:, 1], torch.tensor(-6.0))


def test_the_grid_is_x_then_y():
    grid = pixel_grid(3, 4, torch.zeros(1))
    assert grid[:, 2, 3].tolist() == [3.0, 2.0]


def test_a_wider_window_repeats_the_border_and_cutting_back_undoes_it():
    values = torch.randn(2, 3, 5, 7)
    wide = cut_window(values, CropBox(-2.0, -1.0, 11.0, 8.0, 11, 8))
    assert torch.equal(wide[..., 0, :2], values[..., 0, :1].expand(2, 3, 2))
    assert torch.equal(cut_window(wide, CropBox(2.0, 1.0, 7.0, 5.0, 7, 5)), values)
