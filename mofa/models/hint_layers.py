"""Which hints move what: a picture's cells shared out among groups of hints."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, QhullError

from mofa.models.kriging import evidence, leave_one_out
from mofa.models.picture_parts import Array, Cells, Indices, Mask, PartSettings, grow_thing, travel_cost


@dataclass(frozen=True)
class LayerSettings:
    """When hints move one thing, when many, and when everything. Shares are of the largest motion."""

    still_px: float = 1.0
    """A hint that never moves further than this, in pixels, may be an anchor; ..."""
    still_share: float = 0.1
    """... it is one if the furthest hint moves this much further."""
    slow_share: float = 0.2
    """Hints below this share are the slow side of a scene that has a fast one."""
    alike: float = 0.6
    """Hints whose motions differ by less than this share of the larger one move one thing."""
    span: float = 0.2
    """Share of the picture that hints must enclose to speak for the ground."""
    tight: float = 0.3
    """Misfit, as a share of the motion, up to which hints agree on one affine motion ..."""
    steepest: float = 0.4
    """Change of motion per pixel above which an affine motion is no camera's (a still half, a fast half)."""
    loose: float = 0.75
    """... and up to which they still tell of one scene, when there is nothing that tells of two."""
    scene_span: float = 0.03
    """Share of the picture that four or more fast hints enclose if slow ones are to share it with them."""
    reach: float = 2.0
    """In such a scene a cell is fast unless a slow hint is nearer by this factor."""


@dataclass(frozen=True)
class Layer:
    """Cells that move together, and the hints that move them; no hints: the cells stand still."""

    hints: Indices
    cells: Mask


@dataclass(frozen=True)
class Told:
    """What the hints say (positions [N, 2] and motion [S, N, 2], in pixels), and where on the grid."""

    positions: Array
    motion: Array
    places: Indices
    cost: Array
    size: tuple[int, int]


def find_layers(
    cells: Cells,
    positions: Array,
    motion: Array,
    size: tuple[int, int],
    settings: LayerSettings,
    parts: PartSettings,
) -> list[Layer]:
    """The ground first, then what moves on it; their cells cover the grid once.

    The first reading of the hints that fits is taken:

    1. Hints that span the picture agree on one motion: the ground follows them, and each thing that
       another hint sits on moves against it.
    2. Four or more fast hints over a wide area, and slow ones: a scene of which all parts are told.
       Every cell follows the hint with the cheapest way to it.
    3. Hints that span the picture and roughly agree: everything follows all of them.
    4. A few hints: each group moves the thing it sits on; the rest stands still.
    """
    grid = np.array(cells.word.shape)
    row, column = np.floor((positions[:, ::-1] + 0.5) * grid / size).astype(np.int64).clip(0, grid - 1).T
    places = row * grid[1] + column
    told = Told(positions, motion, places, travel_cost(cells, places), size)
    everyone = np.arange(len(positions))
    ground = ground_hints(told, settings)
    furthest = np.linalg.norm(motion, axis=2).max(axis=0)
    slow = (furthest <= settings.still_px) | (furthest <= settings.slow_share * furthest.max())
    fast = np.flatnonzero(~slow)

    if (
        not slow.any()
        and _spans(positions, size, settings.span)
        and _disagreement(told, everyone) <= settings.tight
    ):
        return [Layer(everyone, np.ones(cells.word.shape, dtype=bool))]
    if len(ground):
        groups = alike(np.setdiff1d(everyone, ground), motion, settings.alike)
        return things(cells, told, ground, groups, everyone[:0], parts)
    if slow.any() and len(fast) >= 4 and _enclosed(positions[fast], size) >= settings.scene_span:
        thing = grow_thing(cells.word, told.cost[fast].min(axis=0), places[fast], places[slow], parts)
        if not _is_one_thing(thing, told, fast, np.flatnonzero(slow)):
            return scene(told, fast, np.flatnonzero(slow), settings)
    if _spans(positions, size, settings.span) and _disagreement(told, everyone) <= settings.loose:
        return [Layer(everyone, np.ones(cells.word.shape, dtype=bool))]
    still = furthest <= min(settings.still_px, settings.still_share * furthest.max())
    groups = alike(np.flatnonzero(~still), motion, settings.alike)
    return things(cells, told, everyone[:0], groups, np.flatnonzero(still), parts)


def ground_hints(told: Told, settings: LayerSettings) -> Indices:
    """The hints that span the picture and agree on one affine motion, not nearly zero; else none.

    The hint that the others predict worst is dropped until those left agree, as long as they are most.
    """
    agreed = np.arange(len(told.positions))
    while len(agreed) >= max(3, 0.7 * len(told.positions)):
        if not _spans(told.positions[agreed], told.size, settings.span):
            break
        typical = np.sqrt((told.motion[:, agreed] ** 2).mean())
        error = leave_one_out(told.positions[agreed], told.motion[:, agreed], _unit(told.size))
        misfit = np.sqrt((error**2).mean(axis=(0, 2)))
        if typical <= settings.still_px:
            break
        if misfit.max() <= max(0.5, settings.tight * typical):
            steep = _steepest(told.positions[agreed], told.motion[:, agreed]) > settings.steepest
            return agreed[:0] if steep else agreed
        agreed = np.delete(agreed, misfit.argmax())
    return agreed[:0]


def alike(hints: Indices, motion: Array, share: float) -> list[Indices]:
    """Groups of hints linked by motions that differ by no more than a share of the larger one."""
    paths = motion[:, hints].transpose(1, 0, 2).reshape(len(hints), 2 * len(motion))
    length = np.linalg.norm(paths, axis=1)
    apart = np.linalg.norm(paths[:, None] - paths[None], axis=2)
    linked = apart <= share * np.maximum(length[:, None], length[None])
    group = np.arange(len(hints))
    for n in range(len(hints)):
        group[np.isin(group, group[linked[n]])] = group[n]
    return [hints[group == g] for g in np.unique(group)]


def scene(told: Told, fast: Indices, slow: Indices, settings: LayerSettings) -> list[Layer]:
    """All cells shared out: the slow hints' ground, and the fast hints in the likeliest grouping."""
    groupings = [[fast], *(alike(fast, told.motion, k * settings.alike) for k in (0.5, 1.0, 1.5))]
    likely = [evidence(told.positions, told.motion, groups, _unit(told.size)) for groups in groupings]
    groups = [slow, *groupings[int(np.argmax(likely))]]
    cost = np.stack([told.cost[group].min(axis=0) for group in groups])
    cost[0] *= settings.reach
    return _owned(groups, cost.argmin(axis=0))


def things(
    cells: Cells, told: Told, ground: Indices, groups: list[Indices], still: Indices, parts: PartSettings
) -> list[Layer]:
    """Each group of hints moves the thing it sits on; where things overlap, the nearest hint decides."""
    grown = [
        grow_thing(cells.word, told.cost[g].min(axis=0), told.places[g], told.places[still], parts)
        for g in groups
    ]
    groups, grown = _joined(groups, grown, told.places)
    cost = [np.where(t, told.cost[g].min(axis=0), np.inf) for g, t in zip(groups, grown, strict=True)]
    # A finite cost that any way on the grid undercuts: what no thing reaches is ground.
    anywhere = np.full((1, *cells.word.shape), 1e9)
    return list(
        _owned([ground, *groups], np.concatenate([anywhere, *(c[None] for c in cost)]).argmin(axis=0))
    )


def _joined(groups: list[Indices], grown: list[Mask], places: Indices) -> tuple[list[Indices], list[Mask]]:
    """Groups that lie in each other's thing move one thing, however differently they move."""
    joined: list[tuple[Indices, Mask]] = []
    for group, thing in zip(groups, grown, strict=True):
        for k, (other, others_thing) in enumerate(joined):
            if thing.ravel()[places[other]].all() and others_thing.ravel()[places[group]].all():
                joined[k] = (np.concatenate([other, group]), others_thing | thing)
                break
        else:
            joined.append((group, thing))
    return [group for group, _ in joined], [thing for _, thing in joined]


def _owned(groups: list[Indices], owner: Indices) -> list[Layer]:
    return [Layer(group, owner == k) for k, group in enumerate(groups)]


def _is_one_thing(thing: Mask, told: Told, fast: Indices, slow: Indices) -> bool:
    """Whether a grown thing explains the fast hints: small, it fills their hull and holds no slow hint."""
    height, width = thing.shape
    y, x = np.indices(thing.shape)
    centre_x = (x + 0.5) * told.size[1] / width - 0.5
    centre_y = (y + 0.5) * told.size[0] / height - 0.5
    sides = ConvexHull(told.positions[fast]).equations[:, :, None, None]
    hull = (sides[:, 0] * centre_x + sides[:, 1] * centre_y + sides[:, 2] <= 0).all(axis=0)
    fills = (thing & hull).sum() >= 0.85 * hull.sum()
    return bool(thing.mean() < 0.3 and fills and not thing.ravel()[told.places[slow]].any())


def _disagreement(told: Told, hints: Indices) -> float:
    """How far hints are from what the others predict, as a share of their motion (root mean squares)."""
    error = leave_one_out(told.positions[hints], told.motion[:, hints], _unit(told.size))
    return float(np.sqrt((error**2).mean() / max(1e-12, (told.motion[:, hints] ** 2).mean())))


def _steepest(positions: Array, motion: Array) -> float:
    """The largest singular value, over all steps, of the slopes of the affine motion through the hints."""
    around = positions - positions.mean(axis=0)
    slopes = np.einsum("in,snc->sic", np.linalg.pinv(around), motion)
    return float(np.linalg.norm(slopes, ord=2, axis=(1, 2)).max())


def _spans(positions: Array, size: tuple[int, int], share: float) -> bool:
    wide = np.ptp(positions, axis=0) >= 0.4 * np.array(size)[::-1]
    return bool(wide.all() and _enclosed(positions, size) >= share)


def _enclosed(positions: Array, size: tuple[int, int]) -> float:
    """Share of the picture in the convex hull of some positions."""
    try:
        return float(ConvexHull(positions).volume / (size[0] * size[1]))
    except (QhullError, ValueError):  # fewer than three, or in line
        return 0.0


def _unit(size: tuple[int, int]) -> float:
    return 0.5 * float(np.hypot(*size))
