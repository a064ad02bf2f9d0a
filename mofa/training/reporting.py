"""Where numbers go beside `metrics.jsonl`: TensorBoard, and Weights & Biases, by trackers of accelerate."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from accelerate.tracking import GeneralTracker, TensorBoardTracker, WandBTracker

from mofa.errors import ResourceError

Destination = Literal["tensorboard", "wandb"]


def check_installed(names: Sequence[Destination]) -> None:
    """Raises ResourceError for a destination whose package is not there."""
    for name in names:
        if find_spec(name) is None:
            raise ResourceError(
                f"loop.report_to names {name}, which is not installed: `pip install {name}`, or leave it "
                "out; metrics.jsonl has the same numbers."
            )


def open_destinations(
    names: Sequence[Destination], run: Path, recipe: Mapping[str, Any], step: int
) -> list[GeneralTracker]:
    """Begins to report a run that goes on after `step`: what was reported of later steps is void."""
    made = {
        # Event files in run/tensorboard.
        "tensorboard": lambda: TensorBoardTracker("tensorboard", str(run), purge_step=step + 1),
        "wandb": lambda: WandBTracker("mofa", name=run.name, dir=str(run), config=dict(recipe)),
    }
    trackers = [made[name]() for name in names]
    for tracker in trackers:
        tracker.start()
    return trackers
