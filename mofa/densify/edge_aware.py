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
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy.ndimage import maximum_filter, minimum_filter
from torch import Tensor

from mofa.densify.kriging import spread
from mofa.densify.layers import Layer, LayerSettings, find_layers, ground_hints, is_scene, listen
from mofa.densify.readings import ReadingSettings, scene_motion
from mofa.densify.segments import Array, Cells, Mask, PartSettings, lab, make_cells
from mofa.tensors.flow import sample
from mofa.tensors.geometry import pixel_grid
from mofa.tensors.neighbourhood import window_around
from mofa.types import FlowField, Progress, SenseOfThings, SparseMotion, silent


@dataclass(frozen=True)
class EdgeAwareSettings:
    """How motion spreads from hints."""

    parts: PartSettings = field(default_factory=PartSettings)
    """What in the picture belongs together."""
    layers: LayerSettings = field(default_factory=LayerSettings)
    """Which hints move what."""
    readings: ReadingSettings = field(default_factory=ReadingSettings)
    """What hints of a whole scene may mean."""
    nodes: int = 65
    """Nodes along each side of the grid on which the smooth motion within one layer is computed."""
    fade: float = 0.04
    """Furthest reach, as a share of the diagonal, of the correction that makes a hint exact."""


def densify(
    image: Float[Tensor, "3 H W"],
    hints: SparseMotion,
    region: Float[Tensor, "1 H W"] | None = None,
    progress: Progress = silent,
    settings: EdgeAwareSettings = EdgeAwareSettings(),
    sense: SenseOfThings | None = None,
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
    positions = hints.positions[heard].double().cpu().numpy().clip(0, (width - 1, height - 1))
    known = hints.known[:, heard].cpu().numpy()
    motion = bridge_gaps(hints.displacement[:, heard].double().cpu().numpy(), known)

    if region is None:
        progress("densify", 0, 3)
        colour = lab(image)
        cells = make_cells(colour, settings.parts)
        progress("densify", 1, 3)
        look = None if sense is None else sense(image)
        told = listen(cells, positions, motion, (height, width), settings.layers, look)
        ground = ground_hints(told, settings.layers)
        if len(ground) == 0 and is_scene(cells, told, settings.layers, settings.parts):
            labels = inside[0].long() - 1
            nodes = scene_motion(told, _nodes(labels.shape, cells.word.shape), settings.readings)
            _fill(flow, inside[0], nodes.reshape(len(flow), *cells.word.shape, 2))
            layers = []
        else:
            layers = find_layers(cells, told, ground, settings.layers, settings.parts)
            labels = refine_labels(colour, cells, layers)
        progress("densify", 2, 3)
    else:
        layers = [Layer(np.arange(len(heard)), np.ones((1, 1), dtype=bool))]
        labels = inside[0].long() - 1
    for index, layer in enumerate(layers):
        _paint(flow, labels == index, positions[layer.hints], motion[:, layer.hints], settings)
        if layer.reach is not None:
            flow *= torch.where(labels == index, _fade(positions[layer.hints], layer.reach, labels), 1.0)
    _meet_hints(flow, labels, positions, motion, settings.fade * float(np.hypot(height, width)))
    progress("densify", 3, 3)
    return FlowField(flow.mul_(valid), valid)


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


def refine_labels(colour: Float[Tensor, "3 H W"], cells: Cells, layers: list[Layer]) -> Int[Tensor, "H W"]:
    """[H, W] layer index of every pixel: near a border the 5 x 5 cells around it vote.

    A cell's vote weighs by nearness in place and in colour: joint bilateral upsampling (Kopf and
    others, 2007) of the layer map, so that the border follows the edges of the full picture.
    """
    height, width = colour.shape[-2:]
    owner = np.argmax([layer.cells for layer in layers], axis=0)
    grid = np.array(owner.shape)
    mixed = maximum_filter(owner, 3) != minimum_filter(owner, 3)
    row = ((np.arange(height) + 0.5) * grid[0] / height - 0.5).clip(0, grid[0] - 1)
    column = ((np.arange(width) + 0.5) * grid[1] / width - 0.5).clip(0, grid[1] - 1)
    cell_row, cell_column = row.round().astype(int), column.round().astype(int)
    labels = owner[cell_row[:, None], cell_column[None]]
    y, x = np.nonzero(mixed[cell_row[:, None], cell_column[None]])
    own = colour[:, torch.from_numpy(y), torch.from_numpy(x)].T.double().cpu().numpy()
    votes = np.zeros((len(layers), len(y)))
    pixels = np.arange(len(y))
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            j = (cell_row[y] + dy).clip(0, grid[0] - 1)
            i = (cell_column[x] + dx).clip(0, grid[1] - 1)
            away = (row[y] - j) ** 2 + (column[x] - i) ** 2
            unlike = ((own - cells.colour[j, i]) ** 2).sum(axis=1)
            # The small term decides where no colour is alike.
            votes[owner[j, i], pixels] += np.exp(-away / 2) * (np.exp(-unlike / (2 * 0.1**2)) + 1e-9)
    labels[y, x] = votes.argmax(axis=0)
    return torch.from_numpy(labels).to(colour.device)


def _paint(flow: Tensor, mask: Tensor, positions: Array, motion: Array, settings: EdgeAwareSettings) -> None:
    """Write the motion of one layer into its pixels: smooth on few nodes, bilinear in between."""
    if len(positions) == 0 or not bool(mask.any()):
        return
    rows, columns = window_around(mask, share=0.0, least=0)
    size = rows.stop - rows.start, columns.stop - columns.start
    grid = (settings.nodes, settings.nodes)
    queries = np.array((columns.start, rows.start)) + _nodes(size, grid)
    nodes = spread(positions, motion, queries, 0.5 * float(np.hypot(*mask.shape)))
    _fill(flow[:, :, rows, columns], mask[rows, columns], nodes.reshape(len(flow), *grid, 2))


def _fade(positions: Array, reach: float, labels: Tensor) -> Tensor:
    """[H, W]: 1 at hints, falling smoothly to 0 on the way as far as they reach, in pixels."""
    places = torch.from_numpy(positions).float().to(labels.device)
    away = (
        (pixel_grid(labels.shape[0], labels.shape[1], places)[None] - places[:, :, None, None])
        .square()
        .sum(1)
    )
    return (1 - away.amin(0) / reach**2).clamp(min=0) ** 2


def _nodes(size: Sequence[int], grid: Sequence[int]) -> Array:
    """[h * w, 2]: the centres, in pixels, of the cells of a grid over a picture of some size."""
    y, x = ((np.arange(n) + 0.5) * side / n - 0.5 for side, n in zip(size, grid, strict=True))
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def _fill(window: Tensor, mask: Tensor, nodes: Array) -> None:
    """Write motion [S, h, w, 2], known at the centres of a grid's cells, where the mask is True."""
    coarse = torch.from_numpy(nodes).to(window).permute(0, 3, 1, 2)
    for here, motion_here in zip(window, coarse, strict=True):
        fine = F.interpolate(motion_here[None], tuple(mask.shape), mode="bilinear", align_corners=False)[0]
        torch.where(mask, fine, here, out=here)


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
