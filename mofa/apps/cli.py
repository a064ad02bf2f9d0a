"""The `mofa` command: text in, a scene out, progress and sentences for people.

Heavy imports wait until a command runs, so that `mofa --help` answers at once.
"""

import argparse
import ast
import inspect
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from mofa.apps import bench_command, landmarks_command, models_command, studio_command
from mofa.apps.log import start_logging
from mofa.errors import InputError, MofaError
from mofa.renderers.diffusion.settings import DiffusionSettings

if TYPE_CHECKING:
    from mofa.pipeline.request import AnimationRequest

LOG = logging.getLogger(__name__)
SCENE_SUFFIXES = (".yaml", ".yml", ".json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0 done, 2 wrong input, 130 cancelled, 1 anything else."""
    # Threads that spin while they wait cost half a core, and everything where the machine is busy.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    options = argparse.Namespace()
    try:
        parser = _parser()
        parser.parse_args(arguments, options)
        if not hasattr(options, "run"):
            parser.print_help()
            return 0
        start_logging(getattr(options, "verbose", False))
        return options.run(options)
    except MofaError as error:
        return _fail(str(error), error.exit_code, options)
    except KeyboardInterrupt:
        return _fail("cancelled; nothing half-made was left behind.", 130, options)
    except BrokenPipeError:
        # The reader of our output has left (`mofa ... | head`); there is nobody to tell.
        sys.stderr.close()
        return 1
    except Exception as error:
        LOG.debug("unexpected error", exc_info=True)
        return _fail(*_unexpected(error), options)


def _fail(message: str, exit_code: int, options: argparse.Namespace) -> int:
    print(f"mofa: {message}", file=sys.stderr)
    if getattr(options, "json", False):
        print(json.dumps({"error": message, "exit_code": exit_code}))
    return exit_code


def _unexpected(error: Exception) -> tuple[str, int]:
    from mofa.devices import is_out_of_memory

    if is_out_of_memory(error):
        return "out of memory: ask for a smaller --size or fewer --frames.", 2
    return (
        f"something went wrong inside mofa ({type(error).__name__}: {error}). "
        "Set MOFA_LOG=debug to see where, and please report it.",
        1,
    )


# --- Options ------------------------------------------------------------------------------------


class _InOrder(argparse.Action):
    """Collects options in the order they were typed: a mask belongs to the track before it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        namespace.in_order = [*getattr(namespace, "in_order", []), (self.dest, values)]


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with an option in one sentence, as everything else does."""

    def error(self, message: str) -> NoReturn:
        unknown = message.removeprefix("unrecognized arguments: ").split()[0]
        near = get_close_matches(unknown, self.known_options(), n=1)
        raise InputError(
            f'{message}: did you mean "{near[0]}"?' if near else f"{message}: see {self.prog} --help."
        )

    def known_options(self) -> list[str]:
        """Every option of this command and those below it."""
        options: list[str] = []
        for action in self._actions:
            options += action.option_strings
            if isinstance(action.choices, dict):
                options += [
                    option for command in action.choices.values() for option in command.known_options()
                ]
        return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="mofa",
        description="Image in, motion drawn or spoken, video out.",
        epilog="`mofa COMMAND --help` explains a command; docs/scene.md explains scenes.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and leave")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_animate(commands)
    _add_demo(commands)
    studio_command.add_parser(commands)
    landmarks_command.add_parser(commands)
    models_command.add_parser(commands)
    bench_command.add_parser(commands)
    schema = commands.add_parser("schema", help="print the JSON Schema of a scene")
    schema.set_defaults(run=_run_schema)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        from mofa import __version__

        parser.exit(message=f"mofa {__version__}\n")


def _add_animate(commands: Any) -> None:
    animate = commands.add_parser(
        "animate",
        help="animate a photo, or repeat a scene",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Animate a photo: say what moves, where to, and what the camera does.\n\n"
            "  mofa animate photo.jpg --track '50%,60% 70%,55%' -o clip.mp4\n"
            "  mofa animate photo.jpg --track '120,80 180,80' --brush mask.png -o clip.mp4\n"
            "  mofa animate photo.jpg --camera 'pan right 40 px, zoom 1.1' -o clip.gif\n"
            "  mofa animate portrait.jpg --speech hello.wav -o clip.mp4\n"
            "  mofa animate clip.scene.yaml --frames 50 -o longer.mp4"
        ),
        epilog=(
            "--ease, --from, --to, --there-and-back and --strength belong to the track, camera or reference\n"
            "before them; --brush and --select to the track, reference or face before them, or else to the\n"
            "scene; what is about a face to the --speech, --face-video or --landmarks-file before it.\n"
            "Controls on the command line replace those of a scene."
        ),
    )
    animate.add_argument("input", metavar="PHOTO|SCENE", help="a photo, or a scene file (.yaml, .json)")
    what = animate.add_argument_group("what moves (in the order given)")

    def in_order(flag: str, metavar: str | None, text: str, **more: Any) -> None:
        dest = flag.removeprefix("--").replace("-", "_")
        what.add_argument(flag, dest=dest, metavar=metavar, action=_InOrder, help=text, **more)

    in_order(
        "--track",
        "'X,Y X,Y ...'",
        "a line something moves along, in pixels or percent; one point is an anchor",
    )
    in_order("--tracks", "FILE", "tracks from a file: JSON, NumPy (point trackers), SVG paths")
    in_order("--camera", "MOVE", "'pan right 40 px, zoom 1.1, rotate 5'; the camera moves, the scene stays")
    in_order("--reference", "VIDEO", "take the motion of a video")
    in_order("--brush", "MASK", "picture that is white where things may move")
    in_order("--select", "X,Y", "the thing at this point may move")
    in_order("--ease", "EASE", "linear, in, out, in-out, or 'time,fraction ...' pairs")
    in_order("--from", "FRAME", "frame at which it begins", type=int)
    in_order("--to", "FRAME", "frame at which it is complete", type=int)
    in_order("--there-and-back", None, "return to the beginning by the end", nargs=0)
    in_order("--strength", "S", "multiplies the motion", type=float)

    face = animate.add_argument_group("a face that is driven (in the order given, too)")

    def of_face(flag: str, metavar: str | None, text: str, **more: Any) -> None:
        dest = flag.removeprefix("--").replace("-", "_")
        face.add_argument(flag, dest=dest, metavar=metavar, action=_InOrder, help=text, **more)

    of_face("--speech", "SOUND", "let the face speak: a voice, which is heard in the clip")
    of_face("--face-video", "VIDEO", "let the face do what the face in a video does")
    of_face("--landmarks-file", "FILE", "landmarks per frame (.npz, .json) or ARKit blendshapes (.csv)")
    of_face("--face", "N|X,Y", "which face: its number, 1 being the largest, or a point on it")
    of_face("--driver", "NAME", "what turns speech into motion: signal, aniportrait or sadtalker (signal)")
    of_face("--landmarks", "POINTS", "the face's 68 points by hand (JSON), where none is found")
    for feature, text in (
        ("pose", "the head's motion"), ("mouth", "the mouth's motion"), ("eyes", "the lids' motion"),
        ("brows", "the brows' motion"),
    ):  # fmt: skip
        of_face(f"--{feature}", "S", f"how much of {text} is taken over (1)", type=float)
    of_face("--absolute", None, "take over the driver's very expressions, not their change", nargs=0)
    of_face("--max-seconds", "S", "the longest speech or video that is taken (600)", type=float)

    clip = animate.add_argument_group("the clip")
    clip.add_argument("-o", "--output", metavar="CLIP", help=".mp4, .gif, .webp, or a folder for PNG frames")
    clip.add_argument("--frames", type=int, metavar="N", help="number of frames (25; as long as the speech)")
    clip.add_argument("--fps", type=float, help="frames per second (8; 25 for speech)")
    clip.add_argument("--size", metavar="WxH", help="size of the clip (the picture's, at most 1280 long)")
    clip.add_argument("--fit", metavar="crop|pad", help="what to do when the size has another aspect (crop)")
    clip.add_argument("--loop", action="store_true", default=None, help="let the end flow into the beginning")
    clip.add_argument("--seed", type=int, help="seed of everything random (0)")
    clip.add_argument(
        "--renderer",
        metavar="warp|diffusion",
        help="warp moves the pixels themselves (diffusion where its weights and a GPU are, else warp)",
    )
    clip.add_argument(
        "--optical-flow",
        metavar="dis|unimatch",
        help="what measures the motion of reference videos (dis, which needs no weights)",
    )
    clip.add_argument("--preset", metavar="NAME", help="diffusion settings: draft, standard or fine")
    clip.add_argument(
        "--extras",
        metavar="LIST",
        help="what lies beside the clip: flow,flow-npz,flow-flo,overlay,sheet,landmarks or none"
        " (flow,flow-npz,overlay,sheet)",
    )
    _add_settings(animate)
    _add_run_options(animate)
    animate.add_argument(
        "--preview", action="store_true", help="stop after the motion: flow and overlay, no clip"
    )
    animate.set_defaults(run=_run_animate)


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("how it runs")
    how.add_argument("--overwrite", action="store_true", help="replace files that exist")
    how.add_argument("--quiet", action="store_true", help="no progress, no summary")
    how.add_argument("--json", action="store_true", help="print what was made as one JSON object")
    how.add_argument("--verbose", action="store_true", help="tell what is done, and how long it takes")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """One option for each field of DiffusionSettings, with the field's docstring as its help."""
    group = parser.add_argument_group("the diffusion renderer (any of these chooses it)")
    docstrings = field_docstrings(DiffusionSettings)
    for field in fields(DiffusionSettings):
        flag = f"--{field.name.replace('_', '-')}"
        text = f"{docstrings[field.name]} ({field.default})".replace("%", "%%")
        if field.type is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            kind = type(field.default) if isinstance(field.default, int | float) else str
            group.add_argument(flag, metavar=field.name.split("_")[-1].upper(), type=kind, help=text)


def field_docstrings(settings: type) -> dict[str, str]:
    """The string below each field of a dataclass."""
    [definition] = ast.parse(inspect.getsource(settings)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: inspect.cleandoc(below.value.value).rstrip(".")
        for field, below in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }


def _add_demo(commands: Any) -> None:
    demo = commands.add_parser("demo", help="animate an example that comes with mofa")
    demo.add_argument("name", nargs="?", metavar="EXAMPLE", help="which one; the first when not given")
    demo.add_argument(
        "-o", "--output", metavar="CLIP", default="demo.mp4", help="the clip to write (demo.mp4)"
    )
    demo.add_argument("--list", action="store_true", help="list the examples and leave")
    _add_run_options(demo)
    demo.set_defaults(run=_run_demo, preview=False)


# --- Text to scene ------------------------------------------------------------------------------

# Option -> the kind of control that it begins, and the key that it gives.
_BEGINS = {
    "track": ("track", "points"),
    "tracks": ("track", "file"),
    "camera": ("camera", "move"),
    "reference": ("reference", "video"),
    "speech": ("landmarks", "speech"),
    "face_video": ("landmarks", "video"),
    "landmarks_file": ("landmarks", "file"),
}
_TIMING_KEY = {"ease": "ease", "from": "start", "to": "end", "there_and_back": "there_and_back"}
_FACE_KEYS = (
    "face", "driver", "landmarks", "pose", "mouth", "eyes", "brows", "absolute", "max_seconds",
)  # fmt: skip


def controls_in_order(typed: Sequence[tuple[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The scene's controls, and its own region, from options in the order they were typed.

    A mask or a selection belongs to the track, reference or face before it, or to the scene if it comes
    first. Raises InputError for a detail (such as --ease) that follows nothing it could belong to.
    """
    controls: list[dict[str, Any]] = []
    scene_region = None
    for option, value in typed:
        flag = "--" + option.replace("_", "-")
        about_a_face = bool(controls) and controls[-1]["kind"] == "landmarks"
        if option in _BEGINS:
            kind, key = _BEGINS[option]
            controls.append({"kind": kind, key: value})
        elif option in ("brush", "select"):
            region = {"mask" if option == "brush" else "select": value}
            owner = next((c for c in reversed(controls) if c["kind"] != "camera"), None)
            if owner is None:
                scene_region = region
            else:
                owner["region"] = region
        elif option in _FACE_KEYS:
            if not about_a_face:
                raise InputError(
                    f"{flag} is about a driven face: put it after --speech, --face-video or --landmarks-file."
                )
            controls[-1][option] = True if value == [] else value
        elif not controls or (about_a_face and option in _TIMING_KEY):
            raise InputError(f"{flag} belongs to a track, camera or reference: put it after one.")
        else:
            controls[-1][_TIMING_KEY.get(option, option)] = True if value == [] else value
    return controls, scene_region


def request_from(options: argparse.Namespace) -> "AnimationRequest":
    """The AnimationRequest that the command line describes, on its own or over a scene."""
    from mofa.pipeline.request import AnimationRequest

    source = Path(options.input)
    controls, region = controls_in_order(getattr(options, "in_order", []))
    settings = {
        field.name: value
        for field in fields(DiffusionSettings)
        if (value := getattr(options, field.name)) is not None
    }
    if source.suffix.lower() in SCENE_SUFFIXES:
        data, where = AnimationRequest.from_file(source).to_data(), str(source)
    else:
        data, where = {"picture": options.input, "controls": []}, "command line"
    given = {
        name: getattr(options, name)
        for name in ("frames", "fps", "size", "fit", "loop", "seed", "renderer", "optical_flow")
    }
    data |= {name: value for name, value in given.items() if value is not None}
    if options.preset or settings:
        data["renderer"] = options.renderer or "diffusion"
        base = {"preset": options.preset} if options.preset else data.get("diffusion", {})
        data["diffusion"] = base | settings
    if controls:
        data["controls"] = controls
    if region:
        data["region"] = region
    outputs = data.setdefault("outputs", {})
    if options.output:
        outputs["clip"] = options.output
    outputs.setdefault("clip", f"{Path(data['picture']).stem}-animated.mp4")
    if options.extras is not None:
        outputs["extras"] = [] if options.extras == "none" else options.extras.split(",")
    return AnimationRequest.from_data(data, where)


# --- Commands -----------------------------------------------------------------------------------


def _run_animate(options: argparse.Namespace) -> int:
    return _animate(request_from(options), options)


def _animate(request: "AnimationRequest", options: argparse.Namespace) -> int:
    from mofa.apps.progress import progress_bars
    from mofa.pipeline.animate import animate, plan
    from mofa.pipeline.outputs import check_outputs, write_outputs

    check_outputs(request, options.overwrite)
    with progress_bars(quiet=options.quiet) as progress:
        make = plan if options.preview else animate
        result = make(request, progress=progress)
        files = write_outputs(result, options.overwrite, progress)
    if options.json:
        print(
            json.dumps(
                result.summary() | {"files": {name: str(path) for name, path in files.items()}}, indent=2
            )
        )
    elif not options.quiet:
        for note in result.motion.notes:
            print(f"mofa: {note}", file=sys.stderr)
        for name, path in files.items():
            print(f"{name:>9}  {path}")
    return 0


def _run_demo(options: argparse.Namespace) -> int:
    from mofa.apps.examples import example, example_names
    from mofa.pipeline.request import AnimationRequest

    if options.list:
        print("\n".join(example_names()))
        return 0
    request = AnimationRequest.from_file(example(options.name))
    outputs = request.outputs.model_copy(update={"clip": Path(options.output)})
    return _animate(request.model_copy(update={"outputs": outputs}), options)


def _run_schema(_: argparse.Namespace) -> int:
    from mofa.pipeline.request import json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
