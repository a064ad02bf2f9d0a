"""LaMa, which fills what a moving thing uncovers, where its file is on this machine."""

from pathlib import Path

from mofa.errors import WeightsError
from mofa.vision.learned_fill import LearnedFill
from mofa.weights.registry import find_slot
from mofa.weights.store import locate, wrong_content


def lama_file() -> Path | None:
    """LaMa's file on this machine."""
    state = locate(find_slot("lama"))
    return next(iter(state.paths.values())) if state.present else None


def load_lama(path: Path) -> LearnedFill:
    """The network in that file. Raises WeightsError: it is not the published one."""
    problem = wrong_content(find_slot("lama").files[0], path)
    if problem is not None:
        raise WeightsError(problem)
    return LearnedFill.read(path)
