"""Holes are filled from around them: what is outside stays, what was inside is forgotten, patterns go on."""

import pytest
import torch
from torch import Tensor

from mofa.vision.inpaint import flow_in, inpaint


def hole_in(height: int, width: int, rows: slice, columns: slice) -> Tensor:
    hole = torch.zeros(height, width, dtype=torch.bool)
    hole[rows, columns] = True
    return hole


NONE = torch.zeros(48, 64, dtype=torch.bool)


@pytest.mark.slow
def test_outside_the_hole_the_picture_is_untouched() -> None:
    picture = torch.rand(3, 48, 64)
    assert torch.equal(inpaint(picture, NONE, NONE), picture)
    hole = hole_in(48, 64, slice(8, 36), slice(10, 40))
    filled = inpaint(picture, hole, NONE)
    assert torch.equal(filled[:, ~hole], picture[:, ~hole])
    assert not torch.equal(filled[:, hole], picture[:, hole])


@pytest.mark.slow
def test_what_was_in_the_hole_is_forgotten() -> None:
    picture, hole = torch.rand(3, 48, 64), hole_in(48, 64, slice(8, 36), slice(10, 40))
    assert torch.equal(inpaint(picture, hole, NONE), inpaint(picture.where(~hole, 1), hole, hole))


def test_nothing_is_taken_from_what_is_foreign() -> None:
    picture = torch.tensor([0.1, 0.7, 0.1]).view(3, 1, 1).repeat(1, 48, 64)
    thing, hole = hole_in(48, 64, slice(8, 40), slice(8, 56)), hole_in(48, 64, slice(10, 38), slice(8, 20))
    picture[:, thing] = torch.tensor([0.9, 0.1, 0.1])[:, None]
    filled = inpaint(picture, hole, thing)
    assert (filled[0][hole] < 0.12).all()
    assert torch.equal(filled[:, thing & ~hole], picture[:, thing & ~hole])


@pytest.mark.slow
def test_a_pattern_goes_on_behind_the_hole() -> None:
    stripes = (torch.arange(96) // 6 % 2).float().expand(3, 96, 96) * 0.8 + 0.1
    hole = hole_in(96, 96, slice(30, 66), slice(26, 68))
    filled = inpaint(stripes, hole, hole)
    miss = (filled - stripes)[:, hole].abs().mean()
    assert miss < 0.1
    assert miss < 0.5 * (flow_in(stripes, hole) - stripes)[:, hole].abs().mean()


def test_between_two_poles_the_sky_goes_on_and_not_the_poles() -> None:
    generator = torch.Generator().manual_seed(0)
    shade = torch.linspace(0.2, 0.6, 128)[:, None].expand(128, 96)
    sky = torch.stack([0.4 * shade, 0.6 * shade, shade]) + 0.01 * torch.randn(3, 128, 96, generator=generator)
    photo, yellow = sky.clone(), torch.tensor([0.9, 0.7, 0.2])[:, None, None]
    photo[:, 24:, 34:38] = photo[:, 24:, 58:62] = yellow
    hole, thing = (
        hole_in(128, 96, slice(30, 120), slice(41, 55)),
        hole_in(128, 96, slice(26, 124), slice(37, 59)),
    )
    filled = inpaint(photo.where(~thing, 1), hole, thing)
    assert (filled - sky)[:, hole].abs().mean() < 0.03


def test_pictures_with_hardly_anything_known_are_filled_too() -> None:
    picture = torch.full((3, 12, 12), 0.4)
    hole = ~hole_in(12, 12, slice(0, 12), slice(0, 2))
    torch.testing.assert_close(inpaint(picture.where(~hole, 1), hole, hole), picture, atol=0.01, rtol=0)
    assert torch.equal(inpaint(picture, hole, torch.ones(12, 12, dtype=torch.bool)), picture)
