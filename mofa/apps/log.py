"""What mofa says about its own work: one logger tree, switched on by `--verbose` or MOFA_LOG."""

import logging
import os

LEVELS = ("debug", "info", "warning", "error")
FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def start_logging(verbose: bool = False) -> None:
    """Sends the package's log to the error stream: warnings, with `verbose` stages and what they took.

    The environment's MOFA_LOG (debug, info, warning, error) goes before; debug has the traceback of every
    unexpected error. A name it does not know counts as debug: whoever sets it wants to see more.
    """
    named = os.environ.get("MOFA_LOG", "").strip().lower()
    level = "info" if verbose else "warning"
    if named:
        level = named if named in LEVELS else "debug"
    logger = logging.getLogger("mofa")
    logger.setLevel(level.upper())
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(FORMAT, datefmt="%H:%M:%S"))
        logger.addHandler(handler)
        logger.propagate = False
