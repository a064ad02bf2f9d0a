"""A mask lands on what it was painted on, and holds the hints that start in it."""

import pytest
import torch

from mofa.control.brush import fit_mask, inside
from mofa.errors import InputError
from mofa.tensors.geometry import fit_crop
from mofa.types import SparseMotion


def painted(height: int, width: int, top: int, left: int, bottom: int, right: int) -> torch.Tensor:
    mask = torch.zeros(1, height, width)
    mask[:, top:bottom, left:right] = 1
    return mask


def test_same_size_is_unchanged() -> None:
    mask = painted(6, 8, 1, 2, 4, 5)
    torch.testing.assert_close(fit_mask(mask, 8, 6, fit_crop(8, 6, 8, 6, "crop")), mask)


@pytest.mark.parametrize("factor", [1, 2, 5])
def test_a_mask_may_be_painted_at_another_size(factor) -> None:
    mask = painted(6 * factor, 8 * factor, 2 * factor, 2 * factor, 4 * factor, 6 * factor)
    region = fit_mask(mask, 16, 12, fit_crop(16, 12, 16, 12, "crop"))
    assert region[0, 6, 8] == pytest.approx(1)
    assert region[0, 0, 0] == 0
    assert region.sum() == pytest.approx(32, abs=1.5)


def test_cropping_shifts_the_mask_with_the_picture() -> None:
    mask = painted(6, 12, 0, 3, 6, 6)
    region = fit_mask(mask, 12, 6, fit_crop(12, 6, 6, 6, "crop"))
    torch.testing.assert_close(region, painted(6, 6, 0, 0, 6, 3))


def test_padding_is_outside() -> None:
    region = fit_mask(torch.ones(1, 6, 12), 12, 6, fit_crop(12, 6, 12, 12, "pad"))
    torch.testing.assert_close(region, painted(12, 12, 3, 0, 9, 12))


def test_soft_paint_stays_soft() -> None:
    mask = torch.linspace(0, 1, 8).expand(1, 6, 8)
    torch.testing.assert_close(fit_mask(mask, 8, 6, fit_crop(8, 6, 8, 6, "crop")), mask)


def test_another_aspect_is_refused() -> None:
    with pytest.raises(InputError, match="20 x 10, which is another aspect than the picture's 8 x 6"):
        fit_mask(torch.ones(1, 10, 20), 8, 6, fit_crop(8, 6, 8, 6, "crop"))


def test_a_mask_without_paint_is_refused() -> None:
    with pytest.raises(InputError, match="paints nothing"):
        fit_mask(torch.zeros(1, 6, 8), 8, 6, fit_crop(8, 6, 8, 6, "crop"))


def test_hints_belong_to_the_region_they_start_in() -> None:
    positions = torch.tensor([[2.4, 1.0], [2.6, 1.0], [7.0, 5.0]])
    hints = SparseMotion(positions, torch.zeros(2, 3, 2), torch.ones(2, 3, dtype=torch.bool), 6, 8)
    region = painted(6, 8, 0, 3, 6, 6)
    assert inside(hints, region).tolist() == [False, True, False]
