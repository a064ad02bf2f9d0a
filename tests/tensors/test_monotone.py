"""The monotone cubic: scipy's, without its import."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from mofa.tensors.monotone import monotone_cubic

HEIGHTS = st.floats(-100, 100).map(lambda value: round(value, 2))


@given(st.lists(st.tuples(st.floats(0.01, 10), HEIGHTS, HEIGHTS), min_size=2, max_size=8))
def test_it_is_scipys(rows: list[tuple[float, float, float]]) -> None:
    table = torch.tensor(rows, dtype=torch.float64)
    knots, values = table[:, 0].cumsum(0), table[:, 1:]
    at = torch.linspace(0, 1, 40, dtype=torch.float64) * (knots[-1] - knots[0]) + knots[0]
    known = torch.from_numpy(PchipInterpolator(knots.numpy(), values.numpy())(at.numpy()))
    assert torch.allclose(monotone_cubic(knots, values, at), known, atol=1e-8)


def test_it_never_swings_beyond_its_values() -> None:
    values = torch.tensor([0.0, 0.0, 1.0, 1.0])
    at = torch.linspace(0, 3, 301)
    curve = monotone_cubic(torch.arange(4.0), values, at)
    assert (curve.diff() >= 0).all()
    assert not curve[at <= 1].any()
    assert (curve[at >= 2] == 1).all()
