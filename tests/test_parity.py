"""The faster parts of tools.parity, where the reference outputs are at hand."""

from pathlib import Path

import pytest

from tools.parity import PARTS, Tally, check

GOLDEN = Path(__file__).parents[2] / "shared" / "golden"
FAST = ("landmarks", "cmp", "unimatch", "audio", "sadtalker")


@pytest.mark.golden
@pytest.mark.parametrize("name", FAST)
def test_our_networks_compute_what_the_released_ones_do(name: str) -> None:
    if not (GOLDEN / PARTS[name].file).exists():
        pytest.skip(f"{name}: no reference outputs at {GOLDEN / PARTS[name].file}")
    tally = Tally()
    check(name, GOLDEN, tally)
    assert tally.passed > 0
    assert tally.failed == 0, str(tally)
