"""`mofa animate` and `mofa demo`: a scene from options or a file, and its clip."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mofa.apps.elsewhere import photo_at_hand
from mofa.apps.parser import Parser
from mofa.apps.quick_start import quick_start

if TYPE_CHECKING:
    from mofa.pipeline.request import AnimationRequest


def add_parsers(commands: Any) -> None:
    """Adds `animate` and `demo` to the subparsers of the command line; `run` is what they are to call."""
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
    animate.fill_with = _fill
    animate.set_defaults(run=_run_animate)
    demo = commands.add_parser("demo", help="animate an example that comes with mofa")
    demo.add_argument("name", nargs="?", metavar="EXAMPLE", help="which one; the first when not given")
    demo.add_argument(
        "-o", "--output", metavar="CLIP", default="demo.mp4", help="the clip to write (demo.mp4)"
    )
    demo.add_argument("--list", action="store_true", help="list the examples and leave")
    _add_run_options(demo)
    demo.set_defaults(run=_run_demo, preview=False)


def _fill(parser: Parser) -> None:
    with quick_start():
        from mofa.apps.scene_options import add_scene_options

    parser.add_argument(
        "input",
        metavar="PHOTO|SCENE|CLIP",
        help="a photo (a file, an address, or - for standard input), a scene file (.yaml, .json), or a clip "
        "made with --metadata",
    )
    parser.add_argument(
        "--allow-download", action="store_true", help="fetch the photo where it is an address (https://...)"
    )
    add_scene_options(parser)
    _add_run_options(parser)
    parser.add_argument(
        "--adapter",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        dest="own_weights",
        help="weights of one's own in place of the released ones, told apart by their keys: an adapter, such "
        "as runs/x/checkpoint-2000, a sparse-to-dense network, a backbone; may be given several times",
    )
    parser.add_argument(
        "--preview", action="store_true", help="stop after the motion: flow and overlay, no clip"
    )


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("how it runs")
    how.add_argument("--overwrite", action="store_true", help="replace files that exist")
    how.add_argument("--quiet", action="store_true", help="no progress, no summary")
    how.add_argument("--json", action="store_true", help="print what was made as one JSON object")
    how.add_argument("--verbose", action="store_true", help="tell what is done, and how long it takes")


def _run_animate(options: argparse.Namespace) -> int:
    with photo_at_hand(options):
        if not options.own_weights:
            return _animate(_asked_for(options), options)
        from mofa.weights.store import standing_in

        with standing_in(options.own_weights):
            return _animate(_asked_for(options), options)


def _asked_for(options: argparse.Namespace) -> "AnimationRequest":
    with quick_start():  # a scene's values bring half of what is needed along
        from mofa.apps.scene_options import request_from

        return request_from(options)


def _animate(request: "AnimationRequest", options: argparse.Namespace) -> int:
    with quick_start():
        from mofa.apps.progress import progress_bars
        from mofa.pipeline.animate import plan, prepare, resolve
        from mofa.pipeline.inputs import read_inputs
        from mofa.pipeline.outputs import check_clip, check_outputs, write_outputs

    check_clip(request, options.overwrite)
    with progress_bars(quiet=options.quiet) as progress:
        inputs = read_inputs(request, progress)
        settled = resolve(request, inputs)
        check_outputs(settled, options.overwrite, with_clip=not options.preview)
        make = plan if options.preview else prepare
        result = make(settled, inputs, progress)
        files = write_outputs(result, options.overwrite)
    if options.json:
        print(
            json.dumps(
                result.summary() | {"files": {name: str(path) for name, path in files.items()}}, indent=2
            )
        )
    elif not options.quiet:
        if result.motion.remarks.moved is not None:
            print(f"mofa: {result.motion.remarks.moved}", file=sys.stderr)
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
