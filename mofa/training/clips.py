"""The example that adapters, backbones and sparse-to-dense networks are trained on: a clip and its motion."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, UInt8
from torch import Tensor


@dataclass(frozen=True)
class Clips:
    """A clip, or with an axis in front a batch of them. What is None is not known, for the whole batch.

    `flow` goes from frame 0 to every later one, in pixels; `visible` says where frame 0's pixels can still
    be seen. `landmarks` are 68 points per frame in pixels. `latent_mean`, `latent_deviation` and
    `embedding` are the frozen networks' answers, worked out before. `name` says where the clip came from.
    """

    frames: UInt8[Tensor, "*batch T 3 H W"]
    flow: Float[Tensor, "*batch S 2 H W"] | None = None
    visible: Bool[Tensor, "*batch S 1 H W"] | None = None
    landmarks: Float[Tensor, "*batch T 68 2"] | None = None
    latent_mean: Float[Tensor, "*batch T 4 h w"] | None = None
    latent_deviation: Float[Tensor, "*batch T 4 h w"] | None = None
    embedding: Float[Tensor, "*batch 1 D"] | None = None
    name: str | tuple[str, ...] = ""

    @property
    def pixels(self) -> Float[Tensor, "*batch T 3 H W"]:
        """The frames, 0..1."""
        return self.frames.float() / 255
