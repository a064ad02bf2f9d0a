"""Pieces of masks: OpenCV's answers are SciPy's."""

import numpy as np
import pytest
from jaxtyping import Bool
from scipy import ndimage

from mofa.tensors.pieces import mixed, opened, pieces_of_mask, without_holes

SHAPES = ((1, 1), (1, 9), (2, 7), (17, 23), (40, 31))


def masks(seed: int) -> list[Bool[np.ndarray, "H W"]]:
    """Masks from nearly empty to nearly full."""
    random = np.random.default_rng(seed)
    return [random.random(shape) < share for shape in SHAPES for share in (0.0, 0.2, 0.5, 0.7, 0.9, 1.0)]


@pytest.mark.parametrize("diagonally", [False, True])
def test_pieces_are_scipys_but_for_their_numbers(diagonally: bool) -> None:
    for mask in masks(0):
        ours = pieces_of_mask(mask, diagonally)
        theirs, count = ndimage.label(mask, np.ones((3, 3)) if diagonally else None)
        pairs = np.unique(np.stack([ours.ravel(), theirs.ravel()]), axis=1)
        assert ours.max() == count
        assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
        assert np.array_equal(ours > 0, mask)


def test_holes_are_those_that_scipy_fills() -> None:
    for mask in masks(1):
        assert np.array_equal(without_holes(mask), ndimage.binary_fill_holes(mask))


def test_what_is_too_thin_is_what_scipy_takes_off() -> None:
    for mask in masks(2):
        assert np.array_equal(opened(mask), ndimage.binary_opening(mask))


def test_numbers_meet_where_the_largest_around_is_not_the_smallest() -> None:
    random = np.random.default_rng(3)
    for shape in SHAPES:
        labels = random.integers(0, 400, shape) * (random.random(shape) < 0.05)
        assert np.array_equal(
            mixed(labels), ndimage.maximum_filter(labels, 3) != ndimage.minimum_filter(labels, 3)
        )
