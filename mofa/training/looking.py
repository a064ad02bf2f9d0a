"""What a batch looks like, as a page: frames, flow, where frame 0 stays visible, landmarks."""

import base64
import html
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from jaxtyping import UInt8
from torch import Tensor

from mofa.faces.sketch import overlay_landmarks
from mofa.media.draw import flow_wheel
from mofa.media.files import replacing
from mofa.media.image import save_png
from mofa.training.clips import Clips


def write_page(clips: list[Clips], path: Path, title: str, overwrite: bool = False) -> None:
    """One row of pictures per clip and kind. Raises OutputError where the page cannot be written."""
    rows = "\n".join(_clip(clip) for clip in clips)
    with replacing(path, overwrite) as hidden:
        hidden.write_text(
            f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title>"
            "<style>body{font:14px sans-serif;margin:2em}img{display:block;max-width:100%}</style>"
            f"<h1>{html.escape(title)}</h1>\n{rows}\n",
            encoding="utf-8",
        )


def _clip(clip: Clips) -> str:
    frames = clip.frames
    if clip.landmarks is not None:
        frames = overlay_landmarks(frames, [clip.landmarks])
    pictures = {"frames": frames}
    if clip.flow is not None:
        largest = float(clip.flow.norm(dim=1).max())
        flows = torch.stack([flow_wheel(step, max(largest, 1e-6)) for step in clip.flow])
        pictures[f"flow from the first frame, {largest:.1f} px at most"] = torch.cat([frames[:1], flows])
    if clip.visible is not None:
        seen = (clip.visible.expand(-1, 3, -1, -1) * 255).to(torch.uint8)
        pictures["where the first frame stays visible"] = torch.cat([frames[:1], seen])
    rows = "".join(f"<p>{html.escape(name)}<img src='{_strip(row)}'>" for name, row in pictures.items())
    return f"<h2>{html.escape(str(clip.name))}</h2>{rows}"


def _strip(frames: UInt8[Tensor, "T 3 H W"]) -> str:
    """Pictures side by side, as a data address."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "strip.png"
        save_png(path, torch.cat(list(frames), dim=2))
        return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
