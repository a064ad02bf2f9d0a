"""What is around a pixel: maxima, means and masks over squares.

A square's value is put together from those of strips, and a strip's from strips of half its length: a few
passes whatever the radius, where a pooling layer looks at every pixel of every strip.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor


def widened(mask: Bool[Tensor, "H W"], radius: int) -> Bool[Tensor, "H W"]:
    """The mask, grown by `radius` pixels to every side."""
    return _over_squares(mask, radius, torch.logical_or, 0.0)


def rim_of(mask: Bool[Tensor, "H W"], radius: int) -> Bool[Tensor, "H W"]:
    """Pixels within `radius` of the mask's outline, on both sides."""
    return widened(mask, radius) & widened(~mask, radius)


def window_around(
    mask: Bool[Tensor, "H W"], share: float, least: int, beyond: int = 0
) -> tuple[slice, slice]:
    """Rows and columns of what the mask holds (there has to be something), with a margin inside the picture.

    The margin is a share of the mask's extent along that axis, at least `least` pixels, and `beyond` more.
    """
    spans, held_at = [], mask.view(torch.uint8)  # as numbers: `any` along an axis takes twenty times as long
    for other_axis, side in zip((1, 0), mask.shape, strict=True):
        held = held_at.amax(other_axis).nonzero()
        first, last = int(held.min()), int(held.max()) + 1
        margin = beyond + max(least, int((last - first) * share))
        spans.append(slice(max(0, first - margin), min(side, last + margin)))
    return spans[0], spans[1]


def local_maximum(values: Float[Tensor, "H W"], radius: int) -> Float[Tensor, "H W"]:
    """The largest value within a square of 2 radius + 1 pixels."""
    return _over_squares(values, radius, torch.maximum, -torch.inf)


def local_mean(values: Float[Tensor, "*c H W"], radius: int) -> Float[Tensor, "*c H W"]:
    """The mean over a square of 2 radius + 1 pixels, of those inside the picture."""
    padded = F.pad(values, (radius,) * 4)
    total = _strip_sums(_strip_sums(padded, radius, -1), radius, -2)
    height, width = values.shape[-2:]
    return total / (_inside(height, radius, values)[:, None] * _inside(width, radius, values))


def _over_squares(
    values: Shaped[Tensor, "H W"], radius: int, join: Callable[[Tensor, Tensor], Tensor], beyond: float
) -> Shaped[Tensor, "H W"]:
    """What `join`, which minds no value twice, makes of squares; `beyond` lies outside the picture."""
    joined = F.pad(values, (radius,) * 4, value=beyond)
    for axis in (1, 0):
        length = 1
        while length < 2 * radius + 1:
            step = min(length, 2 * radius + 1 - length)
            left = joined.shape[axis] - step
            joined = join(joined.narrow(axis, 0, left), joined.narrow(axis, step, left))
            length += step
    return joined


def _strip_sums(padded: Tensor, radius: int, axis: int) -> Tensor:
    """Sums over strips of 2 radius + 1 values, each put together from strips as long as the bits of that."""
    count = padded.shape[axis] - 2 * radius
    # Strips are of an odd length: the first one is a single value.
    total, start, length, sums = padded.narrow(axis, 0, count), 1, 1, padded
    while 2 * length <= 2 * radius + 1:
        left = sums.shape[axis] - length
        sums = sums.narrow(axis, 0, left) + sums.narrow(axis, length, left)
        length *= 2
        if (2 * radius + 1) & length:
            total = total + sums.narrow(axis, start, count)
            start += length
    return total


def _inside(side: int, radius: int, like: Tensor) -> Float[Tensor, " side"]:
    """How many pixels of the strip around each place along a side lie inside the picture."""
    place = torch.arange(side, dtype=like.dtype, device=like.device)
    return (place + radius).clamp(max=side - 1) - (place - radius).clamp(min=0) + 1
