"""What is selected: the very pixels that a bare drag from there moves."""

import pytest
import torch

from mofa.densify.edge_aware import spread_hints
from mofa.errors import InputError
from mofa.pipeline.selected import select_thing
from mofa.types import SparseMotion
from mofa.vision.things import SharpSense


@pytest.mark.parametrize("start", [(44.0, 48.0), (84.0, 40.0)])
def test_a_selection_is_what_a_bare_drag_from_there_moves(discs, start: tuple[float, float]) -> None:
    picture = discs.picture()
    drag = SparseMotion(
        torch.tensor([start]),
        torch.tensor([[[6.0, 3.0]]]),
        torch.ones(1, 1, dtype=torch.bool),
        discs.height,
        discs.width,
    )
    flow = spread_hints(picture, drag, sense=SharpSense(lambda _: discs)).at_every_step()
    moves = flow.pixels[0].norm(dim=0) > 0
    assert moves.any()
    assert torch.equal(select_thing(picture, discs, [start]).region[0] == 1, moves)


def test_a_selection_ends_where_the_colours_end(discs) -> None:
    selected = select_thing(discs.picture(), discs, [(44.0, 48.0)])
    assert discs.overlap(selected.region, discs.disc(0, 20)) > 0.93
    assert not selected.on_a_border


def test_a_level_and_more_clicks_say_which(discs) -> None:
    picture = discs.picture()
    both = discs.disc(0, 20) | discs.disc(1, 20)
    assert discs.overlap(select_thing(picture, discs, [(44.0, 48.0)], level="group").region, both) > 0.9
    assert discs.overlap(select_thing(picture, discs, [(44.0, 48.0), (84.0, 48.0)]).region, both) > 0.9
    alone = select_thing(picture, discs, [(44.0, 48.0), (84.0, 48.0)], beside=[(84.0, 50.0)])
    assert discs.overlap(alone.region, discs.disc(0, 20)) > 0.9


def test_a_click_on_the_border_of_two_things_takes_the_nearer_one_and_says_so(discs) -> None:
    selected = select_thing(discs.picture(), discs, [(63.2, 48.0)])
    assert selected.on_a_border
    assert discs.overlap(selected.region, discs.disc(0, 20)) > 0.85


def test_points_outside_the_picture_are_refused(discs) -> None:
    with pytest.raises(InputError, match="outside the picture"):
        select_thing(discs.picture(), discs, [(44.0, 48.0)], beside=[(500.0, 5.0)])
