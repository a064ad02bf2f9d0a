"""Attention in slices, and compiled blocks: less at once, the same numbers."""

from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from mofa.evaluation.stages import toy_networks
from mofa.models.attention import SlicedAttention, slice_attention
from mofa.models.compiling import repeated_blocks
from mofa.pipeline.load import prepare

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


def test_slices_see_a_part_at_a_time_and_change_nothing(unet: torch.nn.Module) -> None:
    whole, seen = predicted(unet), []
    slice_attention(unet, 3)
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
    slice_attention(unet, 1)
    assert torch.equal(predicted(unet), whole)


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
    prepare([unet], attention_slices=1, compiled=True)
    torch.testing.assert_close(predicted(unet), plain, rtol=1e-4, atol=1e-5)
    # Down, middle and up: at least one trace for each kind of block.
    assert len(traced) >= 3
    assert len(repeated_blocks(unet)) == 16 + 16 + 22
