"""Filling what is unknown from what is known around it."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def fill_gaps(values: Float[Tensor, "C H W"], known: Bool[Tensor, "H W"]) -> Float[Tensor, "C H W"]:
    """Values where they are known; elsewhere smooth ones from around, through ever coarser pictures.

    Pull and push of Gortler et al., "The Lumigraph" (SIGGRAPH 1996), section 3.4.2. Where nothing is known at
    all the values are 0.
    """
    return _pull_push(values.where(known, 0)[None], known[None, None].to(values))[0]


def _pull_push(values: Float[Tensor, "1 C H W"], share: Float[Tensor, "1 1 H W"]) -> Float[Tensor, "1 C H W"]:
    if share.all() or share.shape[-2:] == (1, 1):
        return values
    coarse_share = F.avg_pool2d(share, 2, ceil_mode=True)
    coarse = F.avg_pool2d(values, 2, ceil_mode=True) / coarse_share.clamp(min=0.25)
    coarse = _pull_push(coarse, (coarse_share > 0).to(values))
    around = F.interpolate(coarse, values.shape[-2:], mode="bilinear", align_corners=False)
    return torch.where(share > 0, values, around)
