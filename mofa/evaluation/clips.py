"""Folders of clips, and clips cut to a square."""

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from mofa.errors import InputError

SUFFIXES = (".mp4", ".avi", ".mpg", ".mov", ".gif", ".webm", ".mkv")


def clips_in(folder: Path) -> dict[str, Path]:
    """Every clip below a folder by name, without suffix, in order. Raises InputError where there is none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(f"{folder} holds no clips: give a folder of videos with --data.")
    return {path.stem: path for path in found}


def clip_called(name: str, folder: Path) -> Path:
    """The clip of that name. Raises InputError."""
    clips = clips_in(folder)
    if name not in clips:
        raise InputError(f"{folder} holds no clip called {name}.")
    return clips[name]


def middle_square(frames: UInt8[Tensor, "T 3 H W"], side: int) -> UInt8[Tensor, "T 3 {side} {side}"]:
    """The middle square of every frame, `side` pixels large."""
    height, width = frames.shape[-2:]
    short = min(height, width)
    top, left = (height - short) // 2, (width - short) // 2
    square = frames[..., top : top + short, left : left + short].float()
    resized = F.interpolate(square, (side, side), mode="bicubic", antialias=True)
    return resized.round().clamp(0, 255).to(torch.uint8)
