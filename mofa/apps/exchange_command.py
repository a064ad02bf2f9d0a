"""`mofa export` and `mofa import`: motion to and from the files of other models and tools."""

import argparse
from pathlib import Path
from typing import Any

from mofa.apps.parser import Parser


def add_parsers(commands: Any) -> None:
    """Adds `export` and `import` to the subparsers of the command line; `run` is what they are to call."""
    export = commands.add_parser(
        "export",
        help="write a scene's motion as other models read it",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Write what moves in a scene in the form that another model or tool reads:\n\n"
            "  mofa export scene.yaml --to wan-move -o walk       a folder: tracks, visibility, first frame\n"
            "  mofa export scene.yaml --to ati -o walk.pth\n"
            "  mofa export scene.yaml --to ttm -o walk            the warped clip and what moved in it\n\n"
            "Motion is stretched over the frames that the model wants; docs/exchange.md says what is where."
        ),
    )
    export.add_argument("scene", type=Path, metavar="SCENE", help="a scene file (.yaml, .json)")
    export.fill_with = _fill_export
    export.set_defaults(run=_run_export)
    bring = commands.add_parser(
        "import",
        help="make a scene of another model's motion",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Make a scene that moves a photo as a file of another model or tool says:\n\n"
            "  mofa import walk --from wan-move -o scene.yaml\n"
            "  mofa import coords.json --from kjnodes --picture photo.jpg --size 832x480 -o scene.yaml"
        ),
    )
    bring.add_argument("input", type=Path, metavar="FILE|FOLDER", help="what the other model reads or wrote")
    bring.fill_with = _fill_import
    bring.set_defaults(run=_run_import)


def _fill_export(parser: Parser) -> None:
    from mofa.pipeline.export import FORMATS
    from mofa.pipeline.trajectories import GRID

    parser.add_argument("--to", required=True, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument(
        "--frames", type=int, metavar="N", help="number of frames (the model's, or the scene's)"
    )
    parser.add_argument("--size", metavar="WxH", help="size of the picture (the model's, or the scene's)")
    parser.add_argument(
        "--points",
        choices=("tracks", "grid"),
        help="the drawn tracks, or a grid that everything carries along (grid where more than tracks moves)",
    )
    parser.add_argument(
        "--grid", type=int, default=GRID, metavar="N", help=f"points along each side ({GRID})"
    )
    parser.add_argument("--prompt", default="", metavar="TEXT", help="for ttm: what the clip shows, in words")
    _add_common(parser, "what to write: a file, or a folder for wan-move, ttm and kling")


def _fill_import(parser: Parser) -> None:
    from mofa.pipeline.export import FORMATS

    parser.add_argument("--from", dest="form", required=True, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--picture", type=Path, metavar="PHOTO", help="the photo (the folder's first frame)")
    parser.add_argument("--size", metavar="WxH", help="size of the picture that the numbers are meant for")
    _add_common(parser, "the scene to write (.yaml); what it names lies beside it")


def _add_common(parser: Parser, output: str) -> None:
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PATH", help=output)
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    parser.add_argument("--quiet", action="store_true", help="no progress, no summary")


def _run_export(options: argparse.Namespace) -> int:
    from mofa.apps.progress import progress_bars
    from mofa.pipeline.export import Wanted, export_scene
    from mofa.pipeline.request import AnimationRequest

    wanted = Wanted(options.to, options.frames, _size(options), options.points, options.grid, options.prompt)
    with progress_bars(quiet=options.quiet) as progress:
        request = AnimationRequest.from_file(options.scene)
        written = export_scene(request, options.output, wanted, options.overwrite, progress)
    return _report(written, options)


def _run_import(options: argparse.Namespace) -> int:
    from mofa.pipeline.export import import_motion

    written = import_motion(
        options.form, options.input, options.output, options.picture, _size(options), options.overwrite
    )
    return _report(written, options)


def _size(options: argparse.Namespace) -> tuple[int, int] | None:
    from mofa.pipeline.request import parse_size

    return None if options.size is None else parse_size(options.size)


def _report(written: Path, options: argparse.Namespace) -> int:
    if not options.quiet:
        print(written)
    return 0
