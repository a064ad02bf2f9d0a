"""A line trained by several processes: `two_processes.py RANK PROCESSES PORT BATCH RUN [WORD]`."""

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
word = sys.argv[6] if len(sys.argv) > 6 else "-1"
die_at = -1 if word in ("fsdp2", "zero2") else int(word)
recipe = make_recipe(
    {
        "objective": {"kind": "line"},
        "data": {"kind": "points"},
        "optimiser": {"learning_rate": 0.05},
        "loop": {"steps": 6, "batch": int(batch), "log_every": 1, "checkpoint_every": 2, "average": 0.9},
    },
    "test",
)


def maybe_die(stage: str, done: int, total: int, /) -> None:
    if done == die_at and rank == "1":
        os._exit(9)


if word in ("fsdp2", "zero2"):
    # Accelerate shares out on GPUs alone: it is told that these are some.
    import accelerate
    from accelerate.utils import DeepSpeedPlugin, DistributedType, FullyShardedDataParallelPlugin

    from mofa.training import loop

    os.environ["DS_ACCELERATOR"] = "cpu"

    def on_cpus(**settings: object) -> accelerate.Accelerator:
        made = accelerate.Accelerator(**settings)
        if word == "fsdp2":
            made.state.distributed_type = DistributedType.FSDP
            made.state.fsdp_plugin = FullyShardedDataParallelPlugin(
                fsdp_version=2, auto_wrap_policy="no_wrap"
            )
        else:
            made.state.distributed_type = DistributedType.DEEPSPEED
            plugin = DeepSpeedPlugin(zero_stage=2)
            plugin.select(_from_accelerator_state=True)
            made.state.deepspeed_plugins = plugin
        return made

    loop.Accelerator = on_cpus

try:
    train(recipe, Path(run), "latest", on_cpu=True, progress=maybe_die)
except MofaError as error:
    sys.stdout.write(f"{error}\n")
    sys.stdout.flush()
    os._exit(3)
