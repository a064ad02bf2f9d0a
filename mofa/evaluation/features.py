"""Networks that look at pictures, named as what they are: a stand-in never bears a standard's name."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.evaluation.clips import middle_square
from mofa.evaluation.measures.pixels import frame_consistency
from mofa.evaluation.results import Column
from mofa.models.efficientnet_lite import EfficientNetLite0, normalised_distance
from mofa.weights.loading import loaded

MOST_FRAMES = 8
"""Frames of a clip that distances count, evenly spread: neighbours say the same."""
SEEN_SIDE = 224
"""Pixels of the square that classifiers look at."""


@runtime_checkable
class PictureReader(Protocol):
    """A network that reads clips. `terms` are those of its weights."""

    @property
    def name(self) -> str: ...
    @property
    def terms(self) -> str: ...
    @property
    def columns(self) -> Mapping[str, Column]:
        """What it reads, by key."""
        ...

    @property
    def set_title(self) -> str:
        """What the Fréchet distance of its features is called; empty where there is none."""
        ...

    def read(
        self, frames: UInt8[Tensor, "T 3 H W"], reference: UInt8[Tensor, "T 3 H W"] | None
    ) -> Mapping[str, float]:
        """The values of one clip by key."""
        ...

    def features(self, frames: UInt8[Tensor, "T 3 H W"]) -> Float[Tensor, "N D"]:
        """Features for a distance of sets."""
        ...


@dataclass(frozen=True)
class EffNetReader:
    """EfficientNet-Lite0 where LPIPS, CLIP and Inception are not to be had."""

    weights: Path
    name: str = "effnet-lite0"
    terms: str = "Apache-2.0"
    set_title: str = "EffNet-lite0 Fréchet distance (stand-in; not FID)"

    @property
    def columns(self) -> Mapping[str, Column]:
        distance = Column(
            "EffNet-lite0 distance", "", "low",
            "Normalised feature distance to the true clip over six stages, eight frames after the first "
            "(stand-in; not LPIPS).", self.name,
        )  # fmt: skip
        consistency = Column(
            "EffNet-lite0 frame consistency", "", "high",
            "Cosine similarity of neighbouring frames' features (stand-in; not CLIP's).", self.name,
        )  # fmt: skip
        return {f"distance.{self.name}": distance, f"consistency.{self.name}": consistency}

    def read(
        self, frames: UInt8[Tensor, "T 3 H W"], reference: UInt8[Tensor, "T 3 H W"] | None
    ) -> Mapping[str, float]:
        values = {f"consistency.{self.name}": frame_consistency(self._pooled(frames))}
        if reference is not None:
            with torch.inference_mode():
                made, true = (
                    self._network.stages(spread_frames(clip).float() / 255) for clip in (frames, reference)
                )
            values[f"distance.{self.name}"] = float(normalised_distance(made[:-1], true[:-1]).mean())
        return values

    def features(self, frames: UInt8[Tensor, "T 3 H W"]) -> Float[Tensor, "N D"]:
        return self._pooled(spread_frames(frames))

    def _pooled(self, frames: UInt8[Tensor, "T 3 H W"]) -> Float[Tensor, "T D"]:
        with torch.inference_mode():
            return self._network.stages(as_seen(frames))[-1].mean(dim=(2, 3)).clone()

    @property
    def _network(self) -> EfficientNetLite0:
        return load_effnet(self.weights)


@dataclass(frozen=True)
class ClipReader:
    """CLIP ViT-B/32, whose frame consistency papers report."""

    config: Path
    weights: Path
    name: str = "clip-vit-b32"
    terms: str = "MIT"
    set_title: str = ""

    @property
    def columns(self) -> Mapping[str, Column]:
        title = "Frame consistency (CLIP)"
        text = "Mean cosine similarity of neighbouring frames' CLIP embeddings (Gen-1; MOFA-Video's Table 1)."
        return {f"consistency.{self.name}": Column(title, "", "high", text, self.name)}

    def read(
        self, frames: UInt8[Tensor, "T 3 H W"], reference: UInt8[Tensor, "T 3 H W"] | None
    ) -> Mapping[str, float]:
        return {f"consistency.{self.name}": frame_consistency(self.features(frames))}

    def features(self, frames: UInt8[Tensor, "T 3 H W"]) -> Float[Tensor, "N D"]:
        from mofa.models.clip_vision import embed

        return embed(load_clip(self.config, self.weights), as_seen(frames))


@cache
def load_effnet(weights: Path) -> EfficientNetLite0:
    """Once per process."""
    return loaded(EfficientNetLite0(), "efficientnet-lite0", weights)


@cache
def load_clip(config: Path, weights: Path) -> torch.nn.Module:
    """Once per process."""
    from mofa.models.clip_vision import clip_from_config

    return loaded(clip_from_config(config.read_text(encoding="utf-8")), "clip-vit-b32", weights)


def as_seen(frames: UInt8[Tensor, "T 3 H W"]) -> Float[Tensor, "T 3 224 224"]:
    """The middle square of every frame at the size that classifiers look at, 0..1."""
    return middle_square(frames, SEEN_SIDE).float() / 255


def spread_frames(frames: UInt8[Tensor, "T 3 H W"]) -> UInt8[Tensor, "N 3 H W"]:
    """Evenly spread frames, frame 0, which is given, left out."""
    made = frames[1:]
    chosen = torch.linspace(0, len(made) - 1, min(MOST_FRAMES, len(made))).round().long()
    return made[chosen]
