"""Two evaluations of the same suite, scene by scene: is the difference more than chance?"""

from collections.abc import Sequence
from dataclasses import dataclass

from mofa.errors import InputError
from mofa.evaluation.report import between, heading, made_by
from mofa.evaluation.results import Column, Results
from mofa.evaluation.statistics import Interval, bootstrap_mean


@dataclass(frozen=True)
class Comparison:
    """A measure in both: their means over the shared scenes, and the mean of B minus A with its interval."""

    column: Column
    mean_a: float
    mean_b: float
    difference: Interval

    @property
    def verdict(self) -> str:
        """Which one is better, or that nobody can say."""
        if not self.difference.excludes_zero:
            return "no difference shown"
        if self.column.goal in ("low", "high"):
            return "B better" if (self.difference.mean < 0) == (self.column.goal == "low") else "A better"
        if self.column.goal == "one":
            return "B better" if abs(self.mean_b - 1) < abs(self.mean_a - 1) else "A better"
        return "differs"


def compare(a: Results, b: Results) -> list[Comparison]:
    """Measures that both have, read by the same instruments, over the scenes that both judged.

    Raises InputError: other suites, or no scene or measure in common.
    """
    if a.suite != b.suite:
        raise InputError(f"A is of the suite {a.suite}, B of {b.suite}: compare two runs of one suite.")
    found = []
    for key, column in a.used_columns.items():
        values_a, values_b = a.values(key), b.values(key)
        shared = [name for name in values_a if name in values_b]
        if not shared or b.columns.get(key) != column:
            continue
        pairs = [(values_a[name], values_b[name]) for name in shared]
        found.append(
            Comparison(
                column,
                sum(one for one, _ in pairs) / len(pairs),
                sum(other for _, other in pairs) / len(pairs),
                bootstrap_mean([other - one for one, other in pairs]),
            )
        )
    if not found:
        raise InputError("A and B have no scene and no measure in common: run both on the same scenes.")
    return found


def comparison_table(a: Results, b: Results, comparisons: Sequence[Comparison]) -> str:
    """Markdown: A, B, and the paired difference of every measure."""
    lines = [
        f"A: {made_by(a)}. B: {made_by(b)}. Suite {a.suite}.",
        "",
        "| measure | read by | A | B | B - A | 95 % interval | scenes | |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    for one in comparisons:
        d = one.difference
        lines.append(
            f"| {heading(one.column)} | {one.column.instrument or 'pixels'} | {one.mean_a:.4g} "
            f"| {one.mean_b:.4g} | {d.mean:+.4g} | {between(d)} | {d.count} | {one.verdict} |"
        )
    return "\n".join(lines) + "\n"
