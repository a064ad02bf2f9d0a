"""Outlines and selections of what a sense of things knows coarsely."""

import itertools
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mofa.types import ThingsAt
from mofa.vision.things import SharpSense, outlines_at

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


def test_outlines_are_nested_and_scored() -> None:
    discs = Discs()
    found = outlines_at(discs.picture(), discs, 44.0, 48.0)
    assert [one.level for one in found] == ["part", "thing", "group"]
    assert all(((a.region <= b.region).all()) for a, b in itertools.pairwise(found))
    assert max(found, key=lambda one: one.score).level == "thing"


def test_a_sense_is_sharpened_for_few_questions_only() -> None:
    discs = Discs()
    look = SharpSense(lambda picture: discs)(discs.picture())
    points, signs = torch.tensor([[[44.0, 48.0]]]), torch.ones(1, 1)
    found = look.ask(points, signs)
    fine = torch.nn.functional.interpolate(found.logits[:, 1:2], (HEIGHT, WIDTH), mode="bilinear") > 0
    rough = torch.nn.functional.interpolate(discs.ask(points, signs).logits[:, 1:2], (HEIGHT, WIDTH)) > 0
    thing = discs.disc(0, 20)
    assert overlap(fine[0].float(), thing) > max(0.95, overlap(rough[0].float(), thing))
    many = look.ask(points.expand(9, -1, -1), signs.expand(9, -1))
    assert torch.equal(many.logits[0], discs.ask(points, signs).logits[0])


def test_what_is_mere_ground_keeps_its_rough_outline() -> None:
    class OnGround(Discs):
        def ask(self, points: Float[Tensor, "K P 2"], signs: Float[Tensor, "K P"]) -> ThingsAt:
            return replace(super().ask(points, signs), is_thing=torch.tensor([0.9, 0.1]))

    discs = OnGround()
    points, signs = torch.tensor([[[44.0, 48.0]]] * 2), torch.ones(2, 1)
    found = SharpSense(lambda picture: discs)(discs.picture()).ask(points, signs).logits[:, 1:2]
    rough = torch.nn.functional.interpolate(
        discs.ask(points, signs).logits[:, 1:2], found.shape[2:], mode="bilinear"
    )
    assert torch.equal(found[1], rough[1])
    assert not torch.equal(found[0], rough[0])
