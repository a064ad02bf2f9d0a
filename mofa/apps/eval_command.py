"""`mofa eval`: does the clip do what was asked? Our own renderers', or clips that any program made."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mofa.evaluation.makers import Maker
    from mofa.evaluation.results import Results


def add_parser(commands: Any) -> None:
    """Adds `eval` to the subparsers of the command line; `run` is what it is to call."""
    parser = commands.add_parser(
        "eval",
        help="measure whether clips do what was asked",
        description=(
            "Runs the scenes of a suite, tracks what moved, and writes results.json, results.md and\n"
            "report.html (docs/evaluation.md explains suites and measures).\n\n"
            "  mofa eval synthetic --limit 3 -o report\n"
            "  mofa eval synthetic --clips other-program/ -o report-other\n"
            "  mofa eval synthetic --guide warp -o with-adapters\n"
            "  mofa eval compare report report-other"
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what", nargs="+", metavar="SUITE", help="a suite's name or file, or: compare REPORT_A REPORT_B"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder of the report (report)")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="where the suite's data lie, if it needs any"
    )
    parser.add_argument(
        "--clips", type=Path, metavar="DIR", help="judge the clips in this folder, by scene name"
    )
    parser.add_argument("--renderer", metavar="NAME", help="our renderer to judge (warp)")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="scene keys for our renderer (.yaml)")
    parser.add_argument(
        "--adapter",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="weights that `mofa train` wrote, in place of the released ones; may be repeated",
    )
    parser.add_argument(
        "--guide", choices=("none", "warp"), help="judge the video model, guided by the warp renderer's clip"
    )
    parser.add_argument(
        "--no-adapters", action="store_true", help="judge the video model steered by its guide alone"
    )
    parser.add_argument("--tracker", metavar="NAME", default="lk", help="lk (default), or cotracker3")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N scenes")
    parser.add_argument("--workers", type=int, metavar="N", default=1, help="processes at a time (1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random (0)")
    parser.add_argument("--quiet", action="store_true", help="no progress, no table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluates or compares; returns the exit code. Raises MofaError with a sentence for the user."""
    from mofa.errors import InputError

    what = arguments.what
    if what[0] == "compare":
        if len(what) != 3:
            raise InputError("compare takes two reports: mofa eval compare REPORT_A REPORT_B.")
        return compare_reports(Path(what[1]), Path(what[2]))
    if len(what) != 1:
        raise InputError(f"one suite at a time, not {', '.join(what)}.")
    return evaluate(what[0], arguments)


def compare_reports(a: Path, b: Path) -> int:
    """Prints the paired differences of two reports."""
    from mofa.evaluation.compare import compare, comparison_table
    from mofa.evaluation.results import read_results

    one, other = read_results(a), read_results(b)
    print(comparison_table(one, other, compare(one, other)), end="")
    return 0


def evaluate(name: str, arguments: argparse.Namespace) -> int:
    """Runs a suite and writes its report; fails when no scene could be judged."""
    from mofa.apps.progress import progress_bars
    from mofa.errors import InputError
    from mofa.evaluation.catalogue import find_suite
    from mofa.evaluation.instruments import instruments
    from mofa.evaluation.report import markdown, write_report
    from mofa.evaluation.runner import Job, run_suite

    for option in ("limit", "workers"):
        if getattr(arguments, option) is not None and getattr(arguments, option) < 1:
            raise InputError(f"--{option} {getattr(arguments, option)} cannot be: give 1 or more.")
    folder = arguments.output or Path("report")
    job = Job(
        find_suite(name, arguments.data),
        maker_of(arguments),
        instruments(arguments.tracker),
        folder,
    )
    with progress_bars(arguments.quiet) as progress:
        results = run_suite(job, name, arguments.limit, arguments.workers, progress)
        paths = write_report(results, job, progress)
    if not arguments.quiet:
        print(markdown(results))
        print(f"The report is {paths['report.html']}.")
    refuse_nothing_judged(results)
    return 0


def refuse_nothing_judged(results: "Results") -> None:
    """A report about nothing is an error, which its first skipped scene explains."""
    from mofa.errors import InputError

    if not results.judged:
        first = results.skipped[0]
        raise InputError(f"none of {len(results.scenes)} scenes could be judged; {first.name}: {first.error}")


def maker_of(arguments: argparse.Namespace) -> "Maker":
    """Our renderer, or clips in a folder."""
    from mofa.errors import InputError
    from mofa.evaluation.makers import ClipsInFolder, OurRenderer
    from mofa.pipeline.request import parse_scene, read_scene_text
    from mofa.weights.store import slot_of

    if arguments.clips is not None:
        if arguments.renderer or arguments.settings or arguments.adapter or steering_of(arguments):
            raise InputError(
                "--clips judges clips that are there: leave --renderer, --settings and --adapter out, and "
                "what steers a model."
            )
        if not arguments.clips.is_dir():
            raise InputError(f"{arguments.clips} is no folder: give the folder that holds the clips.")
        return ClipsInFolder(arguments.clips)
    settings: Any = {}
    if arguments.settings is not None:
        settings = parse_scene(read_scene_text(arguments.settings), str(arguments.settings))
        if not isinstance(settings, dict):
            raise InputError(f"{arguments.settings} is no mapping of scene keys to values.")
    if arguments.renderer:
        settings = {**settings, "renderer": arguments.renderer}
    steering = steering_of(arguments)
    if (arguments.adapter or steering) and settings.get("renderer", "diffusion") != "diffusion":
        named = "--adapter" if arguments.adapter else "--guide and --no-adapters"
        raise InputError(f"the {settings['renderer']} renderer has no adapters: leave {named} out.")
    if arguments.adapter or steering:
        settings = {**settings, "renderer": "diffusion"}
        for folder in arguments.adapter:  # told before any scene is opened
            slot_of(folder)
    if steering:
        given = settings.get("diffusion", {})
        given = {"preset": given} if isinstance(given, str) else given
        settings = {**settings, "diffusion": {**given, **steering}}
    return OurRenderer(settings, arguments.seed, tuple(arguments.adapter))


def steering_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The diffusion settings that say what steers the model, where they were given as options."""
    guide = {} if arguments.guide is None else {"guide": arguments.guide}
    return guide | ({"adapters": False} if arguments.no_adapters else {})
