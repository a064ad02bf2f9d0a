"""The report of an evaluation: results.json, a Markdown table, and one page that shows every clip.

The page holds everything it shows, so that it can be sent as it is.
"""

import base64
import json
import tempfile
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from mofa.evaluation.plots import curve_plot, dot_plot
from mofa.evaluation.results import Column, Results, SceneResult, write_results
from mofa.evaluation.runner import Job
from mofa.evaluation.statistics import Interval
from mofa.media.decode import read_video
from mofa.media.encode import write_clip
from mofa.media.files import replacing
from mofa.tensors.geometry import shrunk
from mofa.types import Clip, Progress, silent

MOST_CLIPS = 64
"""Scenes whose clips are put into the page; all of them lie in clips/."""
LONG_SIDE = 320
"""Pixels of a clip in the page."""
ARROWS = {"low": "↓", "high": "↑", "one": "→ 1", "none": ""}


def write_report(results: Results, job: Job, progress: Progress = silent) -> dict[str, Path]:
    """Writes results.json, results.md and report.html into the job's folder, and says where they are."""
    paths = {name: job.folder / name for name in ("results.json", "results.md", "report.html")}
    write_results(results, paths["results.json"])
    write_text(paths["results.md"], markdown(results))
    write_text(paths["report.html"], page(results, job, progress))
    return paths


def write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all."""
    with replacing(path, overwrite=True) as hidden:
        hidden.write_text(text, encoding="utf-8")


# --- Markdown -----------------------------------------------------------------------------------


def markdown(results: Results) -> str:
    """The table of all measures, and what was skipped."""
    lines = [
        f"# {results.title}",
        "",
        f"{made_by(results)}. {len(results.judged)} scenes judged, {len(results.skipped)} skipped.",
        "",
        *summary_table(results),
        "",
    ]
    lines += [f"- {name}: {value:.4g}" for name, value in results.sets.items()]
    if results.skipped:
        lines += ["", "## Skipped", ""]
        lines += [f"- {scene.name}: {scene.error}" for scene in results.skipped]
    return "\n".join(lines).rstrip() + "\n"


def made_by(results: Results) -> str:
    """Who made the clips, in one line."""
    return ", ".join(f"{key} {value}" for key, value in results.made_by.items())


def summary_table(results: Results) -> list[str]:
    """One line per measure: mean, 95 % interval, scenes."""
    lines = ["| measure | read by | mean | 95 % interval | scenes |", "|---|---|---:|---:|---:|"]
    for key, column in results.used_columns.items():
        interval = results.mean(key)
        lines.append(
            f"| {heading(column)} | {column.instrument or 'pixels'} | {interval.mean:.4g} "
            f"| {between(interval)} | {interval.count} |"
        )
    return lines


def heading(column: Column) -> str:
    """Title, unit and which way is better."""
    return " ".join(part for part in (column.title, unit_of(column), ARROWS[column.goal]) if part)


def unit_of(column: Column) -> str:
    """The unit in brackets, if there is one."""
    return f"({column.unit})" if column.unit else ""


def between(interval: Interval) -> str:
    """An interval in words."""
    return f"{interval.low:.4g} to {interval.high:.4g}"


# --- The page -----------------------------------------------------------------------------------


def page(results: Results, job: Job, progress: Progress) -> str:
    """One HTML page: the table, a plot per measure, the clips side by side."""
    template = (files("mofa.evaluation") / "report.html").read_text(encoding="utf-8")
    shown = results.judged[:MOST_CLIPS]
    cards = []
    for index, scene in enumerate(shown):
        cards.append(card(scene, results, job))
        progress("page", index + 1, len(shown))
    parts = {
        "TITLE": escape(results.title),
        "SUBTITLE": escape(f"{made_by(results)}. {counted(results)}"),
        "TABLE": table(results),
        "PLOTS": plots(results),
        "CLIPS": "".join(cards),
        "SKIPPED": skipped(results.skipped),
        "INSTRUMENTS": escape("; ".join(f"{name}: {text}" for name, text in results.instruments.items())),
    }
    for name, content in parts.items():
        template = template.replace(f"<!--{name}-->", content)
    return template


def counted(results: Results) -> str:
    """How many scenes there are of each kind."""
    more = f", the first {MOST_CLIPS} are shown below" if len(results.judged) > MOST_CLIPS else ""
    return f"{len(results.judged)} scenes judged{more}, {len(results.skipped)} skipped."


def table(results: Results) -> str:
    """The summary as HTML, definitions included."""
    rows = []
    for key, column in results.used_columns.items():
        interval = results.mean(key)
        cells = (
            f'<td title="{escape(column.definition, quote=True)}">{escape(heading(column))}</td>'
            f"<td>{escape(column.instrument or 'pixels')}</td><td>{interval.mean:.4g}</td>"
            f"<td>{between(interval)}</td><td>{interval.count}</td>"
        )
        rows.append(f"<tr>{cells}</tr>")
    sets = "".join(
        f"<tr><td>{escape(name)}</td><td></td><td>{value:.4g}</td><td></td><td></td></tr>"
        for name, value in results.sets.items()
    )
    return "".join(rows) + sets


def plots(results: Results) -> str:
    """A plot per measure, and the hints' error over time."""
    figures = []
    for key, column in results.used_columns.items():
        values = results.values(key)
        drawing = dot_plot(list(values.values()), list(values), column.unit)
        figures.append(figure(heading(column), column.instrument, drawing, column.definition))
    curves = [scene.epe_per_frame for scene in results.judged]
    if over_time := curve_plot(curves):
        figures.append(
            figure("EPE of hints over the frames (px)", "", over_time, "Thin: scenes. Thick: mean.")
        )
    return "".join(figures)


def figure(title: str, instrument: str, drawing: str, text: str) -> str:
    """A plot with its caption."""
    by = f" · {escape(instrument)}" if instrument else ""
    return f"<figure><figcaption>{escape(title)}{by}</figcaption>{drawing}<p>{escape(text)}</p></figure>"


def skipped(scenes: Sequence[SceneResult]) -> str:
    """What could not be judged, and why."""
    if not scenes:
        return ""
    lines = "".join(f"<li><b>{escape(s.name)}</b> {escape(s.error or '')}</li>" for s in scenes)
    return f"<h2>Skipped</h2><ul>{lines}</ul>"


def card(scene: SceneResult, results: Results, job: Job) -> str:
    """A scene: its clip with asked and tracked ways over it, the true clip beside it where there is one."""
    views = [view("made", video_bytes(job.clip_path(scene.name)), scene, tracked=True)]
    if job.truth_path(scene.name).exists():
        views.append(view("true", video_bytes(job.truth_path(scene.name)), scene, tracked=False))
    numbers = " · ".join(
        f"{escape(results.columns[key].title)} {value:.3g}" for key, value in scene.values.items()
    )
    return (
        f'<section class="card"><h3>{escape(scene.name)}</h3><div class="views">{"".join(views)}</div>'
        f"<p>{numbers}</p></section>"
    )


def view(title: str, video: bytes, scene: SceneResult, tracked: bool) -> str:
    """One video with ways drawn over it."""
    width, height = scene.size
    ways = "".join(way(points, "asked") for points in scene.asked)
    if tracked:
        ways += "".join(way(points, "tracked") for points in scene.tracked)
    data = base64.b64encode(video).decode()
    return (
        f'<div class="view"><video muted loop autoplay playsinline src="data:video/mp4;base64,{data}">'
        "</video>"
        f'<svg viewBox="-0.5 -0.5 {width} {height}">{ways}</svg><span>{title}</span></div>'
    )


def way(points: Sequence[list[float] | None], kind: str) -> str:
    """A track as a line, with a dot that the page moves along it."""
    known = [point for point in points if point is not None]
    if not known:
        return ""
    line = " ".join(f"{x},{y}" for x, y in known)
    places = escape(json.dumps(points, separators=(",", ":")), quote=True)
    return (
        f'<polyline class="{kind}" points="{line}"/>'
        f'<circle class="{kind}" cx="{known[0][0]}" cy="{known[0][1]}" data-way="{places}"/>'
    )


def video_bytes(path: Path) -> bytes:
    """A kept clip, small."""
    clip = read_video(path)
    return encoded(clip.frames, clip.fps)


def encoded(frames: UInt8[Tensor, "T 3 H W"], fps: float) -> bytes:
    """MP4, no larger than the page shows it."""
    height, width = frames.shape[-2:]
    size = shrunk(width, height, LONG_SIDE)
    if size != (width, height):
        small = F.interpolate(frames.float(), size[::-1], mode="bilinear", antialias=True)
        frames = small.round().to(torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_clip(Clip(frames, fps), path)
        return path.read_bytes()
