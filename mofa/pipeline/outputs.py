"""What lies on the disk after a run: the clip, and beside it the motion, the overlay and the scene.

All files of a run appear together, after the last byte of the last one is written, or not at all.
"""

import itertools
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.errors import InputError, OutputError
from mofa.faces.sketch import overlay_landmarks
from mofa.media.coded import AddFrame
from mofa.media.draw import draw_overlay, flow_wheel, numbered_sheet, sheet_numbers
from mofa.media.encode import frame_writer, replacing_clip
from mofa.media.files import check_writable, together
from mofa.media.flow_files import AddFlow, flow_writer, write_flo
from mofa.media.forms import carries_alpha, check_clip_name, stem_of
from mofa.media.image import save_png, to_bytes
from mofa.pipeline.animate import Animation
from mofa.pipeline.request import AnimationRequest, ResolvedRequest, TrackControl
from mofa.tensors.alpha import on_white
from mofa.tensors.motion import whole_flow
from mofa.types import FlowField, Progress, silent

NO_OUTPUT = "no output is named: give outputs.clip in the scene, or -o clip.mp4."
CLIP_BYTES = {".mp4": 0.1, ".mkv": 0.1, ".webm": 0.1, ".gif": 1.0}
"""Bytes per pixel of a frame, by the clip's suffix: what a moving camera over a photo full of stars took
(example 2 at 400 x 400: mp4 0.08, PNG 1.7), rounded up; most photos take less. Others take
at most as much as PNG."""
STILL_BYTES, FLOW_BYTES, FLO_BYTES = 2.0, 2.5, 8.0
"""Bytes per pixel of a PNG, of a step in flow-npz (there 2.4), and of a step in a .flo file (exactly)."""
SHEET_FRAMES = 12
"""Frames on a contact sheet; chosen by eye, as many as can be taken in at a look."""


@dataclass(frozen=True)
class OutputEstimate:
    """What a run writes: how many frames, which files, and about how many bytes, rather too many than few."""

    frames: int
    files: Mapping[str, Path]
    num_bytes: int


def estimate_outputs(request: ResolvedRequest, with_clip: bool = True) -> OutputEstimate:
    """What a resolved request writes. Raises InputError when it names no clip."""
    files = output_files(request, with_clip)
    width, height = request.size

    def per_pixel(name: str, path: Path) -> float:
        match name.split():
            case ["clip"]:
                return request.frames * CLIP_BYTES.get(path.suffix.lower(), STILL_BYTES)
            case ["landmarks"]:
                return request.frames * CLIP_BYTES[".mp4"]
            case ["sheet"]:
                return STILL_BYTES * min(request.frames, SHEET_FRAMES)
            case ["flow-npz"]:
                return FLOW_BYTES * (request.frames - 1)
            case ["flow", _]:
                return FLO_BYTES
            case ["scene"]:
                return 0.0
            case _:
                return STILL_BYTES

    total = sum(per_pixel(name, path) for name, path in files.items()) * width * height
    return OutputEstimate(request.frames if with_clip else 0, files, round(total))


def output_files(request: ResolvedRequest, with_clip: bool = True) -> dict[str, Path]:
    """Name and path of every file that a run writes; the clip itself first.

    Raises InputError when the request names no clip.
    """
    clip = request.outputs.clip
    if clip is None:
        raise InputError(NO_OUTPUT)
    base = clip.with_name(stem_of(clip))
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
            steps = request.frames - 1
            files |= {
                f"flow {s}": base.with_name(f"{base.name}.flow.{s:04d}.flo") for s in range(1, steps + 1)
            }
        elif extra == "landmarks" and not request.driven_faces:
            raise InputError(
                "no face is driven, so there are no landmarks to draw: leave that extra out.",
                key="face.undriven",
            )
        elif with_clip or extra not in ("sheet", "landmarks"):
            files[extra] = base.with_name(base.name + suffix[extra])
    return files | {"scene": base.with_name(base.name + ".scene.yaml")}


def check_clip(request: AnimationRequest, overwrite: bool) -> None:
    """Refuses, before anything is read, a clip that could not be written.

    Raises OutputError, or InputError for no clip or a kind of clip that is not known.
    """
    clip = request.outputs.clip
    if clip is None:
        raise InputError(NO_OUTPUT)
    check_clip_name(clip, request.outputs.crf, request.outputs.metadata)
    check_writable([clip], overwrite)


def check_outputs(request: ResolvedRequest, overwrite: bool, with_clip: bool = True) -> None:
    """Refuses, before anything is made, what could not be written after it, for lack of room too.

    Raises OutputError, or InputError for an extra that the scene has nothing for.
    """
    estimate = estimate_outputs(request, with_clip)
    paths = list(estimate.files.values())
    check_writable(paths, overwrite)
    folder = next(parent for parent in paths[-1].absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    if estimate.num_bytes > free:
        raise OutputError(
            f"this writes about {estimate.num_bytes / 1e6:.0f} MB, and the disk that holds {folder} has "
            f"{free / 1e6:.0f} MB free: choose another folder, fewer --extras or a smaller --size.",
            key="disk.full",
            needed=f"{estimate.num_bytes / 1e6:.0f}",
            free=f"{free / 1e6:.0f}",
        )


def write_outputs(
    animation: Animation, overwrite: bool = False, progress: Progress = silent, also: Sequence[Path] = ()
) -> dict[str, Path]:
    """Makes a run's frames, writes its files as they come, and says where the files are.

    `progress` hears of every frame that is written, `also` names further clips of the same frames, in
    whatever form. Raises OutputError: a file exists (and
    `overwrite` is False), the folder or the disk refuses; and what making the frames may raise.
    """
    files = output_files(animation.settings, with_clip=animation.render is not None)
    with together(files["scene"].parent) as announce, ExitStack() as names:
        hidden = {
            path: names.enter_context(replacing_clip(path, overwrite)) for path in (*files.values(), *also)
        }
        with ExitStack() as writers:
            _write_stills(animation, files, hidden)
            _write_motion(animation, files, hidden)
            takers = [writers.enter_context(taker) for taker in _frame_takers(animation, files, hidden, also)]
            for index, frame in enumerate(animation.frames_with_alpha()):
                for take in takers:
                    take(frame)
                progress("writing", index + 1, animation.settings.frames)
        announce(hidden, overwrite)
    return files


def _write_stills(animation: Animation, files: Mapping[str, Path], hidden: Mapping[Path, Path]) -> None:
    """What is known before any frame."""
    if "overlay" in files:
        save_png(hidden[files["overlay"]], overlay_picture(animation))
    hidden[files["scene"]].write_text(_scene(animation, files), encoding="utf-8")


def _scene(animation: Animation, files: Mapping[str, Path]) -> str:
    return animation.settings.beside(files["scene"].parent).to_yaml()


def _write_motion(animation: Animation, files: Mapping[str, Path], hidden: Mapping[Path, Path]) -> None:
    """The flow in all its forms, step by step; nothing where it is not asked for."""
    if not any(name.startswith("flow") for name in files):
        return
    plan = animation.motion.plan
    steps, (height, width) = plan.num_frames - 1, animation.source.pixels.shape[1:]
    with ExitStack() as stack:
        add: AddFlow = ignore_flow
        if "flow-npz" in files:
            add = stack.enter_context(flow_writer(hidden[files["flow-npz"]], steps, height, width))

        def written() -> Iterator[FlowField]:
            for step in range(steps):
                flow = whole_flow(plan, [step])
                add(flow)
                if f"flow {step + 1}" in files:
                    write_flo(hidden[files[f"flow {step + 1}"]], flow.pixels[0], flow.valid[0])
                yield flow

        picture = flow_picture(written())
    if "flow" in files:
        save_png(hidden[files["flow"]], picture)


def ignore_flow(flow: FlowField, /) -> None:
    """What takes the flow where no file of all of it is wanted."""


def _frame_takers(
    animation: Animation, files: Mapping[str, Path], hidden: Mapping[Path, Path], also: Sequence[Path]
) -> Iterator[AbstractContextManager[AddFrame]]:
    """What takes the frames as they come: the clip itself, and what is made of it."""
    fps, sound, outputs = animation.settings.fps, animation.sound, animation.settings.outputs
    for path in also:
        yield _laid_on_white(frame_writer(hidden[path], fps))
    if "clip" in files:
        comment = _scene(animation, files) if outputs.metadata else None
        clip = frame_writer(hidden[files["clip"]], fps, sound, outputs.crf, comment)
        yield clip if carries_alpha(files["clip"]) else _laid_on_white(clip)
    if "sheet" in files:
        yield _laid_on_white(_sheet(hidden[files["sheet"]], animation.settings.frames))
    if "landmarks" in files:
        drawn = frame_writer(hidden[files["landmarks"]], fps, sound)
        yield _laid_on_white(_landmarks(drawn, animation.motion.faces))


@contextmanager
def _laid_on_white(writer: AbstractContextManager[AddFrame]) -> Iterator[AddFrame]:
    with writer as add:
        yield lambda frame: add(on_white(frame))


@contextmanager
def _sheet(path: Path, count: int) -> Iterator[AddFrame]:
    numbers, indices, kept = sheet_numbers(count), itertools.count(), []

    def take(frame: UInt8[Tensor, "3 H W"]) -> None:
        if next(indices) in numbers:
            kept.append(frame)

    yield take
    save_png(path, numbered_sheet(torch.stack(kept), numbers))


@contextmanager
def _landmarks(
    writer: AbstractContextManager[AddFrame], faces: Sequence[Float[Tensor, "T 68 2"]]
) -> Iterator[AddFrame]:
    indices = itertools.count()
    with writer as add:

        def take(frame: UInt8[Tensor, "3 H W"]) -> None:
            index = next(indices)
            add(overlay_landmarks(frame[None], [points[index : index + 1] for points in faces])[0])

        yield take


def flow_picture(flows: Iterable[FlowField]) -> UInt8[Tensor, "3 H W"]:
    """Of single steps the one that moves most, as colours: the last one of a there-and-back is still."""
    most = max(flows, key=lambda flow: float(flow.pixels.abs().max()))
    return flow_wheel(most.pixels[0], valid=most.valid[0])


def overlay_picture(animation: Animation) -> UInt8[Tensor, "3 H W"]:
    """What was drawn, over the photo, each track in its control's colour."""
    controls = dict.fromkeys(c for c in animation.settings.controls if isinstance(c, TrackControl))
    drawn = [
        (track, control.colour)
        for control, tracks in zip(controls, animation.motion.plan.tracks, strict=True)
        for track in tracks.points
    ]
    tracks, colours = [track for track, _ in drawn], [colour for _, colour in drawn]
    return draw_overlay(to_bytes(animation.source.pixels), tracks, list(animation.motion.regions), colours)
