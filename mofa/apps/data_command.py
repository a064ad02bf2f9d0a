"""`mofa data`: clips worked out before training, and what a batch looks like."""

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mofa.training.preparing import Preparation, Spread


def add_parser(commands: Any) -> None:
    """Adds `data` to the subparsers of the command line; `run` is what it is to call."""
    parser = commands.add_parser("data", help="prepare and look at training data")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    prepare = actions.add_parser(
        "prepare", help="pack a recipe's clips, with what frozen networks say, into shards"
    )
    look = actions.add_parser("look", help="write a page that shows a recipe's clips")
    for action in (prepare, look):
        action.add_argument("recipe", metavar="RECIPE", help="a recipe's name, or a YAML file")
        action.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="such as data.clips.flow=dis")
        action.changes = "changes"
    prepare.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the shards' folder")
    prepare.add_argument("--count", type=int, required=True, help="how many clips")
    prepare.add_argument("--per-shard", type=int, default=100, help="clips in a shard (100)")
    prepare.add_argument("--workers", type=int, default=0, help="processes (0: this one)")
    prepare.add_argument(
        "--keep",
        action="append",
        default=[],
        choices=("flow", "landmarks", "latents", "embedding"),
        help="work this out and keep it beside the frames; may be given several times",
    )
    prepare.add_argument("--device", metavar="NAME", help="where networks run; default: the best there is")
    prepare.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="make shards on a Ray cluster, or without an address on a Ray of this machine",
    )
    look.add_argument("-o", "--output", type=Path, default=Path("batch.html"), metavar="PAGE")
    look.add_argument("--count", type=int, default=4, help="how many clips (4)")
    look.add_argument("--overwrite", action="store_true", help="replace a page that exists")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Does what was asked; returns the exit code. Raises MofaError with a sentence for the user."""
    from mofa.errors import InputError
    from mofa.training.config import read_recipe

    recipe = read_recipe(arguments.recipe, arguments.changes)
    if arguments.count < 1:
        raise InputError(f"--count {arguments.count} is no number of clips: give 1 or more.")
    if arguments.action == "look":
        from mofa.training.looking import write_page
        from mofa.training.protocol import Source

        source = recipe.data.build(recipe.loop.seed)
        if isinstance(source, Source):
            clips = [source[i] for i in range(arguments.count)]
        else:
            clips = list(islice(source.share(0, 1, 0), arguments.count))
        write_page(clips, arguments.output, arguments.recipe, arguments.overwrite, recipe)
        print(arguments.output)
        return 0
    from mofa.apps.progress import progress_bars
    from mofa.training.precomputing import wanted
    from mofa.training.preparing import Preparation, prepare_shards

    if arguments.per_shard < 1:
        raise InputError(f"--per-shard {arguments.per_shard} is no number of clips: give 1 or more.")
    wish = Preparation(
        recipe,
        arguments.output.resolve(),
        arguments.count,
        arguments.per_shard,
        arguments.workers,
        wanted(arguments.keep),
        arguments.device,
    )
    spread = None if arguments.ray is None else _on_ray(arguments.ray)
    with progress_bars(quiet=not sys.stderr.isatty()) as progress:
        made = prepare_shards(wish, progress, spread)
    print(f"{len(made)} shards written, {wish.shards - len(made)} were there: {arguments.output}")
    return 0


def _on_ray(address: str) -> "Spread":
    """Makes shards by tasks of a Ray cluster that sees the same folders, each on a GPU where it has some."""
    from mofa.errors import ResourceError

    try:
        import ray

        from mofa.batch.on_ray import connect
    except ImportError as error:
        raise ResourceError('--ray needs the ray extra: pip install "mofa-video[ray]".') from error

    def spread(preparation: "Preparation", missing: list[int]) -> Iterator[Path]:
        from mofa.training.preparing import write_shard

        connect(address or None, preparation.workers)
        try:
            gpus = 1 if ray.cluster_resources().get("GPU") else 0
            task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=3)(write_shard)
            waiting = [task.remote(preparation, shard) for shard in missing]
            while waiting:
                done, waiting = ray.wait(waiting)
                yield from ray.get(done)
        except ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from None
        finally:
            ray.shutdown()

    return spread
