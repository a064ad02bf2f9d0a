"""What a drag moves where somebody knows the things of a picture."""

from dataclasses import dataclass, field

import pytest
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mofa.densify.edge_aware import spread_hints
from mofa.densify.things import is_thing
from mofa.types import FlowField, SenseOfThings, SparseMotion, ThingsAt

HEIGHT, WIDTH = 72, 96


@dataclass
class Oracle:
    """Knows the things of one picture, and remembers what it was asked."""

    things: list[Bool[Tensor, "H W"]]
    asked: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def __call__(self, picture: Float[Tensor, "3 H W"]) -> "Oracle":
        return self

    def ask(self, points: Float[Tensor, "K P 2"], signs: Float[Tensor, "K P"]) -> ThingsAt:
        self.asked.append((points, signs))
        answers = torch.full((len(points), 3, HEIGHT, WIDTH), -4.0)
        for answer, (x, y) in zip(answers, points[:, 0].round().long().tolist(), strict=True):
            for thing in self.things:
                if thing[y, x]:
                    answer[:, thing] = 4.0
        found = (answers[:, 1] > 0).any((1, 2)).float()
        return ThingsAt(answers, torch.ones(len(points), 3), found)

    def glance(self, points: Float[Tensor, "K 1 2"]) -> ThingsAt:
        return self.ask(points, torch.ones(points.shape[:2]))


def flow_of(
    picture: Float[Tensor, "3 H W"],
    hints: SparseMotion,
    region: Float[Tensor, "1 H W"] | None = None,
    sense: SenseOfThings | None = None,
) -> FlowField:
    return spread_hints(picture, hints, region, sense=sense).at_every_step()


def box(left: int, top: int, right: int, bottom: int) -> Bool[Tensor, "H W"]:
    inside = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    inside[top:bottom, left:right] = True
    return inside


def spotted(thing: Bool[Tensor, "H W"]) -> Float[Tensor, "3 H W"]:
    """A thing of two colours, one of which the ground has too: its colours cannot tell it."""
    picture = torch.full((3, HEIGHT, WIDTH), 0.9)
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    picture[:, thing & ((x // 8 + y // 8) % 2 == 0)] = 0.1
    return picture


def drags(*moves: tuple[float, float, float, float]) -> SparseMotion:
    placed = torch.tensor(moves).float()
    known = torch.ones(1, len(placed), dtype=torch.bool)
    return SparseMotion(placed[:, :2], placed[None, :, 2:], known, HEIGHT, WIDTH)


def test_one_drag_moves_the_whole_thing_and_nothing_else() -> None:
    thing = box(20, 16, 68, 56)
    flow = flow_of(spotted(thing), drags((30, 30, 9, -4)), sense=Oracle([thing])).pixels[0]
    moved = (flow - torch.tensor([9.0, -4.0])[:, None, None]).norm(dim=0) < 0.5
    assert moved[thing].float().mean() > 0.97
    assert moved[~thing].float().mean() < 0.03


def test_what_is_apart_from_the_hint_stays_even_if_it_looks_the_same() -> None:
    near, far = box(8, 20, 40, 50), box(60, 20, 90, 50)
    flow = flow_of(spotted(near | far), drags((20, 30, 6, 0)), sense=Oracle([near | far])).pixels[0]
    assert flow[:, far].abs().max() == 0
    assert (flow[0, near] - 6).abs().mean() < 0.3


def test_anchors_are_told_as_points_beside_the_thing() -> None:
    thing = box(20, 16, 68, 56)
    oracle = Oracle([thing])
    flow_of(spotted(thing), drags((30, 30, 9, 0), (80, 40, 0, 0)), sense=oracle)
    points, signs = oracle.asked[0]
    assert signs[0].tolist() == [1, -1]
    assert points[0, 1].tolist() == [80, 40]
    assert signs[1].tolist() == [1, 0]


def test_two_drags_on_one_thing_bend_it_as_one() -> None:
    thing = box(10, 16, 86, 56)
    flow = flow_of(spotted(thing), drags((16, 36, 0, 6), (80, 36, 0, -6)), sense=Oracle([thing])).pixels[0]
    assert flow[1, 36, 48].abs() < 1
    assert flow[:, ~thing].norm(dim=0).mean() < 0.3


def test_where_a_region_is_painted_nobody_is_asked() -> None:
    region = box(10, 10, 40, 40)[None].float()

    def never(picture: Float[Tensor, "3 H W"]) -> Oracle:
        pytest.fail("the region says what moves")

    flow_of(spotted(region[0] > 0), drags((20, 20, 5, 5)), region, sense=never)


def test_a_drag_on_nothing_moves_a_soft_patch_and_not_the_scene() -> None:
    thing = box(60, 40, 90, 66)
    flow = flow_of(spotted(thing), drags((20, 20, 5, 3)), sense=Oracle([thing])).pixels[0]
    torch.testing.assert_close(flow[:, 20, 20], torch.tensor([5.0, 3.0]))
    speed = flow.norm(dim=0)
    assert speed[thing].max() == 0
    assert (speed > 0.1).float().mean() < 0.12
    # It folds nowhere, and ends without an edge.
    steps = torch.cat([flow.diff(dim=1).abs().flatten(), flow.diff(dim=2).abs().flatten()])
    assert steps.max() < 0.9


def test_a_doubtful_answer_that_does_not_trust_itself_is_no_thing() -> None:
    chances, scores = torch.tensor([0.5, 0.8, 0.8, 0.99]), torch.tensor([0.9, 0.9, 0.3, 0.3])
    answers = ThingsAt(torch.zeros(4, 3, 2, 2), scores[:, None].expand(-1, 3), chances)
    assert is_thing(answers).tolist() == [False, True, False, True]


def test_in_a_scene_of_many_hints_a_thing_lets_the_ground_go_where_colours_tell_nothing() -> None:
    thing, plain = box(24, 12, 72, 60), torch.full((3, HEIGHT, WIDTH), 0.5)
    corners = [(30, 18, 6, 0), (64, 18, 6, 1), (30, 54, 5, 0), (64, 54, 6, -1)]
    around = [(6, 6, 0, 0), (88, 6, 0, 0), (6, 66, 0, 0), (88, 66, 3, 0)]
    hints = drags(*corners, *around)
    aware, blind = (flow_of(plain, hints, sense=sense).pixels[0] for sense in (Oracle([thing]), None))
    still = box(12, 20, 18, 50)
    assert aware[:, still].norm(dim=0).mean() < 0.8 * blind[:, still].norm(dim=0).mean()
    inside = box(34, 22, 60, 50)
    assert (aware[0, inside] - 5.8).abs().mean() < (blind[0, inside] - 5.8).abs().mean() + 0.1
