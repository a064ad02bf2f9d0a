"""How networks compute: attention by kernels and in slices, compiled blocks, weights in 8 bits."""

import sys
from copy import deepcopy
from types import ModuleType
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch.nn.functional import scaled_dot_product_attention

from mofa.errors import ResourceError
from mofa.evaluation.stages import toy_networks
from mofa.models.attention import KERNELS, Kernel, KernelAttention, SlicedAttention, set_attention
from mofa.models.compiling import repeated_blocks
from mofa.models.storage import STORED
from mofa.pipeline.load import prepare
from mofa.pipeline.networks import Running

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def unet() -> torch.nn.Module:
    torch.manual_seed(0)
    (unet,) = toy_networks(CPU, torch.float32).video.networks("predict")
    return unet


@torch.no_grad()
def predicted(unet: Any) -> torch.Tensor:
    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=torch.Generator().manual_seed(1))

    timestep, ids = torch.tensor(0.3), torch.tensor([[6.0, 127.0, 0.02]] * 2)
    return unet(drawn(2, 3, 8, 8, 8), timestep, drawn(2, 1, 32), added_time_ids=ids).sample


@pytest.mark.slow
def test_slices_see_a_part_at_a_time_and_change_nothing(unet: torch.nn.Module) -> None:
    whole, seen = predicted(unet), []
    set_attention(unet, slices=3)
    usual = AttnProcessor2_0.__call__

    def watched(self: Any, attn: Any, hidden: torch.Tensor, *rest: Any, **more: Any) -> torch.Tensor:
        seen.append(len(hidden))
        return usual(self, attn, hidden, *rest, **more)

    layers = [module for module in unet.modules() if isinstance(module, Attention)]
    assert all(isinstance(layer.processor, SlicedAttention) for layer in layers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AttnProcessor2_0, "__call__", watched)
        sliced = predicted(unet)
    assert len(seen) >= 2 * len(layers)
    assert max(seen) <= -(-2 * 64 // 3)
    torch.testing.assert_close(sliced, whole, rtol=1e-4, atol=1e-5)
    set_attention(unet)
    assert torch.equal(predicted(unet), whole)


@pytest.mark.parametrize("kernel", ["flash", "sage"])
def test_a_kernel_of_another_package_is_given_what_it_wants_and_changes_nothing(
    unet: torch.nn.Module, kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packages want a GPU: stand-ins keep their way of being called, and compute with torch."""
    whole, calls = predicted(unet), []

    def flash_attn_func(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        calls.append(q.shape)
        heads_first = (part.transpose(1, 2) for part in (q, k, v))
        return scaled_dot_product_attention(*heads_first).transpose(1, 2)

    def sageattn(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, tensor_layout: str) -> torch.Tensor:
        assert tensor_layout == "HND"
        calls.append(q.shape)
        return scaled_dot_product_attention(q, k, v)

    module = ModuleType("stand_in")
    vars(module).update(flash_attn_func=flash_attn_func, sageattn=sageattn, __spec__=object())
    monkeypatch.setitem(sys.modules, "stand_in", module)
    monkeypatch.setitem(KERNELS, kernel, Kernel("stand_in", "stand-in", KERNELS[kernel].product))
    set_attention(unet, kernel)
    torch.testing.assert_close(predicted(unet), whole, rtol=1e-4, atol=1e-5)
    layers = [module for module in unet.modules() if isinstance(module, Attention)]
    assert all(isinstance(layer.processor, KernelAttention) for layer in layers)
    assert len(calls) >= len(layers)
    set_attention(unet)


def test_a_kernel_that_is_not_installed_is_refused_before_anything_is_loaded(
    unet: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KERNELS, "sage", Kernel("there_is_no_such_module", "sageattention", lambda _: None))
    with pytest.raises(ResourceError, match=r"pip install sageattention.*--attention sdpa"):
        prepare([unet], Running(CPU, attention="sage"))


@pytest.mark.slow
@torch.no_grad()
def test_weights_in_8_bits_compute_as_weights_rounded_to_8_bits_do() -> None:
    torch.manual_seed(0)
    (unet,) = toy_networks(CPU, torch.float32).video.networks("predict")
    rounded = deepcopy(unet)
    room = sum(weight.nbytes for weight in unet.parameters())
    for _ in range(2):  # the second time changes nothing
        prepare([unet], Running(CPU, storage="float8"))
    assert sum(weight.nbytes for weight in unet.parameters()) < 0.5 * room  # 32 bits before
    for name, weight in unet.named_parameters():
        if weight.dtype == STORED:
            other = rounded.get_parameter(name)
            other.copy_(other.to(STORED))
    assert torch.equal(predicted(unet), predicted(rounded))


@pytest.mark.slow
def test_the_repeated_blocks_are_compiled_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the compiler's own tracing, without the machine code that it would make of it."""
    torch.manual_seed(0)
    (unet,) = toy_networks(CPU, torch.float32).video.networks("predict")
    plain, traced = predicted(unet), []

    def backend(graph: Any, inputs: Any) -> Any:
        traced.append(graph)
        return graph.forward

    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compile_module(self, backend=backend))
    prepare([unet], Running(CPU, compile=True))
    # Channels last, sums are added up in another order.
    torch.testing.assert_close(predicted(unet), plain, rtol=1e-3, atol=1e-3)
    # Down, middle and up: at least one trace for each kind of block.
    assert len(traced) >= 3
    assert len(repeated_blocks(unet)) == 16 + 16 + 22
