"""The data that travels between folders: frozen, with axes, units and direction decided once.

Conventions, valid everywhere:

- T counts frames, the source frame 0 included. A flow has S = T - 1 steps, each from frame 0 to
  frame s + 1, never from one frame to the next.
- Points and vector channels are (x, y): x to the right, y down, in pixels of that tensor's own
  H x W. Pixel (0, 0) is the centre of the top left pixel.
- Pictures are RGB in 0..1; Clip alone holds bytes.
- Absence is a mask, never a value: `valid` and `known` say where something is known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Bool, Float, UInt8
from torch import Tensor

AdapterName = Literal["trajectory", "landmark"]


@runtime_checkable
class Progress(Protocol):
    """Called as `progress(stage, done, total)` while a stage runs; raise Cancelled in it to stop."""

    def __call__(self, stage: str, done: int, total: int, /) -> None: ...


def silent(stage: str, done: int, total: int, /) -> None:
    """The progress callback of a caller who does not want one."""


Note = Callable[[str], object]
"""Called with a sentence that the person who asked should read: `list.append`, say."""


Show = Callable[[UInt8[Tensor, "3 H W"]], object]
"""Called with a small picture of what is being made."""


def unsaid(sentence: str, /) -> None:
    """The note of a caller who has nobody to tell."""


@dataclass(frozen=True)
class CropBox:
    """The window of the original picture that the working picture shows.

    `left`, `top`, `width`, `height` are in pixels of the original (upright) picture and may reach
    beyond it, which is padding. `working_width` x `working_height` is the size it is resampled to.
    """

    left: float
    top: float
    width: float
    height: float
    working_width: int
    working_height: int

    @property
    def scale_x(self) -> float:
        """Working pixels per original pixel, horizontally."""
        return self.working_width / self.width

    @property
    def scale_y(self) -> float:
        """Working pixels per original pixel, vertically."""
        return self.working_height / self.height


@dataclass(frozen=True)
class SourceImage:
    """The picture to animate, at working size, and where it was cut from the original.

    What is transparent lies on white in `pixels`; `alpha`, 0..1, is None where nobody asks for it.
    """

    pixels: Float[Tensor, "3 H W"]
    crop: CropBox
    alpha: Float[Tensor, "1 H W"] | None = None


@dataclass(frozen=True)
class TrackSet:
    """N point trajectories over T frames; `visible` is False where a point is hidden or unknown."""

    points: Float[Tensor, "N T 2"]
    visible: Bool[Tensor, "N T"]


@dataclass(frozen=True)
class LandmarkClip:
    """68 face points per frame (iBUG order) with the detector's confidence 0..1 per frame."""

    points: Float[Tensor, "T 68 2"]
    score: Float[Tensor, " T"]
    fps: float


@dataclass(frozen=True)
class SparseMotion:
    """N hints on a picture of height x width: where they sit in frame 0 and how far each has moved.

    Positions keep their sub-pixel part; `known[s, n]` is False where hint n says nothing at step s.
    A hint with zero displacement that is known is an anchor: it holds its place still.
    """

    positions: Float[Tensor, "N 2"]
    displacement: Float[Tensor, "S N 2"]
    known: Bool[Tensor, "S N"]
    height: int
    width: int


@dataclass(frozen=True)
class ThingsAt:
    """What K questions about a picture are about: nested answers on a coarse grid that covers the picture.

    `logits` above 0 belong to the part, the thing, the group; `scores` 0..1 are how well each answer
    probably fits, and `is_thing` 0..1 how surely there is a thing at all, not mere ground.
    """

    logits: Float[Tensor, "K 3 h w"]
    scores: Float[Tensor, "K 3"]
    is_thing: Float[Tensor, " K"]


@runtime_checkable
class LookedAt(Protocol):
    """A picture that has been looked at, ready to be asked about its things."""

    def ask(self, points: Float[Tensor, "K P 2"], signs: Float[Tensor, "K P"]) -> ThingsAt:
        """K questions of up to P points, in pixels; sign 1: on the thing, -1: beside it, 0: none."""
        ...

    def glance(self, points: Float[Tensor, "K 1 2"]) -> ThingsAt:
        """What single points are about, roughly and at once: on a grid of its own."""
        ...


@runtime_checkable
class SenseOfThings(Protocol):
    """Looks at a picture (0..1) once."""

    def __call__(self, picture: Float[Tensor, "3 H W"]) -> LookedAt: ...


@dataclass(frozen=True)
class FlowField:
    """Dense motion from frame 0 to every later frame; `valid` False means nothing is known there."""

    pixels: Float[Tensor, "S 2 H W"]
    valid: Bool[Tensor, "S 1 H W"]

    def over(self, steps: Sequence[int], /) -> "FlowField":
        """These steps alone; a run of them shares the memory."""
        return FlowField(_chosen(self.pixels, steps), _chosen(self.valid, steps))


@runtime_checkable
class DenseMotion(Protocol):
    """Motion of every pixel against the scene, worked out for the steps that are asked for and not kept.

    A FlowField is one that is at hand already. Step s leads from frame 0 to frame s + 1. The same steps come
    out alike however often, and together with whichever others, they are asked for.
    """

    def over(self, steps: Sequence[int], /) -> FlowField:
        """The flow at these steps, in their order."""
        ...


@dataclass(frozen=True)
class MotionBranch:
    """One adapter's share of the motion, against the scene: the camera is not in it.

    `region` is where the branch rules, 0..1, and `strength` multiplies the adapter's residuals. `face` holds
    a driven face's 68 points per frame, in working pixels (landmark adapter only). `may_move` is where people
    painted that things may move, 0..1, for adapters that are told; None is everywhere.
    """

    adapter: AdapterName
    motion: DenseMotion
    region: Float[Tensor, "1 H W"]
    strength: float = 1.0
    face: Float[Tensor, "T 68 2"] | None = None
    may_move: Float[Tensor, "1 H W"] | None = None


@dataclass(frozen=True)
class MotionPlan:
    """What moves, stored small; a renderer derives from it what it needs, when it needs it.

    `camera` is, per step, the affine map (2 x 3) that takes a still point of frame 0 to its place in that
    frame; branches, faces and tracks move in front of it, relative to the scene. `tensors.motion` puts both
    together. `tracks` are the points that were drawn or tracked, one set per control, in working pixels.
    """

    branches: tuple[MotionBranch, ...]
    camera: Float[Tensor, "S 2 3"]
    num_frames: int
    tracks: tuple[TrackSet, ...] = ()


@dataclass(frozen=True)
class MotionFeatures:
    """The picture's feature pyramid warped to every frame: 4 levels [T, C, h, w], H/8 .. H/64.

    Nothing in it depends on the noise level or on guidance. `sketch` holds the landmark drawing's
    embedding at H/8, or None. In training a batch of clips has its own features each, the clip in front.
    """

    levels: tuple[Float[Tensor, "*clip T _ _ _"], ...]
    sketch: Float[Tensor, "*clip T _ _ _"] | None = None

    def over(self, frames: Sequence[int], /) -> "MotionFeatures":
        """Those of these frames alone; a run of them shares the memory."""
        sketch = None if self.sketch is None else _chosen(self.sketch, frames)
        return MotionFeatures(tuple(_chosen(level, frames) for level in self.levels), sketch)


@dataclass(frozen=True)
class BackboneCondition:
    """What Stable Video Diffusion itself is told about the picture."""

    image_embedding: Float[Tensor, "1 1 D"]
    image_latent: Float[Tensor, "1 4 h w"]
    time_ids: Float[Tensor, "1 3"]


@dataclass(frozen=True)
class Waveform:
    """Sound: samples -1..1, channels first."""

    samples: Float[Tensor, "C L"]
    rate: int


@dataclass(frozen=True)
class Clip:
    """A finished clip: 8-bit RGB frames, their rate, and the sound if there is any."""

    frames: UInt8[Tensor, "T 3 H W"]
    fps: float
    audio: Waveform | None = None


def _chosen(values: Tensor, indices: Sequence[int]) -> Tensor:
    """The values at some indices of the first axis: a view where they are a run."""
    run = range(indices[0], indices[0] + len(indices)) if len(indices) else range(0)
    return values[run.start : run.stop] if tuple(indices) == tuple(run) else values[list(indices)]
