"""Networks and pipelines at toy size compute what they did when the arrays beside these tests were made."""

import pytest

from tools.toy_golden import FOLDER, PARTS, differences


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_nothing_comes_out_otherwise_than_it_is_kept(part: str) -> None:
    assert not differences(part)


def test_what_is_kept_is_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 2_000_000
