"""`mofa serve`: clips over HTTP, for programs."""

import argparse
from pathlib import Path
from typing import Any

from mofa.apps.parser import num_bytes

LEAST_MEMORY = 1_000_000_000
"""Bytes for a worker that is to make anything: with torch loaded it takes half of it."""


def add_parser(commands: Any) -> None:
    """Adds `serve` to the subparsers of the command line; `run` is what it is to call."""
    parser = commands.add_parser(
        "serve",
        help="make clips over HTTP, for programs",
        description=(
            "Serves /v1/videos (docs/scale.md). Jobs lie on the disk: a server that was killed goes on\n"
            "where it was. Without --keys only this machine is answered."
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--home", type=Path, default=Path("mofa-serve"), metavar="DIR", help="jobs, files, clips"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8600, help="port to listen at (8600)")
    parser.add_argument("--keys", type=Path, metavar="FILE", help="lines OWNER KEY [QUOTA [GB]]: who may ask")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that make clips (1)")
    parser.add_argument("--queue", type=int, default=10_000, metavar="N", help="jobs that may wait (10000)")
    parser.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="let replicas on a Ray cluster make the clips, which sees --home; its own without ADDRESS",
    )
    parser.add_argument(
        "--memory",
        type=num_bytes,
        metavar="SIZE",
        help="what one worker may take, such as 4GB (all there is)",
    )
    parser.add_argument(
        "--webhook-host",
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        help="whom webhooks may call",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serves until it is stopped. Raises MofaError with a sentence for the user."""
    from mofa.batch.manifest import only_one
    from mofa.errors import InputError, ResourceError

    for option in ("workers", "queue"):
        if getattr(arguments, option) < 1:
            raise InputError(f"--{option} {getattr(arguments, option)} cannot be: give 1 or more.")
    if arguments.memory is not None and arguments.memory < LEAST_MEMORY:
        raise InputError(
            f"--memory {arguments.memory / 1e9:g}GB: a worker needs {LEAST_MEMORY / 1e9:g}GB to begin with."
        )
    try:
        import uvicorn

        from mofa.apps.serve.app import Limits, build_app
        from mofa.apps.serve.keys import read_keys
    except ImportError as error:
        raise ResourceError('Serving needs the serve extra: pip install "mofa-video[serve]".') from error
    keys = read_keys(arguments.keys) if arguments.keys else ()
    if not keys and arguments.host not in ("127.0.0.1", "localhost", "::1"):
        raise InputError(f"--host {arguments.host} answers other machines: give --keys FILE, too.")
    with only_one(arguments.home):
        limits = Limits(
            queued=arguments.queue, memory=arguments.memory, webhooks=frozenset(arguments.webhook_host)
        )
        try:
            app = build_app(arguments.home, keys, arguments.workers, limits, arguments.ray)
        except ModuleNotFoundError as error:
            raise ResourceError(f'--ray needs {error.name}: pip install "mofa-video[ray-serve]".') from None
        print(f"mofa serves http://{arguments.host}:{arguments.port}/v1/videos, its API at /docs", flush=True)
        uvicorn.run(app, host=arguments.host, port=arguments.port, log_level="warning", access_log=False)
    return 0
