"""A click finds the thing under it."""

import math

import numpy as np
import pytest
import torch

from mofa.errors import InputError
from mofa.vision.select import grab_cut, grow_region

HEIGHT, WIDTH = 90, 120


def scene() -> tuple[torch.Tensor, torch.Tensor]:
    """A textured disc on textured ground, and where it is."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    disc = ((x - 50).square() + (y - 40).square() < 22**2)[None]
    colours = torch.where(
        disc, torch.tensor([0.8, 0.3, 0.2])[:, None, None], torch.tensor([0.2, 0.45, 0.3])[:, None, None]
    )
    return (colours + 0.05 * torch.randn(3, HEIGHT, WIDTH, generator=generator)).clamp(0, 1), disc


def overlap(region: torch.Tensor, thing: torch.Tensor) -> float:
    chosen = region > 0.5
    return float((chosen & thing).sum() / (chosen | thing).sum())


@pytest.mark.parametrize("click", [(50.0, 40.0), (35.2, 45.7), (50.0, 24.0)])
def test_a_click_on_a_disc_selects_the_disc(click) -> None:
    picture, disc = scene()
    assert overlap(grow_region(picture, *click), disc) > 0.95


def test_a_click_on_the_ground_selects_the_ground() -> None:
    picture, disc = scene()
    assert overlap(grow_region(picture, 110.0, 80.0), ~disc) > 0.9


def test_large_pictures_are_selected_at_their_own_size() -> None:
    picture, disc = scene()
    enlarged = picture.repeat_interleave(5, 1).repeat_interleave(5, 2)
    region = grow_region(enlarged, 252.0, 202.0)
    assert overlap(region, disc.repeat_interleave(5, 1).repeat_interleave(5, 2)) > 0.95


def test_small_holes_are_filled_and_the_edge_is_soft() -> None:
    picture, _ = scene()
    picture[:, 38:41, 55:58] = 0
    region = grow_region(picture, 45.0, 35.0)
    assert (region[:, 36:43, 53:60] == 1).all()
    soft = (region > 0) & (region < 1)
    assert 1 < soft.sum() / (2 * math.pi * 22) < 3  # a pixel on either side of the outline


def test_the_same_click_finds_the_same_thing() -> None:
    picture, _ = scene()
    assert torch.equal(grow_region(picture, 50.0, 40.0), grow_region(picture, 50.0, 40.0))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (5, 3), (40, 60)])
def test_one_colour_gives_a_region_around_the_click(size) -> None:
    region = grow_region(torch.full((3, *size), 0.5), size[1] / 2 - 0.5, size[0] / 2 - 0.5)
    assert region.shape == (1, *size)
    assert region[0, size[0] // 2, size[1] // 2] > 0.5


@pytest.mark.parametrize("click", [(-1.0, 5.0), (120.0, 5.0), (5.0, 90.0), (float("nan"), 5.0)])
def test_a_click_outside_is_refused(click) -> None:
    with pytest.raises(InputError, match="outside the picture, which is 120 x 90"):
        grow_region(torch.zeros(3, HEIGHT, WIDTH), *click)


def test_what_is_certainly_outside_is_never_taken_back() -> None:
    """Colours of the thing elsewhere in the picture do not join it, however near."""
    picture = np.full((80, 120, 3), 230, np.uint8)
    picture[20:40, 20:40] = picture[20:40, 70:90] = (200, 40, 40)
    thing = np.zeros((80, 120), bool)
    thing[18:42, 18:42] = True
    certain = np.where(thing, 0, -1)
    certain[30, 30] = 1
    found = grab_cut(picture, thing, certain)
    assert found[22:38, 22:38].all()
    assert not found[:, 45:].any()
