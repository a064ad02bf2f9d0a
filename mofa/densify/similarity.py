"""Two hints on one thing say how it turns and grows: the similarity that takes both where they go."""

import numpy as np

from mofa.densify.segments import Array


def third_hint(positions: Array, motion: Array) -> tuple[Array, Array] | None:
    """Position [2] and motion [S, 2] of a point beside two hints [2, 2], as the similarity moves it.

    It lies at a right angle, as far from the first hint as the second does. With it the two hints' motion is
    affine everywhere, and a similarity. None: the hints are on one spot.
    """
    across = np.array([[0.0, -1.0], [1.0, 0.0]])
    apart = positions[1] - positions[0]
    if np.hypot(*apart) < 0.5:
        return None
    turned = motion[:, 0] + (motion[:, 1] - motion[:, 0]) @ across.T
    return positions[0] + across @ apart, turned


def affine_shares(positions: Array, queries: Array) -> Array:
    """[3, Q]: what three hints [3, 2] not in a line weigh at queries [Q, 2] for their motion to be affine."""
    corners = np.vstack([positions.T, np.ones(3)])
    return np.linalg.solve(corners, np.vstack([queries.T, np.ones(len(queries))]))
