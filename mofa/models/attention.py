"""Attention in slices: less memory at once, the same numbers."""

from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor, nn


class SlicedAttention:
    """Attention that takes its batch (pixels or frames, which do not see each other) in slices."""

    def __init__(self, slices: int) -> None:
        self.slices = slices
        self.whole = AttnProcessor2_0()

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **more: Any,
    ) -> Tensor:
        """`attn` on [B, tokens, C], B in equal parts. Masks are not used in these networks."""
        assert attention_mask is None
        parts = hidden_states.chunk(self.slices)
        seen = (
            [None] * len(parts) if encoder_hidden_states is None else encoder_hidden_states.chunk(self.slices)
        )
        return torch.cat(
            [self.whole(attn, part, other, **more) for part, other in zip(parts, seen, strict=True)]
        )


def slice_attention(network: nn.Module, slices: int) -> None:
    """Lets every attention layer of a network work in this many slices; 1 undoes it."""
    for module in network.modules():
        if isinstance(module, Attention):
            module.set_processor(AttnProcessor2_0() if slices == 1 else SlicedAttention(slices))
