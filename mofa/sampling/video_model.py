"""What the denoiser and the diffusion renderer ask of an image-to-video model, whatever its family.

A family brings its own condition (what its networks are told about the picture), its own settings and its own
reading of a network's prediction. Everything above it (guidance, windows, the loop) is the same for all.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from mofa.sampling.reuse import Memory
from mofa.tensors.windows import Window
from mofa.types import CropBox, Progress

Work = Literal["condition", "predict", "decode"]
"""The three kinds of work that a video model does; each keeps other networks busy."""

Condition = TypeVar("Condition")
Chosen = TypeVar("Chosen", contravariant=True)


@runtime_checkable
class Steering(Protocol):
    """Something that corrects a video model's predictions: an adapter with the motion it brings.

    What it hands to the model, and when, is between it and its family of models.
    """

    @property
    def acts(self) -> bool:
        """False where it can change nothing, so that it need not run."""
        ...

    def over(self, frames: Window, like: Tensor, /) -> Any:
        """This steering for some of the clip's frames, on the device and in the dtype of `like`."""
        ...


@runtime_checkable
class VideoModel(Protocol[Condition, Chosen]):
    """Pictures to latents, noisy latents to predictions, latents to frames.

    Latents are [T', c, h, w] with c = `latent_channels`; one cell stands for `pixel_stride` pixels each way,
    and one latent frame after the first for `frame_stride` frames.
    """

    @property
    def latent_channels(self) -> int: ...

    @property
    def pixel_stride(self) -> int: ...

    @property
    def frame_stride(self) -> int: ...

    def networks(self, work: Work | None = None, /) -> Sequence[nn.Module]:
        """The networks that are busy with `work`; all of them, each once, without it."""
        ...

    def window(self, height: int, width: int, settings: Chosen, /) -> CropBox:
        """The part of a picture of height x width that the networks see, pixel by pixel."""
        ...

    def condition(
        self, picture: Float[Tensor, "3 H W"], settings: Chosen, noise: Float[Tensor, "3 H W"], /
    ) -> Condition:
        """What the networks are told about the picture (0..1); `noise` is standard normal."""
        ...

    def encode(
        self, frames: Iterable[Float[Tensor, "3 H W"]], chunk_size: int, /
    ) -> Float[Tensor, "T c h w"]:
        """Frames (0..1) to clean latents, in float32: what `decode` takes back."""
        ...

    def predicting(self, settings: Chosen, steering: Sequence[nn.Module], /) -> AbstractContextManager[None]:
        """How the networks of `predict`, and those that steer it, are to run while it lasts."""
        ...

    def passes(self, num_frames: int, settings: Chosen, /) -> Sequence[Window]:
        """The windows of latent frames that are denoised together."""
        ...

    def unseen(self, condition: Condition, /) -> Condition:
        """The unconditional half of guidance: the condition of a picture that is not shown."""
        ...

    def like(self, condition: Condition, /) -> Tensor:
        """Any tensor on the device and in the dtype that the networks are told their condition in."""
        ...

    def predict(
        self,
        x: Float[Tensor, "T c h w"],
        sigma: Float[Tensor, ""],
        halves: Sequence[Condition],
        steering: Sequence[Any],
        memory: Memory | None = None,
        /,
    ) -> Float[Tensor, "B T c h w"]:
        """The network's prediction for noisy latents, once per condition, all in one batch.

        What the memory holds of an earlier noise level may be used again; what it lacks may be kept there.
        """
        ...

    def clean(
        self, x: Float[Tensor, "T c h w"], sigma: Float[Tensor, ""], prediction: Float[Tensor, "T c h w"], /
    ) -> Float[Tensor, "T c h w"]:
        """The clean estimate that a prediction stands for, in the dtype of `x`."""
        ...

    def decode(
        self, latents: Float[Tensor, "T c h w"], chunk_size: int, progress: Progress, /
    ) -> Iterator[Float[Tensor, "f 3 H W"]]:
        """Latents to frames, about -1..1, float32, chunk by chunk; `chunk_size` latent frames at a time."""
        ...


AnyVideoModel = VideoModel[Any, Any]
"""A video model of any family."""


def latent_frames(num_frames: int, frame_stride: int) -> int:
    """How many latent frames a clip of `num_frames` has, the first of which stands for the picture alone."""
    return 1 - (1 - num_frames) // frame_stride
