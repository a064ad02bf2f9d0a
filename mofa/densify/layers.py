"""Which hints move what: a picture's cells shared out among groups of hints."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mofa.densify.kriging import leave_one_out
from mofa.densify.segments import Array, Cells, Indices, Mask, PartSettings, grow_thing, travel_cost
from mofa.densify.things import Known, thing_under, things_of_hints
from mofa.types import LookedAt


@dataclass(frozen=True)
class HintLayerSettings:
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
    """Misfit, as a share of the motion, up to which hints agree on one affine motion; ..."""
    own: float = 1.0
    """... and from which on one that does not agree moves a thing of its own."""
    steepest: float = 0.4
    """Change of motion per pixel above which an affine motion is no camera's (a still half, a fast half)."""
    scene_hints: int = 4
    """Moving hints from which on they may tell of a whole scene, ..."""
    scene_span: float = 0.03
    """... if they enclose at least this share of the picture, ..."""
    whole_span: float = 0.1
    """... or, where no slow hint tells of the rest, this one."""
    patch: float = 0.16
    """Reach, in half diagonals, of a hint on mere ground: enough to be seen; ..."""
    patch_moves: float = 1.7
    """... but at least so many times as far as it moves: the fade folds the picture below 1.54."""


@dataclass(frozen=True)
class HintLayer:
    """Cells that move together, and the hints that move them; no hints: the cells stand still.

    A layer with a `reach`, in pixels, is no thing: its motion fades out on the way that far from its hints.
    """

    hints: Indices
    cells: Mask
    reach: float | None = None


@dataclass(frozen=True)
class PlacedHints:
    """What the hints say (positions [N, 2] and motion [S, N, 2], in pixels), and where on the grid.

    `places` are indices into the flat grid of `cells`; `known` tells what things the hints sit on, where
    somebody can tell.
    """

    cells: Cells

    positions: Array
    motion: Array
    places: Indices
    size: tuple[int, int]
    known: Known | None = None

    @property
    def unit(self) -> float:
        """Half the diagonal, in pixels."""
        return 0.5 * float(np.hypot(*self.size))

    @cached_property
    def cost(self) -> Array:
        """[N, h, w]: that of the cheapest way from each hint to every cell."""
        return travel_cost(self.cells, self.places)


def place_hints(
    cells: Cells,
    positions: Array,
    motion: Array,
    size: tuple[int, int],
    settings: HintLayerSettings,
    look: LookedAt | None = None,
) -> PlacedHints:
    """The hints on the grid of cells."""
    places = cells_at(positions, size, cells.shape)
    if look is None:
        return PlacedHints(cells, positions, motion, places, size)
    known = things_of_hints(look, positions, _anchors(motion, settings), cells.shape)
    return PlacedHints(cells, positions, motion, places, size, known)


def cells_at(positions: Array, size: tuple[int, int], grid: tuple[int, ...]) -> Indices:
    """[N]: the cell, an index into the flat grid, that holds each of some positions [N, 2] in pixels."""
    ends = np.array(grid)
    row, column = np.floor((positions[:, ::-1] + 0.5) * ends / size).astype(np.int64).clip(0, ends - 1).T
    return row * ends[1] + column


def _anchors(motion: Array, settings: HintLayerSettings) -> Mask:
    """[N]: the hints that hold their place while others move."""
    furthest = np.linalg.norm(motion, axis=2).max(axis=0)
    return furthest <= min(settings.still_px, settings.still_share * furthest.max())


def is_scene(cells: Cells, placed: PlacedHints, settings: HintLayerSettings, parts: PartSettings) -> bool:
    """Whether the hints tell of all parts of a picture: many move, over a wide area.

    Hints that move and sit on one small thing, which fills what they enclose, tell of that thing alone.
    """
    furthest = np.linalg.norm(placed.motion, axis=2).max(axis=0)
    moving = np.flatnonzero(furthest > settings.still_px)
    some_slow = furthest.min() <= settings.slow_share * furthest.max()
    span = settings.scene_span if some_slow else settings.whole_span
    if len(moving) < settings.scene_hints or _enclosed(placed.positions[moving], placed.size) < span:
        return False
    return not _is_one_thing(cells, placed, moving, parts)


def find_layers(
    cells: Cells, placed: PlacedHints, ground: Indices, settings: HintLayerSettings, parts: PartSettings
) -> list[HintLayer]:
    """The ground first, then what moves on it; their cells cover the grid once.

    Each group of hints that move alike moves the thing it sits on. The ground follows its hints; without
    any it stands still, and so does the thing that a hint which does not move sits on.
    """
    still = np.flatnonzero(_anchors(placed.motion, settings)) if len(ground) == 0 else ground[:0]
    others = np.setdiff1d(np.arange(len(placed.positions)), np.concatenate([ground, still]))
    return things(cells, placed, ground, alike(others, placed.motion, settings.alike), still, settings, parts)


def ground_hints(placed: PlacedHints, settings: HintLayerSettings) -> Indices:
    """The hints that span the picture and agree on one affine motion, not nearly zero; else none.

    The hint that the others predict worst is dropped until those left agree, as long as they are most.
    """
    agreed = np.arange(len(placed.positions))
    while len(agreed) >= max(3, 0.7 * len(placed.positions)):
        if not _spans(placed.positions[agreed], placed.size, settings.span):
            break
        typical = np.sqrt((placed.motion[:, agreed] ** 2).mean())
        misfit = _misfit(placed, agreed)
        if typical <= settings.still_px:
            break
        if misfit.max() <= max(0.5, settings.tight * typical):
            steep = _steepest(placed.positions[agreed], placed.motion[:, agreed]) > settings.steepest
            others = np.setdiff1d(np.arange(len(placed.positions)), agreed)
            astray = [_misfit(placed, np.append(agreed, one))[-1] >= settings.own * typical for one in others]
            return agreed[:0] if steep or not all(astray) else agreed
        agreed = np.delete(agreed, misfit.argmax())
    return agreed[:0]


def _misfit(placed: PlacedHints, hints: Indices) -> Array:
    """How far each of some hints is from the affine motion of the others (root mean square)."""
    error = leave_one_out(placed.positions[hints], placed.motion[:, hints], placed.unit)
    return np.sqrt((error**2).mean(axis=(0, 2)))


def alike(hints: Indices, motion: Array, share: float) -> list[Indices]:
    """Groups of hints linked by motions that differ by no more than a share of the larger one."""
    paths = motion[:, hints].transpose(1, 0, 2).reshape(len(hints), 2 * len(motion))
    length = np.linalg.norm(paths, axis=1)
    apart = np.array([np.linalg.norm(paths - path, axis=1) for path in paths]).reshape(len(hints), len(hints))
    linked = apart <= share * np.maximum(length[:, None], length[None])
    group = np.arange(len(hints))
    for n in range(len(hints)):
        group[np.isin(group, group[linked[n]])] = group[n]
    return [hints[group == g] for g in np.unique(group)]


def things(
    cells: Cells,
    placed: PlacedHints,
    ground: Indices,
    groups: list[Indices],
    still: Indices,
    settings: HintLayerSettings,
    parts: PartSettings,
) -> list[HintLayer]:
    """Each group of hints moves the thing it sits on, or, on mere ground, a soft patch around itself."""
    grown = [
        _thing(cells, placed, g, still, parts)
        if (reach := _reach(placed, g, settings)) is None
        else _near(placed, g, reach, cells.shape)
        for g in groups
    ]
    groups, grown = _joined(groups, grown, placed.places)
    # Where things overlap, the surer answer decides, or else the nearer hint.
    far = placed.cost if placed.known is None else -placed.known.logits
    cost = [np.where(t, far[g].min(axis=0), np.inf) for g, t in zip(groups, grown, strict=True)]
    # A finite cost that any way on the grid undercuts: what no thing reaches is ground.
    anywhere = np.full((1, *cells.shape), 1e9)
    owner = np.concatenate([anywhere, *(c[None] for c in cost)]).argmin(axis=0)
    reaches = [None, *(_reach(placed, group, settings) for group in groups)]
    return [
        HintLayer(group, owner == k, reach)
        for k, (group, reach) in enumerate(zip([ground, *groups], reaches, strict=True))
    ]


def _reach(placed: PlacedHints, hints: Indices, settings: HintLayerSettings) -> float | None:
    """How far from hints on mere ground their motion reaches, in pixels; None: they sit on a thing."""
    if placed.known is None or placed.known.is_thing[hints].any():
        return None
    furthest = float(np.linalg.norm(placed.motion[:, hints], axis=2).max())
    return max(settings.patch * placed.unit, settings.patch_moves * furthest)


def _near(placed: PlacedHints, hints: Indices, reach: float, grid: tuple[int, int]) -> Mask:
    """The cells within some pixels of hints."""
    rows, columns = ((np.arange(n) + 0.5) * side / n - 0.5 for n, side in zip(grid, placed.size, strict=True))
    x, y = placed.positions[hints].T[:, :, None, None]
    return np.any(np.hypot(columns[None, None] - x, rows[None, :, None] - y) < reach, axis=0)


def _thing(cells: Cells, placed: PlacedHints, hints: Indices, still: Indices, parts: PartSettings) -> Mask:
    """The cells of what some hints that move alike sit on; things that hold a still hint count less."""
    if placed.known is not None:
        return thing_under(placed.known.logits[hints], placed.places[hints])
    return grow_thing(
        cells.word, placed.cost[hints].min(axis=0), placed.places[hints], placed.places[still], parts
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


def _is_one_thing(cells: Cells, placed: PlacedHints, moving: Indices, parts: PartSettings) -> bool:
    """Whether one thing explains the moving hints: small, it fills their hull and holds no other hint."""
    # Few scenes have so many hints, and SciPy takes a while to import.
    from scipy.spatial import ConvexHull

    still = np.setdiff1d(np.arange(len(placed.places)), moving)
    thing = _thing(cells, placed, moving, still, parts)
    height, width = thing.shape
    y, x = np.indices(thing.shape)
    centre_x = (x + 0.5) * placed.size[1] / width - 0.5
    centre_y = (y + 0.5) * placed.size[0] / height - 0.5
    sides = ConvexHull(placed.positions[moving]).equations[:, :, None, None]
    hull = (sides[:, 0] * centre_x + sides[:, 1] * centre_y + sides[:, 2] <= 0).all(axis=0)
    fills = (thing & hull).sum() >= 0.85 * hull.sum()
    return bool(thing.mean() < 0.3 and fills and not thing.ravel()[placed.places[still]].any())


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
    x, y = _hull(positions).T
    doubled = float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())
    return 0.5 * doubled / (size[0] * size[1])


def _hull(positions: Array) -> Array:
    """[K, 2]: the corners of the convex hull, in turn (Andrew, "Another efficient algorithm", 1979)."""
    ordered = np.unique(positions, axis=0)
    corners: list[Array] = []
    for points in (ordered, ordered[::-1]):
        chain: list[Array] = []
        for point in points:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        corners += chain[:-1]
    return np.array(corners).reshape(-1, 2)


def _turn(first: Array, second: Array, third: Array) -> float:
    """Above 0 where the way from the first over the second to the third point turns left."""
    along, on = second - first, third - second
    return float(along[0] * on[1] - along[1] * on[0])
