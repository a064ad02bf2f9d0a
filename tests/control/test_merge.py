"""Painted before unpainted, later before earlier, and validity decides, never the value."""

import torch

from mofa.control.merge import Share, merge
from mofa.types import FlowField

STEPS, HEIGHT, WIDTH = 2, 4, 6


def field(x: float, y: float, valid: slice = slice(None)) -> FlowField:
    """A constant motion, valid in the given columns; elsewhere a value that must never be seen."""
    known = torch.zeros(STEPS, 1, HEIGHT, WIDTH, dtype=torch.bool)
    known[..., valid] = True
    motion = torch.tensor([float(x), float(y)])[None, :, None, None].expand(STEPS, 2, HEIGHT, WIDTH)
    return FlowField(torch.where(known, motion, torch.full_like(motion, 999)), known)


def paint(*columns: int, value: float = 1.0) -> torch.Tensor:
    region = torch.zeros(1, HEIGHT, WIDTH)
    region[..., columns] = value
    return region


def row(layers: list[Share]) -> list[list[float]]:
    """(x, y) of the merged motion along one row; all rows and steps are alike."""
    merged = merge(layers, HEIGHT, WIDTH).over(range(STEPS))
    assert torch.equal(merged.pixels, merged.pixels[:1, :, :1].expand_as(merged.pixels))
    assert (merged.pixels.movedim(1, -1)[~merged.valid[:, 0]] == 0).all()
    return merged.pixels[0, :, 0].T.tolist()


def test_nothing_is_known_without_layers() -> None:
    merged = merge([], HEIGHT, WIDTH).over(range(STEPS))
    assert merged.pixels.shape == (STEPS, 2, HEIGHT, WIDTH)
    assert not merged.valid.any()


def test_a_single_layer_is_itself() -> None:
    only = field(1, 2)
    assert merge([Share(only)], HEIGHT, WIDTH) is only


def test_the_later_of_equals_wins() -> None:
    assert row([Share(field(1, 1)), Share(field(2, 2))]) == [[2, 2]] * 6
    assert row([Share(field(1, 1), paint(0, 1)), Share(field(2, 2), paint(1, 2))])[:4] == [
        [1, 1],
        [2, 2],
        [2, 2],
        [0, 0],
    ]


def test_painted_wins_whatever_the_order() -> None:
    painted, plain = Share(field(1, 1), paint(0, 1)), Share(field(2, 2))
    assert row([painted, plain]) == row([plain, painted]) == [[1, 1]] * 2 + [[2, 2]] * 4


def test_purely_horizontal_motion_survives() -> None:
    assert row([Share(field(3, 4)), Share(field(5, 0), paint(0))])[0] == [5, 0]


def test_an_anchor_that_is_zero_but_valid_wins() -> None:
    assert row([Share(field(3, 4)), Share(field(0, 0), paint(0, 1))])[:3] == [[0, 0], [0, 0], [3, 4]]


def test_where_a_layer_knows_nothing_the_one_below_shows() -> None:
    assert row([Share(field(3, 4)), Share(field(7, 7, slice(0, 2)))]) == [[7, 7]] * 2 + [[3, 4]] * 4
    painted = Share(field(7, 7, slice(0, 2)), paint(1, 2))
    assert row([Share(field(3, 4)), painted]) == [[3, 4], [7, 7]] + [[3, 4]] * 4


def test_nothing_outside_a_region_moves_or_is_known() -> None:
    merged = merge([Share(field(5, 5), paint(2, 3))], HEIGHT, WIDTH).over(range(STEPS))
    assert merged.valid[0, 0, 0].tolist() == [False, False, True, True, False, False]
    assert merged.pixels.abs().sum(dim=(0, 1, 2)).nonzero().flatten().tolist() == [2, 3]


def test_a_soft_edge_fades_into_what_lies_below() -> None:
    soft = paint(0) + paint(1, value=0.25)
    assert row([Share(field(8, 0), soft)])[:3] == [[8, 0], [2, 0], [0, 0]]
    assert row([Share(field(4, 4)), Share(field(8, 0), soft)])[:3] == [[8, 0], [5, 3], [4, 4]]


def test_the_layers_are_left_as_they_were() -> None:
    below, above = field(1, 1), field(2, 2)
    merge([Share(below), Share(above)], HEIGHT, WIDTH).over(range(STEPS))
    assert (below.pixels == 1).all()
