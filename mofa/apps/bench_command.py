"""`mofa bench`: what the diffusion renderer costs, and how fast this machine does it. Needs no weights."""

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mofa.evaluation.bench import CountedStage, MeasuredStage
    from mofa.evaluation.stages import ClipSize

DTYPES = ("float16", "bfloat16", "float32")
SIZE_STEP = 64
"""Pixels: sides that the networks take are multiples of this."""


def add_parser(commands: Any) -> None:
    """Adds `bench` to the subparsers of the command line; `run` is what it is to call."""
    parser = commands.add_parser(
        "bench",
        help="count and time the diffusion renderer, without weights",
        description=(
            "Counts the work and the memory of every stage of the diffusion renderer, then times the stages "
            "with random weights: at the size asked for on a GPU, with toy networks on a CPU."
        ),
    )
    parser.add_argument("--size", metavar="WxH", default="512x512", help="multiples of 64 (512x512)")
    parser.add_argument("--frames", metavar="N", type=int, default=25, help="the source frame included (25)")
    parser.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1, mps (the best that is present)")
    parser.add_argument("--dtype", choices=DTYPES, help="numbers to compute in (float16; float32 on a CPU)")
    parser.add_argument("--toy", action="store_true", help="time toy networks on any device")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the tables; returns the exit code. Raises MofaError with a sentence for the user."""
    import torch
    from rich.console import Console

    from mofa.apps.progress import progress_bars
    from mofa.devices import pick_device
    from mofa.evaluation.bench import bench_diffusion, count_diffusion, matrix_product_rate
    from mofa.evaluation.stages import TOY_SIZE, full_size_networks, toy_networks

    size = clip_size(arguments.size, arguments.frames)
    device = pick_device(arguments.device)
    on_cpu = device.type == "cpu"
    dtype = getattr(torch, arguments.dtype or ("float32" if on_cpu else "float16"))
    toy = arguments.toy or on_cpu
    console = Console()

    counted = count_diffusion(full_size_networks, size, torch.float16)
    console.print(counted_table(counted, f"Counted: {in_words(size)}, float16"))
    make, timed_size = (toy_networks, TOY_SIZE) if toy else (full_size_networks, size)
    with progress_bars(quiet=False) as progress:
        measured = bench_diffusion(make, timed_size, device, dtype, progress=progress)
    rate = matrix_product_rate(device, dtype, sides=(1024,) if on_cpu else (4096, 8192))
    networks = "toy networks" if toy else "full-size networks"
    title = f"Measured on {device}: {networks}, {in_words(timed_size)}, {arguments.dtype or str(dtype)[6:]}"
    console.print(measured_table(measured, rate, title))
    if toy and not arguments.toy:
        console.print("A CPU is timed with toy networks; full-size ones would take it minutes per step.")
    return 0


def clip_size(text: str, num_frames: int) -> "ClipSize":
    """The size that "512x320" and a number of frames say; raises InputError for one the model cannot do."""
    from mofa.errors import InputError
    from mofa.evaluation.stages import ClipSize

    sides = [int(side) if side.isdecimal() else 0 for side in text.lower().split("x")]
    if len(sides) != 2 or any(side < SIZE_STEP or side % SIZE_STEP for side in sides):
        raise InputError(
            f'--size "{text}" cannot be benchmarked: give multiples of {SIZE_STEP}, as in 512x320.'
        )
    if num_frames < 2:
        raise InputError(f"--frames {num_frames} is no clip: give 2 or more.")
    return ClipSize(sides[0], sides[1], num_frames)


def in_words(size: "ClipSize") -> str:
    """A clip's size for a title."""
    return f"{size.width} x {size.height}, {size.num_frames} frames"


def counted_table(rows: "Sequence[CountedStage]", title: str) -> Any:
    """Work and memory per stage."""
    table = _table(title, "TFLOP", "in attention", "weights GB", "tensors GB", "together GB")
    for row in rows:
        cost = row.cost
        work = (f"{value / 1e12:.2f}" for value in (cost.flop, cost.attention_flop))
        memory = (cost.parameter_bytes, cost.peak_bytes, cost.resident_bytes)
        table.add_row(row.stage, *work, *(f"{value / 1e9:.2f}" for value in memory))
    return table


def measured_table(rows: "Sequence[MeasuredStage]", product_rate: float, title: str) -> Any:
    """Seconds, memory and speed per stage; the share is of the device's matrix products."""
    unit, name = (1e12, "TFLOP") if max(row.cost.flop for row in rows) > 1e12 else (1e9, "GFLOP")
    table = _table(title, "seconds", "peak GB", name, f"{name}/s", "share")
    for row in rows:
        peak = "-" if row.peak_bytes is None else f"{row.peak_bytes / 1e9:.2f}"
        speed = row.flop_per_second
        table.add_row(
            row.stage,
            f"{row.seconds:.4f}",
            peak,
            f"{row.cost.flop / unit:.3f}",
            f"{speed / unit:.2f}",
            f"{speed / product_rate:.1%}",
        )
    table.caption = f"matrix products: {product_rate / unit:.1f} {name}/s"
    return table


def _table(title: str, *numbers: str) -> Any:
    from rich.table import Table

    table = Table(title=title)
    table.add_column("stage", no_wrap=True)
    for number in numbers:
        table.add_column(number, justify="right")
    return table
