"""What few hints are solved with, and their hull, without SciPy: its answers."""

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from mofa.densify import hint_motion, layers


@pytest.mark.parametrize("apart", [0.0, 0.7, 3.0, 20.0])
def test_few_hints_are_met_as_many_are(apart: float, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    first = random.uniform(4, [40, 30], (6, 2))
    positions = np.concatenate([first, first[:3] + np.array([apart, 0.5 * apart])])
    motion = torch.from_numpy(random.normal(size=(len(positions), 2)))
    labels = torch.zeros(64, 80, dtype=torch.long)
    labels[:, 25:] = 1
    flows = []
    for few in (hint_motion.FEW, 0):
        monkeypatch.setattr(hint_motion, "FEW", few)
        flow = torch.zeros(2, 64, 80, dtype=torch.float64)
        hint_motion.correction(positions, labels, 12.0, flow).add(flow, motion)
        flows.append(flow)
    assert flows[0].abs().max() > 1
    torch.testing.assert_close(flows[0], flows[1], rtol=0, atol=1e-5)


def test_the_hull_of_hints_is_as_large_as_scipys() -> None:
    random = np.random.default_rng(1)
    for count in (3, 4, 10, 60):
        positions = random.uniform(0, [80, 60], (count, 2)).round(count % 2)
        theirs = ConvexHull(positions).volume / (60 * 80)
        assert layers._enclosed(positions, (60, 80)) == pytest.approx(theirs, rel=1e-9)


def test_hints_in_line_enclose_nothing() -> None:
    for count in (1, 2, 5):
        assert layers._enclosed(np.linspace([3, 4], [30, 40], count), (60, 80)) == pytest.approx(0, abs=1e-12)
