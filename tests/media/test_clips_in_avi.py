"""AVI keeps the order of decoding alone: training reads the frames that are shown, B-frames or none."""

from pathlib import Path

import av
import numpy as np
import pytest

from mofa.media.clips import read_clip
from mofa.types import CropBox

WHOLE = CropBox(0.0, 0.0, 64.0, 48.0, 64, 48)


def write(path: Path, codec: str, options: dict[str, str], count: int = 30) -> None:
    """A video whose frame i is grey of brightness 8 i, with a stripe that wanders."""
    with av.open(str(path), "w", format="avi") as container:
        stream = container.add_stream(codec, rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(count):
            pixels = np.full((48, 64, 3), 8 * i, np.uint8)
            pixels[:, 2 * i : 2 * i + 4] = 255 - 8 * i
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"crf": "1", "g": "12", "bf": "3"}),
        ("mpeg4", {"g": "12", "bf": "2", "qmin": "1", "qmax": "2"}),
        ("mpeg4", {"g": "12", "bf": "0", "qmin": "1", "qmax": "2"}),
    ],
)
def test_a_clip_has_the_frames_of_its_moments_wherever_it_begins(
    tmp_path: Path, codec: str, options: dict[str, str]
) -> None:
    write(tmp_path / "a.avi", codec, options)
    for first in range(21):
        moments = [(first + 3 * i) / 10 for i in range(4)]
        frames = read_clip(tmp_path / "a.avi", moments, WHOLE, "a.avi")
        seen = [float(np.median(frame)) / 8 for frame in frames.numpy()]
        assert seen == pytest.approx([first + 3 * i for i in range(4)], abs=0.4), first
