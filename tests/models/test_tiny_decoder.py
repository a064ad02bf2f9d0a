"""TAESD's decoder has the released file's layers, and says what diffusers' says."""

import torch
from diffusers.models.autoencoders.vae import DecoderTiny

from mofa.models.tiny_decoder import TinyDecoder


def test_it_says_what_diffusers_decoder_says_with_the_same_weights() -> None:
    torch.manual_seed(0)
    ours = TinyDecoder(8)
    theirs = DecoderTiny(4, 3, (3, 3, 3, 1), (8, 8, 8, 8), 2, "relu", "nearest")
    # Theirs bends the latents outside the list of layers, which therefore begins one later.
    parts = {name: name.partition(".") for name in ours.state_dict()}
    moved = {name: f"layers.{int(place) - 1}.{rest}" for name, (place, _, rest) in parts.items()}
    theirs.load_state_dict({moved[name]: tensor for name, tensor in ours.state_dict().items()})
    latents = 3 * torch.randn(2, 4, 8, 6)
    assert torch.allclose(ours(latents) * 2 - 1, theirs(latents), atol=1e-6)
    assert ours(latents).shape == (2, 3, 64, 48)


def test_it_is_as_large_as_the_released_file() -> None:
    with torch.device("meta"):
        size = sum(weight.nbytes for weight in TinyDecoder().parameters())
    assert size == 4_890_124
