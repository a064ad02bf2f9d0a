"""`mofa train`: learns an adapter, a sparse-to-dense network or a toy backbone by a recipe."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mofa.training.config import Recipe


def add_parser(commands: Any) -> None:
    """Adds `train` to the subparsers of the command line; `run` is what it is to call."""
    parser = commands.add_parser(
        "train",
        help="train adapters and the networks beside them",
        description="A recipe is a YAML file; `mofa train --list` names those that come along. "
        "docs/training.md leads from a folder of clips to a clip made by the result. Several devices: "
        "`accelerate launch -m mofa.apps.cli train RECIPE`.",
    )
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="a recipe's name, or a YAML file")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="changes, such as loop.steps=200")
    parser.changes = "changes"
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="the run's folder (runs/RECIPE)")
    parser.add_argument(
        "--lora",
        type=int,
        metavar="RANK",
        help="train a low-rank change of objective.start in place of its weights",
    )
    parser.add_argument("--resume", metavar="latest|DIR", help="go on from a checkpoint")
    parser.add_argument(
        "--device", choices=("cpu",), help="stay on the CPU; without it, where accelerate says"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be trained, and what it costs")
    parser.add_argument(
        "--rate", type=float, metavar="TFLOP/S", help="with --dry-run: how fast the device is"
    )
    parser.add_argument("--list", action="store_true", help="name the recipes that come along")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Does what was asked; returns the exit code. Raises MofaError with a sentence for the user."""
    from mofa.errors import Cancelled, InputError
    from mofa.training.config import launch_files, read_recipe, recipe_names

    if arguments.list or arguments.recipe is None:
        if arguments.recipe is None and not arguments.list:
            raise InputError("mofa train needs a recipe: see `mofa train --list`.")
        for name in recipe_names():
            print(f"{name}: {read_recipe(name).about}")
        for path in launch_files():
            print(f"for accelerate launch --config_file: {path}")
        return 0
    low_rank = [] if arguments.lora is None else [f"objective.lora.rank={arguments.lora}"]
    recipe = read_recipe(arguments.recipe, [*arguments.changes, *low_rank])
    if arguments.dry_run:
        return _dry_run(recipe, arguments.rate)
    folder = arguments.output or Path("runs") / Path(arguments.recipe).stem
    from mofa.apps.progress import progress_bars
    from mofa.training.loop import train

    try:
        with progress_bars(quiet=not sys.stderr.isatty()) as progress:
            last = train(recipe, folder, arguments.resume, arguments.device == "cpu", progress)
    except KeyboardInterrupt:
        raise Cancelled(f"stopped; go on with --resume latest, from the checkpoints in {folder}.") from None
    print(last)
    return 0


def _dry_run(recipe: "Recipe", rate: float | None) -> int:
    """Prints the resolved recipe, what it trains, and what a step costs."""
    import yaml

    from mofa.errors import InputError
    from mofa.evaluation.training_cost import count_step
    from mofa.training.config import plain

    print(yaml.safe_dump(plain(recipe), sort_keys=False))
    try:
        count = count_step(recipe)
    except InputError as error:
        print(f"cost: {error}")
        return 0
    cost = count.cost
    for note in count.notes:
        print(f"note: {note}")
    for title, parameters in (("trained", count.trained), ("frozen", count.frozen)):
        print(f"{title}: {len(parameters)} tensors, {sum(parameters.values()) / 1e6:.1f} M numbers")
        for name, size in parameters.items():
            print(f"  {name} {size}")
    print(f"work of a step, per process: {cost.flop / 1e12:.4g} TFLOP")
    for title, taken in (
        ("activations", cost.activation_bytes),
        ("trained weights, gradients, optimiser, running mean", cost.state_bytes),
        ("frozen weights", cost.frozen_bytes),
        ("together", cost.peak_bytes),
    ):
        print(f"memory, {title}: {taken / 1e9:.3g} GB")
    if rate is not None:
        print(f"seconds of a step at {rate:g} TFLOP/s: {cost.flop / 1e12 / rate:.3g}")
    return 0
