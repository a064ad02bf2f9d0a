"""Small pictures of clips, which the summary page shows and workers keep as they finish a clip."""

from contextlib import closing, suppress
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from mofa.batch.manifest import ASIDE
from mofa.errors import MofaError
from mofa.media.decode import video_frames
from mofa.media.image import save_jpeg
from mofa.tensors.geometry import shrunk

LONG_SIDE = 200
"""Pixels."""


def thumbnail_file(clip: Path) -> Path:
    """Where the small picture of a clip is kept."""
    return clip.parent / ASIDE / f"{clip.name}.jpg"


def keep_thumbnail(path: Path, frame: UInt8[Tensor, "3 H W"]) -> None:
    """Writes a small copy of a clip's first frame, where that can be done."""
    width, height = shrunk(frame.shape[2], frame.shape[1], LONG_SIDE)
    small = F.interpolate(frame[None].float(), (height, width), mode="bilinear", antialias=True)[0]
    with suppress(OSError):
        save_jpeg(path, small.round().to(torch.uint8))


def thumbnail(clip: Path) -> bytes:
    """The small picture of a clip as JPEG; nothing where the clip cannot be read."""
    kept = thumbnail_file(clip)
    try:
        if not kept.exists() or kept.stat().st_mtime_ns < clip.stat().st_mtime_ns:
            with closing(video_frames(clip)) as frames:
                keep_thumbnail(kept, torch.from_numpy(next(frames).pixels).permute(2, 0, 1))
        return kept.read_bytes()
    except (OSError, MofaError):
        return b""
