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


def window_around(
    mask: Bool[Tensor, "H W"], share: float, least: int, beyond: int = 0
) -> tuple[slice, slice]:
    """Rows and columns of what the mask holds (there has to be something), with a margin inside the picture.

    The margin is a share of the mask's extent along that axis, at least `least` pixels, and `beyond` more.
    """
    spans = []
    for other_axis, side in zip((1, 0), mask.shape, strict=True):
        held = mask.any(other_axis).nonzero()
        first, last = int(held.min()), int(held.max()) + 1
        margin = beyond + max(least, int((last - first) * share))
        spans.append(slice(max(0, first - margin), min(side, last + margin)))
    return spans[0], spans[1]


def local_maximum(values: Float[Tensor, "H W"], radius: int) -> Float[Tensor, "H W"]:
    """The largest value within a square of 2 radius + 1 pixels."""
    rows = F.max_pool2d(values[None], (1, 2 * radius + 1), 1, (0, radius))
    return F.max_pool2d(rows, (2 * radius + 1, 1), 1, (radius, 0))[0]


def local_mean(values: Float[Tensor, "*c H W"], radius: int) -> Float[Tensor, "*c H W"]:
    """The mean over a square of 2 radius + 1 pixels, of those inside the picture."""
    stack = values.reshape(1, -1, *values.shape[-2:])
    rows = F.avg_pool2d(stack, (1, 2 * radius + 1), 1, (0, radius), count_include_pad=False)
    return F.avg_pool2d(rows, (2 * radius + 1, 1), 1, (radius, 0), count_include_pad=False).view_as(values)
