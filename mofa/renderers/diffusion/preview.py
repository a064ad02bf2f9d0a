"""What a clip will look like, shown while it is denoised."""

import time
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.media.image import to_bytes
from mofa.models.tiny_decoder import TinyDecoder
from mofa.tensors.geometry import shrunk
from mofa.types import Show

FRAMES = 3
"""Of the clip, beside each other."""
LONG_SIDE = 256
"""Of each, in pixels."""
PAUSE_SECONDS = 1.0
"""At least, between the beginnings of two pictures."""


@dataclass
class Preview:
    """A step callback that shows a few frames of the clean estimate; it reads and changes nothing."""

    decoder: TinyDecoder
    show: Show
    pause_seconds: float = PAUSE_SECONDS
    _last: float = field(default=-float("inf"))

    def __call__(
        self, step: int, latents: Float[Tensor, "T c h w"], clean: Float[Tensor, "T c h w"], /
    ) -> None:
        """Shows nothing where the last picture is younger than the pause."""
        now = time.monotonic()
        if now - self._last >= self.pause_seconds:
            self._last = now
            self.show(glimpse(self.decoder, clean))


@torch.no_grad()
def glimpse(decoder: TinyDecoder, clean: Float[Tensor, "T 4 h w"]) -> UInt8[Tensor, "3 H W"]:
    """`FRAMES` frames of a clip's latents, spread over it, as one small picture."""
    chosen = torch.linspace(0, len(clean) - 1, FRAMES + 1).round().long()[1:]
    like = next(decoder.parameters())
    pictures = torch.cat([decoder(clean[[index]].to(like)) for index in chosen.tolist()])
    width, height = shrunk(pictures.shape[3], pictures.shape[2], LONG_SIDE)
    small = F.interpolate(pictures.float().cpu(), (height, width), mode="bilinear", antialias=True)
    return to_bytes(torch.cat(list(small.clamp(0, 1)), dim=2))
