"""How attention is computed: by which kernel, and in how many slices."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor, nn

from mofa.errors import ResourceError
from mofa.models.names import KernelName

Product = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Queries, keys and values [B, heads, tokens, width] to what attention reads, in the same shape."""


@dataclass(frozen=True)
class Kernel:
    """A fused attention of another package: the module that has it, what pip calls it, how it is called."""

    module: str
    requirement: str
    product: Callable[[Any], Product]


def _flash(module: Any) -> Product:
    """FlashAttention (Dao 2023, arXiv 2307.08691) wants tokens before heads."""

    def product(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        tokens_first = (part.transpose(1, 2) for part in (query, key, value))
        read: Tensor = module.flash_attn_func(*tokens_first)
        return read.transpose(1, 2)

    return product


def _sage(module: Any) -> Product:
    """SageAttention (Zhang et al. 2024, arXiv 2410.02367) computes its scores in 8 bits."""

    def product(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        read: Tensor = module.sageattn(query, key, value, tensor_layout="HND")
        return read

    return product


KERNELS: dict[str, Kernel] = {
    "flash": Kernel("flash_attn", "flash-attn", _flash),
    "sage": Kernel("sageattention", "sageattention", _sage),
}


def processor(kernel: KernelName, slices: int) -> Any:
    """What an attention layer computes with.

    Raises ResourceError for a kernel whose package is not installed.
    """
    if kernel == "sdpa":
        whole: Any = AttnProcessor2_0()
    else:
        entry = KERNELS[kernel]
        if find_spec(entry.module) is None:
            raise ResourceError(
                f"attention {kernel} needs the package {entry.requirement}, which is not installed: "
                f"`pip install {entry.requirement}` (it wants a GPU), or use --attention sdpa.",
                key="attention.missing",
                name=kernel,
            )
        whole = KernelAttention(entry.product(import_module(entry.module)))
    return whole if slices == 1 else SlicedAttention(whole, slices)


@dataclass(frozen=True)
class KernelAttention:
    """The attention of these networks, its product of tokens with tokens done by a kernel.

    They have tokens in, tokens out, no mask, and neither norms nor a residual of attention's own.
    """

    product: Product

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **more: Any,
    ) -> Tensor:
        """`attn` on [B, tokens, C]."""
        assert attention_mask is None
        seen = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            projection(tokens).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for projection, tokens in ((attn.to_q, hidden_states), (attn.to_k, seen), (attn.to_v, seen))
        )
        read = self.product(query, key, value).transpose(1, 2).flatten(2)
        out: Tensor = attn.to_out[1](attn.to_out[0](read.to(query.dtype)))
        return out


@dataclass(frozen=True)
class SlicedAttention:
    """Attention that takes its batch (pixels or frames, which do not see each other) in slices."""

    whole: Any
    slices: int

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


def set_attention(network: nn.Module, kernel: KernelName = "sdpa", slices: int = 1) -> None:
    """Lets every attention layer of a network work with this kernel, in this many slices."""
    chosen = processor(kernel, slices)
    for module in network.modules():
        if isinstance(module, Attention):
            module.set_processor(chosen)
