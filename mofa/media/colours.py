"""Colours by name, as they are written in scenes."""

from PIL import ImageColor

LONGEST_NAME = 40
"""Twice the longest name that CSS has (lightgoldenrodyellow)."""


def colour_of(name: str) -> tuple[int, int, int]:
    """RGB 0..255 of a name or number that the web knows (`teal`, `#0a6`). Raises ValueError."""
    try:
        if len(name) > LONGEST_NAME:
            raise ValueError(name)
        red, green, blue = ImageColor.getrgb(name)[:3]
    except ValueError:
        raise ValueError(
            f'"{name[:LONGEST_NAME]}" is no colour: give a name such as white, or #rrggbb'
        ) from None
    return red, green, blue
