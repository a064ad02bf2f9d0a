"""What frozen networks say about a clip, worked out once: its flow, landmarks, latents and embedding.

The same functions that a step would call, so that training on what was kept is training on what it would
have worked out; shards hold flow, latents and embeddings in half precision (11 bits), landmarks whole.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

import torch

from mofa.devices import pick_device
from mofa.errors import InputError
from mofa.faces.detection import follow_face
from mofa.models.backbone import Backbone
from mofa.training.clips import Clips
from mofa.training.config import Recipe
from mofa.training.denoising import embed_pictures, encode_frames
from mofa.training.motion_signal import PairFlow, measured_flow
from mofa.training.objectives import AdapterRecipe, folder_or_slot, load_estimator, read_backbone
from mofa.weights.store import require

Kept = Literal["flow", "landmarks", "latents", "embedding"]
KINDS: tuple[Kept, ...] = get_args(Kept)

FRAMES_PER_SECOND = 25.0
"""The rate that a clip's points are smoothed at: clips of training know none of their own."""


class NoFace(InputError):
    """A clip in which no face can be followed; the clips after it may show one."""


@dataclass(frozen=True)
class Precomputing:
    """What is to be kept of clips for a recipe, which names the networks and how they are shown clips."""

    recipe: Recipe
    kinds: tuple[Kept, ...] = ()
    device: str | None = None

    def __call__(self, clip: Clips) -> Clips:
        """The clip with everything that is wanted and it does not bring; NoFace where none is seen."""
        for kind in self.kinds:
            clip = MAKERS[kind](self, clip)
        return clip

    @property
    def adapter(self) -> AdapterRecipe:
        """The objective, where it has a backbone and conventions."""
        if not isinstance(self.recipe.objective, AdapterRecipe):
            raise InputError(
                f"{', '.join(self.kinds)} cannot be worked out for this recipe: only an adapter's names a "
                "backbone and an estimator."
            )
        return self.recipe.objective

    def check(self) -> None:
        """Says before any work what is absent: weights, or a recipe that names them."""
        if {"latents", "embedding"} & set(self.kinds):
            folder_or_slot(self.adapter.backbone)
        if "flow" in self.kinds and self.adapter.estimator != "none":
            require([self.adapter.estimator], "data.clips.flow=dis")


def with_flow(wish: Precomputing, clip: Clips) -> Clips:
    """Flow by the recipe's estimator, as a step would measure it."""
    if clip.flow is not None:
        return clip
    if wish.adapter.estimator == "none":
        raise InputError(
            "the clips bring no flow and the recipe names no estimator: set objective.estimator=unimatch, or "
            "data.clips.flow=dis."
        )
    frames = clip.frames.to(pick_device(wish.device))
    flow = measured_flow(_estimator(str(frames.device)), frames, wish.adapter.conventions)
    return replace(clip, flow=flow.float().cpu())


def with_landmarks(wish: Precomputing, clip: Clips) -> Clips:
    """The 68 points of the largest face."""
    if clip.landmarks is not None:
        return clip
    try:
        track = follow_face(list(clip.frames), FRAMES_PER_SECOND, what=str(clip.name))
    except InputError as error:
        raise NoFace(str(error)) from error
    return replace(clip, landmarks=track.landmarks.points)


def with_latents(wish: Precomputing, clip: Clips) -> Clips:
    """The VAE's distribution of every frame's latents."""
    backbone = frozen_backbone(wish)
    pixels = clip.pixels[None].to(backbone.unet.device)
    found = encode_frames(backbone, pixels, wish.adapter.conventions)
    return replace(clip, latent_mean=found.mean[0].cpu(), latent_deviation=found.deviation[0].cpu())


def with_embedding(wish: Precomputing, clip: Clips) -> Clips:
    """CLIP's embedding of the first frame."""
    backbone = frozen_backbone(wish)
    picture = clip.pixels[:1].to(backbone.unet.device)
    return replace(clip, embedding=embed_pictures(backbone, picture)[0].cpu())


MAKERS: dict[Kept, Callable[[Precomputing, Clips], Clips]] = {
    "flow": with_flow,
    "landmarks": with_landmarks,
    "latents": with_latents,
    "embedding": with_embedding,
}


def frozen_backbone(wish: Precomputing) -> Backbone:
    """The recipe's backbone, read once per process."""
    precision = wish.recipe.loop.frozen_precision
    return _backbone(wish.adapter.backbone, str(pick_device(wish.device)), precision)


@lru_cache(maxsize=1)
def _backbone(source: str, device: str, precision: str) -> Backbone:
    return read_backbone(source, torch.device(device), getattr(torch, precision))


@lru_cache(maxsize=1)
def _estimator(device: str) -> PairFlow:
    return load_estimator(torch.device(device))


def wanted(names: Sequence[str]) -> tuple[Kept, ...]:
    """The kinds that words mean, in the order in which they are worked out."""
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise InputError(f'"{unknown[0]}" cannot be kept: there are {", ".join(KINDS)}.')
    return tuple(kind for kind in KINDS if kind in names)
