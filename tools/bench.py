"""Measures what the project promises about time and memory, and prints it as tables.

    python -m tools.bench [--only help,warp,preview,long,densify,loader,cost] [--record]

Whole processes are measured from outside. Nothing is written but, with --record, the measured section of
docs/performance.md.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

ROOT = Path(__file__).parent.parent
RECORD = ROOT / "docs" / "performance.md"
PORTRAIT = ROOT.parent / "shared" / "media" / "portrait.jpg"
"""A face to speak with; without it the rows about speech are left out."""
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
TRACKS = ("25%,60% 31%,52%", "70%,35% 66%,42% 60%,38%", "45%,80% 52%,82%")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", metavar="LIST", default=",".join(SECTIONS), help="some of: %(default)s")
    parser.add_argument("--record", action="store_true", help=f"put the tables into {RECORD.name}, too")
    options = parser.parse_args()
    names = options.only.split(",")
    unknown = sorted(set(names) - SECTIONS.keys())
    if unknown:
        parser.error(f"no section is called {unknown[0]}; there are {', '.join(SECTIONS)}")
    text = machine()
    print(text, flush=True)
    for name, section in SECTIONS.items():
        if name in names:
            part = f"\n### {section.title}\n\n" + "\n".join(section.measure())
            print(part, flush=True)
            text += "\n" + part
    if options.record:
        record(text)
    return 0


def record(text: str) -> None:
    """Replaces the measured section of the performance page."""
    page = RECORD.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    RECORD.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def machine() -> str:
    """One line about where the numbers come from."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    import torch

    return (
        f"{os.cpu_count()} cores ({model}), {platform.system()}, Python {platform.python_version()}, "
        f"torch {torch.__version__}, {time.strftime('%Y-%m-%d')}."
    )


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; all columns but the first hold numbers."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]


# --- Whole processes ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """A finished process: its output, wall seconds, and, where the system says so, what it used.

    `busy_seconds` are those of all cores together; unlike wall seconds they say little about what else
    the machine was doing.
    """

    output: str
    seconds: float
    busy_seconds: float | None
    peak_bytes: int | None


def run_mofa(*arguments: str) -> Run:
    """`mofa` with these arguments, in a process of its own, which keeps bytecode as an installed one does."""
    command = [sys.executable, "-m", "mofa.apps.cli", *arguments]
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True, env=surroundings) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        usage = wait_for(process)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with exit code {process.returncode}: {output}")
    return Run(output, time.perf_counter() - begin, *usage)


def wait_for(process: subprocess.Popen[str]) -> tuple[float | None, int | None]:
    """Waits for the process to end; its busy seconds and peak bytes, which only POSIX systems say."""
    if not hasattr(os, "wait4"):
        process.wait()
        return None, None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure_help() -> list[str]:
    """The median of five, the first one left out."""
    seconds = [run_mofa("--help").seconds for _ in range(6)][1:]
    return markdown(("", "seconds", "goal"), [("`mofa --help`", f"{statistics.median(seconds):.2f}", "0.7")])


def measure_warp() -> list[str]:
    """Three tracks on a textured photo: the stated case (the quickest of three runs, of which the first may
    have to write bytecode), then four times the frames, then the pixels."""
    sizes = ((768, 512, 25), (768, 512, 100), (2048, 1365, 25))
    rows, runs, stages = [], [], {}
    with tempfile.TemporaryDirectory() as folder:
        for width, height, num_frames in sizes:
            photo = Path(folder) / f"{width}.png"
            if not photo.exists():
                write_photo(photo, width, height)
            tries = [animate(photo, width, height, num_frames) for _ in range(1 if runs else 3)]
            runs.append(min(tries, key=lambda run: run.seconds))
            stages = json.loads(runs[-1].output)["seconds"]
            amount = width * height * num_frames / (768 * 512 * 25)
            rows.append(
                (
                    f"{width} x {height}, {num_frames} frames",
                    f"{runs[-1].seconds:.1f}",
                    shown(runs[-1].busy_seconds),
                    *(f"{spent:.1f}" for spent in stages.values()),
                    shown(runs[-1].peak_bytes, 1e9),
                    f"{runs[-1].seconds / runs[0].seconds / amount:.2f}",
                    "at most 1" if len(runs) > 1 else "4 s, 2 GB",
                )
            )
    return markdown(("", "seconds", "CPU seconds", *stages, "peak GB", "against linear", "goal"), rows)


def measure_long() -> list[str]:
    """Memory must not grow with the clip: speech on a portrait, and tracks on a large picture."""
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        voice, photo, clip = (Path(folder) / name for name in ("voice.wav", "photo.png", "clip.mp4"))
        how = ("--renderer", "warp", "--quiet", "--json", "--extras", "none", "--overwrite", "-o", str(clip))
        for seconds in (10, 60, 600) if PORTRAIT.exists() else ():
            write_voice(voice, seconds)
            run = run_mofa("animate", str(PORTRAIT), "--speech", str(voice), "--size", "768x768", *how)
            rows.append(long_row(f"768 x 768, {seconds} s of speech", run, 25 * seconds, "2 GB"))
        write_photo(photo, 1920, 1080)
        tracks = [part for track in TRACKS for part in ("--track", track)]
        for num_frames in (150, 1500):
            run = run_mofa(
                "animate", str(photo), *tracks, "--frames", str(num_frames), "--size", "1920x1080", *how
            )
            rows.append(long_row(f"1920 x 1080, three tracks, {num_frames} frames", run, num_frames, "3 GB"))
    return markdown(("", "seconds", "CPU seconds", "seconds per frame", "peak GB", "goal"), rows)


def long_row(name: str, run: Run, num_frames: int, goal: str) -> tuple[str, ...]:
    """What a clip took, as a whole and per frame."""
    busy, peak = shown(run.busy_seconds), shown(run.peak_bytes, 1e9)
    return name, f"{run.seconds:.1f}", busy, f"{run.seconds / num_frames:.3f}", peak, goal


def write_voice(path: Path, seconds: int) -> None:
    """A hum that comes and goes four times a second, 16 kHz."""
    import numpy as np

    time_ = np.arange(16000 * seconds) / 16000
    hum = 0.5 * np.sin(2 * np.pi * 130 * time_) * np.sin(2 * np.pi * 2 * time_) ** 2
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((hum * 32767).astype("<i2").tobytes())


def shown(value: float | None, unit: float = 1.0) -> str:
    """A number in units, or a dash where there is none."""
    return "-" if value is None else f"{value / unit:.2f}"


def measure_preview() -> list[str]:
    """The motion of three tracks alone: the median of three."""
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.png"
        write_photo(photo, 768, 512)
        runs = sorted((animate(photo, 768, 512, 25, "--preview") for _ in range(3)), key=lambda r: r.seconds)
    row = "768 x 512, 25 frames", f"{runs[1].seconds:.1f}", shown(runs[1].busy_seconds), "1.2"
    return markdown(("", "seconds", "CPU seconds", "goal"), [row])


def animate(photo: Path, width: int, height: int, num_frames: int, *more: str) -> Run:
    """Three tracks with the warp renderer, clip and all its extras written beside the photo."""
    tracks = [part for track in TRACKS for part in ("--track", track)]
    size = ("--size", f"{width}x{height}", "--frames", str(num_frames))
    how = ("--renderer", "warp", "--quiet", "--json", "--overwrite", *more)
    return run_mofa("animate", str(photo), *tracks, *size, *how, "-o", str(photo.with_suffix(".mp4")))


def write_photo(path: Path, width: int, height: int) -> None:
    """A textured picture as a PNG."""
    from mofa.media.image import save_png, to_bytes

    save_png(path, to_bytes(textured(width, height)))


def textured(width: int, height: int) -> "Tensor":
    """Texture at every scale, [3, H, W] in 0..1, with three blobs of other colours on it."""
    import torch
    import torch.nn.functional as F

    generator = torch.Generator().manual_seed(0)
    picture = torch.zeros(1, 3, height, width)
    for cell in (2, 4, 8, 16, 32, 64, 128):
        noise = torch.randn(1, 3, height // cell + 2, width // cell + 2, generator=generator)
        picture += cell**0.5 * F.interpolate(noise, (height, width), mode="bicubic")
    y = torch.linspace(0, 1, height)[:, None]
    x = torch.linspace(0, 1, width)
    for centre_x, centre_y, colour in ((0.25, 0.6, 0), (0.7, 0.35, 1), (0.45, 0.8, 2)):
        blob = ((x - centre_x) ** 2 + (y - centre_y) ** 2) < 0.01
        picture[0, colour] += 30 * blob
    return (0.5 + picture[0] / (6 * picture.std())).clamp(0, 1)


# --- Parts --------------------------------------------------------------------------------------


def measure_densify() -> list[str]:
    """24 steps of 20 hints on 512 x 512: two groups that move and a few anchors."""
    import torch

    from mofa.densify.edge_aware import spread_hints
    from mofa.types import SparseMotion

    generator = torch.Generator().manual_seed(1)
    positions = 512 * torch.rand(20, 2, generator=generator)
    goal = torch.zeros(20, 2)
    goal[:8], goal[8:16] = torch.tensor([30.0, -10.0]), torch.tensor([-20.0, 15.0])
    fraction = torch.linspace(0, 1, 25)[1:, None, None]
    known = torch.ones(24, 20, dtype=torch.bool)
    hints = SparseMotion(positions, fraction * goal, known, height=512, width=512)
    picture = textured(512, 512)
    spent = [seconds_of(lambda: spread_hints(picture, hints, None).at_every_step()) for _ in range(3)]
    row = ("24 steps, 512 x 512, 20 hints", f"{statistics.median(spent):.2f}", f"{spent[0]:.2f}", "2")
    return markdown(("", "seconds", "first call", "goal"), [row])


def seconds_of(run: Callable[[], Any]) -> float:
    """Wall seconds of a call."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def measure_cost() -> list[str]:
    """What the diffusion renderer asks of a machine, counted."""
    import torch

    from mofa.evaluation.bench import count_diffusion
    from mofa.evaluation.stages import ClipSize, full_size_networks

    rows = []
    for counted in count_diffusion(full_size_networks, ClipSize(), torch.float16):
        cost = counted.cost
        work = (f"{value / 1e12:.2f}" for value in (cost.flop, cost.flop - cost.attention_flop))
        memory = (cost.parameter_bytes, cost.peak_bytes, cost.resident_bytes)
        rows.append((counted.stage, *work, *(f"{value / 1e9:.2f}" for value in memory)))
    return markdown(
        ("", "TFLOP", "without attention's products", "weights GB", "tensors GB", "together GB"), rows
    )


@dataclass(frozen=True)
class Section:
    """A title and what measures it: lines of Markdown."""

    title: str
    measure: Callable[[], list[str]]


def measure_presets() -> list[str]:
    """What denoising costs under every preset and with each way to spare work, counted."""
    import torch

    from mofa.evaluation.clip_cost import denoising_cost
    from mofa.evaluation.stages import ClipSize, full_size_networks
    from mofa.renderers.diffusion.settings import PRESETS

    model, exact = full_size_networks(torch.device("meta"), torch.float16), PRESETS["exact"]
    cases = {f"`{name}`": preset for name, preset in PRESETS.items()}
    cases |= {f"exact, `reuse: {every}`": replace(exact, reuse=every) for every in (2, 3, 5)}
    cases["exact, `reuse: 3`, `reused: residuals`"] = replace(exact, reuse=3, reused="residuals")
    cases["exact, `guide: warp`"] = replace(exact, guide="warp")
    cases["standard, `guide: warp`, `reuse: 3`"] = replace(PRESETS["standard"], guide="warp", reuse=3)
    rows = []
    for name, settings in cases.items():
        with_adapters = [(), ("trajectory",), ("trajectory", "landmark")]
        costs = [denoising_cost(model, settings, adapters, ClipSize()) for adapters in with_adapters]
        rows.append((name, str(costs[0].evaluations), *(f"{cost.flop / 1e12:.0f}" for cost in costs)))
    return markdown(("", "evaluations", "alone", "one adapter", "both"), rows)


def measure_reuse() -> list[str]:
    """How far clips with reuse lie from the exact ones, and what they take of their time."""
    from tools.toy_golden import SETTINGS, clip, model

    networks, exact_settings = model(), replace(SETTINGS, steps=25)
    rows = []
    for kinds in (("trajectory",), ("landmark", "trajectory")):
        begin = time.perf_counter()
        exact = clip(networks, kinds, 5, exact_settings)["latents"]
        spent = time.perf_counter() - begin
        for what in ("deep", "residuals"):
            for every in (2, 3, 5):
                begin = time.perf_counter()
                found = clip(networks, kinds, 5, replace(exact_settings, reuse=every, reused=what))["latents"]
                share = (time.perf_counter() - begin) / spent
                error = float((found - exact).norm() / exact.norm())
                rows.append((f"{' and '.join(kinds)}, {what}, {every}", f"{error:.3f}", f"{share:.2f}"))
    return markdown(("", "relative error of the latents", "seconds against exact"), rows)


def measure_loader() -> list[str]:
    """Training clips through the loader."""
    from tools.loader_bench import HEAD, rows

    return markdown(HEAD, rows(textured))


# Whole processes first: a process that this one starts inherits its peak memory.
SECTIONS = {
    "help": Section("The command line answers", measure_help),
    "warp": Section("A photo, three tracks, warp renderer: the whole process", measure_warp),
    "preview": Section("`--preview` of it: flow and overlay, no clip", measure_preview),
    "long": Section("Long clips, warp renderer, no extras: the whole process", measure_long),
    "densify": Section("Dense motion from hints", measure_densify),
    "loader": Section("Training clips from MP4: 14 frames of 256 x 256, stride 4", measure_loader),
    "cost": Section("The diffusion renderer, 512 x 512, 25 frames, float16: counted", measure_cost),
    "presets": Section(
        "Denoising a clip of 512 x 512, 25 frames: evaluations and TFLOP, counted", measure_presets
    ),
    "reuse": Section("Reusing work between steps: toy networks with random weights, 25 steps", measure_reuse),
}


if __name__ == "__main__":
    sys.exit(main())
