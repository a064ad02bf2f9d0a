"""Pictures that are partly transparent, kept as two things that move alike: laid on white, and their alpha.

Whatever is linear in the pixels (moving, filtering, mixing) does to both what it would do to colours that are
premultiplied by alpha, as they have to be; from both together come straight colours, or another ground.
"""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def straight(on_white: Float[Tensor, "3 H W"], alpha: Float[Tensor, "1 H W"]) -> Float[Tensor, "4 H W"]:
    """RGB with straight alpha, 0..1; what is wholly transparent is white."""
    covered = alpha.clamp(0, 1)
    colours = (on_white - (1 - covered)) / covered.clamp(min=1e-3)
    return torch.cat([torch.where(covered > 1e-3, colours, 1.0).clamp(0, 1), covered])


def on_ground(
    on_white: Float[Tensor, "3 H W"], alpha: Float[Tensor, "1 H W"], colour: tuple[int, int, int]
) -> Float[Tensor, "3 H W"]:
    """The picture on a ground of a colour (RGB 0..255) in place of white."""
    ground = on_white.new_tensor(colour)[:, None, None] / 255
    return (on_white + (1 - alpha) * (ground - 1)).clamp(0, 1)


def on_white(frame: UInt8[Tensor, "C H W"]) -> UInt8[Tensor, "3 H W"]:
    """A frame with straight alpha laid on white; one without is returned as it is."""
    if len(frame) == 3:
        return frame
    colours, alpha = frame[:3].float(), frame[3:].float() / 255
    return (colours * alpha + 255 * (1 - alpha)).round().byte()
