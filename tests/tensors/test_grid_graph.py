"""Ways over a grid: as long as its steps, and around what is dear."""

import numpy as np
import pytest
from scipy.sparse.csgraph import dijkstra

from mofa.tensors.grid_graph import grid_graph, neighbours


def way(height: int, width: int, dear: set[tuple[int, int]], start: int) -> np.ndarray:
    """Lengths [height, width] of the cheapest ways from a pixel; into what is dear a step costs 100 more."""
    price = np.zeros((height, width))
    for place in dear:
        price[place] = 100
    costs = [
        pair.length + np.maximum(price[pair.here], price[pair.there]) for pair in neighbours(height, width)
    ]
    graph = grid_graph(height, width, costs)
    return dijkstra(graph, directed=False, indices=start).reshape(height, width)


def test_every_pair_of_neighbours_is_joined_once() -> None:
    pairs = neighbours(4, 5)
    counts = [np.ones((4, 5))[pair.here].size for pair in pairs]
    assert counts == [np.ones((4, 5))[pair.there].size for pair in pairs]
    assert sum(counts) == 4 * 4 + 3 * 5 + 2 * 3 * 4


def test_a_way_over_an_empty_grid_is_diagonal_as_far_as_it_can_be() -> None:
    assert way(4, 6, set(), 0)[3, 5] == pytest.approx(3 * 2**0.5 + 2)
    assert way(4, 6, set(), 5)[3, 0] == pytest.approx(3 * 2**0.5 + 2)


def test_a_way_goes_around_a_wall() -> None:
    wall = {(row, 2) for row in range(4)}
    assert way(5, 5, wall, 0)[0, 4] < 100
    assert way(5, 5, {*wall, (4, 2)}, 0)[0, 4] > 100
