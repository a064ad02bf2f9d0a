import math

import torch

from mofa.faces.rotation import rotation_about_axes


def test_a_quarter_turn_about_each_axis() -> None:
    x, y, z = torch.eye(3)
    turns = rotation_about_axes(math.pi / 2 * torch.eye(3))
    for turn, start, end in zip(turns, (y, z, x), (z, x, y), strict=True):
        torch.testing.assert_close(turn @ start, end, atol=1e-6, rtol=0)


def test_x_comes_first_and_z_last() -> None:
    angles = torch.tensor([0.3, -0.5, 1.1])
    one_by_one = [rotation_about_axes(angles * axis) for axis in torch.eye(3)]
    torch.testing.assert_close(rotation_about_axes(angles), one_by_one[2] @ one_by_one[1] @ one_by_one[0])
