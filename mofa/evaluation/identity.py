"""Is it still the same person? ArcFace's embeddings of the face in every frame."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.faces.points import fit_similarity
from mofa.models.arcface import TEMPLATE, IResNet, aligned_grid
from mofa.tensors.flow import bilinear_sample
from mofa.weights.loading import loaded

LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)
NOSE_TIP, MOUTH_CORNERS = 30, (48, 54)
"""Among the 68 points, in iBUG order; left is the picture's left."""


@runtime_checkable
class FaceReader(Protocol):
    """A network that tells people apart. `terms` are those of its weights."""

    @property
    def name(self) -> str: ...
    @property
    def terms(self) -> str: ...

    def embeddings(
        self, frames: UInt8[Tensor, "T 3 H W"], points: Float[Tensor, "T 68 2"]
    ) -> Float[Tensor, "T D"]:
        """A direction per face; `points` say where it is."""
        ...


@dataclass(frozen=True)
class ArcFaceReader:
    """ArcFace with 50 layers, on faces aligned by eyes, nose and mouth."""

    weights: Path
    name: str = "arcface-r50"
    terms: str = "non-commercial research"

    def embeddings(
        self, frames: UInt8[Tensor, "T 3 H W"], points: Float[Tensor, "T 68 2"]
    ) -> Float[Tensor, "T 512"]:
        """Of unit length."""
        with torch.inference_mode():
            return load_arcface(self.weights)(aligned(frames, points)).clone()


def aligned(
    frames: UInt8[Tensor, "T 3 H W"], points: Float[Tensor, "T 68 2"]
) -> Float[Tensor, "T 3 112 112"]:
    """The faces, 0..1, upright and at ArcFace's size."""
    places = five_points(points)
    template = torch.tensor(TEMPLATE).to(places).expand_as(places)
    linear, offset = fit_similarity(template, places)
    return bilinear_sample(frames.float() / 255, aligned_grid(linear, offset))


def five_points(points: Float[Tensor, "T 68 2"]) -> Float[Tensor, "T 5 2"]:
    """The middles of the eyes, the tip of the nose, the corners of the mouth."""
    eyes = [points[:, eye].mean(dim=1) for eye in (LEFT_EYE, RIGHT_EYE)]
    rest = [points[:, index] for index in (NOSE_TIP, *MOUTH_CORNERS)]
    return torch.stack([*eyes, *rest], dim=1)


@cache
def load_arcface(weights: Path) -> IResNet:
    """Once per process. Raises WeightsError."""
    return loaded(IResNet(), "arcface-r50", weights)
