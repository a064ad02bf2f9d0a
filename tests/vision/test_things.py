"""Outlines and selections of what a sense of things knows coarsely."""

import itertools

import torch

from mofa.vision.things import SharpSense, outlines_at


def test_outlines_are_nested_and_scored(discs) -> None:
    found = outlines_at(discs.picture(), discs, 44.0, 48.0)
    assert [one.level for one in found] == ["part", "thing", "group"]
    assert all(((a.region <= b.region).all()) for a, b in itertools.pairwise(found))
    assert max(found, key=lambda one: one.score).level == "thing"


def test_a_sense_is_sharpened_for_few_questions_only(discs) -> None:
    look = SharpSense(lambda picture: discs)(discs.picture())
    points, signs = torch.tensor([[[44.0, 48.0]]]), torch.ones(1, 1)
    found = look.ask(points, signs)
    fine = (
        torch.nn.functional.interpolate(found.logits[:, 1:2], (discs.height, discs.width), mode="bilinear")
        > 0
    )
    rough = (
        torch.nn.functional.interpolate(discs.ask(points, signs).logits[:, 1:2], (discs.height, discs.width))
        > 0
    )
    thing = discs.disc(0, 20)
    assert discs.overlap(fine[0].float(), thing) > max(0.95, discs.overlap(rough[0].float(), thing))
    many = look.ask(points.expand(9, -1, -1), signs.expand(9, -1))
    assert torch.equal(many.logits[0], discs.ask(points, signs).logits[0])


def test_what_is_mere_ground_keeps_its_rough_outline(discs) -> None:
    discs.is_thing = torch.tensor([0.9, 0.1])
    points, signs = torch.tensor([[[44.0, 48.0]]] * 2), torch.ones(2, 1)
    found = SharpSense(lambda picture: discs)(discs.picture()).ask(points, signs).logits[:, 1:2]
    rough = torch.nn.functional.interpolate(
        discs.ask(points, signs).logits[:, 1:2], found.shape[2:], mode="bilinear"
    )
    assert torch.equal(found[1], rough[1])
    assert not torch.equal(found[0], rough[0])
