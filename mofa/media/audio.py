"""Sound: any container in. Sound is written beside pictures, by `media.encode`."""

import math
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray

from mofa.errors import InputError
from mofa.media.containers import DAMAGE, WITH_SOUND, Extent, opened, sound, start_of
from mofa.types import Note, Waveform, unsaid

LONGEST_SOUND = 600.0
"""Seconds that `read_audio` takes without being asked for more."""

SHORTEST_SOUND = 0.1
"""Seconds: four frames of a wav2vec 2.0 encoder, three of a clip."""

HIGHEST_RATE = 48000
"""Samples per second; sound above is resampled. Nothing of a voice lies beyond."""


class NoSound(InputError):
    """The file has no audio track at all, as most driving videos have none."""


def read_audio(path: Path, max_seconds: float = LONGEST_SOUND, note: Note = unsaid) -> Waveform:
    """The sound of any audio or video file, at its own rate up to `HIGHEST_RATE`, mono or stereo, -1..1.

    Of several streams the first counts; more than two channels are mixed down to two. Sample 0 is the
    file's time 0: a stream that starts later than the pictures beside it begins with silence. What is
    louder than full scale is clipped, and damaged samples (NaN) are silent. A file that breaks off gives
    what came before the break, and `note` is told.

    Raises InputError: missing, a folder, empty, no sound in it, damaged from the start, shorter than
    `SHORTEST_SOUND` or longer than `max_seconds`.
    """
    with opened(path, "sound", WITH_SOUND, "cannot be read as sound; save it as WAV, MP3 or FLAC.") as (
        container,
        extent,
    ):
        if sound(container) is None:
            raise NoSound(f"{path} holds no sound; give a file with an audio track in it.", key="sound.none")
        samples, rate, damaged = _decoded(container, extent, path, max_seconds)
        extent.tell(path, note, damaged, samples.shape[1] / rate)
    seconds = samples.shape[1] / rate
    if seconds < SHORTEST_SOUND:
        raise InputError(
            f"{path} lasts {seconds:.2g} s; give at least {SHORTEST_SOUND} s of sound.",
            key="sound.short",
            least=SHORTEST_SOUND,
        )
    return Waveform(samples=torch.from_numpy(samples), rate=rate)


def _decoded(
    container: av.container.InputContainer, extent: Extent, path: Path, max_seconds: float
) -> tuple[NDArray[np.float32], int, bool]:
    """All samples [C, L], their rate, and whether decoding stopped at damage."""
    stream = sound(container)
    assert stream is not None
    rate, channels = min(stream.rate or 0, HIGHEST_RATE), min(stream.channels or 0, 2)
    if rate <= 0 or channels <= 0:
        raise InputError(f"The sound of {path} is damaged; save or download it again.", key="file.damaged")
    pieces: list[NDArray[np.float32]] = []
    decoded, damaged = 0, False
    try:
        for piece in _pieces(container, stream, extent, rate, channels):
            pieces.append(piece)
            decoded += piece.shape[1]
            if decoded > max_seconds * rate:
                raise InputError(
                    f"{path} lasts more than {max_seconds:g} s; cut it, or allow more with --max-seconds.",
                    key="file.long",
                    seconds=f"{max_seconds:g}",
                )
    except DAMAGE as error:
        damaged = True
        if not pieces:
            raise InputError(
                f"The sound of {path} is damaged; save or download it again.", key="file.damaged"
            ) from error
    if decoded == 0:
        raise InputError(f"The sound of {path} is empty; give a file with sound in it.", key="file.empty")
    samples = np.nan_to_num(np.concatenate(pieces, axis=1), nan=0.0, posinf=1.0, neginf=-1.0)
    return samples.clip(-1, 1), rate, damaged


def _pieces(
    container: av.container.InputContainer,
    stream: av.AudioStream,
    extent: Extent,
    rate: int,
    channels: int,
) -> Iterator[NDArray[np.float32]]:
    """The decoded sound in order, after as much silence as it comes late."""
    resampler = av.AudioResampler(format="fltp", layout="mono" if channels == 1 else "stereo", rate=rate)
    first = True
    for packet in extent.packets(stream):
        for frame in stream.decode(packet):
            late = (frame.time or 0.0) - start_of(container) if first else 0.0
            first = False
            if late > 0 and math.isfinite(late):
                yield from _silence(late, rate, channels)
            for resampled in resampler.resample(frame):
                yield resampled.to_ndarray().astype(np.float32, copy=False)
    for resampled in resampler.resample(None):
        yield resampled.to_ndarray().astype(np.float32, copy=False)


def _silence(seconds: float, rate: int, channels: int) -> Iterator[NDArray[np.float32]]:
    """In pieces of a second: a damaged file may claim to begin in a hundred years."""
    samples = round(min(seconds, 1e6) * rate)
    while samples > 0:
        yield np.zeros((channels, min(samples, rate)), np.float32)
        samples -= rate
