"""Small plots as SVG, drawn for a page that needs nothing else."""

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT, MARGIN = 360, 120, 42
"""Pixels; chosen by eye, two plots beside each other on a page."""


def dot_plot(values: Sequence[float], names: Sequence[str], unit: str) -> str:
    """Every value as a dot, smallest to largest, with a line at the mean; hovering names the scene."""
    ordered = sorted(zip(values, names, strict=True))
    low, high = span(values)
    step = (WIDTH - 2 * MARGIN) / max(1, len(ordered) - 1)
    dots = "".join(
        f'<circle cx="{MARGIN + i * step:.1f}" cy="{height_of(value, low, high):.1f}" r="2.5">'
        f"<title>{escape(name)}: {value:.3g} {escape(unit)}</title></circle>"
        for i, (value, name) in enumerate(ordered)
    )
    mean = height_of(sum(values) / len(values), low, high)
    line = f'<line class="mean" x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{mean:.1f}" y2="{mean:.1f}"/>'
    return frame(line + dots, low, high)


def curve_plot(curves: Sequence[Sequence[float | None]]) -> str:
    """Curves over the frames of a clip, thin, and their mean, thick; a gap where a curve knows nothing."""
    known = [value for curve in curves for value in curve if value is not None]
    if not known:
        return ""
    low, high = 0.0, span(known)[1]
    longest = max(len(curve) for curve in curves)
    mean = [mean_of([c[t] for c in curves if t < len(c)]) for t in range(longest)]
    lines = "".join(line_of(curve, longest, low, high, "thin") for curve in curves)
    return frame(lines + line_of(mean, longest, low, high, "thick"), low, high)


def line_of(curve: Sequence[float | None], longest: int, low: float, high: float, kind: str) -> str:
    """One curve as a polyline over what it knows."""
    step = (WIDTH - 2 * MARGIN) / max(1, longest - 1)
    points = " ".join(
        f"{MARGIN + t * step:.1f},{height_of(value, low, high):.1f}"
        for t, value in enumerate(curve)
        if value is not None
    )
    return f'<polyline class="{kind}" points="{points}"/>'


def frame(content: str, low: float, high: float) -> str:
    """The plot with its two axis labels."""
    bottom = HEIGHT - MARGIN
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f'<path class="axis" d="M{MARGIN} 8V{bottom}H{WIDTH - MARGIN}"/>'
        f'<text x="{MARGIN - 4}" y="14">{high:.3g}</text><text x="{MARGIN - 4}" y="{bottom}">{low:.3g}</text>'
        f"{content}</svg>"
    )


def height_of(value: float, low: float, high: float) -> float:
    """Where a value lies, from the top."""
    return HEIGHT - MARGIN - (HEIGHT - MARGIN - 8) * (value - low) / (high - low)


def span(values: Sequence[float]) -> tuple[float, float]:
    """Smallest and largest value, apart even if they are equal."""
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean of what is known."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
