"""What belongs to a thing on the ground and in water."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mofa.vision.shadow import shadow_of

HEIGHT, WIDTH = 120, 160


def box(top: int, bottom: int, left: int = 60, right: int = 100) -> Bool[Tensor, "H W"]:
    inside = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    inside[top:bottom, left:right] = True
    return inside


def ground(brightness: float) -> Float[Tensor, "3 H W"]:
    noise = torch.randn(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    return (brightness + 0.01 * noise).clamp(0, 1)


def overlap(found: Float[Tensor, "1 H W"] | None, wanted: Bool[Tensor, "H W"]) -> float:
    assert found is not None
    chosen = found[0] > 0.5
    return float((chosen & wanted).sum() / (chosen | wanted).sum())


def test_what_is_darker_than_the_ground_and_clings_to_the_thing_is_its_shadow() -> None:
    picture, thing = ground(0.7), box(40, 70)
    picture[:, box(70, 80, 60, 130)] *= 0.5
    picture[:, box(100, 110, 10, 40)] *= 0.5
    picture[:, thing] = torch.tensor([0.9, 0.2, 0.1])[:, None]
    assert overlap(shadow_of(picture, thing[None].float()), box(70, 80, 60, 130)) > 0.7


def test_what_looks_like_the_thing_upside_down_is_its_reflection() -> None:
    picture, thing = ground(0.1), box(30, 60)
    for top, bottom, colour in ((30, 45, 0.9), (45, 60, 0.6), (60, 75, 0.5), (75, 90, 0.8)):
        picture[:, box(top, bottom)] = colour
    assert overlap(shadow_of(picture, thing[None].float()), box(60, 90)) > 0.7


def test_a_thing_on_even_ground_has_neither() -> None:
    picture, thing = ground(0.7), box(40, 70)
    picture[:, thing] = torch.tensor([0.9, 0.2, 0.1])[:, None]
    assert shadow_of(picture, thing[None].float()) is None
