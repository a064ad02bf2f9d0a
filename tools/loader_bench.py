"""How fast the training loader reads clips of 14 frames, 256 x 256, stride 4, from MP4: for `tools.bench`."""

import cProfile
import pstats
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import torch
from torch import Tensor

from mofa.training.loading import Shares, batches
from mofa.training.videos import Videos

HEAD = (
    "H.264, 640 x 360",
    "CPU s per clip",
    "clips/s, of two cores",
    "two workers now",
    "decoding",
    "scaling",
)
Textured = Callable[[int, int], Tensor]


def rows(textured: Textured) -> list[tuple[str, ...]]:
    """A row per distance of key frames: the longer it is, the more is decoded on the way to a clip."""
    found = []
    with TemporaryDirectory() as folder:
        for key_frames in (50, 250):
            path = Path(folder) / str(key_frames) / "a.mp4"
            path.parent.mkdir()
            write_film(path, key_frames, textured)
            found.append((f"a key frame every {key_frames} frames", *row(path.parent)))
    return found


def row(folder: Path, count: int = 24) -> tuple[str, ...]:
    """CPU seconds per clip and what they go to, in one process; and clips per second of two."""
    torch.set_num_threads(1)
    source = Videos(folder).build(0)
    source[0]
    profile = cProfile.Profile(time.process_time)
    profile.runcall(lambda: [source[number] for number in range(count)])
    stats = pstats.Stats(profile)
    spent = stats.total_tt  # type: ignore[attr-defined]
    parts = dict.fromkeys(("decode", "reformat"), 0.0)
    for (_, __, function), (___, ____, own, *_____) in stats.stats.items():  # type: ignore[attr-defined]
        for name in parts:
            if name in function and function.startswith(("<method", "{method", "reformat", "decode")):
                parts[name] += own
    loader = batches(source, Shares(2, 1, 1, 0), 0, count, 2)
    next(loader)
    begin = time.perf_counter()
    read = sum(len(batch.frames) for batch in loader)
    shares = (f"{100 * part / spent:.0f} %" for part in parts.values())
    per_clip = spent / count
    return f"{per_clip:.3f}", f"{2 / per_clip:.0f}", f"{read / (time.perf_counter() - begin):.0f}", *shares


def write_film(path: Path, key_frames: int, textured: Textured, seconds: int = 10) -> None:
    """A video with two textures that wander, and a little noise."""
    ground, thing = (
        (textured(*size) * 255).byte().permute(1, 2, 0).numpy() for size in ((960, 640), (200, 200))
    )
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"g": str(key_frames)})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for i in range(25 * seconds):
            x, y, left = (int(100 + 80 * np.sin(i / pace)) for pace in (30, 41, 17))
            picture = ground[y : y + 360, x : x + 640].astype(np.int16)
            picture[80:280, left : left + 200] = thing
            noisy = np.clip(picture + rng.integers(-4, 5, picture.shape), 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noisy, format="rgb24")))
        container.mux(stream.encode(None))
