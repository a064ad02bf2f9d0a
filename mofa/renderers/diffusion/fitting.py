"""Settings that a machine can bear: what a clip needs in memory, and which of the ways to run it fits.

The figures are those of Stable Video Diffusion and its adapters, counted on the meta device at 512 x 512 and
25 frames (docs/performance.md); hidden states grow with pixels and frames, since fused attention keeps no
scores. A test holds them against a new count.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import torch

from mofa.renderers.diffusion.settings import DiffusionSettings, Offload

UNET, ADAPTER, IMAGE_ENCODER, VAE = 1.525e9, 0.68e9, 0.632e9, 0.0977e9
"""Numbers in the weights of each network."""
STEP, STEERED = 0.923e9, 0.24e9
"""Numbers in the hidden states of a step, a half of guidance, 512 x 512, 25 frames; what adapters add."""
DECODED = 0.27e9
"""Numbers in the decoder's hidden states per 512 x 512 frame; it computes in float32."""
LARGEST_BLOCK = IMAGE_ENCODER
"""Numbers in the weights of the largest part that is brought to the device at a time."""
FLOP_HALF, FLOP_ADAPTER = 31.7e12, 11.5e12
"""Counted work of one guidance half of a step, and of an adapter beside it."""
SPARE = 0.9
"""Share of the free memory that is counted on: kernels and the allocator take some for themselves."""

Chosen = TypeVar("Chosen", bound=DiffusionSettings)


@dataclass(frozen=True)
class Work:
    """What is asked of a machine: the networks' picture, the frames of a window, the adapters at work."""

    width: int
    height: int
    frames: int
    adapters: int

    @property
    def amount(self) -> float:
        """Pixels and frames in units of 512 x 512 and 25."""
        return self.width * self.height * self.frames / (512 * 512 * 25)


@dataclass(frozen=True)
class Notch:
    """One way to run: each takes less memory than the one before it, and more time."""

    offload: Offload
    halves_at_once: Literal[1, 2]
    decode_chunk: int

    def applied(self, settings: Chosen) -> Chosen:
        """The settings run in this way."""
        return replace(
            settings,
            offload=self.offload,
            halves_at_once=self.halves_at_once,
            decode_chunk=self.decode_chunk,
        )

    def __str__(self) -> str:
        decoded = "1 frame" if self.decode_chunk == 1 else f"{self.decode_chunk} frames"
        return f"offload {self.offload}, {self.halves_at_once} of guidance's halves and {decoded} at once"


NOTCHES = (
    Notch("none", 2, 8),
    Notch("none", 1, 4),
    Notch("model", 2, 8),
    Notch("model", 1, 4),
    Notch("model", 1, 2),
    Notch("block", 1, 2),
    Notch("block", 1, 1),
)


def notches(device: torch.device) -> Iterator[Notch]:
    """The ways to run on a device; where it computes in main memory, weights have nowhere else to wait."""
    shared = device.type == "cpu"
    yield from (notch for notch in NOTCHES if notch.offload == "none" or not shared)
    if shared:
        yield Notch("none", 1, 1)


def network_bytes(work: Work, dtype: torch.dtype) -> int:
    """What the weights of all networks take."""
    return round((UNET + work.adapters * ADAPTER + IMAGE_ENCODER) * dtype.itemsize + VAE * 4)


def needed_bytes(notch: Notch, work: Work, dtype: torch.dtype) -> int:
    """What a device must hold at the most, weights and hidden states."""
    size = dtype.itemsize
    step = notch.halves_at_once * (STEP + STEERED * (work.adapters > 0)) * work.amount * size
    decode = notch.decode_chunk * DECODED * work.amount * 25 / work.frames * 4
    predicting = (UNET + work.adapters * ADAPTER) * size
    match notch.offload:
        case "none":
            return round(network_bytes(work, dtype) + max(step, decode))
        case "model":
            return round(max(predicting + step, VAE * 4 + decode))
        case "block" | "stream":
            return round(LARGEST_BLOCK * size + max(step, decode))


def fitting(free: int, work: Work, dtype: torch.dtype, device: torch.device) -> list[Notch]:
    """The ways to run that fit into `free` bytes, the fastest first; the thriftiest where none seems to."""
    ways = list(notches(device))
    return [way for way in ways if needed_bytes(way, work, dtype) <= SPARE * free] or ways[-1:]


def expected_seconds(settings: DiffusionSettings, work: Work, flop_per_second: float) -> float:
    """How long denoising one window may take where plain matrix products run at `flop_per_second`.

    Half of that rate is what convolutions and attention of this shape reach on a good day.
    """
    guided = (settings.guidance_lowest, settings.guidance_highest) != (1, 1)
    evaluations = settings.steps * (2 if guided else 1)
    flop = evaluations * (FLOP_HALF + work.adapters * FLOP_ADAPTER) * work.amount
    return flop / (0.5 * flop_per_second)
