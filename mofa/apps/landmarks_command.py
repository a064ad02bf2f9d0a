"""`mofa landmarks`: a face's 68 points as files, out of pictures and videos, onto other faces, and drawn."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mofa.apps.parser import Parser
    from mofa.types import Clip, LandmarkClip, Progress

LANDMARKS = (".npz", ".npy", ".json", ".csv")
LARGEST_SIDE = 4096
"""Pixels of the sketch's or overlay's side: what H.264 players decode."""
OF_A_FACE = ("landmarks", "pose", "mouth", "eyes", "brows", "absolute", "flip_head")
OF_A_CLIP = ("fps", "frames")
"""What retargeting takes of a scene's control and of the scene itself."""


def add_parser(commands: Any) -> None:
    """Adds `landmarks` to the subparsers of the command line; `run` is what it is to call."""
    parser = commands.add_parser(
        "landmarks",
        help="face points as files: extract, draw, retarget",
        description=(
            "The 68 points of a face in files (.json or .npz) that scenes take:\n\n"
            "  mofa landmarks extract photo.jpg -o points.json\n"
            "  mofa landmarks extract talk.mp4 -o talk.npz\n"
            "  mofa landmarks retarget talk.npz portrait.jpg -o portrait.npz\n"
            "  mofa landmarks retarget hello.wav portrait.jpg -o spoken.npz\n"
            "  mofa landmarks draw talk.npz --over talk.mp4 -o seen.mp4"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    extract = actions.add_parser("extract", help="find a face in a picture, or follow it through a video")
    extract.add_argument("input", type=Path, metavar="PICTURE|VIDEO")
    retarget = actions.add_parser("retarget", help="let a photo's face make another's motion")
    retarget.add_argument("driver", type=Path, metavar="FILE", help="landmarks, blendshapes, video or sound")
    retarget.add_argument("photo", type=Path, metavar="PHOTO", help="whose face is to make the motion")
    retarget.fill_with = _fill_retarget
    draw = actions.add_parser("draw", help="draw landmarks on black, a photo or a video")
    draw.add_argument("input", type=Path, metavar="FILE", help="landmarks (.npz, .json)")
    draw.add_argument("--over", type=Path, metavar="PHOTO|VIDEO", help="draw on it; on black when not given")
    draw.add_argument("--size", metavar="WxH", help="size of the picture that the points lie in")
    for action in (extract, retarget):
        action.add_argument("--face", metavar="N|X,Y", default="1", help="which face (1, the largest)")
        action.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=".json or .npz")
    draw.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="CLIP",
        help="a clip as `mofa animate` writes it, or a .png of its first frame",
    )
    for action in (extract, retarget, draw):
        action.add_argument("--overwrite", action="store_true", help="replace a file that exists")
        action.add_argument("--quiet", action="store_true", help="no progress")
    parser.set_defaults(run=run)


def _fill_retarget(parser: "Parser") -> None:
    from mofa.apps.scene_options import CLIP, DETAILS, add_options

    add_options(parser, [option for option in (*DETAILS, *CLIP) if option.field in (*OF_A_FACE, *OF_A_CLIP)])


def run(arguments: argparse.Namespace) -> int:
    """Does what was asked; returns the exit code. Raises MofaError with a sentence for the user."""
    from mofa.apps.progress import progress_bars
    from mofa.media.files import check_writable

    check_writable([arguments.output], arguments.overwrite)
    with progress_bars(quiet=arguments.quiet) as progress:
        match arguments.action:
            case "extract":
                _write(extracted(arguments.input, arguments.face, progress), arguments)
            case "retarget":
                clip, notes = retargeted(arguments, progress)
                _write(clip, arguments)
                for note in notes:
                    _say(note)
            case "draw":
                _draw(arguments, progress)
    if not arguments.quiet:
        print(arguments.output)
    return 0


def extracted(path: Path, face: str, progress: "Progress") -> "LandmarkClip":
    """A face of a picture (one frame), or followed through a video, in its own pixels."""
    import torch

    from mofa.faces.detection import find_face
    from mofa.media.decode import media_of, video_frames
    from mofa.media.image import read_picture, to_bytes
    from mofa.pipeline.face_inputs import face_of_video
    from mofa.pipeline.original import Original
    from mofa.pipeline.request import parse_face
    from mofa.pipeline.videos import open_video
    from mofa.types import LandmarkClip

    which = parse_face(face)
    if media_of(path) == "picture":
        original = Original(read_picture(path))
        found, _ = find_face(to_bytes(original.pixels), original.meant(which), str(path))
        return LandmarkClip(found.points[None], torch.tensor([found.score]), 25.0)
    first = Original(torch.from_numpy(next(video_frames(path)).pixels).permute(2, 0, 1) / 255)
    return face_of_video(open_video(path), first.meant(which), progress=progress, note=_say).landmarks


def retargeted(arguments: argparse.Namespace, progress: "Progress") -> tuple["LandmarkClip", Sequence[str]]:
    """The motion of the photo's face that a driver's file leads to, in the photo's pixels; and notes."""
    import torch

    from mofa.media.decode import media_of
    from mofa.pipeline.engine import Speakers
    from mofa.pipeline.face_inputs import length_of
    from mofa.pipeline.faces import driven_faces
    from mofa.pipeline.inputs import read_inputs
    from mofa.pipeline.request import AnimationRequest
    from mofa.types import LandmarkClip

    is_file = arguments.driver.suffix.lower() in LANDMARKS
    source = "file" if is_file else "speech" if media_of(arguments.driver) == "sound" else "video"
    control = {"kind": "landmarks", source: str(arguments.driver), "face": arguments.face}
    control |= {name: value for name in OF_A_FACE if (value := getattr(arguments, name)) is not None}
    data = {"picture": str(arguments.photo), "controls": [control]}
    data |= {name: value for name in OF_A_CLIP if (value := getattr(arguments, name)) is not None}
    request = AnimationRequest.from_data(data, "command line")
    inputs = read_inputs(request, progress)
    num_frames, fps = length_of(request, inputs.drives)
    [face] = driven_faces(request, inputs, num_frames, fps, Speakers())
    return LandmarkClip(face.points, torch.ones(num_frames), fps), face.notes


def drawn(clip: "LandmarkClip", over: Path | None, size: str | None, progress: "Progress") -> "Clip":
    """The points as lines: on black, on a photo in every frame, or on a video frame by frame."""

    from mofa.faces.retarget import at_rate
    from mofa.faces.sketch import draw_sketch, overlay_landmarks
    from mofa.media.decode import media_of, read_video
    from mofa.media.image import read_bytes, to_bytes
    from mofa.types import Clip

    if over is None:
        width, height = canvas_size(clip.points, size)
        return Clip(to_bytes(draw_sketch(clip.points, height, width)), clip.fps)
    if media_of(over) == "picture":
        frames = read_bytes(over).expand(len(clip.points), -1, -1, -1)
        return Clip(overlay_landmarks(frames, [clip.points]), clip.fps)
    video = read_video(over, progress=progress, note=_say)
    points = at_rate(clip, video.fps, len(video.frames)).points
    return Clip(overlay_landmarks(video.frames, [points]), video.fps)


def canvas_size(points: Any, size: str | None) -> tuple[int, int]:
    """Width and height of the picture that points lie in: as asked, else large enough to show them all."""
    from mofa.pipeline.request import parse_size

    if size is not None:
        return parse_size(size)
    width, height = (points.amax((0, 1)) + 1).ceil().clamp(16, LARGEST_SIDE).long().tolist()
    return int(width), int(height)


def _draw(arguments: argparse.Namespace, progress: "Progress") -> None:
    from mofa.faces.landmark_files import read_landmarks
    from mofa.media.encode import write_clip
    from mofa.media.files import replacing
    from mofa.media.forms import check_clip_name, is_sequence
    from mofa.media.image import save_png

    single = arguments.output.suffix.lower() == ".png" and not is_sequence(arguments.output)
    if not single:
        check_clip_name(arguments.output)
    clip = drawn(read_landmarks(arguments.input), arguments.over, arguments.size, progress)
    if not single:
        write_clip(clip, arguments.output, progress, arguments.overwrite)
        return
    with replacing(arguments.output, arguments.overwrite) as path:
        save_png(path, clip.frames[0])


def _write(clip: "LandmarkClip", arguments: argparse.Namespace) -> None:
    from mofa.faces.landmark_files import landmark_bytes
    from mofa.media.files import replacing

    content = landmark_bytes(clip, arguments.output.suffix)
    with replacing(arguments.output, arguments.overwrite) as path:
        path.write_bytes(content)


def _say(note: str) -> None:
    print(f"mofa: {note}", file=sys.stderr)
