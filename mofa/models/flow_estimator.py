"""A learned optical flow estimator behind the same call as `vision.dis.dis_flow`."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.models.unimatch import UniMatch
from mofa.tensors.geometry import resize_flow


@dataclass(frozen=True)
class UniMatchFlow:
    """UniMatch on pictures of any size: it sees them at `short_side` x `long_side` pixels.

    The default is the size at which the adapters' training flows were measured. Both sides are multiples
    of the network's `side_multiple`; upright pictures are seen upright. The aspect is not kept.
    """

    network: UniMatch
    short_side: int = 384
    long_side: int = 512

    @torch.no_grad()
    def __call__(
        self, first: UInt8[Tensor, "3 H W"], second: UInt8[Tensor, "3 H W"], /
    ) -> Float[Tensor, "2 H W"]:
        """Flow in pixels, (x, y): what is at p in `first` is at p + flow in `second`."""
        height, width = first.shape[-2:]
        size = (self.long_side, self.short_side) if height > width else (self.short_side, self.long_side)
        weights = next(self.network.parameters())
        pictures = torch.stack([first, second]).to(weights)
        seen = F.interpolate(pictures, size, mode="bilinear", antialias=True)
        flow = self.network(seen[:1], seen[1:])
        return resize_flow(flow.float(), height, width)[0].to(first.device)
