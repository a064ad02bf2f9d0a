"""The speech drivers by name: all have one signature, and are loaded when they are asked for."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from mofa.drivers.face import Face
from mofa.drivers.signal_audio import signal_driver
from mofa.errors import InputError
from mofa.pipeline.original import Original
from mofa.pipeline.request import SpeechDriverName
from mofa.types import LandmarkClip, Waveform


@runtime_checkable
class SpeechDriver(Protocol):
    """Speech, of any rate and number of channels, to the motion of a face that speaks it.

    The result has `num_frames` at `fps` in the pixels of `face`, and frame 0 is `face` itself.
    """

    def __call__(
        self, speech: Waveform, face: Float[Tensor, "68 2"], fps: float, num_frames: int, seed: int
    ) -> LandmarkClip: ...


def speech_driver(name: SpeechDriverName, face: Face | None, original: Original) -> SpeechDriver:
    """The driver of that name for this face of the picture (None where its points were given by hand).

    Raises InputError for one that cannot be had.
    """
    match name:
        case "signal":
            return signal_driver
    raise InputError(f'the speech driver "{name}" is not part of this version: use "signal".')
