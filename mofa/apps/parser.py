"""The command line's parser: says in one sentence what is wrong, and makes options when they are needed."""

import argparse
import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import NoReturn

from mofa.errors import InputError

UNITS = {"": 1e9, "G": 1e9, "GB": 1e9, "GIB": 1 << 30, "M": 1e6, "MB": 1e6, "MIB": 1 << 20}
"""Bytes of what people write behind a size of memory; nothing stands for gigabytes."""


def num_bytes(text: str) -> int:
    """Bytes of a size as people write it: 4GB, 1500 MB, 4 (gigabytes)."""
    match = re.fullmatch(r"\s*(\d{1,12}(?:\.\d{0,12})?)\s*([a-zA-Z]*)\s*", text)
    if match is None or match[2].upper() not in UNITS:
        raise argparse.ArgumentTypeError(f'"{text[:40]}" is no size: write 4GB or 1500MB')
    return round(float(match[1]) * UNITS[match[2].upper()])


class Parser(argparse.ArgumentParser):
    """Says what is wrong with an option in one sentence, as everything else does.

    `fill_with` is called with the parser before it first parses: a command whose options come from models,
    which take a while to import, gets them only when it is asked for.
    """

    fill_with: Callable[["Parser"], None] | None = None
    changes: str | None = None
    """The argument that takes key=value words, which may stand anywhere among the options."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """As usual, with all options there."""
        self.fill()
        known, left = super().parse_known_args(args, namespace)
        if self.changes is not None:
            # argparse takes the first run of words alone.
            words = [word for word in left if "=" in word and not word.startswith("-")]
            setattr(known, self.changes, [*getattr(known, self.changes), *words])
            left = [word for word in left if word not in words]
        return known, left

    def fill(self) -> None:
        """Adds the options that were put off."""
        fill, self.fill_with = self.fill_with, None
        if fill is not None:
            fill(self)

    def error(self, message: str) -> NoReturn:
        """Raises InputError, with the option that was probably meant."""
        unknown = message.removeprefix("unrecognized arguments: ").split()[0]
        near = get_close_matches(unknown, self.known_options(), n=1)
        raise InputError(
            f'{message}: did you mean "{near[0]}"?' if near else f"{message}: see {self.prog} --help."
        )

    def known_options(self) -> list[str]:
        """Every option of this command and those below it."""
        self.fill()
        options: list[str] = []
        for action in self._actions:
            options += action.option_strings
            if isinstance(action.choices, dict):
                options += [
                    option for command in action.choices.values() for option in command.known_options()
                ]
        return options
