"""Toy networks on the CPU: the same stages that are counted are timed, and the tables say what was found."""

import argparse
import time

import pytest
import torch

from mofa.apps.bench_command import add_parser, clip_size, counted_table, measured_table
from mofa.errors import InputError
from mofa.evaluation.bench import (
    META,
    MeasuredStage,
    bench_diffusion,
    count_diffusion,
    matrix_product_rate,
    timed,
)
from mofa.evaluation.cost import Cost
from mofa.evaluation.stages import TOY_SIZE, ClipSize, stages, toy_networks

CPU = torch.device("cpu")
STAGES = [
    "encode",
    "densify",
    "features, trajectory",
    "features, landmark",
    "step, UNet",
    "step, trajectory",
    "step, landmark",
    "step, whole",
    "decode 5 frames",
]


@pytest.fixture(scope="module")
def counted() -> dict[str, Cost]:
    rows = count_diffusion(toy_networks, TOY_SIZE, torch.float32)
    return {row.stage: row.cost for row in rows}


def test_every_stage_is_timed_once_in_its_order(counted: dict[str, Cost]) -> None:
    heard: list[int] = []
    rows = bench_diffusion(
        toy_networks,
        TOY_SIZE,
        CPU,
        torch.float32,
        repeats=1,
        progress=lambda _, done, total: heard.append(done),
    )
    assert [row.stage for row in rows] == list(counted) == STAGES
    assert all(row.seconds > 0 and row.peak_bytes is None for row in rows)
    assert [row.cost for row in rows] == list(counted.values())
    assert heard == list(range(1, len(STAGES) + 1))


def test_a_whole_step_is_the_sum_of_its_parts(counted: dict[str, Cost]) -> None:
    parts = [counted[f"step, {part}"] for part in ("UNet", "trajectory", "landmark")]
    whole = counted["step, whole"]
    assert whole.flop == sum(part.flop for part in parts)
    assert whole.parameter_bytes == sum(part.parameter_bytes for part in parts)
    assert max(part.peak_bytes for part in parts) < whole.peak_bytes


def test_twice_the_frames_are_twice_the_work_but_for_attention_over_time() -> None:
    short, long = (
        {row.stage: row.cost for row in count_diffusion(toy_networks, ClipSize(64, 64, n), torch.float32)}
        for n in (4, 8)
    )
    spatial = {s: cost.flop - cost.attention_flop for s, cost in short.items()}
    # The mean over a clip's first frame, time ids and the picture's embedding are the same for any length.
    for stage in ("step, UNet", "step, trajectory", "step, landmark"):
        work = long[stage].flop - long[stage].attention_flop
        assert work == pytest.approx(2 * spatial[stage], rel=0.02)
        assert long[stage].attention_flop > 2 * short[stage].attention_flop
    assert long["encode"].flop == short["encode"].flop


def test_half_the_precision_is_half_the_memory_of_a_step(counted: dict[str, Cost]) -> None:
    halved = {row.stage: row.cost for row in count_diffusion(toy_networks, TOY_SIZE, torch.bfloat16)}
    assert halved["step, UNet"].parameter_bytes * 2 == counted["step, UNet"].parameter_bytes
    assert halved["step, UNet"].peak_bytes < 0.6 * counted["step, UNet"].peak_bytes
    assert halved["step, UNet"].flop == counted["step, UNet"].flop


def test_the_weights_of_all_networks_are_those_the_stages_read(counted: dict[str, Cost]) -> None:
    networks = toy_networks(META, torch.float32)
    read = sum(
        cost.parameter_bytes for stage, cost in counted.items() if stage in STAGES and "," not in stage
    )
    read += sum(counted[f"features, {name}"].parameter_bytes for name in networks.adapters)
    read += counted["step, whole"].parameter_bytes
    assert networks.weight_bytes == pytest.approx(read, rel=0.01)


def test_made_up_inputs_give_finite_results() -> None:
    networks = toy_networks(CPU, torch.float32)
    with torch.no_grad():
        listed = {stage.name: stage for stage in stages(networks, TOY_SIZE)}
        clean = listed["step, whole"].function(*listed["step, whole"].arguments)
    assert clean.shape == (5, 4, 8, 8)
    assert clean.isfinite().all()


def test_seconds_are_those_of_the_call() -> None:
    assert 0.05 <= timed(lambda: time.sleep(0.05), CPU) < 1


def test_the_rate_of_products_is_that_of_the_fastest_size() -> None:
    assert matrix_product_rate(CPU, torch.float32, sides=(8, 256), repeats=2) > 1e7


def test_speed_is_work_over_time_and_shown_as_a_share() -> None:
    cost = Cost(flop=3 * 10**12, attention_flop=0, peak_bytes=10**9, parameter_bytes=2 * 10**9)
    row = MeasuredStage("step, UNet", cost, seconds=0.5, peak_bytes=4 * 10**9)
    assert row.flop_per_second == 6e12
    measured = measured_table([row], product_rate=12e12, title="")
    cells = [next(iter(column.cells)) for column in measured.columns]
    assert cells == ["step, UNet", "0.5000", "4.00", "3.000", "6.00", "50.0%"]


def test_the_counted_table_adds_weights_and_tensors(counted: dict[str, Cost]) -> None:
    rows = count_diffusion(toy_networks, TOY_SIZE, torch.float32)
    table = counted_table(rows, "")
    assert table.row_count == len(STAGES)
    assert len(table.columns) == 6


def test_options_are_read() -> None:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    options = parser.parse_args(["bench", "--size", "640x384", "--frames", "14", "--toy"])
    assert clip_size(options.size, options.frames) == ClipSize(640, 384, 14)
    assert options.toy


@pytest.mark.parametrize(
    ("size", "frames"), [("512", 25), ("500x512", 25), ("0x64", 2), ("-64x64", 5), ("axb", 5), ("64x64", 1)]
)
def test_impossible_sizes_are_refused_in_a_sentence(size: str, frames: int) -> None:
    with pytest.raises(InputError, match="give"):
        clip_size(size, frames)
