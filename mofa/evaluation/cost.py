"""What a computation costs, counted on the meta device: no weights, no GPU, no arithmetic.

Full-size networks are built without storage and run on tensors that have a shape and nothing else. What is
counted is what the method asks for, not what a machine makes of it: see `Cost`.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

ATTENTION = torch.ops.aten._scaled_dot_product_efficient_attention
"""The fused kernel that takes heads of any width."""


@dataclass(frozen=True)
class Cost:
    """The work and the memory of one call.

    `flop`: convolutions and matrix products, two per multiply-add; everything else (norms, activations,
    sums) is left out. `attention_flop`: the part of it in which attention multiplies tokens with tokens,
    which common counters leave out as well. `peak_bytes`: the most that tensors other than weights take
    at once, arguments and results included; what a kernel needs for itself and what an allocator loses
    to rounding come on top. `parameter_bytes`: the weights that the call reads.
    """

    flop: int
    attention_flop: int
    peak_bytes: int
    parameter_bytes: int

    @property
    def resident_bytes(self) -> int:
        """What a device must hold for the call: the weights it reads, and tensors."""
        return self.parameter_bytes + self.peak_bytes


@torch.no_grad()
def count(function: Callable[..., Any], *arguments: Any) -> Cost:
    """The cost of `function(*arguments)` in inference; all tensors and weights are on the meta device.

    Attention counts as a fused kernel computes it: no matrix of scores is ever held.
    """
    work, memory = FlopCounterMode(display=False), LiveTensors()
    with work, memory, FusedAttention():
        function(*arguments)
    return Cost(
        flop=work.get_total_flops(),
        attention_flop=work.get_flop_counts()["Global"].get(ATTENTION, 0),
        peak_bytes=memory.peak_bytes,
        parameter_bytes=memory.parameter_bytes,
    )


class LiveTensors(TorchDispatchMode):
    """Watches every operation and adds up the storages that are alive.

    A storage that an operation reads and none has made is a weight or an argument; arguments count as
    alive throughout.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parameter_bytes = 0
        self._argument_bytes = 0
        self._live_bytes = 0
        self._most_live_bytes = 0
        self._seen = weakref.WeakSet[torch.UntypedStorage]()

    @property
    def peak_bytes(self) -> int:
        """The most bytes alive at once so far, weights left out."""
        return self._argument_bytes + self._most_live_bytes

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        for tensor in tensors_in((args, kwargs)):
            size = self._size_if_new(tensor)
            if isinstance(tensor, nn.Parameter):
                self.parameter_bytes += size
            else:
                self._argument_bytes += size
        made = func(*args, **(kwargs or {}))
        for tensor in tensors_in(made):
            size = self._size_if_new(tensor)
            if size:
                self._live_bytes += size
                weakref.finalize(tensor.untyped_storage(), self._release, size)
        self._most_live_bytes = max(self._most_live_bytes, self._live_bytes)
        return made

    def _size_if_new(self, tensor: Tensor) -> int:
        storage = tensor.untyped_storage()
        if storage in self._seen:
            return 0
        self._seen.add(storage)
        return storage.nbytes()

    def _release(self, size: int) -> None:
        self._live_bytes -= size


class FusedAttention(TorchFunctionMode):
    """Sends attention to a fused kernel, as every GPU would: the meta device spells it out otherwise."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            return fused_attention(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """`F.scaled_dot_product_attention` by one kernel."""
    # Going back through it needs the sums of its scores.
    backward = torch.is_grad_enabled() and query.requires_grad
    return ATTENTION(query, key, value, attn_mask, backward, dropout_p, is_causal, scale=scale)[0]


def tensors_in(tree: Any) -> list[Tensor]:
    """Every tensor in nested tuples, lists and dicts."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]
