"""Help for people who write words: the valid word that they most likely meant."""

from collections.abc import Iterable
from difflib import SequenceMatcher


def nearest(word: str, valid: Iterable[str]) -> str:
    """The word of `valid` (at least one) that looks most like `word`; the first of equals."""
    return max(valid, key=lambda known: SequenceMatcher(None, word.lower(), known).ratio())
