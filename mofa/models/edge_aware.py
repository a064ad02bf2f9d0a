"""Dense motion from sparse hints without any weights, spread along the picture's edges.

Three questions, asked once per picture and answered the same way for every step (so that the motion
is as smooth in time as the hints are):

1. Which pixels belong to the thing that a hint sits on? Grown from the hint by region competition
   on local colour statistics (`grow_region`).
2. Does the ground itself move? Only if hints that span the picture agree on one affine motion
   (`ground_hints`); else it stands still.
3. How do the hints of one thing share its pixels? By Gaussian-process regression with an affine
   trend, whose roughness is weighed by evidence (`spread`).

The answers are found on a bounded grid of cells; edges and the region's cut are placed at the
picture's own resolution, and a last small correction makes the field exact at every hint.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from scipy.ndimage import (
    binary_fill_holes,
    distance_transform_edt,
    gaussian_filter,
    label,
    maximum_filter,
    minimum_filter,
    uniform_filter,
)
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import ConvexHull, QhullError
from torch import Tensor

from mofa.tensors.flow import sample
from mofa.types import FlowField, Progress, SparseMotion, silent

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class EdgeAwareSettings:
    """How motion spreads; lengths in cells unless said otherwise."""

    cells: int = 128
    """Cells along the longer side of the grid on which things are told apart."""
    words: int = 24
    """Typical colours-with-roughness into which the picture is quantised."""
    texture_scales: tuple[float, ...] = (1.5, 3.0)
    """Radii of the neighbourhoods whose word counts are compared across an edge."""
    smooth_cost: float = 0.02
    """Geodesic cost of a step without any edge, where a full edge costs 1."""
    start_areas: tuple[float, ...] = (0.01, 0.04, 0.15, 0.4)
    """Shares of the picture from which the growing of a thing is started."""
    rounds: int = 4
    """Rounds of region competition per start."""
    size_preference: float = 0.15
    """Exponent by which larger things win over smaller ones that stand out as clearly."""
    still_px: float = 1.0
    """Hints that never move further than this, in pixels, and ..."""
    still_share: float = 0.1
    """... than this share of the largest motion are anchors."""
    span: float = 0.2
    """Share of the picture that hints must span before they can speak for the ground."""
    agreement: float = 0.25
    """Largest misfit, as a share of the motion, of hints that agree on one motion of the ground."""
    fade: float = 0.04
    """Furthest reach, as a share of the diagonal, of the correction that makes a hint exact."""
    nodes: int = 65
    """Nodes along each side of the grid on which the smooth motion of one thing is computed."""


@dataclass(frozen=True)
class Cells:
    """The picture on the working grid: colours [h, w, 3], words [h, w], and the geodesic graph."""

    colour: Array
    word: Labels
    graph: coo_array


@dataclass(frozen=True)
class Layer:
    """A thing (or the ground): the hints that move it, and on which cells it lies."""

    hints: Labels
    cells: Mask


def densify(
    image: Float[Tensor, "3 H W"],
    hints: SparseMotion,
    region: Float[Tensor, "1 H W"] | None = None,
    progress: Progress = silent,
    settings: EdgeAwareSettings = EdgeAwareSettings(),
) -> FlowField:
    """Dense motion of every pixel from N hints, for S steps at once.

    Without a region: each moving hint carries the thing it sits on, as far as the picture's edges
    say; what no hint reaches is ground and stands still, which is known motion too (`valid` True),
    unless hints that span the picture agree on one affine motion, which then carries the ground.
    With a region (0..1): the hints inside carry all pixels above 0 and nothing else; outside,
    `valid` is False and the motion 0. Hints outside the region are not heard.

    Sampled bilinearly at a hint's position the flow equals its displacement at every step where it
    is known. Where it is not, its neighbours and its own known steps bridge the gap. Steps at which
    no hint is known are not valid anywhere. Hints on one and the same spot share their mean.
    """
    height, width = image.shape[-2:]
    flow = image.new_zeros(len(hints.displacement), 2, height, width)
    inside = torch.ones_like(image[:1], dtype=torch.bool) if region is None else region > 0
    heard = _heard(hints, inside)
    valid = inside & hints.known[:, heard].any(dim=1)[:, None, None, None]
    if len(heard) == 0:
        return FlowField(flow, valid)
    positions = hints.positions[heard].double().cpu().numpy()
    known = hints.known[:, heard].cpu().numpy()
    motion = bridge_gaps(hints.displacement[:, heard].double().cpu().numpy(), known)

    if region is None:
        progress("densify", 0, 3)
        cells = make_cells(image, settings)
        progress("densify", 1, 3)
        layers = find_layers(cells, positions, motion, (height, width), settings)
        progress("densify", 2, 3)
        labels = refine_labels(image, cells, layers)
    else:
        layers = [Layer(np.arange(len(heard)), np.ones((1, 1), dtype=bool))]
        labels = inside[0].long() - 1
    for index, layer in enumerate(layers):
        _paint(flow, labels == index, positions[layer.hints], motion[:, layer.hints], settings)
    _meet_hints(flow, labels, positions, motion, settings.fade * float(np.hypot(height, width)))
    progress("densify", 3, 3)
    return FlowField(flow * valid, valid)


def _heard(hints: SparseMotion, inside: Tensor) -> Tensor:
    """Indices of the hints that are known at some step and start inside the picture and the region."""
    limit = hints.positions.new_tensor([hints.width - 1, hints.height - 1])
    nearest = hints.positions.round()
    within = ((nearest >= 0) & (nearest <= limit)).all(dim=-1)
    column, row = nearest.clamp(torch.zeros_like(limit), limit).long().unbind(-1)
    return (inside[0, row, column] & within & hints.known.any(dim=0)).nonzero()[:, 0]


def bridge_gaps(displacement: Array, known: Mask) -> Array:
    """Displacements [S, N, 2] with unknown steps filled in from the hint's own known ones.

    Linear in time between known steps and constant beyond them, both relative to the mean motion of
    the hints that are known throughout, so that a hint which vanishes keeps up with the others.
    """
    steps = np.arange(len(displacement))
    always = known.all(axis=0)
    common = displacement[:, always].mean(axis=1) if always.any() else np.zeros((len(steps), 2))
    filled = displacement.copy()
    for n in np.flatnonzero(~always):
        when = steps[known[:, n]]
        for axis in range(2):
            own = displacement[when, n, axis] - common[when, axis]
            filled[:, n, axis] = np.interp(steps, when, own) + common[:, axis]
    return filled


# ---------------------------------------------------------------- the picture as cells


def make_cells(image: Tensor, settings: EdgeAwareSettings) -> Cells:
    """Cell colours, word labels and the graph whose edge costs grow with the contrast they cross."""
    lab = _lab(image.float())
    scale = min(1.0, settings.cells / max(image.shape[-2:]))
    size = [max(2, round(length * scale)) for length in image.shape[-2:]]
    mean = F.interpolate(lab[None], size, mode="area")[0]
    spread = F.interpolate(lab[None] ** 2, size, mode="area")[0] - mean**2
    roughness = spread.clamp(min=0).sqrt().sum(dim=0, keepdim=True)
    observed = torch.cat([mean, roughness]).flatten(1).T.double().cpu().numpy()
    _, word = kmeans2(observed, settings.words, iter=8, minit="++", rng=0)
    word = word.reshape(size)
    contrast = sum(_contrast(word, scale, settings.words) for scale in settings.texture_scales)
    return Cells(
        mean.permute(1, 2, 0).double().cpu().numpy(),
        word,
        _graph(settings.smooth_cost + np.asarray(contrast)),
    )


def _lab(image: Tensor) -> Tensor:
    """CIE L*a*b* (D65) over 100, from sRGB 0..1."""
    linear = torch.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
    to_xyz = image.new_tensor([[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0177, 0.1095, 0.8728]])
    xyz = torch.einsum("ij,jhw->ihw", to_xyz, linear)
    f = torch.where(xyz > 0.008856, xyz.clamp(min=1e-9) ** (1 / 3), 7.787 * xyz + 16 / 116)
    return torch.stack([1.16 * f[1] - 0.16, 5 * (f[0] - f[1]), 2 * (f[1] - f[2])])


_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


def _contrast(word: Labels, scale: float, words: int) -> Array:
    """Chi-squared distance, 0..1, of the word counts on both sides of every step to a neighbour.

    The texture gradient of Martin, Fowlkes and Malik (2004) with Gaussian neighbourhoods: blind to
    a texture's own edges, awake to where it ends. Returns [4, h, w] for the steps of _NEIGHBOURS.
    """
    counts = np.stack(
        [gaussian_filter((word == k).astype(np.float32), scale, truncate=2.5) for k in range(words)]
    )
    reach = max(1, round(scale))
    padded = np.pad(counts, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    height, width = word.shape

    def shifted(dy: int, dx: int) -> NDArray[np.float32]:
        return padded[:, reach + dy : reach + dy + height, reach + dx : reach + dx + width]

    contrasts = []
    for dy, dx in _NEIGHBOURS:
        ahead = reach if dy * dx == 0 else max(1, round(0.7 * reach))
        one, other = shifted(dy * ahead, dx * ahead), shifted(-dy * (ahead - 1), -dx * (ahead - 1))
        contrasts.append(0.5 * ((one - other) ** 2 / (one + other + 1e-6)).sum(axis=0))
    return np.stack(contrasts).astype(np.float64)


def _graph(cost: Array) -> coo_array:
    """The 8-connected graph of cells; cost [4, h, w] is per unit of length."""
    _, height, width = cost.shape
    index = np.arange(height * width).reshape(height, width)
    start, end, weight = [], [], []
    for (dy, dx), step in zip(_NEIGHBOURS, cost, strict=True):
        rows, left, right = slice(0, height - dy), max(0, -dx), width - max(0, dx)
        start.append(index[rows, left:right].ravel())
        end.append(index[dy:, left + dx : right + dx].ravel())
        weight.append((np.hypot(dy, dx) * step[rows, left:right]).ravel())
    ends = (np.concatenate(start), np.concatenate(end))
    return coo_array((np.concatenate(weight), ends), shape=(height * width,) * 2).tocsr()


# ---------------------------------------------------------------- which hints move what


def find_layers(
    cells: Cells, positions: Array, motion: Array, size: tuple[int, int], settings: EdgeAwareSettings
) -> list[Layer]:
    """The ground first, then every thing; their cells partition the grid."""
    grid = np.array(cells.word.shape)
    place = np.floor((positions[:, ::-1] + 0.5) * grid / size).astype(int).clip(0, grid - 1)
    place = place[:, 0] * grid[1] + place[:, 1]
    distance = dijkstra(cells.graph, directed=False, indices=place).reshape(-1, *grid)
    ground = ground_hints(positions, motion, size, settings)
    rest = np.setdiff1d(np.arange(len(positions)), ground)
    still = rest[anchors(motion[:, rest], settings)] if len(ground) == 0 else rest[:0]
    moving = np.setdiff1d(rest, still)

    groups = things(moving, motion)
    grown = [grow_region(cells.word, distance, place, group, still, settings) for group in groups]
    groups, grown = join_shared(groups, grown, place)
    if len(still) and len(moving) >= 3:
        near = distance[moving].min(axis=0) < distance[still].min(axis=0)
        between = near & _hull_cells(positions[moving], size, cells.word.shape)
    else:
        between = np.zeros(cells.word.shape, dtype=bool)

    # Where regions overlap, and between the hints, the nearest hint along the picture's edges wins.
    nearness = np.stack([distance[group].min(axis=0) for group in groups]) if groups else np.zeros((0, *grid))
    covered = np.stack([region | between for region in grown]) if groups else np.zeros((0, *grid), dtype=bool)
    owner = np.where(
        covered.any(axis=0), np.where(covered, nearness, np.inf).argmin(axis=0) if groups else 0, -1
    )
    return [Layer(ground, owner == -1)] + [Layer(g, owner == k) for k, g in enumerate(groups)]


def anchors(motion: Array, settings: EdgeAwareSettings) -> Labels:
    """Indices of the hints that stand still: they never move far, for sure or beside the others."""
    if motion.shape[1] == 0:
        return np.zeros(0, dtype=int)
    furthest = np.linalg.norm(motion, axis=2).max(axis=0)
    return np.flatnonzero(furthest <= min(settings.still_px, settings.still_share * furthest.max()))


def ground_hints(
    positions: Array, motion: Array, size: tuple[int, int], settings: EdgeAwareSettings
) -> Labels:
    """Indices of the hints that span the picture and agree on one affine motion; else none.

    Each hint is predicted from the others; the worst one is dropped until the rest agree or no
    longer are most of the hints, or no longer span the picture.
    """
    agreed = np.arange(len(positions))
    while len(agreed) >= max(3, 0.6 * len(positions)) and _spans(positions[agreed], size, settings.span):
        misfit = np.sqrt((leave_one_out(positions[agreed], motion[:, agreed], size) ** 2).mean(axis=(0, 2)))
        typical = np.sqrt((motion[:, agreed] ** 2).mean())
        if typical <= settings.still_px:
            return agreed[:0]
        if misfit.max() <= max(0.5, settings.agreement * typical):
            return agreed
        agreed = np.delete(agreed, misfit.argmax())
    return agreed[:0]


def leave_one_out(positions: Array, motion: Array, size: tuple[int, int]) -> Array:
    """[S, N, 2]: how far each hint is from the affine motion of the others (ridge on its slopes)."""
    centred = (positions - positions.mean(axis=0)) / (0.5 * np.hypot(*size))
    covariance = 1e4 + centred @ centred.T + 1e-3 * np.eye(len(positions))
    inverse = np.linalg.inv(covariance)
    return np.einsum("nm,smc->snc", inverse / np.diag(inverse)[:, None], motion)


def _spans(positions: Array, size: tuple[int, int], share: float) -> bool:
    extent = np.ptp(positions, axis=0) / np.array(size)[::-1]
    try:
        return bool(extent.min() >= 0.4 and ConvexHull(positions).volume >= share * size[0] * size[1])
    except QhullError:
        return False


def _hull_cells(positions: Array, size: tuple[int, int], grid: tuple[int, ...]) -> Mask:
    """Cells whose centre lies in the convex hull of the positions."""
    try:
        half_planes = ConvexHull(positions).equations
    except QhullError:
        return np.zeros(grid, dtype=bool)
    y, x = ((np.indices(grid) + 0.5).T * (np.array(size) / grid) - 0.5).T
    return (
        half_planes[:, 0, None, None] * x + half_planes[:, 1, None, None] * y
        <= -half_planes[:, 2, None, None]
    ).all(axis=0)


def things(moving: Labels, motion: Array) -> list[Labels]:
    """Groups of hints that move alike: linked where they differ by less than 0.6 of their motion."""
    if len(moving) == 0:
        return []
    paths = motion[:, moving].transpose(1, 0, 2).reshape(len(moving), -1)
    length = np.linalg.norm(paths, axis=1)
    apart = np.linalg.norm(paths[:, None] - paths[None], axis=2)
    alike = apart <= 0.6 * np.maximum(length[:, None], length[None])
    group = np.arange(len(moving))
    for n in range(len(moving)):
        group[np.isin(group, group[alike[n]])] = group[n]
    return [moving[group == g] for g in np.unique(group)]


def join_shared(groups: list[Labels], regions: list[Mask], place: Labels) -> tuple[list[Labels], list[Mask]]:
    """Groups whose hints lie in each other's region are one thing that does not move alike."""
    k = 0
    while k < len(groups):
        for j in range(k + 1, len(groups)):
            mutual = regions[k].ravel()[place[groups[j]]].all() and regions[j].ravel()[place[groups[k]]].all()
            if mutual:
                groups[k] = np.concatenate([groups[k], groups.pop(j)])
                regions[k] = regions[k] | regions.pop(j)
                k = -1
                break
        k += 1
    return groups, regions


def grow_region(
    word: Labels, distance: Array, place: Labels, group: Labels, still: Labels, settings: EdgeAwareSettings
) -> Mask:
    """The cells of the thing on which a group of hints sits.

    Region competition (Zhu and Yuille, 1996) between inside and outside, each described by its word
    counts, from several starts; of the regions found, the one whose counts differ most from those of
    the ring around it (Jensen-Shannon divergence) wins. A tile of a texture stands out from its
    neighbours less than the whole textured thing does from the ground, hence texture does not stop it.
    """
    seeds = np.ones(word.size, dtype=bool)
    seeds[place[group]] = False
    straight = distance_transform_edt(seeds.reshape(word.shape))
    geodesic = distance[group].min(axis=0)
    core = straight <= 2
    best, best_score = core, 0.0
    for reach in (geodesic, straight):
        for area in settings.start_areas:
            region = reach <= np.quantile(reach, area)
            for _ in range(settings.rounds):
                grown = _compete(word, region, core, place[group], settings.words)
                if np.array_equal(grown, region):
                    break
                region = grown
            region = binary_fill_holes(region)
            share = region.mean()
            if share > 0.6:
                continue
            intruders = region.ravel()[place[still]].mean() if len(still) else 0.0
            score = _distinctness(word, region, settings.words) * share**settings.size_preference
            score *= 1 - 0.5 * intruders
            if score > best_score:
                best, best_score = region, score
    return best


def _compete(word: Labels, region: Mask, core: Mask, seeds: Labels, words: int) -> Mask:
    """One round: the connected cells around the seeds that look more like the inside."""
    log_ratio = np.log(np.divide(*_word_shares(word, region, ~region, words, prior=0.5 * words)))
    evidence = log_ratio.clip(-3, 3).astype(np.float32)[word]
    for _ in range(2):
        evidence = uniform_filter(evidence, 5, mode="nearest")
    parts, count = label((evidence > 0) | core)
    keep = np.zeros(count + 1, dtype=bool)
    keep[parts.ravel()[seeds]] = True
    return keep[parts]


def _distinctness(word: Labels, region: Mask, words: int) -> float:
    """Jensen-Shannon divergence, 0..1, of the words inside and in the ring of equal area around."""
    outside = distance_transform_edt(~region)
    beyond = outside[~region]
    size = min(len(beyond) - 1, max(40, int(region.sum())))
    ring = ~region & (outside <= np.partition(beyond, size)[size])
    one, other = _word_shares(word, region, ring, words, prior=1.0)
    mean = 0.5 * (one + other)
    return float(0.5 * (one * np.log2(one / mean) + other * np.log2(other / mean)).sum())


def _word_shares(word: Labels, inside: Mask, outside: Mask, words: int, prior: float) -> tuple[Array, Array]:
    """Share of each word in two sets of cells, drawn towards their common share by `prior` counts."""
    one = np.bincount(word[inside], minlength=words)
    other = np.bincount(word[outside], minlength=words)
    common = (one + other + 1e-6) / (one + other + 1e-6).sum()
    return (one + prior * common) / (one.sum() + prior), (other + prior * common) / (other.sum() + prior)


# ---------------------------------------------------------------- at the picture's own resolution


def refine_labels(image: Tensor, cells: Cells, layers: list[Layer]) -> Tensor:
    """[H, W] layer index of every pixel: near a border the 5 x 5 cells around it vote.

    A cell's vote weighs by nearness in place and in colour: joint bilateral upsampling (Kopf and
    others, 2007) of the layer map, so that the border follows the edges of the full picture.
    """
    height, width = image.shape[-2:]
    owner = np.argmax([layer.cells for layer in layers], axis=0)
    grid = np.array(owner.shape)
    mixed = maximum_filter(owner, 3) != minimum_filter(owner, 3)
    row = ((np.arange(height) + 0.5) * grid[0] / height - 0.5).clip(0, grid[0] - 1)
    column = ((np.arange(width) + 0.5) * grid[1] / width - 0.5).clip(0, grid[1] - 1)
    cell_row, cell_column = row.round().astype(int), column.round().astype(int)
    labels = owner[cell_row[:, None], cell_column[None]]
    y, x = np.nonzero(mixed[cell_row[:, None], cell_column[None]])
    colour = _lab(image.float())[:, y, x].T.double().cpu().numpy()
    votes = np.zeros((len(layers), len(y)))
    pixels = np.arange(len(y))
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            j = (cell_row[y] + dy).clip(0, grid[0] - 1)
            i = (cell_column[x] + dx).clip(0, grid[1] - 1)
            away = (row[y] - j) ** 2 + (column[x] - i) ** 2
            unlike = ((colour - cells.colour[j, i]) ** 2).sum(axis=1)
            votes[owner[j, i], pixels] += np.exp(-away / 2 - unlike / (2 * 0.1**2)) + 1e-9 * np.exp(-away)
    labels[y, x] = votes.argmax(axis=0)
    return torch.from_numpy(labels).to(image.device)


_AFFINE, _REACH, _NOISE = (0.3, 1.0, 3.0), (0.2, 0.4, 0.8), (0.003, 0.03)


def spread(positions: Array, motion: Array, queries: Array, scale: float) -> Array:
    """Motion [S, Q, 2] at the queries [Q, 2] from that of N hints of one thing.

    Kriging with a constant and an affine trend and Matern-3/2 residuals; the mean over a small set
    of prior slopes, reaches and noise levels, each weighed by its marginal likelihood (Rasmussen and
    Williams, 2006, eq. 5.8). The weights do not depend on the step. `scale` is the length unit in
    pixels.
    """
    centre = positions.mean(axis=0)
    here, there = (positions - centre) / scale, (queries - centre) / scale
    apart = np.linalg.norm(here[:, None] - here[None], axis=2)
    away = np.linalg.norm(here[:, None] - there[None], axis=2)
    observed = motion.transpose(1, 0, 2).reshape(len(positions), -1)
    evidence, weights = [], []
    for slope in _AFFINE:
        for reach in _REACH:
            prior = 1e3 + slope * here @ here.T + _matern(apart / reach)
            for noise in _NOISE:
                covariance = prior + noise * np.eye(len(positions))
                inverse = np.linalg.inv(covariance)
                variance = np.einsum("ni,nm,mi->", observed, inverse, observed) / len(positions) + 1e-12
                evidence.append(-len(positions) * np.log(variance) - np.linalg.slogdet(covariance)[1])
                weights.append(inverse @ (1e3 + slope * here @ there.T + _matern(away / reach)))
    share = np.exp(np.array(evidence) - max(evidence))
    mean = np.einsum("k,knq->nq", share / share.sum(), np.array(weights))
    return np.einsum("nq,snc->sqc", mean, motion)


def _matern(distance: Array) -> Array:
    return (1 + distance) * np.exp(-distance)


def _paint(flow: Tensor, mask: Tensor, positions: Array, motion: Array, settings: EdgeAwareSettings) -> None:
    """Write the motion of one layer into its pixels: smooth on few nodes, bilinear in between."""
    if len(positions) == 0 or not bool(mask.any()):
        return
    height, width = mask.shape
    rows, columns = mask.any(dim=1).nonzero()[:, 0], mask.any(dim=0).nonzero()[:, 0]
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    y, x = (np.linspace(low, high - 1, settings.nodes) for low, high in ((top, bottom), (left, right)))
    queries = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    nodes = spread(positions, motion, queries, 0.5 * float(np.hypot(height, width)))
    coarse = (
        torch.from_numpy(nodes).to(flow).reshape(-1, settings.nodes, settings.nodes, 2).permute(0, 3, 1, 2)
    )
    box = mask[top:bottom, left:right]
    for step, motion_here in enumerate(coarse):
        fine = F.interpolate(
            motion_here[None], (bottom - top, right - left), mode="bilinear", align_corners=True
        )[0]
        window = flow[step, :, top:bottom, left:right]
        torch.where(box, fine, window, out=window)


def _meet_hints(flow: Tensor, labels: Tensor, positions: Array, motion: Array, fade_px: float) -> None:
    """Add what is missing at every hint, fading out over half the way to the next hint at most.

    The fade stays in the hint's own layer; the up to four pixels that a bilinear sample at the hint
    reads always belong, unless they lie outside the region.
    """
    height, width = labels.shape
    apart = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    reach = np.where(apart < 1e-3, np.inf, 0.5 * apart).min(axis=1).clip(1.5, max(1.5, fade_px))
    y, x = np.indices((height, width), sparse=True)
    windows, fades = [], []
    for (px, py), radius in zip(positions, reach, strict=True):
        rows = slice(max(0, int(py - radius)), int(py + radius) + 2)
        columns = slice(max(0, int(px - radius)), int(px + radius) + 2)
        down, right = y[rows] - py, x[:, columns] - px
        around = labels[rows, columns].cpu().numpy()
        own = around == int(labels[round(py), round(px)])
        read = (np.abs(down) < 1) & (np.abs(right) < 1)
        fade = (1 - (down**2 + right**2) / radius**2).clip(0) ** 2
        fades.append(np.where((own | read) & (around >= 0), fade, 0.0))
        windows.append((rows, columns))

    seen = torch.from_numpy(positions.T[None]).to(flow)
    missing = torch.from_numpy(motion).to(flow) - sample(flow, seen.expand(len(flow), -1, -1)).mT
    overlap = _sampled_fades(fades, windows, positions)
    share = torch.from_numpy(np.linalg.pinv(overlap, rcond=1e-6)).to(flow)
    height_of_fade = torch.einsum("mn,snc->msc", share, missing)
    for fade, (rows, columns), amount in zip(fades, windows, height_of_fade, strict=True):
        flow[:, :, rows, columns] += amount[:, :, None, None] * torch.from_numpy(fade).to(flow)


def _sampled_fades(fades: list[Array], windows: list[tuple[slice, slice]], positions: Array) -> Array:
    """[N, N]: the value of every fade (second axis) sampled bilinearly at every hint (first axis)."""
    column, row = np.floor(positions.T).astype(int)
    right, down = (positions - np.floor(positions)).T
    values = np.zeros((len(positions), len(fades)))
    for n, (fade, (rows, columns)) in enumerate(zip(fades, windows, strict=True)):
        padded = np.pad(fade, 1)
        j = (row - rows.start + 1).clip(0, padded.shape[0] - 2)
        i = (column - columns.start + 1).clip(0, padded.shape[1] - 2)
        above = (1 - right) * padded[j, i] + right * padded[j, i + 1]
        below = (1 - right) * padded[j + 1, i] + right * padded[j + 1, i + 1]
        inside = (j == row - rows.start + 1) & (i == column - columns.start + 1)
        values[:, n] = np.where(inside, (1 - down) * above + down * below, 0.0)
    return values
