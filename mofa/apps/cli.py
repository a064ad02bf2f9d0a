"""The `mofa` command: text in, a scene out, progress and sentences for people.

Heavy imports wait until a command runs, so that `mofa --help` answers at once.
"""

import argparse
import errno
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from mofa.apps import (
    animate_command,
    batch_command,
    bench_command,
    data_command,
    eval_command,
    exchange_command,
    landmarks_command,
    models_command,
    serve_command,
    studio_command,
    train_command,
)
from mofa.apps.log import start_logging
from mofa.apps.parser import Parser
from mofa.errors import MofaError, shortened

LOG = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code: 0 done, 2 wrong input, 130 cancelled, 1 anything else."""
    # Threads that spin while they wait cost half a core, and everything where the machine is busy.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    options = argparse.Namespace()
    try:
        parser = _parser()
        parser.parse_args(arguments, options)
        if not hasattr(options, "run"):
            parser.print_help()
            return 0
        start_logging(getattr(options, "verbose", False))
        with stopped_like_ctrl_c():
            code = options.run(options)
        sys.stdout.flush()  # a full disk is told here, and not when Python has already said goodbye
        return code
    except MofaError as error:
        return _fail(shortened(str(error)), error.exit_code, options)
    except KeyboardInterrupt:
        return _fail("cancelled; nothing half-made was left behind.", 130, options)
    except BrokenPipeError:
        # The reader of our output has left (`mofa ... | head`); there is nobody to tell.
        sys.stderr.close()
        return 1
    except OSError as error:
        LOG.debug("the system refuses", exc_info=True)
        if error.errno in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
            _give_up_output()
        what = error.filename if isinstance(error.filename, str) else "the output"
        return _fail(shortened(f"{what} cannot be read or written ({error.strerror or error})."), 2, options)
    except Exception as error:
        LOG.debug("unexpected error", exc_info=True)
        return _fail(*_unexpected(error), options)


@contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
    """While the block runs, a system that shuts down or a terminal that closes ends it as Ctrl-C does."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = {}
    with suppress(ValueError):  # signals are for the main thread alone
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _give_up_output() -> None:
    """Lets Python end without trying once more to write what the system did not take."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, exit_code: int, options: argparse.Namespace) -> int:
    print(f"mofa: {message}", file=sys.stderr)
    if getattr(options, "json", False):
        print(json.dumps({"error": message, "exit_code": exit_code}))
    return exit_code


def _unexpected(error: Exception) -> tuple[str, int]:
    from mofa.devices import is_out_of_memory

    if is_out_of_memory(error):
        return "out of memory: ask for a smaller --size or fewer --frames.", 2
    return (
        f"something went wrong inside mofa ({type(error).__name__}: {shortened(str(error))}). "
        "Set MOFA_LOG=debug to see where, and please report it.",
        1,
    )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="mofa",
        description="Image in, motion drawn or spoken, video out.",
        epilog="`mofa COMMAND --help` explains a command; docs/scene.md explains scenes.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and leave")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    animate_command.add_parsers(commands)
    exchange_command.add_parsers(commands)
    studio_command.add_parser(commands)
    landmarks_command.add_parser(commands)
    models_command.add_parser(commands)
    train_command.add_parser(commands)
    data_command.add_parser(commands)
    bench_command.add_parser(commands)
    batch_command.add_parser(commands)
    serve_command.add_parser(commands)
    eval_command.add_parser(commands)
    schema = commands.add_parser("schema", help="print the JSON Schema of a scene")
    schema.set_defaults(run=_run_schema)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        from mofa import __version__

        parser.exit(message=f"mofa {__version__}\n")


def _run_schema(_: argparse.Namespace) -> int:
    from mofa.pipeline.request import json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
