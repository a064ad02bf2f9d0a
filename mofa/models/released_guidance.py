"""The guidance batch of two the way the released inference ran it, for those who need its very numbers.

Temporal cross-attention has one row per guidance half and pixel, halves slowest. diffusers before 0.28
(its pull request 7268) handed it the picture embeddings with halves fastest, so that whichever half a
row belongs to, even rows read the unconditional half's embedding and odd rows the conditional one's.
The adapters were trained on clips one by one, which it does not touch; the reference outputs carry it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from diffusers.models.attention import TemporalBasicTransformerBlock
from torch import nn


@contextmanager
def interleaved_time_context(*networks: nn.Module) -> Iterator[None]:
    """While it lasts, temporal cross-attention in these networks reads the halves' embeddings in turn.

    Meant for the backbone's UNet and the adapters with both guidance halves in one batch; a batch of one
    gives what it always gives, bit for bit.
    """
    handles = [
        module.register_forward_pre_hook(_interleave, with_kwargs=True)
        for network in networks
        for module in network.modules()
        if isinstance(module, TemporalBasicTransformerBlock)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _interleave(
    block: nn.Module, args: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Context rows [B * pixels, 1, D] from halves slowest to halves fastest."""
    pixels = args[0].shape[1]
    context = named["encoder_hidden_states"].unflatten(0, (-1, pixels))
    return args, {**named, "encoder_hidden_states": context.transpose(0, 1).flatten(0, 1)}
