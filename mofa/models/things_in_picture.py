"""One picture, looked at by the network that tells things apart, ready to be asked about any point of it."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mofa.models.things import MULTIPLE, Embedding, Prompts, ThingsNet
from mofa.types import ThingsAt

SIDE = 320
"""Longer side, in pixels, of the picture the network sees; it was trained at about this size."""


@dataclass(frozen=True)
class ThingsInPicture:
    """A picture of height x width that `net` has seen; implements `types.LookedAt`."""

    net: ThingsNet
    seen: Embedding
    scale: tuple[float, float]
    """Pixels the network saw per pixel of the picture, across and down."""

    @torch.inference_mode()
    def ask(self, points: Float[Tensor, "K P 2"], signs: Float[Tensor, "K P"]) -> ThingsAt:
        """What K questions of up to P clicks each, in pixels of the picture, are about."""
        seen = (points.detach().float().cpu() + 0.5) * torch.tensor(self.scale) - 0.5
        answers = self.net.answer(self.seen, Prompts(seen[None], signs.detach().float().cpu()[None]))
        return ThingsAt(answers.logits[0], answers.scores[0].sigmoid(), answers.is_thing[0].sigmoid())


@dataclass(frozen=True)
class ThingsSense:
    """Looks at pictures; implements `types.SenseOfThings`."""

    net: ThingsNet
    side: int = SIDE

    @torch.inference_mode()
    def __call__(self, picture: Float[Tensor, "3 H W"]) -> ThingsInPicture:
        """The picture (0..1), its longer side brought to `side`, both to multiples of MULTIPLE."""
        height, width = picture.shape[1:]
        share = self.side / max(height, width) / MULTIPLE
        size = [max(2, round(n * share)) * MULTIPLE for n in (height, width)]
        small = F.interpolate(
            picture.detach().float().cpu()[None], size, mode="bilinear", antialias=True, align_corners=False
        )
        return ThingsInPicture(self.net, self.net.embed(small * 2 - 1), (size[1] / width, size[0] / height))
