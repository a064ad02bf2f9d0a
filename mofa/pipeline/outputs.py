"""What lies on the disk after a run: the clip, and beside it the motion, the overlay and the scene.

All files of a run appear together, after the last byte of the last one is written, or not at all.
"""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from jaxtyping import UInt8
from torch import Tensor

from mofa.errors import InputError
from mofa.faces.sketch import overlay_landmarks
from mofa.media.draw import contact_sheet, draw_overlay, flow_wheel
from mofa.media.encode import check_clip_name, write_clip
from mofa.media.files import check_writable, replacing
from mofa.media.flow_files import write_flo, write_flow
from mofa.media.image import save_png, to_bytes
from mofa.pipeline.animate import AnimationResult
from mofa.pipeline.request import AnimationRequest, TrackControl
from mofa.tensors.motion import whole_flow
from mofa.types import FlowField, Progress, silent


def output_files(request: AnimationRequest, with_clip: bool = True) -> dict[str, Path]:
    """Name and path of every file that a run writes; the clip itself first.

    Raises InputError when the request names no clip.
    """
    clip = request.outputs.clip
    if clip is None:
        raise InputError("no output is named: give outputs.clip in the scene, or -o clip.mp4.")
    base = clip.with_suffix("")
    suffix = {
        "flow": ".flow.png",
        "flow-npz": ".flow.npz",
        "overlay": ".overlay.png",
        "sheet": ".sheet.png",
        "landmarks": ".landmarks.mp4",
    }
    files = {"clip": clip} if with_clip else {}
    for extra in request.outputs.extras:
        if extra == "flow-flo":
            steps = request.num_frames - 1
            files |= {
                f"flow {s}": base.with_name(f"{base.name}.flow.{s:04d}.flo") for s in range(1, steps + 1)
            }
        elif extra == "landmarks" and not request.driven_faces:
            raise InputError("no face is driven, so there are no landmarks to draw: leave that extra out.")
        elif with_clip or extra not in ("sheet", "landmarks"):
            files[extra] = base.with_name(base.name + suffix[extra])
    return files | {"scene": base.with_name(base.name + ".scene.yaml")}


def check_outputs(request: AnimationRequest, overwrite: bool, with_clip: bool = True) -> None:
    """Refuses, before any work is done, what could not be written after it.

    Raises OutputError, or InputError for a kind of clip that is not known.
    """
    if request.outputs.clip is not None:
        check_clip_name(request.outputs.clip)
    check_writable(list(output_files(request, with_clip).values()), overwrite)


def write_outputs(
    result: AnimationResult, overwrite: bool = False, progress: Progress = silent
) -> dict[str, Path]:
    """Writes a run's files and says where they are.

    Raises OutputError: a file exists (and `overwrite` is False), the folder or the disk refuses.
    """
    files = output_files(result.settings, with_clip=result.clip is not None)
    with ExitStack() as together:
        for name, path in files.items():
            if name == "clip":
                continue
            _write(name, together.enter_context(replacing(path, overwrite)), result, files["scene"].parent)
        if result.clip is not None:
            write_clip(result.clip, files["clip"], progress, overwrite)
    return files


def flow_picture(flow: FlowField) -> UInt8[Tensor, "3 H W"]:
    """The step that moves most, as colours: the last one of a there-and-back is still."""
    step = int(flow.pixels.abs().amax(dim=(1, 2, 3)).argmax())
    return flow_wheel(flow.pixels[step], valid=flow.valid[step])


def overlay_picture(result: AnimationResult) -> UInt8[Tensor, "3 H W"]:
    """What was drawn, over the photo, each track in its control's colour."""
    controls = dict.fromkeys(c for c in result.settings.controls if isinstance(c, TrackControl))
    drawn = [
        (track, control.colour)
        for control, tracks in zip(controls, result.motion.plan.tracks, strict=True)
        for track in tracks.points
    ]
    tracks, colours = [track for track, _ in drawn], [colour for _, colour in drawn]
    return draw_overlay(to_bytes(result.source.pixels), tracks, list(result.motion.regions), colours)


def _write(name: str, path: Path, result: AnimationResult, home: Path) -> None:
    plan = result.motion.plan
    flow = whole_flow(plan, range(plan.num_frames - 1))
    match name.split():
        case ["flow"]:
            save_png(path, flow_picture(flow))
        case ["flow-npz"]:
            write_flow(path, flow)
        case ["flow", step]:
            write_flo(path, flow.pixels[int(step) - 1], flow.valid[int(step) - 1])
        case ["overlay"]:
            save_png(path, overlay_picture(result))
        case ["sheet"]:
            assert result.clip is not None
            save_png(path, contact_sheet(result.clip.frames))
        case ["landmarks"]:
            assert result.clip is not None
            drawn = overlay_landmarks(result.clip.frames, list(result.motion.faces))
            write_clip(replace(result.clip, frames=drawn), path)
        case ["scene"]:
            path.write_text(result.settings.beside(home).to_yaml(), encoding="utf-8")
