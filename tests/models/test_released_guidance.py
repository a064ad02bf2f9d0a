"""The released batch of two mixes the halves' embeddings; a batch of one and later runs do not notice."""

import pytest
import torch
from diffusers.models.transformers.transformer_temporal import TransformerSpatioTemporalModel
from torch import Tensor

from mofa.models.released_guidance import interleaved_time_context

FRAMES, HEIGHT, WIDTH = 3, 2, 4


@pytest.fixture(scope="module")
def transformer() -> TransformerSpatioTemporalModel:
    torch.manual_seed(0)
    return TransformerSpatioTemporalModel(2, 16, in_channels=32, cross_attention_dim=8).eval()


def run(transformer: TransformerSpatioTemporalModel, embeddings: Tensor) -> Tensor:
    """[B, T, C, H, W] for embeddings [B, D] and always the same hidden states."""
    batch = len(embeddings)
    x = torch.randn(1, FRAMES, 32, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = transformer(
            x.expand(batch, -1, -1, -1, -1).flatten(0, 1),
            encoder_hidden_states=embeddings[:, None].repeat_interleave(FRAMES, dim=0),
            image_only_indicator=torch.zeros(batch, FRAMES),
            return_dict=False,
        )[0]
    return found.unflatten(0, (batch, FRAMES))


HALVES = torch.stack([torch.zeros(8), torch.linspace(-2, 2, 8)])


def test_a_batch_of_one_is_untouched(transformer: TransformerSpatioTemporalModel) -> None:
    plain = run(transformer, HALVES[1:])
    with interleaved_time_context(transformer):
        assert torch.equal(run(transformer, HALVES[1:]), plain)


def test_halves_that_are_told_the_same_are_untouched(transformer: TransformerSpatioTemporalModel) -> None:
    same = HALVES[1:].expand(2, -1)
    plain = run(transformer, same)
    with interleaved_time_context(transformer):
        assert torch.equal(run(transformer, same), plain)


def test_even_pixels_keep_the_unconditional_half_and_odd_pixels_the_conditional(
    transformer: TransformerSpatioTemporalModel,
) -> None:
    """Temporal attention never mixes pixels, so each half keeps the pixels whose turn is its own."""
    plain = run(transformer, HALVES).flatten(3)
    with interleaved_time_context(transformer):
        mixed = run(transformer, HALVES).flatten(3)
    even, odd = slice(0, None, 2), slice(1, None, 2)
    torch.testing.assert_close(mixed[0, ..., even], plain[0, ..., even])
    torch.testing.assert_close(mixed[1, ..., odd], plain[1, ..., odd])
    assert not torch.allclose(mixed[0, ..., odd], plain[0, ..., odd], atol=1e-3)
    assert not torch.allclose(mixed[1, ..., even], plain[1, ..., even], atol=1e-3)


def test_afterwards_all_is_as_before(transformer: TransformerSpatioTemporalModel) -> None:
    plain = run(transformer, HALVES)
    with pytest.raises(RuntimeError, match="stop"), interleaved_time_context(transformer):
        raise RuntimeError("stop")
    assert torch.equal(run(transformer, HALVES), plain)
