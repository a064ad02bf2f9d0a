"""How far two sets of pictures or clips are from each other as a whole: Fréchet distances of features."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mofa.errors import InputError

FEWEST = 2
"""Samples: fewer have no covariance."""


def frechet_distance(one: Float[Tensor, "N D"], other: Float[Tensor, "M D"]) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two sets of features.

    With pool features of the 2015 Inception network this is FID (Heusel et al., 2017), with those of I3D
    trained on Kinetics-400 FVD (Unterthiner et al., 2018); covariances divide by N - 1, as in both reference
    programs. The root's trace is the sum of the roots of the eigenvalues of C1^(1/2) C2 C1^(1/2), which is
    real however few samples there are. Biased upwards for few samples: compare equal numbers only.

    Raises InputError for a set of fewer than two.
    """
    for features in (one, other):
        if len(features) < FEWEST:
            raise InputError(f"a Fréchet distance needs {FEWEST} samples on both sides, not {len(features)}.")
    return gaussian_distance(*moments(one), *moments(other))


def moments(features: Float[Tensor, "N D"]) -> tuple[Float[Tensor, " D"], Float[Tensor, "D D"]]:
    """Mean and covariance in double precision."""
    features = features.double()
    return features.mean(dim=0), torch.from_numpy(np.cov(features.numpy(), rowvar=False)).reshape(
        features.shape[1], -1
    )


def gaussian_distance(
    mean_1: Float[Tensor, " D"],
    covariance_1: Float[Tensor, "D D"],
    mean_2: Float[Tensor, " D"],
    covariance_2: Float[Tensor, "D D"],
) -> float:
    """The Fréchet distance of two normal distributions (Dowson and Landau, 1982), squared as is usual."""
    values, vectors = torch.linalg.eigh(covariance_1)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    shared = torch.linalg.eigvalsh(root @ covariance_2 @ root).clamp(min=0).sqrt().sum()
    apart = (mean_1 - mean_2).square().sum()
    return float(apart + covariance_1.trace() + covariance_2.trace() - 2 * shared)
