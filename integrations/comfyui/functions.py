"""What the nodes do, as plain functions over ComfyUI's tensors; nothing here imports ComfyUI.

IMAGE is [B, H, W, 3] and MASK [B, H, W], both 0..1; AUDIO a dict of `waveform` [B, C, L] and `sample_rate`;
TRACKS a dict of `track_path` [F, N, 2] in pixels and `track_visibility` [F, N].
"""

import json
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mofa.apps.studio.scenes import SCENE_NAME, pack_scene
from mofa.errors import InputError
from mofa.media.encode import write_clip
from mofa.media.files import replacing
from mofa.media.image import save_png, to_bytes
from mofa.pipeline.animate import animate, resolve
from mofa.pipeline.inputs import Data, Inputs, read_inputs
from mofa.pipeline.request import AnimationRequest
from mofa.pipeline.trajectories import grid_trajectories, seen_tracks
from mofa.tensors.motion_masks import motion_masks
from mofa.types import Clip, Progress, TrackSet, Waveform, silent
from mofa.weights.store import standing_in

Tracks = dict[str, Tensor]
Audio = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """A request and what it names, in memory: the value of MOFA_SCENE."""

    request: AnimationRequest
    given: dict[str, Data]
    inputs: Inputs


@dataclass(frozen=True)
class Made:
    """A clip: IMAGE, frames per second, and its sound."""

    images: Tensor
    fps: float
    audio: Audio | None


@dataclass(frozen=True)
class Warped(Made):
    """What the warp renderer made, with MASKs of what moved and what was uncovered, and TRACKS."""

    moved: Tensor
    uncovered: Tensor
    tracks: Tracks


# --- ComfyUI's data and ours ---


def to_picture(image: Tensor) -> Tensor:
    """The first picture of an IMAGE, [3, H, W]."""
    return image[0, ..., :3].permute(2, 0, 1).float().clamp(0, 1).contiguous().cpu()


def to_image(frames: Tensor) -> Tensor:
    """Frames [T, 3, H, W] in bytes as an IMAGE."""
    return frames.permute(0, 2, 3, 1).float() / 255


def to_waveform(audio: Audio) -> Waveform:
    """The first sound of an AUDIO."""
    return Waveform(audio["waveform"][0].float().clamp(-1, 1).cpu(), int(audio["sample_rate"]))


def to_audio(sound: Waveform) -> Audio:
    """A sound as AUDIO."""
    return {"waveform": sound.samples[None], "sample_rate": sound.rate}


def to_tracks(tracks: TrackSet) -> Tracks:
    """Trajectories as TRACKS."""
    return {
        "track_path": tracks.points.transpose(0, 1).contiguous(),
        "track_visibility": tracks.visible.T.contiguous(),
    }


def from_tracks(tracks: Tracks) -> TrackSet:
    """TRACKS as trajectories. Raises InputError for another shape."""
    path = tracks["track_path"].float().cpu()
    if path.ndim != 3 or path.shape[-1] != 2:
        raise InputError(f"TRACKS have the shape {list(path.shape)}, but need frames x tracks x 2.")
    seen = tracks.get("track_visibility")
    visible = torch.ones(path.shape[:2], dtype=torch.bool) if seen is None else seen.cpu() > 0.5
    return TrackSet(path.transpose(0, 1).contiguous(), visible.T.contiguous())


def from_coordinates(text: str) -> TrackSet:
    """A coordinate string of a spline editor: a JSON list of {"x", "y"}, or a list of such lists."""
    try:
        content = json.loads(text.replace("'", '"'))
        lists = [content] if content and isinstance(content[0], dict) else content
        places = torch.tensor([[[float(p["x"]), float(p["y"])] for p in track] for track in lists])
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise InputError(
            'the coordinates are no JSON list of tracks of equal length, as in [[{"x": 1, "y": 2}, ...]].'
        ) from error
    if places.ndim != 3 or 0 in places.shape:
        raise InputError("the coordinates hold no track.")
    return TrackSet(places, torch.ones(places.shape[:2], dtype=torch.bool))


def _scaled(tracks: TrackSet, canvas: tuple[int, int], picture: Tensor) -> TrackSet:
    """From pixels of a canvas (0 x 0: the picture's own) to the picture's."""
    if 0 in canvas:
        return tracks
    factor = torch.tensor([picture.shape[2] / canvas[0], picture.shape[1] / canvas[1]])
    return TrackSet((tracks.points + 0.5) * factor - 0.5, tracks.visible)


# --- nodes ---


def make_scene(
    image: Tensor,
    lines: str = "",
    camera: str = "",
    mask: Tensor | None = None,
    tracks: Tracks | None = None,
    coordinates: str = "",
    canvas: tuple[int, int] = (0, 0),
    audio: Audio | None = None,
    frames: int = 0,
    fps: float = 0.0,
    size: tuple[int, int] = (0, 0),
    loop: bool = False,
    seed: int = 0,
) -> Scene:
    """A scene of a picture. `lines` has a track a line, "x,y x,y ..." in pixels or percent.

    `tracks` and `coordinates` have one place per frame, in pixels of `canvas` (0: the picture's own); `audio`
    is a voice that the face speaks with. 0 frames, fps or size are chosen by the scene. Raises InputError.
    """
    picture = to_picture(image)
    given: dict[str, Data] = {}
    controls: list[dict[str, Any]] = [
        {"kind": "track", "points": line} for line in lines.splitlines() if line.strip()
    ]
    for name, held in (
        ("tracks", None if tracks is None else from_tracks(tracks)),
        ("coordinates", from_coordinates(coordinates) if coordinates.strip() else None),
    ):
        if held is not None:
            given[name] = _scaled(held, canvas, picture)
            controls.append({"kind": "track", "file": name})
    if camera.strip():
        controls.append({"kind": "camera", "move": camera})
    if audio is not None:
        given["voice"] = to_waveform(audio)
        controls.append({"kind": "landmarks", "speech": "voice"})
    data: dict[str, Any] = {"controls": controls, "loop": loop, "seed": seed}
    data |= {"frames": frames or None, "fps": fps or None, "size": None if 0 in size else size}
    if mask is not None:
        given["mask"] = mask[:1].float().cpu()
        data["region"] = {"mask": "mask"}
    return scene_of(data, picture, given)


def scene_of(data: dict[str, Any], picture: Tensor, given: dict[str, Data]) -> Scene:
    """A scene from its keys, a picture and what it names."""
    request = AnimationRequest.from_call(data, "scene")
    return Scene(request, given, read_inputs(request, picture=picture, given=given))


def scene_from_file(path: str) -> Scene:
    """A scene that mofa or its studio wrote, a file or a packed one (.zip). Raises InputError."""
    file = Path(path).expanduser()
    if not zipfile.is_zipfile(file):
        request = AnimationRequest.from_file(file)
        return Scene(request, {}, read_inputs(request))
    with tempfile.TemporaryDirectory(prefix="mofa-") as folder:
        return scene_from_file(str(_unpacked(file, Path(folder))))


def _unpacked(package: Path, folder: Path) -> Path:
    """The scene file of a packed scene; ZipFile lets none of its members land outside the folder."""
    with zipfile.ZipFile(package) as members:
        if SCENE_NAME not in members.namelist():
            raise InputError(f"{package} is no packed scene: it has no {SCENE_NAME} in it.")
        members.extractall(folder)
    return folder / SCENE_NAME


def warp(scene: Scene, progress: Progress = silent) -> Warped:
    """Moves the picture's own pixels; needs no weights."""
    request = scene.request.model_copy(update={"renderer": "warp"})
    result = animate(request, scene.inputs, progress)
    plan, settled = result.motion.plan, result.settings
    masks = list(motion_masks(plan, settled.frames))
    tracks = seen_tracks(plan)
    if tracks is None:
        tracks = grid_trajectories(settled, scene.inputs, settled.frames, progress=progress).tracks
    return Warped(
        to_image(result.clip.frames),
        settled.fps,
        None if result.sound is None else to_audio(result.sound),
        torch.cat([mask.moved for mask in masks]),
        torch.cat([mask.uncovered for mask in masks]),
        to_tracks(TrackSet(tracks.points[:, : settled.frames], tracks.visible[:, : settled.frames])),
    )


def flow(scene: Scene, frames: int = 81, grid: int = 32, progress: Progress = silent) -> Tracks:
    """A grid of points that everything in the scene carries along: drives Wan-Move's and ATI's nodes."""
    settled = resolve(scene.request.model_copy(update={"renderer": "warp"}), scene.inputs)
    return to_tracks(grid_trajectories(settled, scene.inputs, frames, grid, progress).tracks)


def coordinate_string(tracks: Tracks) -> str:
    """TRACKS as the JSON text that spline editors' consumers read, in whole pixels."""
    places = tracks["track_path"].transpose(0, 1).round().long().tolist()
    return json.dumps([[{"x": x, "y": y} for x, y in track] for track in places])


def speak(
    image: Tensor,
    audio: Audio,
    driver: str = "signal",
    mouth: float = 1.0,
    pose: float = 1.0,
    fps: float = 25.0,
    seed: int = 0,
    progress: Progress = silent,
) -> Warped:
    """A portrait speaks."""
    control = {"kind": "landmarks", "speech": "voice", "driver": driver, "mouth": mouth, "pose": pose}
    data = {"controls": [control], "fps": fps, "seed": seed}
    return warp(scene_of(data, to_picture(image), {"voice": to_waveform(audio)}), progress)


def drive_face(
    image: Tensor, video: Tensor, fps: float = 25.0, strength: float = 1.0, progress: Progress = silent
) -> Warped:
    """A portrait does what the face in a batch of pictures does."""
    frames = to_bytes(video[..., :3].permute(0, 3, 1, 2).float().cpu())
    control = {"kind": "landmarks", "video": "video", "strength": strength}
    return warp(scene_of({"controls": [control]}, to_picture(image), {"video": Clip(frames, fps)}), progress)


def weights_folders(rooms: Iterable[str]) -> dict[str, Path]:
    """By name, the folders within `rooms` that hold safetensors, at their top or in a `unet` of theirs."""
    found: dict[str, Path] = {}
    for room in map(Path, rooms):
        for folder in sorted(room.iterdir()) if room.is_dir() else ():
            if any(folder.glob("*.safetensors")) or any(folder.glob("unet/*.safetensors")):
                found.setdefault(folder.name, folder)
    return found


def diffuse(
    scene: Scene, settings: dict[str, Any], folders: Sequence[Path] = (), progress: Progress = silent
) -> Made:
    """Stable Video Diffusion with MOFA's adapters, guided by the warp, or both.

    `settings` are as a scene's `diffusion` has them; `folders` hold weights that stand in for the released
    ones. Raises InputError, and WeightsError where weights are missing.
    """
    if not settings.get("adapters", True) and settings.get("guide", "none") == "none":
        raise InputError("nothing tells the model what moves: choose an adapter, or the warp as its guide.")
    data = {name: value for name, value in dict(scene.request).items() if value is not None}
    request = AnimationRequest.from_call(data | {"renderer": "diffusion", "diffusion": settings}, "scene")
    with standing_in(folders):
        result = animate(request, scene.inputs, progress)
    sound = None if result.sound is None else to_audio(result.sound)
    return Made(to_image(result.clip.frames), result.settings.fps, sound)


def save_for_studio(scene: Scene, path: Path) -> Path:
    """The scene and all its files as a zip that `mofa studio` opens and `mofa animate` understands."""
    with tempfile.TemporaryDirectory(prefix="mofa-") as folder:
        picture = Path(folder) / "photo.png"
        save_png(picture, to_bytes(scene.inputs.original.pixels))

        def as_file(name: Path) -> Path:
            held = scene.given.get(name.as_posix())
            return name if held is None else _written(held, Path(folder) / name.name)

        request = scene.request.with_paths(as_file).model_copy(update={"picture": picture})
        with replacing(path, overwrite=True) as hidden:
            pack_scene(request, hidden)
    return path


def _written(data: Data, base: Path) -> Path:
    """Data in memory as a file of its kind."""
    match data:
        case TrackSet():
            path = base.with_suffix(".json")
            tracks = [
                {"points": points.tolist(), "sampled": True, "visible": seen.tolist()}
                for points, seen in zip(data.points, data.visible, strict=True)
            ]
            path.write_text(json.dumps({"tracks": tracks}), encoding="utf-8")
        case Tensor():
            path = base.with_suffix(".png")
            save_png(path, to_bytes(data.expand(3, -1, -1)))
        case Clip():
            path = base.with_suffix(".mp4")
            write_clip(data, path)
        case Waveform():
            path = base.with_suffix(".wav")
            _write_wav(data, path)
        case _:
            raise InputError(f"{base.name} cannot be written for the studio.")
    return path


def _write_wav(sound: Waveform, path: Path) -> None:
    import wave

    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(sound.samples))
        file.setsampwidth(2)
        file.setframerate(sound.rate)
        file.writeframes((sound.samples.T * 32767).round().short().contiguous().numpy().tobytes())
