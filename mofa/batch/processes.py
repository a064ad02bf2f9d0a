"""Where worker processes come from. Imports nothing heavy, so that it can be asked before all else."""

import sys
from multiprocessing import forkserver, get_context
from multiprocessing.context import BaseContext

IMPORTED = (
    "mofa.batch.workers",
    "mofa.pipeline.animate",
    "mofa.pipeline.outputs",
    "mofa.renderers.warp.render",
    "mofa.weights.lama",
)
"""What every worker needs, imported once. No import of these starts a parallel region or touches a device:
a process that has done either must not be copied."""


def imported_once() -> BaseContext:
    """Starts a process that imports what workers need while its caller goes on, and of which they are copies.

    Workers have the environment of this moment. Where copies of a process are not safe (macOS, Windows), each
    worker is a new one that imports by itself.
    """
    if sys.platform != "linux":
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    forkserver.ensure_running()
    return context
