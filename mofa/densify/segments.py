"""What in a picture belongs together: its cells, the cost of crossing its edges, and the thing at a place.

A texture has edges of its own, so raw gradients tell little. Cells are compared by how often each of a
few typical colours ("words") occurs around them, which a texture does not change and a border does.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mofa.tensors.grid_graph import DIRECTIONS, grid_graph, neighbours
from mofa.tensors.pieces import pieces_of_mask, without_holes

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class PartSettings:
    """How a picture is cut into things; lengths are in cells."""

    cells: int = 128
    """Cells along the longer side of the grid on which things are told apart."""
    words: int = 24
    """Typical colours-with-roughness into which the picture is quantised."""
    neighbourhoods: tuple[float, ...] = (1.5, 3.0)
    """Radii within which words are counted on either side of a possible edge."""
    smooth_cost: float = 0.02
    """Cost of a step of one cell where there is no edge; a full edge costs 1."""
    start_areas: tuple[float, ...] = (0.01, 0.04, 0.15, 0.4)
    """Shares of the picture from which the search for a thing starts."""
    rounds: int = 4
    """Rounds of competition per start."""
    largest: float = 0.6
    """Share of the picture above which something is ground and no thing."""
    size_preference: float = 0.15
    """Exponent by which a larger thing wins over a smaller one that stands out as clearly."""


@dataclass(frozen=True)
class Cells:
    """The picture on a bounded grid: mean colour (L*a*b*) [h, w, 3] and roughness [h, w, 1] of every cell.

    What more can be told of them is worked out when it is asked for: a network that tells things apart
    leaves most pictures without such questions.
    """

    colour: Array
    roughness: Array
    settings: PartSettings

    @property
    def shape(self) -> tuple[int, int]:
        """How many cells there are, down and across."""
        return self.colour.shape[0], self.colour.shape[1]

    @cached_property
    def word(self) -> Indices:
        """[h, w]: which of a few typical colours-with-roughness each cell has."""
        from scipy.cluster.vq import kmeans2

        observed = np.concatenate([self.colour, self.roughness], axis=2).reshape(-1, 4)
        words = min(self.settings.words, len(np.unique(observed, axis=0)))
        return kmeans2(observed, words, iter=8, minit="++", rng=0)[1].astype(np.int64).reshape(self.shape)

    @cached_property
    def graph(self) -> "csr_array":
        """What it costs to travel between neighbours."""
        words = int(self.word.max()) + 1
        radii = self.settings.neighbourhoods
        contrast = np.sum([_contrast(self.word, radius, words) for radius in radii], axis=0)
        return _graph(self.settings.smooth_cost + contrast)


def make_cells(colour: Float[Tensor, "3 H W"], settings: PartSettings) -> Cells:
    """Cells of about equal sides."""
    mean = cell_means(colour, settings)
    variance = cell_means(colour**2, settings) - mean**2
    roughness = variance.clamp(min=0).sqrt().sum(dim=0, keepdim=True)
    colours, roughnesses = (values.movedim(0, -1).double().cpu().numpy() for values in (mean, roughness))
    return Cells(colours, roughnesses, settings)


def cell_means(colour: Float[Tensor, "3 H W"], settings: PartSettings) -> Float[Tensor, "3 h w"]:
    """The mean of every cell; cells have about equal sides."""
    scale = min(1.0, settings.cells / max(colour.shape[-2:]))
    grid = [max(2, round(side * scale)) for side in colour.shape[-2:]]
    return F.interpolate(colour[None], grid, mode="area")[0]


def lab(image: Float[Tensor, " 3 *n"]) -> Float[Tensor, " 3 *n"]:
    """CIE L*a*b* (D65), divided by 100, of sRGB in 0..1."""
    linear = torch.where(image <= 0.04045, image / 12.92, ((image.clamp(min=0) + 0.055) / 1.055) ** 2.4)
    # The rows of the sRGB matrix over the white point, so that white is (1, 1, 1).
    to_xyz = image.new_tensor([[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0177, 0.1095, 0.8728]])
    xyz = torch.einsum("ij,j...->i...", to_xyz, linear)
    x, y, z = torch.where(xyz > 0.008856, xyz.clamp(min=1e-6) ** (1 / 3), 7.787 * xyz + 16 / 116)
    return torch.stack([1.16 * y - 0.16, 5 * (x - y), 2 * (y - z)])


def _contrast(word: Indices, radius: float, words: int) -> Array:
    """[4, h, w]: chi-squared distance, 0..1, of the word counts on both sides of each of DIRECTIONS.

    The texture gradient of Martin, Fowlkes and Malik (2004), with Gaussian neighbourhoods.
    """
    from scipy.ndimage import gaussian_filter

    counts = np.stack(
        [gaussian_filter((word == k).astype(np.float32), radius, truncate=2.5) for k in range(words)]
    )
    reach = max(1, round(radius))
    padded = np.pad(counts, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    height, width = word.shape

    def seen_from(dy: int, dx: int) -> NDArray[np.float32]:
        return padded[:, reach + dy : reach + dy + height, reach + dx : reach + dx + width]

    contrast = np.empty((len(DIRECTIONS), height, width))
    for k, (dy, dx) in enumerate(DIRECTIONS):
        ahead = reach if dy * dx == 0 else max(1, round(0.7 * reach))
        one, other = seen_from(dy * ahead, dx * ahead), seen_from(dy * (1 - ahead), dx * (1 - ahead))
        contrast[k] = 0.5 * ((one - other) ** 2 / (one + other + 1e-6)).sum(axis=0)
    return contrast


def _graph(cost: Array) -> "csr_array":
    """The graph of cells; `cost` [4, h, w], in each of DIRECTIONS, is per unit of length."""
    _, height, width = cost.shape
    steps = zip(neighbours(height, width), cost, strict=True)
    return grid_graph(height, width, [pair.length * step[pair.here] for pair, step in steps])


def travel_cost(cells: Cells, places: Indices) -> Array:
    """[N, h, w]: the cost of the cheapest way from each place (an index into the flat grid) to every cell."""
    from scipy.sparse.csgraph import dijkstra

    return dijkstra(cells.graph, directed=False, indices=places).reshape(-1, *cells.shape)


def grow_thing(word: Indices, cost: Array, places: Indices, others: Indices, settings: PartSettings) -> Mask:
    """The cells of the thing (or like things) at some places.

    From several starts, inside and outside compete for cells, each described by its word counts
    (region competition, Zhu and Yuille, 1996). Of what comes out, that wins whose counts differ most
    from those of the ring around it. One tile of a texture differs less from the next ones than the
    textured thing does from the ground. Things that hold `others` count less. `cost` [h, w] is the
    way from the nearest of the places.
    """
    from scipy.ndimage import distance_transform_edt

    elsewhere = np.ones(word.size, dtype=bool)
    elsewhere[places] = False
    straight = distance_transform_edt(elsewhere.reshape(word.shape))
    core = straight <= 2
    best, best_score = core, 0.0
    for reach in (cost, straight):
        for area in settings.start_areas:
            thing = reach <= np.quantile(reach, area)
            for _ in range(settings.rounds):
                before, thing = thing, _compete(word, thing, core, places)
                if np.array_equal(before, thing):
                    break
            thing = without_holes(thing)
            if thing.mean() > settings.largest:
                continue
            score = _distinctness(word, thing) * thing.mean() ** settings.size_preference
            if len(others):
                score *= 1 - 0.5 * thing.ravel()[others].mean()
            if score > best_score:
                best, best_score = thing, score
    return best


def _compete(word: Indices, thing: Mask, core: Mask, places: Indices) -> Mask:
    """One round: the cells connected to the places that look more like the inside than the outside."""
    from scipy.ndimage import uniform_filter

    prior = 0.5 * (word.max() + 1)
    inside, outside = _word_shares(word, thing, ~thing, prior)
    evidence = np.log(inside / outside).clip(-3, 3).astype(np.float32)[word]
    for _ in range(2):
        evidence = uniform_filter(evidence, 5, mode="nearest")
    pieces = pieces_of_mask((evidence > 0) | core)
    keep = np.zeros(int(pieces.max()) + 1, dtype=bool)
    keep[pieces.ravel()[places]] = True
    return keep[pieces]


def _distinctness(word: Indices, thing: Mask) -> float:
    """Jensen-Shannon divergence, 0..1, of the words in a thing and in the ring of its own area around it."""
    from scipy.ndimage import distance_transform_edt

    away = distance_transform_edt(~thing)
    area = min(int((~thing).sum()) - 1, max(40, int(thing.sum())))
    ring = ~thing & (away <= np.partition(away[~thing], area)[area])
    inside, outside = _word_shares(word, thing, ring, prior=1.0)
    mean = 0.5 * (inside + outside)
    return float(0.5 * (inside * np.log2(inside / mean) + outside * np.log2(outside / mean)).sum())


def _word_shares(word: Indices, one: Mask, other: Mask, prior: float) -> tuple[Array, Array]:
    """The share of every word in two sets of cells, drawn towards their common share by `prior` counts."""
    first, second = (np.bincount(word[cells], minlength=word.max() + 1) for cells in (one, other))
    common = (first + second + 1e-6) / (first + second + 1e-6).sum()
    return (
        (first + prior * common) / (first.sum() + prior),
        (second + prior * common) / (second.sum() + prior),
    )
