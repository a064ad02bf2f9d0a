"""What the parts of the pipeline look like to each other: protocols, and an engine that holds one of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.control.reference import FlowEstimator
from mofa.faces.detection import Face
from mofa.pipeline.original import Original
from mofa.types import (
    DenseMotion,
    LandmarkClip,
    MotionPlan,
    Progress,
    SourceImage,
    SparseMotion,
    Waveform,
    silent,
)


@runtime_checkable
class Densifier(Protocol):
    """Sparse hints to dense motion: densify.edge_aware.spread_hints, or the CMP network."""

    def __call__(
        self,
        image: Float[Tensor, "3 H W"],
        hints: SparseMotion,
        region: Float[Tensor, "1 H W"] | None = None,
        progress: Progress = silent,
    ) -> DenseMotion: ...


@runtime_checkable
class FaceSpreader(Protocol):
    """A face's 68 points per frame to dense motion: by the mesh, or the network an adapter learned with."""

    def __call__(
        self, image: Float[Tensor, "3 H W"], points: Float[Tensor, "T 68 2"], progress: Progress = silent
    ) -> DenseMotion: ...


@runtime_checkable
class SpeechDriver(Protocol):
    """Speech, of any rate and number of channels, to the motion of a face that speaks it.

    The result has `num_frames` at `fps` in the pixels of `face`, and frame 0 is `face` itself.
    """

    def __call__(
        self, speech: Waveform, face: Float[Tensor, "68 2"], fps: float, num_frames: int, seed: int
    ) -> LandmarkClip: ...


@runtime_checkable
class SpeechDrivers(Protocol):
    """The speech driver of a name for one face of the picture.

    `points` are the face's 68 points, `found` its finding where it was found and not given by hand. Raises
    WeightsError when the driver's weights are absent, ResourceError when packages are, InputError when it
    needs a face that was found.
    """

    def __call__(
        self, name: str, points: Float[Tensor, "68 2"], found: Face | None, original: Original, /
    ) -> SpeechDriver: ...


@runtime_checkable
class Render(Protocol):
    """A renderer at work: turns a planned motion into frames, which it yields one by one; 0 is the source.

    Of a source with alpha they have straight alpha as a fourth channel.
    """

    def __call__(
        self, source: SourceImage, plan: MotionPlan, progress: Progress, /
    ) -> Iterator[UInt8[Tensor, "C H W"]]: ...


@dataclass(frozen=True)
class Engine:
    """The parts that one request needs; the networks in them may be shared with other engines."""

    densify: Densifier
    spread_face: FaceSpreader
    estimate_flow: FlowEstimator
    speak: SpeechDrivers
    render: Render
