"""Hints land on the pixel they point at, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mofa.tensors.hints import rasterise, rasterise_cut
from mofa.types import SparseMotion

LANDMARKS = Path(__file__).parents[3] / "shared" / "golden" / "landmarks.npz"


def hints(positions, displacement, known=None, height=10, width=20) -> SparseMotion:
    displacement = torch.tensor(displacement, dtype=torch.float32)
    known = torch.ones(displacement.shape[:2], dtype=torch.bool) if known is None else torch.tensor(known)
    return SparseMotion(torch.tensor(positions, dtype=torch.float32), displacement, known, height, width)


def test_same_grid_keeps_pixel_and_subpixel_displacement() -> None:
    displacement, known = rasterise(hints([[4.3, 7.6]], [[[1.25, -0.5]], [[2.5, 0.0]]]), 10, 20)
    assert known.nonzero().tolist() == [[0, 0, 8, 4], [1, 0, 8, 4]]
    assert displacement[:, :, 8, 4].tolist() == [[1.25, -0.5], [2.5, 0.0]]
    assert displacement.abs().sum() == 4.25


def test_other_grid_scales_each_axis() -> None:
    displacement, known = rasterise(hints([[19.0, 0.0]], [[[2.0, 3.0]]]), 30, 10)
    assert known.nonzero().tolist() == [[0, 0, 1, 9]]
    assert displacement[0, :, 1, 9].tolist() == [1.0, 9.0]


def test_the_last_known_hint_wins_a_pixel() -> None:
    crowded = hints([[3, 3], [3.2, 2.9]], [[[1, 1], [2, 2]], [[3, 3], [4, 4]]], [[True, True], [True, False]])
    displacement, known = rasterise(crowded, 10, 20)
    assert displacement[:, 0, 3, 3].tolist() == [2, 3]
    assert known.sum() == 2


def test_an_anchor_is_known_and_zero() -> None:
    displacement, known = rasterise(hints([[5, 5]], [[[0, 0]]]), 10, 20)
    assert known.sum() == 1
    assert displacement.abs().sum() == 0


def test_hints_outside_the_picture_are_left_out() -> None:
    displacement, known = rasterise(hints([[-1, 5], [20, 5], [5, 10]], [[[1, 1]] * 3]), 10, 20)
    assert not known.any()
    assert displacement.abs().sum() == 0


def test_no_hints_at_all() -> None:
    empty = SparseMotion(torch.zeros(0, 2), torch.zeros(3, 0, 2), torch.zeros(3, 0, dtype=torch.bool), 10, 20)
    displacement, known = rasterise(empty, 4, 5)
    assert displacement.shape == (3, 2, 4, 5)
    assert not known.any()


@pytest.mark.skipif(not LANDMARKS.exists(), reason=f"needs {LANDMARKS}")
def test_landmarks_land_where_the_released_code_put_them() -> None:
    golden = np.load(LANDMARKS)
    points = torch.from_numpy(golden["landmarks_xy"])
    height, width = golden["sketch"].shape[2:]
    motion = SparseMotion(
        points[0], points[1:] - points[:1], torch.ones(2, 68, dtype=torch.bool), height, width
    )
    displacement, known = rasterise(motion, 384, 384)
    # Released code truncates corner-based positions and lists them by row; ours are the nearest pixel
    # centres. Upscaled by 2 here, the two differ by at most one pixel.
    for row, column, value in zip(
        golden["sparse_rows"], golden["sparse_cols"], golden["sparse_values"].transpose(2, 0, 1), strict=True
    ):
        near = (slice(None), slice(None), slice(row - 1, row + 2), slice(column - 1, column + 2))
        ours = displacement[near].flatten(2)
        distance = (ours - torch.from_numpy(value)[..., None]).abs().amax(dim=(0, 1))
        assert distance.min() < 1e-4
    assert known[0].sum() == 68


def test_hints_that_are_cut_off_add_up_where_they_meet() -> None:
    placed = hints([[4.9, 7.9], [4.1, 7.2], [25.0, 1.0]], [[[1.25, -0.5], [2.0, 1.0], [9.0, 9.0]]])
    displacement, known = rasterise_cut(placed, 10, 20)
    assert known.nonzero().tolist() == [[0, 0, 7, 4]]
    assert displacement[0, :, 7, 4].tolist() == [3.25, 0.5]
    nearest, _ = rasterise(placed, 10, 20)
    assert nearest[0, :, 8, 5].tolist() == [1.25, -0.5]


def test_a_hint_that_is_not_known_adds_nothing() -> None:
    placed = hints([[4.0, 7.0], [4.0, 7.0]], [[[1.0, 2.0], [float("nan"), 0.0]]], [[True, False]])
    displacement, known = rasterise_cut(placed, 10, 20)
    assert known.sum() == 1
    assert displacement[0, :, 7, 4].tolist() == [1.0, 2.0]
