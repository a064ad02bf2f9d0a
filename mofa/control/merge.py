"""Who wins where: several dense motions become one."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.types import FlowField


@dataclass(frozen=True)
class Layer:
    """A dense motion and the painted region (0..1) in which it rules; None is the whole picture."""

    flow: FlowField
    region: Float[Tensor, "1 H W"] | None = None


def merge(layers: Sequence[Layer], num_steps: int, height: int, width: int) -> FlowField:
    """One motion of `num_steps` from several.

    A painted layer lies above every unpainted one; among equals the later one lies above, as in a picture
    editor. From the top down, the first layer that is valid at a pixel and whose region covers it decides; a
    valid zero is an anchor and decides as well. Where a region is between 0 and 1, at a soft edge, the layer
    is mixed with what lies below in that share, and with stillness where nothing does, so that motion fades
    out inside the paint: where a region is 0 its layer has no say. Pixels that no layer knows are 0 and not
    valid. A single layer without a region is returned as it is, not a copy.
    """
    if len(layers) == 1 and layers[0].region is None:
        return layers[0].flow
    like = layers[0].flow.pixels if layers else torch.empty(0)
    pixels = like.new_zeros(num_steps, 2, height, width)
    valid = torch.zeros(num_steps, 1, height, width, dtype=torch.bool, device=like.device)
    for layer in sorted(layers, key=lambda layer: layer.region is not None):  # stable: order breaks ties
        # Step by step and in place: a long clip of a large picture must not be held several times.
        for step in range(num_steps):
            rules = layer.flow.valid[step]
            if layer.region is None:
                pixels[step] = torch.where(rules, layer.flow.pixels[step], pixels[step])
            else:
                rules = rules & (layer.region > 0)
                mixed = torch.lerp(pixels[step], layer.flow.pixels[step], layer.region)
                pixels[step] = torch.where(rules, mixed, pixels[step])
            valid[step] |= rules
    return FlowField(pixels, valid)
