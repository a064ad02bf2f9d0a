"""Overlapping windows: a clip of any length through a network that sees a few frames at a time.

Every window holds the source frame 0 and a run of consecutive frames, because motion is always told
from frame 0. Where windows overlap their values are averaged, which keeps neighbours in step.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.errors import InputError

Window = tuple[int, ...]


def windows(num_frames: int, size: int, stride: int) -> tuple[Window, ...]:
    """The frame indices of every window: frame 0 and `size` - 1 consecutive frames each.

    The runs start at 1, 1 + stride, ...; one more ends at the last frame if the others stop short of
    it. A clip of at most `size` frames is one window over all of them. Raises InputError for a clip
    without frames, a size below 2, and a stride below 1 or so long that frames would be skipped.
    """
    if num_frames < 1:
        raise InputError(
            f"A clip needs at least 1 frame, not {num_frames}: ask for more frames.",
            key="window.range",
            least=2,
        )
    if size < 2:
        raise InputError(
            f"A window needs at least 2 frames, not {size}: raise the window size.",
            key="window.range",
            least=2,
        )
    if not 1 <= stride < size:
        raise InputError(
            f"A window stride of {stride} frames does not fit a window of {size}: choose 1 to {size - 1}.",
            key="stride.range",
            least=1,
            most=size - 1,
        )
    if num_frames <= size:
        return (tuple(range(num_frames)),)
    last = num_frames - size + 1
    starts = [*range(1, last, stride), last]
    return tuple((0, *range(start, start + size - 1)) for start in starts)


def take(values: Float[Tensor, " T *s"], window: Window) -> Float[Tensor, " w *s"]:
    """The values of the window's frames; a window over the whole clip takes them without a copy."""
    return values if window == tuple(range(len(values))) else values[list(window)]


def blend_weights(windows: Sequence[Window], num_frames: int) -> Float[Tensor, "N T"]:
    """How much window n says about frame t; over the windows the weights of a frame sum to one.

    Windows that hold a frame share it equally, except frame 0: all of them hold it, the first rules it.
    """
    holds = torch.zeros(len(windows), num_frames)
    for row, window in zip(holds, windows, strict=True):
        row[list(window)] = 1
    holds[1:, 0] = 0
    return holds / holds.sum(dim=0)


def blend(
    values: Sequence[Float[Tensor, "w ..."]], windows: Sequence[Window], num_frames: int
) -> Float[Tensor, "T ..."]:
    """One value per frame from one value per frame and window, averaged with `blend_weights`.

    A frame that a single window holds keeps its value bit for bit.
    """
    weights = blend_weights(windows, num_frames).to(values[0])
    blended = values[0].new_zeros((num_frames, *values[0].shape[1:]))
    for value, window, weight in zip(values, windows, weights, strict=True):
        frames = list(window)
        blended[frames] += value * weight[frames].view(-1, *[1] * (value.ndim - 1))
    return blended
