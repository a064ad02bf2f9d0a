"""The speech drivers by name: all have one signature, and are loaded when they are asked for."""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from mofa.errors import InputError, ResourceError
from mofa.faces.detection import Face
from mofa.faces.drivers.signal_audio import signal_driver
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


def speech_driver(
    name: SpeechDriverName, points: Float[Tensor, "68 2"], found: Face | None, original: Original
) -> SpeechDriver:
    """The driver of that name for one face of the picture: its points, and its finding where it was found.

    Raises WeightsError when its weights are absent, ResourceError when packages are, InputError when it needs
    a face that was found and the points were given by hand.
    """
    if name == "signal":
        return signal_driver
    # The learned drivers' networks take seconds to import.
    try:
        from mofa.pipeline.load_speech import load_aniportrait, load_sadtalker
    except ImportError as error:
        raise ResourceError(
            f'The {name} driver needs the diffusion extra: pip install "mofa-video[diffusion]", or use '
            "--driver signal."
        ) from error
    if name == "sadtalker":
        return load_sadtalker(original.pixels, points)
    if found is None:
        raise InputError(
            "the aniportrait driver needs a face that is found in the picture, not one whose points are "
            "given by hand: use --driver signal or sadtalker."
        )
    return load_aniportrait(found.mesh, original.height, original.width)
