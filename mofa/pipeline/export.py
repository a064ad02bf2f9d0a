"""A scene in the files that other motion models read, and their files as a scene.

Trajectories go through `control.exchange`. Two formats are more than that: Time-to-Move's folder is the warp
renderer's clip with a mask of what moved in it, and Kling's request has painted masks with a path each.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.control.exchange import TRACK_FORMATS, Trajectories, check_format
from mofa.control.track_files import FileTrack, read_tracks
from mofa.errors import InputError
from mofa.media.decode import read_video
from mofa.media.encode import frame_writer
from mofa.media.files import replacing, replacing_folder
from mofa.media.image import load_source, picture_size, save_png, to_bytes
from mofa.pipeline.animate import prepare, resolve
from mofa.pipeline.inputs import Inputs, read_inputs
from mofa.pipeline.plan import place_drawn
from mofa.pipeline.regions import region_of
from mofa.pipeline.request import AnimationRequest, ResolvedRequest, TrackControl
from mofa.pipeline.trajectories import GRID, drawn_trajectories, grid_trajectories, in_frames
from mofa.tensors.geometry import fit_crop, to_original
from mofa.tensors.motion_masks import motion_masks
from mofa.types import CropBox, Progress, SourceImage, silent
from mofa.vision.select import grow_region

Points = Literal["tracks", "grid"]
FORMATS = (*TRACK_FORMATS, "ttm", "kling")
FIRST_FRAME, MOTION, MASK = "first_frame.png", "motion_signal.mp4", "mask.mp4"
KLING_REQUEST = "request.json"
KLING_MASKS, KLING_POINTS = 6, 77
"""The most masks, and the most points of a path, that Kling's motion brush takes (its API, v2.1)."""


@dataclass(frozen=True)
class Wanted:
    """What is exported: the format, and the frames, size and points where they are not the format's own."""

    format: str
    frames: int | None = None
    size: tuple[int, int] | None = None
    points: Points | None = None
    grid: int = GRID
    prompt: str = ""


def export_scene(
    request: AnimationRequest,
    path: Path,
    wanted: Wanted,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Path:
    """Writes a scene's motion in a format, and says where.

    Frames and size are the model's own where it has one format only, else the scene's; motion is stretched
    over all frames. Raises InputError: an unknown format, or a scene that the format cannot hold; OutputError
    where it cannot be written.
    """
    check_format(wanted.format, FORMATS)
    inputs = read_inputs(request, progress)
    settled = resolve(_sized(request, inputs, wanted), inputs)
    if wanted.format == "ttm":
        return _export_ttm(settled, inputs, path, wanted, overwrite, progress)
    if wanted.format == "kling":
        return _export_kling(settled, inputs, path, overwrite, progress)
    chosen = TRACK_FORMATS[wanted.format]
    if chosen.suffix and path.suffix.lower() != chosen.suffix:
        raise InputError(
            f"{wanted.format} is written as {chosen.suffix}: name the output so, not {path.name}."
        )
    files = chosen.write(trajectories(settled, inputs, wanted, progress))
    if chosen.suffix:
        with replacing(path, overwrite) as hidden:
            hidden.write_bytes(files[""])
        return path
    with replacing_folder(path, overwrite) as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        save_png(folder / FIRST_FRAME, to_bytes(_source(settled, inputs).pixels))
    return path


def trajectories(
    settled: ResolvedRequest, inputs: Inputs, wanted: Wanted, progress: Progress = silent
) -> Trajectories:
    """A scene's motion as a format wants it: the drawn tracks, or the grid where other things move too."""
    frames = wanted.frames or TRACK_FORMATS[wanted.format].frames or settled.frames
    only_tracks = all(isinstance(control, TrackControl) for control in settled.controls)
    dense = wanted.format == "wan-move" or not only_tracks
    if (wanted.points or ("grid" if dense else "tracks")) == "grid":
        return grid_trajectories(settled, inputs, frames, wanted.grid, progress)
    return drawn_trajectories(settled, inputs, frames, progress)


def _sized(request: AnimationRequest, inputs: Inputs, wanted: Wanted) -> AnimationRequest:
    sides = TRACK_FORMATS[wanted.format].sides if wanted.format in TRACK_FORMATS else None
    size = wanted.size
    if size is None and sides is not None:
        size = sides if inputs.original.width >= inputs.original.height else sides[::-1]
    return request if size is None else request.model_copy(update={"size": size})


def _source(settled: ResolvedRequest, inputs: Inputs) -> SourceImage:
    original = inputs.original
    crop = fit_crop(original.width, original.height, *settled.size, settled.fit)
    return load_source(original.pixels, crop)


# --- Time-to-Move -------------------------------------------------------------------------------


def _export_ttm(
    settled: ResolvedRequest, inputs: Inputs, path: Path, wanted: Wanted, overwrite: bool, progress: Progress
) -> Path:
    """first_frame.png, motion_signal.mp4 (the warped picture), mask.mp4 (white moved), prompt.txt."""
    settled, inputs = in_frames(settled, inputs, wanted.frames or settled.frames)
    animation = prepare(settled, inputs, progress)
    masks = motion_masks(animation.motion.plan, settled.frames)
    with (
        replacing_folder(path, overwrite) as folder,
        frame_writer(folder / MOTION, settled.fps) as add_frame,
        frame_writer(folder / MASK, settled.fps) as add_mask,
    ):
        for frame, mask in zip(animation.frames(), masks, strict=True):
            add_frame(frame)
            add_mask(to_bytes(mask.moved.expand(3, -1, -1)))
        save_png(folder / FIRST_FRAME, to_bytes(animation.source.pixels))
        (folder / "prompt.txt").write_text(wanted.prompt + "\n", encoding="utf-8")
    return path


# --- Kling --------------------------------------------------------------------------------------


def _export_kling(
    settled: ResolvedRequest, inputs: Inputs, path: Path, overwrite: bool, progress: Progress
) -> Path:
    """request.json with `dynamic_masks`, the masks, and the first frame; anchors make the static mask."""
    source = _source(settled, inputs)
    drawn = place_drawn(settled, inputs, source)
    if len(drawn.tracks) < len(settled.controls):
        raise InputError(
            "Kling's brush takes tracks alone: leave camera, references and faces out.", key="export.tracks"
        )
    moving: list[tuple[Float[Tensor, "1 H W"], Float[Tensor, "T 2"]]] = []
    still = torch.zeros_like(source.pixels[:1])
    for control, tracks in drawn.tracks.items():
        painted = drawn.regions[region_of(control, settled)]
        for places in tracks.points:
            region = grow_region(source.pixels, *places[0].tolist()) if painted is None else painted
            if (places - places[0]).abs().max() < 0.5:
                still = torch.maximum(still, region)
            else:
                moving.append((region, places))
    if not 0 < len(moving) <= KLING_MASKS:
        raise InputError(
            f"Kling's brush moves 1 to {KLING_MASKS} things, not {len(moving)}.",
            key="export.things",
            most=KLING_MASKS,
            count=len(moving),
        )
    content: dict[str, Any] = {
        "dynamic_masks": [
            {"mask": f"mask_{number}.png", "trajectories": _kling_path(places, source)}
            for number, (_, places) in enumerate(moving, start=1)
        ]
    }
    with replacing_folder(path, overwrite) as folder:
        for number, (region, _) in enumerate(moving, start=1):
            _save_mask(folder / f"mask_{number}.png", region)
        if still.any():
            _save_mask(folder / "static_mask.png", still)
            content["static_mask"] = "static_mask.png"
        save_png(folder / FIRST_FRAME, to_bytes(source.pixels))
        (folder / KLING_REQUEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path


def _kling_path(places: Float[Tensor, "T 2"], source: SourceImage) -> list[dict[str, int]]:
    """Whole pixels from the bottom left, at most as many as Kling takes, none twice in a row."""
    chosen = torch.linspace(0, len(places) - 1, min(len(places), KLING_POINTS)).round().long()
    height = source.pixels.shape[1]
    points = [(x, height - 1 - y) for x, y in places[chosen].round().long().tolist()]
    kept = [point for point, before in zip(points, [None, *points], strict=False) if point != before]
    return [{"x": x, "y": y} for x, y in kept]


def _save_mask(path: Path, region: Float[Tensor, "1 H W"]) -> None:
    save_png(path, to_bytes((region >= 0.5).float().expand(3, -1, -1)))


# --- the other way ------------------------------------------------------------------------------


def import_motion(
    name: str,
    path: Path,
    scene: Path,
    picture: Path | None = None,
    size: tuple[int, int] | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a scene that moves a picture as a file of another model or tool says.

    `picture` is the photo; a folder's own first frame when not given. `size` is (width, height) of the
    picture that the numbers are meant for, where it is another: the photo is then taken as cropped to it.
    Raises InputError: an unknown format, or a file that is not of it; OutputError as all writing does.
    """
    check_format(name, FORMATS)
    photo = picture or path / FIRST_FRAME
    width, height = picture_size(photo)
    crop = fit_crop(width, height, *(size or (width, height)), "crop")
    with ExitStack() as together:

        def beside(suffix: str) -> tuple[Path, Path]:
            """A file of the scene: the path that it will have, and that at which it is written."""
            final = scene.with_name(scene.stem + suffix)
            return final, together.enter_context(replacing(final, overwrite))

        match name:
            case "ttm":
                final, hidden = beside(".mask.png")
                save_png(hidden, read_video(path / MASK, max_frames=1).frames[0])
                frames = None
                controls = [{"kind": "reference", "video": path / MOTION, "region": {"mask": final}}]
            case "kling":
                frames, controls = None, list(_kling_controls(path, crop))
            case "svg":
                read_tracks(path)
                frames, controls = None, [{"kind": "track", "file": path}]
            case _:
                tracks = _in_picture(_tracks_of(name, path), crop)
                final, hidden = beside(".tracks.json")
                hidden.write_text(json.dumps({"tracks": tracks}) + "\n", encoding="utf-8")
                frames = len(tracks[0]["points"])
                controls = [{"kind": "track", "file": final}]
        data = {"picture": photo, "controls": controls, "frames": frames}
        fps = TRACK_FORMATS[name].fps if name in TRACK_FORMATS else None
        request = AnimationRequest.from_data(data | {"fps": fps, "size": size}, str(path))
        hidden = together.enter_context(replacing(scene, overwrite))
        hidden.write_text(request.beside(scene.parent).to_yaml(), encoding="utf-8")
    return scene


def _tracks_of(name: str, path: Path) -> tuple[FileTrack, ...]:
    if name == "wan-move":
        return read_tracks(path / "tracks.npy", "time-first", visibility=path / "visibility.npy")
    return read_tracks(path)


def _in_picture(tracks: Sequence[FileTrack], crop: CropBox) -> list[dict[str, Any]]:
    """Tracks in pixels of a crop of the picture, as a track file has them in pixels of the picture."""
    return [
        {
            "points": [[round(x, 3), round(y, 3)] for x, y in to_original(track.points, crop).tolist()],
            "sampled": True,
            "visible": track.visible.tolist(),
        }
        for track in tracks
    ]


def _kling_controls(path: Path, crop: CropBox) -> Iterator[dict[str, Any]]:
    try:
        content = json.loads((path / KLING_REQUEST).read_bytes())
        for dynamic in content["dynamic_masks"]:
            mask = path / str(dynamic["mask"])
            height = picture_size(mask)[1]
            places = [[float(p["x"]), height - 1 - float(p["y"])] for p in dynamic["trajectories"]]
            points = to_original(torch.tensor(places), crop).tolist()
            yield {"kind": "track", "points": points, "region": {"mask": mask}}
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read ({error.strerror}): check the path.") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path / KLING_REQUEST} is no request of Kling's brush: it needs dynamic_masks, each with a "
            "mask and trajectories of x and y."
        ) from error
