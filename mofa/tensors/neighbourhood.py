"""What is around a pixel: maxima, means and masks over squares."""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


def widened(mask: Bool[Tensor, "H W"], radius: int) -> Bool[Tensor, "H W"]:
    """The mask, grown by `radius` pixels to every side."""
    return local_maximum(mask.float(), radius) > 0


def rim_of(mask: Bool[Tensor, "H W"], radius: int) -> Bool[Tensor, "H W"]:
    """Pixels within `radius` of the mask's outline, on both sides."""
    return widened(mask, radius) & widened(~mask, radius)


def local_maximum(values: Float[Tensor, "H W"], radius: int) -> Float[Tensor, "H W"]:
    """The largest value within a square of 2 radius + 1 pixels."""
    rows = F.max_pool2d(values[None], (1, 2 * radius + 1), 1, (0, radius))
    return F.max_pool2d(rows, (2 * radius + 1, 1), 1, (radius, 0))[0]


def local_mean(values: Float[Tensor, "*c H W"], radius: int) -> Float[Tensor, "*c H W"]:
    """The mean over a square of 2 radius + 1 pixels, of those inside the picture."""
    stack = values.reshape(1, -1, *values.shape[-2:])
    rows = F.avg_pool2d(stack, (1, 2 * radius + 1), 1, (0, radius), count_include_pad=False)
    return F.avg_pool2d(rows, (2 * radius + 1, 1), 1, (radius, 0), count_include_pad=False).view_as(values)
