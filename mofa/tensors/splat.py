"""Forward average splatting: every source pixel is laid down where its flow takes it.

Four bilinear contributions per pixel are summed and divided by the summed weights (average splatting; with
weights `exp(importance)` it becomes the softmax splatting of Niklaus and Liu, "Softmax Splatting for Video
Frame Interpolation", CVPR 2020, eq. 10-12). Plain torch, differentiable in values, flow and weight.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.tensors.geometry import pixel_grid

EPSILON = 1e-7
"""Added to the weight sum before the division: part of the contract with the released checkpoints."""


def splat(
    values: Float[Tensor, "B C H W"],
    flow: Float[Tensor, "B 2 H W"],
    weight: Float[Tensor, "B 1 H W"] | None = None,
) -> tuple[Float[Tensor, "B C H W"], Float[Tensor, "B 1 H W"]]:
    """The weighted mean of the values that land on each pixel, and the sum of their weights.

    `flow` holds displacements (x, y) in pixels of H x W. `weight` is positive; without it all weigh 1.
    `exp(importance)` puts important pixels softly in front of others that land on the same place. The mean is
    `sum / (weight_sum + 1e-7)`: pixels nobody reaches are 0, and an integer shift is exact up to that 1e-7.
    What lands outside the picture, or has no finite place to land on, is dropped.
    """
    batch, channels, height, width = values.shape
    x, y = (pixel_grid(height, width, flow) + flow).unbind(1)
    lands = torch.isfinite(x) & torch.isfinite(y) & (x > -1) & (y > -1) & (x < width) & (y < height)
    x, y = x.where(lands, 0), y.where(lands, 0)
    mass = lands.to(values.dtype) if weight is None else weight[:, 0].where(lands, 0)

    # The weight rides along as one more channel; index_add wants pixels first. A frame one pixel wide around
    # the canvas takes what only half lands inside.
    carried = torch.cat([values, torch.ones_like(values[:, :1])], 1) * mass[:, None]
    carried = carried.movedim(1, -1).reshape(-1, channels + 1)
    left, top = x.detach().floor(), y.detach().floor()
    canvas_height, canvas_width = height + 2, width + 2
    first = torch.arange(batch, device=flow.device).view(-1, 1, 1) * (canvas_height * canvas_width)
    corner = first + (top.long() + 1) * canvas_width + left.long() + 1
    total = values.new_zeros(batch * canvas_height * canvas_width, channels + 1)
    for step_x, share_x in ((0, left + 1 - x), (1, x - left)):
        for step_y, share_y in ((0, top + 1 - y), (1, y - top)):
            place = corner + step_y * canvas_width + step_x
            share = (share_x * share_y).to(carried.dtype)
            total = total.index_add(0, place.flatten(), carried * share.reshape(-1, 1))

    total = total.view(batch, canvas_height, canvas_width, channels + 1)[:, 1:-1, 1:-1].movedim(-1, 1)
    weight_sum = total[:, channels:]
    return total[:, :channels] / (weight_sum + EPSILON), weight_sum
