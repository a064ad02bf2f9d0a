"""`mofa studio`: opens the studio in the browser."""

import argparse
import socket
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Any

from mofa.errors import InputError, ResourceError

LOCAL = "127.0.0.1"
EVERYWHERE = "0.0.0.0"
PORTS = range(7860, 7880)


def add_parser(commands: Any) -> None:
    """Adds `studio` to the subparsers of the command line; `run` is what it is to call."""
    parser = commands.add_parser(
        "studio",
        help="draw motion in the browser",
        description="Opens the studio in the browser. It serves this machine alone unless --listen is given.",
    )
    parser.add_argument("--port", type=int, help="port to serve on (the first free one from 7860)")
    parser.add_argument("--listen", action="store_true", help="serve the network too; needs --auth")
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="name and password that visitors must give")
    parser.add_argument(
        "--open", action=argparse.BooleanOptionalAction, default=True, help="open the browser (yes)"
    )
    parser.add_argument("--api", action="store_true", help="serve gradio_client's endpoints at /api, too")
    parser.add_argument("--home", type=Path, metavar="FOLDER", help="where visitors' files live for a day")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serves until Ctrl-C. Raises InputError or ResourceError with a sentence for the user."""
    if options.listen and not options.auth:
        raise InputError("--listen lets the whole network in: add --auth user:password.")
    try:
        import uvicorn

        from mofa.apps.studio.app import Login, build_app, default_home
    except ModuleNotFoundError as error:
        raise _missing("the studio", error, "studio") from None

    login = None
    if options.auth:
        user, colon, password = options.auth.partition(":")
        if not (user and colon and password):
            raise InputError("--auth needs a name and a password with a colon between them: user:password.")
        login = Login(user, password)
    host = EVERYWHERE if options.listen else LOCAL
    connection = _bound(host, options.port)
    address = f"http://{LOCAL}:{connection.getsockname()[1]}"
    try:
        app = build_app(options.home or default_home(), login, options.api)
    except ModuleNotFoundError as error:
        raise _missing("--api", error, "api") from None
    print(f"mofa studio: {address}  (Ctrl-C to stop)", file=sys.stderr, flush=True)
    if options.open:
        threading.Timer(0.5, webbrowser.open, [address]).start()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
    server.run(sockets=[connection])
    return 0


def _missing(what: str, error: ModuleNotFoundError, extra: str) -> ResourceError:
    return ResourceError(f"{what} needs {error.name}: pip install 'mofa-video[{extra}]'.")


def _bound(host: str, port: int | None) -> socket.socket:
    """A socket on the port asked for, or on the first free one of ours."""
    for candidate in PORTS if port is None else [port]:
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            connection.bind((host, candidate))
        except (OSError, OverflowError):
            connection.close()
        else:
            return connection
    taken = f"port {port} is" if port is not None else f"ports {PORTS[0]} to {PORTS[-1]} are"
    raise ResourceError(f"{taken} taken or not allowed: choose another with --port.")
