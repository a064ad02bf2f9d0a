"""The networks of LPIPS, FID and FVD, under those names: used where their weights are on the machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.evaluation.results import Column
from mofa.models.i3d import ACTIONS, FEWEST_FRAMES, I3D
from mofa.models.inception import Inception
from mofa.models.lpips import AlexNetFeatures, LpipsWeights
from mofa.weights.loading import loaded

AT_ONCE = 8
"""Frames that a network looks at together."""


@dataclass(frozen=True)
class LpipsReader:
    """LPIPS 0.1 over AlexNet, frames after the first against the true clip's, at the scene's size."""

    alexnet: Path
    weights: Path
    name: str = "lpips-alex"
    terms: str = "BSD-2-Clause; AlexNet's weights: not stated"
    set_title: str = ""

    @property
    def columns(self) -> Mapping[str, Column]:
        text = "Distance to the true clip, frames after the first (Zhang et al., 2018; version 0.1, AlexNet)."
        return {f"lpips.{self.name}": Column("LPIPS", "", "low", text, self.name)}

    def read(
        self, frames: UInt8[Tensor, "T 3 H W"], reference: UInt8[Tensor, "T 3 H W"] | None
    ) -> Mapping[str, float]:
        if reference is None:
            return {}
        features, distance = load_lpips(self.alexnet, self.weights)
        with torch.inference_mode():
            values = [
                distance(*(features(2 * (part.float() / 255) - 1) for part in parts))
                for parts in zip(frames[1:].split(AT_ONCE), reference[1:].split(AT_ONCE), strict=True)
            ]
        return {f"lpips.{self.name}": float(torch.cat(values).mean())}

    def features(self, frames: UInt8[Tensor, "T 3 H W"]) -> Float[Tensor, "N D"]:
        """None: LPIPS compares pairs, not sets."""
        return torch.zeros(0, 0)


@dataclass(frozen=True)
class SetReader:
    """A network whose number is one of all clips together: it reads nothing off a single one."""

    weights: Path

    @property
    def columns(self) -> Mapping[str, Column]:
        """None."""
        return {}

    def read(
        self, frames: UInt8[Tensor, "T 3 H W"], reference: UInt8[Tensor, "T 3 H W"] | None
    ) -> Mapping[str, float]:
        return {}


@dataclass(frozen=True)
class FidReader(SetReader):
    """FID over all frames after the first of all clips, with the pool features of pytorch-fid."""

    name: str = "fid-inception"
    terms: str = "Apache-2.0"
    set_title: str = "FID"

    def features(self, frames: UInt8[Tensor, "T 3 H W"]) -> Float[Tensor, "N 2048"]:
        network = load_inception(self.weights)
        with torch.inference_mode():
            return torch.cat([network(part.float() / 255) for part in frames[1:].split(AT_ONCE)]).clone()


@dataclass(frozen=True)
class FvdReader(SetReader):
    """FVD over all clips, with the scores of I3D; clips shorter than nine frames have none."""

    name: str = "i3d"
    terms: str = "Apache-2.0"
    set_title: str = "FVD"

    def features(self, frames: UInt8[Tensor, "T 3 H W"]) -> Float[Tensor, "N 400"]:
        if len(frames) < FEWEST_FRAMES:
            return torch.zeros(0, ACTIONS)
        with torch.inference_mode():
            return load_i3d(self.weights)(frames[None].float() / 255).clone()


@cache
def load_lpips(alexnet: Path, weights: Path) -> tuple[AlexNetFeatures, LpipsWeights]:
    """Once per process. Raises WeightsError."""
    return loaded(AlexNetFeatures(), "alexnet", alexnet), loaded(LpipsWeights(), "lpips-alex", weights)


@cache
def load_inception(weights: Path) -> Inception:
    """Once per process. Raises WeightsError."""
    return loaded(Inception(), "fid-inception", weights)


@cache
def load_i3d(weights: Path) -> I3D:
    """Once per process. Raises WeightsError."""
    return loaded(I3D(), "i3d", weights)
