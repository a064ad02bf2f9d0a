"""What is selected: the very pixels that a bare drag from there moves."""

import pytest
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mofa.densify.edge_aware import spread_hints
from mofa.errors import InputError
from mofa.pipeline.selected import select_thing
from mofa.types import SparseMotion, ThingsAt
from mofa.vision.things import SharpSense

HEIGHT, WIDTH = 96, 128


class Discs:
    """Two discs that touch, each with a smaller disc as its part; known at a quarter of the size."""

    def __init__(self) -> None:
        self.centres = ((44.0, 48.0), (84.0, 48.0))

    def disc(self, which: int, radius: float, step: int = 1) -> Bool[Tensor, "h w"]:
        y, x = (torch.arange(n // step) * step + (step - 1) / 2 for n in (HEIGHT, WIDTH))
        cx, cy = self.centres[which]
        return (x[None] - cx).square() + (y[:, None] - cy).square() < radius**2

    def picture(self) -> Float[Tensor, "3 H W"]:
        colours = torch.full((3, HEIGHT, WIDTH), 0.85)
        for which, colour in enumerate(([0.8, 0.2, 0.2], [0.2, 0.3, 0.8])):
            colours[:, self.disc(which, 20)] = torch.tensor(colour)[:, None]
        return colours + 0.02 * torch.randn(colours.shape, generator=torch.Generator().manual_seed(0))

    def ask(self, points: Float[Tensor, "K P 2"], signs: Float[Tensor, "K P"]) -> ThingsAt:
        answers, scores = [], []
        for clicks, kinds in zip(points, signs, strict=True):
            on = {self.nearest(click) for click in clicks[kinds > 0]}
            off = {self.nearest(click) for click in clicks[kinds < 0]}
            thing = torch.stack([self.disc(w, 19, 4) for w in on - off] or [self.disc(0, 0, 4)]).any(0)
            part = torch.stack([self.disc(w, 8, 4) for w in on - off] or [self.disc(0, 0, 4)]).any(0)
            group = self.disc(0, 19, 4) | self.disc(1, 19, 4)
            answers.append(torch.stack([part, thing, group]).float() * 2 - 1)
            scores.append(torch.tensor([0.5, 0.9, 0.6]))
        return ThingsAt(torch.stack(answers), torch.stack(scores), torch.ones(len(points)))

    def glance(self, points: Float[Tensor, "K 1 2"]) -> ThingsAt:
        return self.ask(points, torch.ones(points.shape[:2]))

    def nearest(self, click: Float[Tensor, "2"]) -> int:
        return int(abs(click[0] - self.centres[0][0]) > abs(click[0] - self.centres[1][0]))


def overlap(region: Float[Tensor, "1 H W"], thing: Bool[Tensor, "H W"]) -> float:
    chosen = region[0] > 0.5
    return float((chosen & thing).sum() / (chosen | thing).sum())


@pytest.mark.parametrize("start", [(44.0, 48.0), (84.0, 40.0)])
def test_a_selection_is_what_a_bare_drag_from_there_moves(start: tuple[float, float]) -> None:
    discs = Discs()
    picture = discs.picture()
    drag = SparseMotion(
        torch.tensor([start]), torch.tensor([[[6.0, 3.0]]]), torch.ones(1, 1, dtype=torch.bool), HEIGHT, WIDTH
    )
    flow = spread_hints(picture, drag, sense=SharpSense(lambda _: discs)).at_every_step()
    moves = flow.pixels[0].norm(dim=0) > 0
    assert moves.any()
    assert torch.equal(select_thing(picture, discs, [start]).region[0] == 1, moves)


def test_a_selection_ends_where_the_colours_end() -> None:
    discs = Discs()
    selected = select_thing(discs.picture(), discs, [(44.0, 48.0)])
    assert overlap(selected.region, discs.disc(0, 20)) > 0.93
    assert not selected.on_a_border


def test_a_level_and_more_clicks_say_which() -> None:
    discs = Discs()
    picture = discs.picture()
    both = discs.disc(0, 20) | discs.disc(1, 20)
    assert overlap(select_thing(picture, discs, [(44.0, 48.0)], level="group").region, both) > 0.9
    assert overlap(select_thing(picture, discs, [(44.0, 48.0), (84.0, 48.0)]).region, both) > 0.9
    alone = select_thing(picture, discs, [(44.0, 48.0), (84.0, 48.0)], beside=[(84.0, 50.0)])
    assert overlap(alone.region, discs.disc(0, 20)) > 0.9


def test_a_click_on_the_border_of_two_things_takes_the_nearer_one_and_says_so() -> None:
    discs = Discs()
    selected = select_thing(discs.picture(), discs, [(63.2, 48.0)])
    assert selected.on_a_border
    assert overlap(selected.region, discs.disc(0, 20)) > 0.85


def test_points_outside_the_picture_are_refused() -> None:
    discs = Discs()
    with pytest.raises(InputError, match="outside the picture"):
        select_thing(discs.picture(), discs, [(44.0, 48.0)], beside=[(500.0, 5.0)])
