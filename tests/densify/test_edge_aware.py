"""What dense motion from a few hints must be, whatever the picture."""

import numpy as np
import pytest
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from mofa.densify.edge_aware import bridge_gaps, spread_hints
from mofa.tensors.flow import affine_flow, bilinear_sample
from mofa.types import FlowField, SparseMotion

SIZE = (144, 176)
TEXTURES = ("noise", "stripes", "tiles", "dots", "clouds")
SHAPES = ("disc", "box", "blob")


def flow_of(
    picture: Float[Tensor, "3 H W"],
    hints: SparseMotion,
    region: Float[Tensor, "1 H W"] | None = None,
) -> FlowField:
    return spread_hints(picture, hints, region).at_every_step()


def texture(rng: np.random.Generator, kind: str, colour: NDArray[np.float64]) -> NDArray[np.float64]:
    """[3, H, W] around `colour`, with edges of its own, in steps or smooth, grey or coloured."""
    y, x = np.indices(SIZE)
    match kind:
        case "noise":
            pattern = np.stack(
                [gaussian_filter(rng.normal(size=SIZE), rng.uniform(0.7, 3)) for _ in range(3)]
            )
            pattern /= pattern.std()
        case "stripes":
            angle = rng.uniform(0, np.pi)
            wave = (x * np.cos(angle) + y * np.sin(angle)) / rng.uniform(4, 14)
            pattern = np.sign(np.sin(2 * np.pi * wave))[None]
        case "tiles":
            side = rng.integers(3, 13)
            pattern = ((x // side + y // side) % 2 * 2.0 - 1)[None]
        case "dots":
            points = gaussian_filter((rng.random(SIZE) < 0.004).astype(float), rng.uniform(1, 2.5))
            pattern = (points > np.quantile(points, 0.8))[None] * 2.0 - 1
        case _:
            pattern = sum(gaussian_filter(rng.normal(size=SIZE), r) * r for r in (1, 3, 8, 20))[None]
            pattern = (pattern - pattern.mean()) / pattern.std()
    return colour[:, None, None] + rng.uniform(0.05, 0.12) * rng.uniform(0.5, 1, (3, 1, 1)) * pattern


def thing(rng: np.random.Generator, shape: str) -> NDArray[np.bool_]:
    y, x = np.indices(SIZE)
    down, right = y - rng.uniform(0.3, 0.7) * SIZE[0], x - rng.uniform(0.3, 0.7) * SIZE[1]
    radius, angle = rng.uniform(0.12, 0.28) * SIZE[0], np.arctan2(down, right)
    match shape:
        case "disc":
            return down**2 + right**2 < radius**2
        case "box":
            turn = rng.uniform(0, np.pi)
            along = right * np.cos(turn) + down * np.sin(turn)
            across = down * np.cos(turn) - right * np.sin(turn)
            return (abs(along) < radius) & (abs(across) < radius * rng.uniform(0.5, 1))
        case _:
            waves = [rng.normal(scale=0.12) * np.cos(k * angle + rng.uniform(0, 6)) for k in (2, 3, 4)]
            return np.hypot(down, right) < radius * (1 + sum(waves))


def scene(seed: int) -> tuple[Float[Tensor, "3 H W"], Bool[Tensor, "H W"], NDArray[np.float64]]:
    """A textured thing on a textured ground, its mask, and one to three sub-pixel places well inside it."""
    rng = np.random.default_rng(seed)
    mask = thing(rng, SHAPES[seed % 3])
    middle, direction = rng.uniform(0.35, 0.65, 3), rng.normal(size=3)
    offset = rng.uniform(0.08, 0.25) * direction / np.linalg.norm(direction)
    kinds = rng.choice(TEXTURES, 2)
    inside, outside = texture(rng, kinds[0], middle + offset), texture(rng, kinds[1], middle - offset)
    picture = np.where(mask, inside, outside) + rng.normal(scale=0.01, size=(3, *SIZE))
    depth = gaussian_filter(mask.astype(float), 3) * mask
    places = np.argwhere(depth >= np.quantile(depth[mask], 0.4))
    chosen = rng.choice(places, 1 + seed % 3, replace=False)[:, ::-1] + rng.uniform(
        -0.4, 0.4, (1 + seed % 3, 2)
    )
    return torch.from_numpy(picture.clip(0, 1)).float(), torch.from_numpy(mask), chosen


def along(
    places: NDArray[np.float64] | list, displacement: NDArray[np.float64] | list, steps: int = 3
) -> SparseMotion:
    """Hints that go straight, in equal steps."""
    positions = torch.tensor(np.asarray(places), dtype=torch.float32)
    end = torch.tensor(np.asarray(displacement), dtype=torch.float32).expand(len(positions), 2)
    fraction = torch.arange(1, steps + 1) / steps
    known = torch.ones(steps, len(positions), dtype=torch.bool)
    return SparseMotion(positions, fraction[:, None, None] * end, known, *SIZE)


def at_hints(field: FlowField, hints: SparseMotion) -> Float[Tensor, "S N 2"]:
    return bilinear_sample(field.pixels, hints.positions.T.expand(len(field.pixels), -1, -1)).mT


def moves(field: FlowField, length: float) -> Bool[Tensor, "H W"]:
    return field.pixels[-1].norm(dim=0) > length / 2


@pytest.mark.parametrize("seed", range(9))
def test_a_thing_moves_and_the_ground_stays(seed: int) -> None:
    picture, mask, places = scene(seed)
    # Every third motion is purely horizontal or vertical: 0 on one axis is motion all the same.
    end = [(14.0, 0.0), (0.0, -14.0), (9.0, 11.0)][seed // 3]
    hints = along(places, end)
    field = flow_of(picture, hints)
    moved = moves(field, np.hypot(*end))
    assert moved[mask].float().mean() >= 0.9
    assert moved[~mask].float().mean() <= 0.05
    assert (at_hints(field, hints) - hints.displacement).abs().max() < 1e-3
    assert field.valid.all()


@pytest.mark.slow
def test_things_and_ground_hold_over_many_scenes() -> None:
    failed = []
    for seed in range(100, 150):
        picture, mask, places = scene(seed)
        moved = moves(flow_of(picture, along(places, (9.0, 8.0), 1)), 12.0)
        if moved[mask].float().mean() < 0.9 or moved[~mask].float().mean() > 0.05:
            failed.append(seed)
    assert len(failed) <= 1, failed


def two_discs() -> tuple[Float[Tensor, "3 H W"], Bool[Tensor, "H W"], Bool[Tensor, "H W"]]:
    y, x = np.indices(SIZE)
    left, right = np.hypot(x - 50, y - 70) < 24, np.hypot(x - 125, y - 75) < 24
    rng = np.random.default_rng(3)
    ground = texture(rng, "noise", np.array([0.3, 0.5, 0.4]))
    picture = np.where(left, texture(rng, "tiles", np.array([0.8, 0.3, 0.3])), ground)
    picture = np.where(right, texture(rng, "stripes", np.array([0.4, 0.4, 0.8])), picture)
    return torch.from_numpy(picture.clip(0, 1)).float(), torch.from_numpy(left), torch.from_numpy(right)


def test_two_things_go_their_own_ways() -> None:
    picture, left, right = two_discs()
    field = flow_of(picture, along([(50, 70), (125, 75)], [(12, 0), (-12, 4)]))
    assert (field.pixels[-1, 0][left] > 6).float().mean() > 0.9
    assert (field.pixels[-1, 0][right] < -6).float().mean() > 0.9
    assert moves(field, 12)[~left & ~right].float().mean() < 0.05


def test_an_anchor_holds_its_thing_still() -> None:
    picture, left, right = two_discs()
    field = flow_of(picture, along([(50, 70), (125, 75)], [(12, 0), (0, 0)]))
    assert moves(field, 12)[left].float().mean() > 0.9
    assert field.pixels[-1, :, 75, 125].abs().max() < 1e-4
    assert moves(field, 12)[right].float().mean() < 0.05


def test_hints_that_span_the_picture_and_agree_carry_the_ground() -> None:
    picture, _, _ = two_discs()
    corners = [(12.3, 10.0), (160.0, 12.5), (14.0, 130.0), (158.0, 128.7), (90.0, 60.0)]
    matrix = torch.tensor([[[1.06, -0.04, 5.0], [0.04, 1.06, -9.0]]])
    wanted = affine_flow(matrix, *SIZE)
    positions = torch.tensor(corners)
    displacement = bilinear_sample(wanted, positions.T[None]).mT
    hints = SparseMotion(positions, displacement, torch.ones(1, 5, dtype=torch.bool), *SIZE)
    field = flow_of(picture, hints)
    assert (field.pixels - wanted).norm(dim=1).mean() < 0.3
    assert field.valid.all()


def test_a_thing_moves_against_a_moving_ground() -> None:
    picture, left, _ = two_discs()
    corners = [(12.3, 10.0), (160.0, 12.5), (14.0, 130.0), (158.0, 128.7)]
    hints = along([*corners, (50, 70)], [*[(6.0, 2.0)] * 4, (-8.0, 0.0)])
    last = flow_of(picture, hints).pixels[-1]
    ground = torch.tensor([6.0, 2.0])[:, None]
    assert ((last[:, left] - torch.tensor([-8.0, 0.0])[:, None]).norm(dim=0) < 3).float().mean() > 0.9
    assert ((last[:, ~left] - ground).norm(dim=0) < 1).float().mean() > 0.9


def test_a_region_is_carried_whole_and_alone() -> None:
    picture, _, _ = two_discs()
    region = torch.zeros(1, *SIZE)
    region[:, 40:90, 60:110] = 0.4
    hints = along([(80, 60), (10, 10)], [(7, 0), (0, 30)])
    field = flow_of(picture, hints, region)
    assert torch.equal(field.valid, (region > 0).expand_as(field.valid))
    assert (field.pixels[-1][:, region[0] > 0] - torch.tensor([7.0, 0.0])[:, None]).abs().max() < 1e-2
    assert not field.pixels[:, :, region[0] == 0].any()


def test_nothing_is_known_without_hints() -> None:
    picture, _, _ = two_discs()
    hints = SparseMotion(torch.zeros(0, 2), torch.zeros(2, 0, 2), torch.zeros(2, 0, dtype=torch.bool), *SIZE)
    field = flow_of(picture, hints)
    assert not field.valid.any()
    assert not field.pixels.any()


def test_steps_without_a_word_are_not_valid_and_gaps_are_bridged() -> None:
    picture, _, _ = two_discs()
    hints = along([(50, 70), (125, 75)], [(12, 0), (-12, 4)], 4)
    known = torch.tensor([[True, True], [True, False], [False, False], [True, True]])
    field = flow_of(picture, SparseMotion(hints.positions, hints.displacement, known, *SIZE))
    assert field.valid.flatten(1).all(dim=1).tolist() == [True, True, False, True]
    assert (at_hints(field, hints) - hints.displacement)[[0, 1, 3]].abs().max() < 1e-3
    assert not field.pixels[2].any()


def test_a_vanishing_hint_keeps_up_with_the_others() -> None:
    path = np.arange(5.0)[:, None, None] * np.array([[[2.0, 0.0], [2.0, 1.0]]])
    known = np.ones((5, 2), dtype=bool)
    known[3:, 1] = False
    spoilt = np.where(known[..., None], path, 99.0)
    bridged = bridge_gaps(spoilt, known)
    assert np.allclose(bridged[:, :, 0], path[:, :, 0])
    assert np.allclose(bridged[:3], path[:3])


def test_hints_close_together_are_all_met() -> None:
    picture, _, _ = two_discs()
    hints = along(
        [(50.2, 70.1), (53.4, 70.6), (51.0, 74.0), (175.0, 143.0), (0.0, 0.0)], np.arange(10.0).reshape(5, 2)
    )
    assert (at_hints(flow_of(picture, hints), hints) - hints.displacement).abs().max() < 0.05


def test_the_picture_keeps_its_dtype_and_a_tiny_one_works() -> None:
    hints = SparseMotion(
        torch.tensor([[2.0, 1.0]]), torch.ones(2, 1, 2), torch.ones(2, 1, dtype=torch.bool), 5, 7
    )
    field = flow_of(torch.rand(3, 5, 7), hints)
    assert field.pixels.dtype == torch.float32
    assert (bilinear_sample(field.pixels, hints.positions.T.expand(2, -1, -1)) - 1).abs().max() < 1e-3


def test_hints_of_a_scene_tell_of_its_rest() -> None:
    rng = np.random.default_rng(5)
    left = torch.arange(SIZE[1]).expand(SIZE) < 100
    sides = texture(rng, "tiles", np.array([0.7, 0.4, 0.3])), texture(rng, "noise", np.array([0.3, 0.4, 0.6]))
    picture = torch.from_numpy(np.where(left, *sides).clip(0, 1)).float()
    places = [(8.0, 10.0), (88.0, 12.0), (50.0, 70.0), (10.0, 130.0), (86.0, 134.0), (60.0, 40.0)]
    anchors = [(115.0, 15.0), (165.0, 40.0), (120.0, 128.0), (168.0, 120.0)]
    positions = torch.tensor([*places, *anchors])
    turning = affine_flow(torch.tensor([[[1.0, -0.08, 12.0], [0.08, 1.0, 2.0]]]), *SIZE)
    wanted = turning * left
    displacement = bilinear_sample(turning, positions.T[None]).mT * (positions[:, :1] < 100)
    hints = SparseMotion(positions, displacement, torch.ones(1, 10, dtype=torch.bool), *SIZE)
    field = flow_of(picture, hints)

    y, x = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    nearest = torch.cdist(torch.stack([x, y], dim=-1).flatten(0, 1).float(), positions).argmin(dim=1)
    rival = displacement[:, nearest].mT.reshape(wanted.shape)
    error, rivals_error, error_if_all_turned = (
        (motion - wanted).norm(dim=1)[0] for motion in (field.pixels, rival, turning)
    )
    assert error[left].mean() < 0.6 * rivals_error[left].mean()
    assert error[~left].mean() < 0.25 * error_if_all_turned[~left].mean()
    assert (at_hints(field, hints) - displacement).abs().max() < 0.05
