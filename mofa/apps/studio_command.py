"""`mofa studio`: opens the studio in the browser."""

import argparse
import os
import signal
import socket
import sys
import threading
import webbrowser
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from mofa.apps.parser import num_bytes
from mofa.errors import InputError, ResourceError

LOCAL = "127.0.0.1"
EVERYWHERE = "0.0.0.0"
AUTH = "MOFA_STUDIO_AUTH"
"""The environment variable that may hold user:password."""
LEAST_MEMORY = 3_000_000_000
"""Bytes with which a studio can make small clips (see `studio.budget.SERVER`)."""
IDLE_KEEP_ALIVE = 10
"""Seconds that a connection stays open between two questions."""
PORTS = range(7860, 7880)
"""Tried in turn where none is asked for, from the one on which such pages are usually served."""


def add_parser(commands: Any) -> None:
    """Adds `studio` to the subparsers of the command line; `run` is what it is to call."""
    parser = commands.add_parser(
        "studio",
        help="draw motion in the browser",
        description="Opens the studio in the browser. It serves this machine alone unless --listen is given. "
        "Clips are shown while they are denoised where `mofa models download taesd` (4.9 MB) has been done.",
    )
    parser.add_argument(
        "scene",
        type=Path,
        nargs="?",
        metavar="SCENE",
        help="open this scene (.yaml, .json, or a packed .zip)",
    )
    parser.add_argument("--port", type=int, help="port to serve on (the first free one from 7860)")
    parser.add_argument("--listen", action="store_true", help="serve the network too; needs --auth")
    parser.add_argument(
        "--auth",
        metavar="USER:PASSWORD",
        help=f"name and password that visitors must give (others see it here: better {AUTH} or --auth-file)",
    )
    parser.add_argument(
        "--auth-file", type=Path, metavar="FILE", help="a file with user:password in its first line"
    )
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which visitors may ask",
    )
    parser.add_argument(
        "--trust-proxy", metavar="ADDRESS", help="the proxy in front, which says who asks (X-Forwarded-For)"
    )
    parser.add_argument(
        "--open", action=argparse.BooleanOptionalAction, default=True, help="open the browser (yes)"
    )
    parser.add_argument("--api", action="store_true", help="serve gradio_client's endpoints at /api, too")
    parser.add_argument(
        "--keys",
        type=Path,
        metavar="FILE",
        help="let programs ask, too, as `mofa serve` does",
    )
    parser.add_argument(
        "--memory",
        type=num_bytes,
        metavar="SIZE",
        help="what the studio may take, such as 4GB: larger clips are refused (most of the machine's)",
    )
    parser.add_argument("--home", type=Path, metavar="FOLDER", help="where visitors' files live for a day")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serves until Ctrl-C. Raises InputError or ResourceError with a sentence for the user."""
    auth = _auth(options)
    if options.listen and not auth:
        raise InputError("--listen lets the whole network in: add --auth user:password, or --auth-file FILE.")
    if options.memory is not None and options.memory < LEAST_MEMORY:
        raise InputError(f"--memory {options.memory / 1e9:g}GB: a studio needs {LEAST_MEMORY / 1e9:g}GB.")
    try:
        import uvicorn

        from mofa.apps.serve.keys import read_keys
        from mofa.apps.studio.app import Login, build_app, default_home
        from mofa.apps.studio.guard import LOCAL_NAMES, names_of_this_machine
        from mofa.apps.studio.scenes import scene_to_offer
        from mofa.batch.manifest import only_one
    except ModuleNotFoundError as error:
        raise _missing("the studio", error, "studio") from None

    login = None
    if auth:
        user, colon, password = auth.partition(":")
        if not (user and colon and password):
            raise InputError("--auth needs a name and a password with a colon between them: user:password.")
        login = Login(user, password)
    offered = None if options.scene is None else scene_to_offer(options.scene)
    host = EVERYWHERE if options.listen else LOCAL
    connection = _bound(host, options.port)
    address = f"http://{LOCAL}:{connection.getsockname()[1]}"
    hosts = names_of_this_machine(options.host) if options.listen else LOCAL_NAMES | set(options.host)
    try:
        keys = read_keys(options.keys) if options.keys else ()
        home = options.home or default_home()
        app = build_app(
            home, login, options.api, hosts, by_address=options.listen, keys=keys, memory=options.memory
        )
    except ModuleNotFoundError as error:
        raise _missing("--api", error, "api") from None
    if offered is not None:
        address += f"/?scene={app.state.studio.offer(offered)}"
    print(f"mofa studio: {address}  (Ctrl-C to stop)", file=sys.stderr, flush=True)
    if options.open:
        threading.Timer(0.5, webbrowser.open, [address]).start()
    proxy = {"forwarded_allow_ips": options.trust_proxy} if options.trust_proxy else {}
    config = uvicorn.Config(
        app,
        log_level="warning",
        timeout_graceful_shutdown=2,
        timeout_keep_alive=IDLE_KEEP_ALIVE,
        proxy_headers=bool(proxy),
        **proxy,
    )
    server = uvicorn.Server(config)
    # The server ends its questions and its jobs when it is asked to end, and only then the process.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    hang_up = getattr(signal, "SIGHUP", None)
    if hang_up is not None and signal.getsignal(hang_up) is not signal.SIG_IGN:  # which nohup asks for
        signal.signal(hang_up, lambda *_: server.handle_exit(signal.SIGINT, None))
    # What programs have asked for is one process's at a time.
    with only_one(home / "videos") if keys else nullcontext():
        server.run(sockets=[connection])
    return 0


def _missing(what: str, error: ModuleNotFoundError, extra: str) -> ResourceError:
    return ResourceError(f"{what} needs {error.name}: pip install 'mofa-video[{extra}]'.")


def _auth(options: argparse.Namespace) -> str:
    """user:password from the command line, a file or the environment; empty for no login."""
    if options.auth_file is None:
        return options.auth or os.environ.get(AUTH, "")
    try:
        lines = options.auth_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputError(
            f"{options.auth_file} cannot be read: give a text file with user:password in it."
        ) from None
    if not lines or not lines[0].strip():
        raise InputError(f"{options.auth_file} is empty: write user:password in its first line.")
    return lines[0].strip()


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
