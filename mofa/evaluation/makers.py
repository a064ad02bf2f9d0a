"""Where the clips come from that are judged: our own renderers, or files that any other program wrote."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from mofa.errors import InputError, WeightsError
from mofa.evaluation.scene import Scene
from mofa.media.decode import read_video
from mofa.media.encode import write_clip
from mofa.media.image import read_picture, save_png, to_bytes
from mofa.pipeline.animate import animate
from mofa.pipeline.engine import Engines
from mofa.pipeline.request import AnimationRequest
from mofa.types import Clip
from mofa.weights.convert import sha256_of
from mofa.weights.store import standing_in

SUFFIXES = (".mp4", ".webm", ".mkv", ".mov", ".avi", ".gif", ".webp")
ASPECT_SLACK = 0.02
"""Share by which the aspect of another program's clip may differ: sides are rounded to eights or more."""


@runtime_checkable
class Maker(Protocol):
    """Answers scenes with clips."""

    def describe(self) -> Mapping[str, Any]:
        """What makes the clips, as plain data for the report; the same clips have the same description."""
        ...

    def fingerprint(self, name: str) -> str:
        """Changes when the clip of this scene would."""
        ...

    def make(self, scene: Scene, keep: Path) -> UInt8[Tensor, "T 3 H W"]:
        """The clip for a scene, at the scene's size and length; a copy to look at goes to `keep` (.mp4).

        Raises MofaError when there is none.
        """
        ...


@dataclass(frozen=True)
class OurRenderer:
    """A renderer of ours with these scene settings beside the motion, such as `renderer` and `diffusion`.

    `adapters` are folders with weights that stand in for the released ones (`weights.store.standing_in`).
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    adapters: tuple[Path, ...] = ()

    def describe(self) -> Mapping[str, Any]:
        described = {"renderer": "warp", **self.settings, "seed": self.seed}
        if self.adapters:
            described["adapter"] = ", ".join(str(folder) for folder in self.adapters)
        return described

    def fingerprint(self, name: str) -> str:
        weights = [weights_digest(folder) for folder in self.adapters]
        return repr([*sorted(self.describe().items()), *weights])

    def make(self, scene: Scene, keep: Path) -> UInt8[Tensor, "T 3 H W"]:
        with tempfile.TemporaryDirectory() as folder:
            data = request_of(scene, Path(folder)) | {"renderer": "warp", **self.settings, "seed": self.seed}
            request = AnimationRequest.from_data(data)
            with standing_in(self.adapters):
                clip = animate(request, make_engine=engines(self.adapters).engine).clip
        write_clip(clip, keep, overwrite=True)
        return fitted(clip.frames, scene)


@cache
def engines(adapters: tuple[Path, ...]) -> Engines:
    """Networks are loaded once per process and set of adapters."""
    return Engines()


@cache
def weights_digest(folder: Path) -> str:
    """Changes when the weights in a folder do. Raises WeightsError where there are none."""
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        raise WeightsError(f"{folder} holds no weights: name a folder that `mofa train` wrote.")
    return " ".join(sha256_of(file) for file in files)


def request_of(scene: Scene, folder: Path) -> dict[str, Any]:
    """The scene as an AnimationRequest takes it, its pictures and tracks written into `folder`."""
    save_png(folder / "picture.png", scene.picture)
    height, width = scene.picture.shape[1:]
    control: dict[str, Any]
    if scene.speech is not None:
        control = {"kind": "landmarks", "speech": str(scene.speech.path)}
    else:
        tracks = scene.hints
        np.savez(folder / "hints.npz", tracks=tracks.points.numpy(), visible=tracks.visible.numpy())
        control = {"kind": "track", "file": str(folder / "hints.npz")}
    if scene.select:
        control["region"] = {"select": scene.hints.points[0, 0].tolist()}
    elif scene.brush is not None:
        save_png(folder / "brush.png", scene.brush.to(torch.uint8).expand(3, -1, -1) * 255)
        control["region"] = {"mask": str(folder / "brush.png")}
    return {
        "picture": str(folder / "picture.png"),
        "size": f"{width}x{height}",
        "frames": scene.num_frames,
        "fps": scene.fps,
        "loop": scene.loop,
        "controls": [control],
    }


@dataclass(frozen=True)
class ClipsInFolder:
    """Clips that lie in a folder: a file per scene, named like it, or a folder of that name with frames."""

    folder: Path

    def describe(self) -> Mapping[str, Any]:
        return {"clips": self.folder.name}

    def fingerprint(self, name: str) -> str:
        digest = sha256()
        for path in self._files(name):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def make(self, scene: Scene, keep: Path) -> UInt8[Tensor, "T 3 H W"]:
        files = self._files(scene.name)
        if not files:
            raise InputError(
                f"{self.folder} holds no clip for the scene {scene.name}: name it {scene.name}.mp4, or put "
                "its frames into a folder of that name."
            )
        if files[0].suffix.lower() in SUFFIXES:
            clip = read_video(files[0], max_frames=scene.num_frames + 1)
        else:
            clip = Clip(torch.stack([to_bytes(read_picture(path)) for path in files]), scene.fps)
        frames = fitted(clip.frames, scene, str(files[0]))
        write_clip(Clip(frames, scene.fps), keep, overwrite=True)
        return frames

    def _files(self, name: str) -> list[Path]:
        if frames := sorted((self.folder / name).glob("*.png")):
            return frames
        return [path for suffix in SUFFIXES if (path := self.folder / f"{name}{suffix}").is_file()][:1]


def fitted(
    frames: UInt8[Tensor, "T 3 h w"], scene: Scene, where: str = "the clip"
) -> UInt8[Tensor, "T 3 H W"]:
    """The clip at the scene's size. Raises InputError for another length or another aspect: nobody can say
    which frame, or which part of the picture, would be meant."""
    height, width = scene.picture.shape[1:]
    if len(frames) != scene.num_frames:
        count = f"more than {scene.num_frames}" if len(frames) > scene.num_frames else str(len(frames))
        raise InputError(
            f"{where} has {count} frames, but the scene {scene.name} has {scene.num_frames}: make a clip of "
            "that length."
        )
    own_height, own_width = frames.shape[-2:]
    if (own_height, own_width) == (height, width):
        return frames
    if abs((own_width / own_height) / (width / height) - 1) > ASPECT_SLACK:
        raise InputError(
            f"{where} is {own_width}x{own_height}, but the picture of the scene {scene.name} is "
            f"{width}x{height}: make a clip of that shape."
        )
    resized = F.interpolate(
        frames.float(), (height, width), mode="bicubic", antialias=True, align_corners=False
    )
    return resized.round().clamp(0, 255).to(torch.uint8)
