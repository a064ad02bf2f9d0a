"""A line trained by several processes: `python two_processes.py RANK PROCESSES PORT BATCH RUN [DIE_AT]`."""

import os
import sys
from pathlib import Path

rank, processes, port, batch, run = sys.argv[1:6]
os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
os.environ |= {"MASTER_ADDR": "127.0.0.1", "ACCELERATE_USE_CPU": "true"}
sys.path.insert(0, str(Path(__file__).parent))

import torch  # noqa: E402

torch.set_num_threads(1)

from mofa.errors import MofaError  # noqa: E402
from mofa.training import registry  # noqa: E402
from mofa.training.config import make_recipe  # noqa: E402
from mofa.training.loop import train  # noqa: E402

registry.OBJECTIVES["line"] = "toy:PlainLineRecipe"
registry.SOURCES["points"] = "toy:PointData"
die_at = int(sys.argv[6]) if len(sys.argv) > 6 else -1
recipe = make_recipe(
    {
        "objective": {"kind": "line"},
        "data": {"kind": "points"},
        "optimiser": {"learning_rate": 0.05},
        "loop": {"steps": 6, "batch": int(batch), "log_every": 1, "checkpoint_every": 2},
    },
    "test",
)


def maybe_die(stage: str, done: int, total: int, /) -> None:
    if done == die_at and rank == "1":
        os._exit(9)


try:
    train(recipe, Path(run), on_cpu=True, progress=maybe_die)
except MofaError as error:
    sys.stdout.write(f"{error}\n")
    sys.stdout.flush()
    os._exit(3)
