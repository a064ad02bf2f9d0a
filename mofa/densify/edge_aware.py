"""Dense motion from sparse hints without any weights, spread along the picture's edges.

Three questions, asked once per picture and answered alike for every step, so that the motion is as smooth
in time as the hints are:

1. What belongs together in the picture? (`picture_parts`)
2. Which hints move which part, and does the ground move? (`hint_layers`)
3. How do the hints of one part share its pixels? (`kriging`)

Hints that tell of a whole scene, as those tracked on a real clip do, leave the second question open; its
likely answers share the picture then (`hint_readings`).

They are answered on a bounded grid. Edges, and the cut of a region, are placed at the picture's own
resolution, and a last small correction makes the field exact at every hint.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mofa.densify.hint_motion import HintMotion, Patch, correction
from mofa.densify.kriging import shares
from mofa.densify.layers import (
    HintLayer,
    HintLayerSettings,
    cells_at,
    find_layers,
    ground_hints,
    is_scene,
    place_hints,
)
from mofa.densify.readings import ReadingSettings, scene_shares
from mofa.densify.segments import Array, Indices, Mask, PartSettings, cell_means, lab, make_cells
from mofa.densify.similarity import affine_shares, third_hint
from mofa.densify.things import BELONGS, on_grid, thing_under
from mofa.tensors.geometry import pixel_grid
from mofa.tensors.neighbourhood import window_around
from mofa.tensors.pieces import mixed
from mofa.types import Progress, SenseOfThings, SparseMotion, silent

_MOMENTS = 8
"""Moments of a clip by which hints are told apart when there are too many of them."""


@dataclass(frozen=True)
class EdgeAwareSettings:
    """How motion spreads from hints."""

    parts: PartSettings = field(default_factory=PartSettings)
    """What in the picture belongs together."""
    layers: HintLayerSettings = field(default_factory=HintLayerSettings)
    """Which hints move what."""
    readings: ReadingSettings = field(default_factory=ReadingSettings)
    """What hints of a whole scene may mean."""
    nodes: int = 65
    """Nodes along each side of the grid on which the smooth motion within one layer is computed."""
    most_hints: int = 300
    """Hints of which motion is asked: solving costs the cube of their number. The others are met, too."""
    fade: float = 0.04
    """Furthest reach, as a share of the diagonal, of the correction that makes a hint exact."""


def spread_hints(
    image: Float[Tensor, "3 H W"],
    hints: SparseMotion,
    region: Float[Tensor, "1 H W"] | None = None,
    progress: Progress = silent,
    settings: EdgeAwareSettings = EdgeAwareSettings(),
    sense: SenseOfThings | None = None,
) -> HintMotion:
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
    inside = torch.ones_like(image[:1], dtype=torch.bool) if region is None else region > 0
    usable = _usable(hints, inside)
    known_at = hints.known[:, usable].any(dim=1)
    if len(usable) == 0:
        return HintMotion(image.new_zeros(len(known_at), 0, 2), known_at, inside)
    positions = hints.positions[usable].double().cpu().numpy().clip(0, (width - 1, height - 1))
    known = hints.known[:, usable].cpu().numpy()
    motion = bridge_gaps(hints.displacement[:, usable].double().cpu().numpy(), known)
    asked = representatives(positions, motion, settings.most_hints)

    if region is None:
        progress("densify", 0, 3)
        colour = lab(image)
        cells = make_cells(colour, settings.parts)
        progress("densify", 1, 3)
        look = None if sense is None else sense(image)
        placed = place_hints(
            cells, positions[asked], motion[:, asked], (height, width), settings.layers, look
        )
        ground = ground_hints(placed, settings.layers)
        if len(ground) == 0 and is_scene(cells, placed, settings.layers, settings.parts):
            labels = inside[0].long() - 1
            nodes = _nodes(labels.shape, cells.shape)
            weights = scene_shares(placed, nodes, settings.readings).reshape(-1, *cells.shape)
            patches = [_patch(inside[0], asked, weights, image)]
        else:
            layers = find_layers(cells, placed, ground, settings.layers, settings.parts)
            labels = refine_labels(colour, cells.colour, layers)
            motion, patches = _layer_patches(layers, labels, asked, positions, motion, settings, image)
        progress("densify", 2, 3)
    else:
        layers = [HintLayer(np.arange(len(asked)), np.ones((1, 1), dtype=bool))]
        labels = inside[0].long() - 1
        motion, patches = _layer_patches(layers, labels, asked, positions, motion, settings, image)
    exact = correction(positions, labels, settings.fade * float(np.hypot(height, width)), image)
    progress("densify", 3, 3)
    return HintMotion(torch.from_numpy(motion).to(image), known_at, inside, tuple(patches), exact)


def moved_pixels(
    image: Float[Tensor, "3 H W"],
    logits: Float[Tensor, "h w"],
    places: Float[Tensor, "N 2"] | None,
    settings: EdgeAwareSettings = EdgeAwareSettings(),
) -> Bool[Tensor, "H W"]:
    """What a bare drag at some places (in pixels) moves, given what is known of the thing there.

    Of the answer (logits on any grid) the pieces that hold a place count, without places all of it; they are
    outlined as `spread_hints` does.
    """
    colour = lab(image)
    means = cell_means(colour, settings.parts)
    grid = (means.shape[1], means.shape[2])
    known = on_grid(logits[None], grid).double().cpu().numpy()
    if places is None:
        thing = known[0] > BELONGS
    else:
        cells = cells_at(places.double().cpu().numpy(), (image.shape[1], image.shape[2]), grid)
        thing = thing_under(known.repeat(len(cells), axis=0), cells)
    nobody = np.arange(0)
    layers = [HintLayer(nobody, ~thing), HintLayer(nobody, thing)]
    return refine_labels(colour, means.permute(1, 2, 0).double().cpu().numpy(), layers) == 1


def representatives(positions: Array, motion: Array, most: int) -> Indices:
    """At most so many of the hints, in their order: far from each other in place and in motion.

    Farthest-point sampling (Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985). What
    a picture's layers are, and how motion runs within them, is asked of these; all hints are met in the end.
    """
    if len(positions) <= most:
        return np.arange(len(positions))
    paths = motion[np.linspace(0, len(motion) - 1, min(len(motion), _MOMENTS)).round().astype(int)]
    features = np.concatenate([positions[None], paths]).transpose(1, 0, 2)
    span = np.linalg.norm(np.ptp(positions, axis=0)), max(1e-9, np.linalg.norm(motion, axis=2).max())
    features = features / np.array([span[0], *[span[1] * len(paths) ** 0.5] * len(paths)])[None, :, None]
    points = features.reshape(len(positions), -1)
    chosen = [int(np.linalg.norm(points - points.mean(axis=0), axis=1).argmin())]
    away = np.linalg.norm(points - points[chosen[0]], axis=1)
    while len(chosen) < most and away.max() > 0:
        chosen.append(int(away.argmax()))
        away = np.minimum(away, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return np.sort(np.array(chosen))


def _usable(hints: SparseMotion, inside: Tensor) -> Tensor:
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


def refine_labels(
    colour: Float[Tensor, "3 H W"], means: Array, layers: list[HintLayer]
) -> Int[Tensor, "H W"]:
    """[H, W] layer index of every pixel: near a border the 5 x 5 cells around it vote.

    A cell's vote weighs by nearness in place and in colour (`means` [h, w, 3]): joint bilateral upsampling
    (Kopf and others, 2007) of the layer map, so that the border follows the edges of the full picture.
    """
    height, width = colour.shape[-2:]
    owner = np.argmax([layer.cells for layer in layers], axis=0)
    grid = np.array(owner.shape)
    between = mixed(owner)
    row = ((np.arange(height) + 0.5) * grid[0] / height - 0.5).clip(0, grid[0] - 1)
    column = ((np.arange(width) + 0.5) * grid[1] / width - 0.5).clip(0, grid[1] - 1)
    cell_row, cell_column = row.round().astype(int), column.round().astype(int)
    labels = owner[cell_row[:, None], cell_column[None]]
    y, x = np.nonzero(between[cell_row[:, None], cell_column[None]])
    own = colour[:, torch.from_numpy(y), torch.from_numpy(x)].T.double().cpu().numpy()
    votes = np.zeros((len(layers), len(y)))
    pixels = np.arange(len(y))
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            j = (cell_row[y] + dy).clip(0, grid[0] - 1)
            i = (cell_column[x] + dx).clip(0, grid[1] - 1)
            away = (row[y] - j) ** 2 + (column[x] - i) ** 2
            unlike = ((own - means[j, i]) ** 2).sum(axis=1)
            # The small term decides where no colour is alike.
            votes[owner[j, i], pixels] += np.exp(-away / 2) * (np.exp(-unlike / (2 * 0.1**2)) + 1e-9)
    labels[y, x] = votes.argmax(axis=0)
    return torch.from_numpy(labels).to(colour.device)


def _layer_patches(
    layers: Sequence[HintLayer],
    labels: Int[Tensor, "H W"],
    asked: Indices,
    positions: Array,
    motion: Array,
    settings: EdgeAwareSettings,
    like: Tensor,
) -> tuple[Array, list[Patch]]:
    """What follows the hints of each layer: smooth on few nodes, bilinear in between.

    Also the hints' motion, with that of the helpers which make two hints on one thing a similarity.
    """
    patches = []
    for index, layer in enumerate(layers):
        mask, hints = labels == index, asked[layer.hints]
        if len(hints) == 0 or not bool(mask.any()):
            continue
        rows, columns = window_around(mask, share=0.0, least=0)
        size = rows.stop - rows.start, columns.stop - columns.start
        grid = (settings.nodes, settings.nodes)
        queries = np.array((columns.start, rows.start)) + _nodes(size, grid)
        helper = None
        if len(hints) == 2 and layer.reach is None:
            helper = third_hint(positions[hints], motion[:, hints])
        if helper is None:
            weights = shares(positions[hints], motion[:, hints], queries, 0.5 * float(np.hypot(*mask.shape)))
        else:
            weights = affine_shares(np.vstack([positions[hints], helper[0]]), queries)
            hints = np.append(hints, motion.shape[1])
            motion = np.concatenate([motion, helper[1][:, None]], axis=1)
        patch = _patch(mask, hints, weights.reshape(-1, *grid), like)
        if layer.reach is not None:
            patch = replace(patch, fade=_fade(positions[hints], layer.reach, (rows, columns), like))
        patches.append(patch)
    return motion, patches


def _patch(mask: Bool[Tensor, "H W"], hints: Indices, weights: Array, like: Tensor) -> Patch:
    rows, columns = window_around(mask, share=0.0, least=0)
    held = torch.from_numpy(weights).to(like)
    return Patch(rows, columns, mask[rows, columns], torch.from_numpy(hints).to(mask.device), held)


def _fade(positions: Array, reach: float, window: tuple[slice, slice], like: Tensor) -> Tensor:
    """[h, w] in a window: 1 at hints, falling smoothly to 0 on the way as far as they reach, in pixels."""
    rows, columns = window
    origin = np.array((columns.start, rows.start))
    grid = pixel_grid(rows.stop - rows.start, columns.stop - columns.start, like)
    away = torch.full_like(grid[0], torch.inf)
    for place in torch.from_numpy(positions - origin).to(like):
        away = torch.minimum(away, (grid - place[:, None, None]).square().sum(0))
    return (1 - away / reach**2).clamp(min=0) ** 2


def _nodes(size: Sequence[int], grid: Sequence[int]) -> Array:
    """[h * w, 2]: the centres, in pixels, of the cells of a grid over a picture of some size."""
    y, x = ((np.arange(n) + 0.5) * side / n - 0.5 for side, n in zip(size, grid, strict=True))
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
