"""What the studio makes from a request: the instant preview, the finished clip, a selected region."""

import base64
import json
import math
import shutil
import tempfile
import time
import zipfile
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.apps.studio.photos import decoded
from mofa.apps.studio.quota import used_bytes
from mofa.apps.studio.scenes import MOST_FRAMES, pack_scene, packed_bytes, preview_request
from mofa.apps.studio.visitors import Visitor
from mofa.errors import InputError
from mofa.faces.detection import open_face_finder
from mofa.media.decode import video_frames
from mofa.media.encode import frame_writer
from mofa.media.files import replacing
from mofa.media.image import (
    load_source,
    picture_size,
    read_bytes,
    read_picture,
    save_jpeg,
    save_png,
    to_bytes,
)
from mofa.pipeline.animate import Animation, prepare
from mofa.pipeline.engine import Engines, Speakers
from mofa.pipeline.face_inputs import length_of
from mofa.pipeline.faces import driven_faces
from mofa.pipeline.inputs import read_inputs
from mofa.pipeline.outputs import CLIP_BYTES, STILL_BYTES, estimate_outputs, flow_picture, write_outputs
from mofa.pipeline.parts import SpeechDrivers
from mofa.pipeline.request import AnimationRequest, Extra, Outputs
from mofa.pipeline.trajectories import with_share_of_time
from mofa.tensors.geometry import fit_crop, shrunk
from mofa.tensors.motion import whole_flow
from mofa.types import Progress, Show, SourceImage

VIEW_SIDE = 1600
"""Longer side of the photo on the page: sharp on the canvas of a laptop (chosen by eye)."""
SELECT_SIDE = 640
"""Longer side on which colours select a thing: chosen by eye."""
THUMBNAIL_SIDE = 240
"""Longer side in the list of clips; chosen by eye."""
VIEW_BYTES = 4 * VIEW_SIDE * VIEW_SIDE
"""More than the photo on the page ever takes."""
LOOKS_EVERY = 16
"""Frames, after which a clip that is being written is looked at: whether it takes more room than there is."""
ZIP_ENTRY = 1000
"""Bytes that a zip takes for each of its files, besides what is in it."""
CLIP, SCENE, FRAMES, FACTS = "clip.mp4", "clip.scene.yaml", "frames", "result.json"
STILL, THUMBNAIL = "still.jpg", "thumbnail.jpg"


class Workshop:
    """Makes clips; keeps the networks of earlier requests, so that weights are loaded once."""

    def __init__(self) -> None:
        self.engines = Engines()
        self.speak = Speakers(networks=self.engines.networks)

    def clip(
        self, request: AnimationRequest, visitor: Visitor, progress: Progress, show: Show | None = None
    ) -> dict[str, Any]:
        """Makes the clip and everything beside it, in a folder of its own; returns the facts about it.

        `show` is given pictures of it while it is denoised.
        """
        folder = visitor.results / f"{time.time_ns():x}"
        faces: tuple[Extra, ...] = ("landmarks",) if request.driven_faces else ()
        outputs = Outputs(clip=folder / CLIP, extras=("flow", "overlay", *faces))
        wanted = request.model_copy(update={"outputs": outputs})
        inputs = read_inputs(wanted, progress)
        animation = prepare(wanted, inputs, progress, replace(self.engines, show=show).engine)
        try:
            return _laid_out(animation, folder, visitor)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _laid_out(animation: Animation, folder: Path, visitor: Visitor) -> dict[str, Any]:
    """Makes a clip and writes everything about it into its folder, the facts last."""
    pixels = math.prod(animation.settings.size)
    as_frames = round(animation.settings.frames * pixels * STILL_BYTES)
    with visitor.keeping(estimate_outputs(animation.settings).num_bytes + as_frames) as room:

        def bounded(_: str, done: int, total: int, /) -> None:
            if (done % LOOKS_EVERY == 0 or done == total) and used_bytes(folder) > room:
                with visitor.keeping(1):  # more than was thought: there is room for it, or this raises
                    pass

        # Whoever asks for single frames wants them as they were made, not as the video stores them.
        written = write_outputs(animation, progress=bounded, also=[folder / FRAMES])
    save_jpeg(folder / STILL, to_bytes(animation.source.pixels))
    save_jpeg(folder / THUMBNAIL, to_bytes(reduced(animation.source.pixels, THUMBNAIL_SIDE).pixels))
    shown = {name: path.name for name, path in written.items() if name != "scene"}
    files = shown | {"still": STILL, "thumbnail": THUMBNAIL}
    facts = {"name": folder.name, "files": files} | animation.summary()
    with replacing(folder / FACTS, overwrite=False) as path:
        path.write_text(json.dumps(facts), encoding="utf-8")
    return facts


@dataclass(frozen=True)
class Preview:
    """The motion at a glance: a small warped clip, the dense flow as colours, and the facts about both."""

    clip: Path
    flow: Path
    facts: dict[str, Any]


def preview(request: AnimationRequest, folder: Path, progress: Progress) -> Preview:
    """Makes the preview of a request in `folder`."""
    animation = _previewed(request, progress)
    clip, flow = folder / CLIP, folder / "flow.png"
    with replacing(clip, overwrite=True) as hidden, frame_writer(hidden, animation.settings.fps) as add:
        for frame in animation.frames():
            add(frame)
    _save_flow(flow, animation)
    return Preview(clip, flow, animation.summary())


def small_request(request: AnimationRequest) -> AnimationRequest:
    """What the preview of a request makes. Raises InputError as `picture_size` does."""
    return request if request.picture is None else preview_request(request, *picture_size(request.picture))


def _previewed(request: AnimationRequest, progress: Progress) -> Animation:
    pixels = None if request.picture is None else decoded(request.picture)
    small = request if pixels is None else preview_request(request, pixels.shape[2], pixels.shape[1])
    inputs = read_inputs(small, progress, pixels)  # which go by the controls as they are there
    share = (small.num_frames - 1) / (request.num_frames - 1)
    return prepare(small, with_share_of_time(inputs, share), progress)


def _save_flow(path: Path, animation: Animation) -> None:
    plan = animation.motion.plan
    save_png(path, flow_picture(whole_flow(plan, [step]) for step in range(plan.num_frames - 1)))


def preview_for_page(request: AnimationRequest, progress: Progress) -> dict[str, Any]:
    """The preview as data URLs, which leave no files behind: its frames in one picture, and the flow.

    The page shows whichever frame its playhead is at; in a video it would have to be sought.
    """
    animation = _previewed(request, progress)
    frames = torch.stack(list(animation.frames()))
    count, _, height, width = frames.shape
    sheet = contact_sheet(frames)
    with tempfile.TemporaryDirectory(prefix="mofa-") as folder:
        path, flow = Path(folder) / "sheet.jpg", Path(folder) / "flow.png"
        save_jpeg(path, sheet)
        _save_flow(flow, animation)
        urls = {"sheet": _data_url(path, "image/jpeg"), "flow": _data_url(flow, "image/png")}
    layout = {"columns": sheet.shape[2] // width, "count": count, "width": width, "height": height}
    return urls | layout | animation.summary()


def contact_sheet(frames: UInt8[Tensor, "T 3 H W"]) -> UInt8[Tensor, "3 rows columns"]:
    """Frames beside and below each other, as nearly square as they fit; what is left over is black."""
    count, _, height, width = frames.shape
    columns = max(1, round(math.sqrt(count * height / width)))
    rows = math.ceil(count / columns)
    sheet = frames.new_zeros(3, rows * height, columns * width)
    for index, frame in enumerate(frames):
        row, column = divmod(index, columns)
        sheet[:, row * height : (row + 1) * height, column * width : (column + 1) * width] = frame
    return sheet


def white_on_black(region: Float[Tensor, "1 H W"]) -> str:
    """A region as a picture's data URL."""
    with tempfile.TemporaryDirectory(prefix="mofa-") as folder:
        path = Path(folder) / "region.png"
        save_png(path, to_bytes(region.expand(3, -1, -1)))
        return _data_url(path, "image/png")


def faces_in(picture: Path) -> list[list[list[float]]]:
    """The 68 points of every face in a picture, the largest face first."""
    with open_face_finder() as finder:
        faces = finder.search(read_bytes(picture))
    return [_rounded(face.points) for face in faces]


def landmarks(request: AnimationRequest, speak: SpeechDrivers, progress: Progress) -> dict[str, Any]:
    """How every driven face moves, in pixels of the photo, before anything is rendered.

    `faces` holds per control and frame the 68 points, `notes` what the person should know.
    """
    inputs = read_inputs(request, progress)
    num_frames, fps = length_of(request, inputs.drives)
    if num_frames > MOST_FRAMES:
        raise InputError(
            f"this drives {num_frames} frames, more than the {MOST_FRAMES} that are made here: cut it.",
            key="clip.long",
            frames=num_frames,
            most=MOST_FRAMES,
        )
    faces = driven_faces(request, inputs, num_frames, fps, speak)
    return {
        "frames": num_frames,
        "fps": fps,
        "faces": [[_rounded(points) for points in face.points] for face in faces],
        "notes": [note for face in faces for note in face.notes],
    }


def _rounded(points: Tensor) -> list[list[float]]:
    return [[round(x, 1), round(y, 1)] for x, y in points.tolist()]


def view_of(picture: Path) -> Path:
    """A copy of a visitor's photo that every browser shows, made once."""
    view = picture.with_name(f"{picture.name}.view.jpg")
    if not view.exists():
        with replacing(view, overwrite=True) as hidden:
            save_jpeg(hidden, to_bytes(reduced(read_picture(picture), VIEW_SIDE).pixels))
    return view


def results(visitor: Visitor) -> list[dict[str, Any]]:
    """The facts of the visitor's clips, the newest first."""
    found = sorted(visitor.results.glob(f"*/{FACTS}"), reverse=True)
    return [json.loads(path.read_text(encoding="utf-8")) for path in found]


def download(visitor: Visitor, name: str, form: str) -> Path:
    """A finished clip as mp4, gif, frames (zip of PNG) or scene (zip); made when first asked for."""
    folder = visitor.file("results", name, FACTS).parent
    match form:
        case "mp4":
            return folder / CLIP
        case "scene":
            path = folder / "scene.zip"
            request = AnimationRequest.from_file(folder / SCENE)
            with visitor.having(packed_bytes(request)), replacing(path, overwrite=True) as hidden:
                pack_scene(request, hidden)
            return path
        case "gif":
            return _as_gif(folder, visitor)
        case "frames":
            return zipped(folder / FRAMES, visitor)
        case _:
            raise InputError(
                f'a clip cannot be downloaded as "{form[:20]}": use mp4, gif, frames or scene.',
                key="clip.form",
            )


def _as_gif(folder: Path, visitor: Visitor) -> Path:
    """A clip as a GIF beside it, made once, frame by frame. Frames wait in a lossless file meanwhile."""
    path = folder / "clip.gif"
    if path.exists():
        return path
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    pixels = facts["frames"] * facts["width"] * facts["height"]
    with (
        visitor.having(round(pixels * (CLIP_BYTES[".gif"] + STILL_BYTES))),
        replacing(path, overwrite=True) as hidden,
        frame_writer(hidden, facts["fps"]) as add,
        closing(video_frames(folder / CLIP)) as frames,
    ):
        for frame in frames:
            add(torch.from_numpy(frame.pixels).permute(2, 0, 1))
    return path


def zipped(folder: Path, visitor: Visitor) -> Path:
    """A folder as a zip beside it, made once."""
    path = folder.with_name(f"{folder.name}.zip")
    if not path.exists():
        files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
        with (
            visitor.having(sum(file.stat().st_size + ZIP_ENTRY for file in files)),
            replacing(path, overwrite=True) as hidden,
            zipfile.ZipFile(hidden, "w") as package,
        ):
            for file in files:
                package.write(file, file.relative_to(folder).as_posix())
    return path


def reduced(pixels: Float[Tensor, "3 h w"], side: int) -> SourceImage:
    """A picture made so small that its longer side has `side` pixels, if it has more."""
    _, height, width = pixels.shape
    return load_source(pixels, fit_crop(width, height, *shrunk(width, height, side), "crop"))


def _data_url(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
