"""The log: silent unless asked, and then with what a bug report needs."""

import logging

import pytest

from mofa.apps.log import start_logging
from mofa.apps.studio.jobs import FairQueue


@pytest.mark.parametrize(
    ("environment", "verbose", "level"),
    [("", False, "WARNING"), ("", True, "INFO"), ("debug", False, "DEBUG"), ("error", True, "ERROR")],
)
def test_the_environment_goes_before_the_option(
    environment: str, verbose: bool, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOFA_LOG", environment)
    start_logging(verbose)
    assert logging.getLevelName(logging.getLogger("mofa.pipeline.animate").getEffectiveLevel()) == level


def test_starting_twice_says_things_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("mofa"), "handlers", [])
    start_logging()
    start_logging()
    assert len(logging.getLogger("mofa").handlers) == 1


def test_a_crash_in_a_job_keeps_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    def crash(progress: object) -> None:
        raise ZeroDivisionError("division by zero")

    job = FairQueue("test").submit("somebody", crash)
    assert isinstance(job.future.exception(timeout=10), ZeroDivisionError)
    assert "ZeroDivisionError" in caplog.text
    assert "in crash" in caplog.text
