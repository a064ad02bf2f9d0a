"""`mofa studio` starts for this machine alone, and says in a sentence why it does not start."""

import socket

import pytest

from mofa.apps.cli import main


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--listen"], "add --auth"),
        (["--auth", "nobody"], "user:password"),
        (["--auth", ":secret"], "user:password"),
        (["--port", "70000"], "choose another"),
        (["--listn"], "--listen"),
    ],
)
def test_what_cannot_start_is_explained(
    capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    pytest.importorskip("fastapi", reason="the studio needs fastapi: pip install 'mofa-video[studio]'")
    assert main(["studio", "--no-open", *arguments]) == 2
    assert reason in capsys.readouterr().err


def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("fastapi", reason="the studio needs fastapi: pip install 'mofa-video[studio]'")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["studio", "--no-open", "--port", str(port)]) == 2
    assert f"port {port} is taken" in capsys.readouterr().err
