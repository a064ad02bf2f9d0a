"""A slip of the finger finds the word that was meant."""

import pytest

from mofa.control.words import nearest


@pytest.mark.parametrize(
    ("typed", "meant"), [("rihgt", "right"), ("PAN", "pan"), ("zom", "zoom"), ("left", "left")]
)
def test_nearest_word(typed, meant) -> None:
    assert nearest(typed, ["pan", "zoom", "left", "right"]) == meant
