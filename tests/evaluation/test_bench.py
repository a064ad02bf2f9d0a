"""Toy networks on the CPU: the same stages that are counted are timed, and the tables say what was found."""

import argparse
from itertools import count as count_seconds

import pytest
import torch

from mofa.apps.bench_command import add_parser, clip_size, counted_table, measured_table
from mofa.devices import timed
from mofa.errors import InputError
from mofa.evaluation.bench import (
    META,
    CountedStage,
    MeasuredStage,
    bench_diffusion,
    matrix_product_rate,
)
from mofa.evaluation.cost import Cost, count
from mofa.evaluation.stages import TOY_SIZE, ClipSize, stages, toy_networks, weight_bytes

pytestmark = pytest.mark.slow

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
def heard() -> list[int]:
    return []


@pytest.fixture(scope="module")
def measured(heard: list[int]) -> list[MeasuredStage]:
    def listen(_: str, done: int, total: int, /) -> None:
        heard.append(done)

    return bench_diffusion(toy_networks, TOY_SIZE, CPU, torch.float32, repeats=1, progress=listen)


@pytest.fixture(scope="module")
def counted(measured: list[MeasuredStage]) -> dict[str, Cost]:
    return {row.stage: row.cost for row in measured}


def count_stage(name: str, size: ClipSize, dtype: torch.dtype) -> Cost:
    listed = {stage.name: stage for stage in stages(toy_networks(META, dtype), size)}
    return count(listed[name].function, *listed[name].arguments)


def test_every_stage_is_timed_once_in_its_order(measured: list[MeasuredStage], heard: list[int]) -> None:
    assert [row.stage for row in measured] == STAGES
    assert all(row.seconds > 0 and row.peak_bytes is None for row in measured)
    assert heard == list(range(1, len(STAGES) + 1))


def test_a_whole_step_is_the_sum_of_its_parts(counted: dict[str, Cost]) -> None:
    parts = [counted[f"step, {part}"] for part in ("UNet", "trajectory", "landmark")]
    whole = counted["step, whole"]
    assert whole.flop == sum(part.flop for part in parts)
    assert whole.parameter_bytes == sum(part.parameter_bytes for part in parts)
    assert max(part.peak_bytes for part in parts) < whole.peak_bytes


def test_twice_the_frames_are_twice_the_work_but_for_attention_over_time() -> None:
    short, long = (count_stage("step, trajectory", ClipSize(64, 64, n), torch.float32) for n in (4, 8))
    assert long.attention_flop > 2 * short.attention_flop
    # What a step is told about the whole clip is embedded once, whatever the length.
    assert long.flop - long.attention_flop == pytest.approx(2 * (short.flop - short.attention_flop), rel=0.02)


def test_half_the_precision_is_half_the_memory_of_a_step(counted: dict[str, Cost]) -> None:
    whole = counted["step, trajectory"]
    halved = count_stage("step, trajectory", TOY_SIZE, torch.bfloat16)
    assert halved.parameter_bytes * 2 == whole.parameter_bytes
    assert halved.peak_bytes < 0.6 * whole.peak_bytes
    assert halved.flop == whole.flop


def test_the_weights_of_all_networks_are_those_the_stages_read(counted: dict[str, Cost]) -> None:
    networks = toy_networks(META, torch.float32)
    read = sum(
        cost.parameter_bytes for stage, cost in counted.items() if stage in STAGES and "," not in stage
    )
    read += sum(counted[f"features, {name}"].parameter_bytes for name in networks.adapters)
    read += counted["step, whole"].parameter_bytes
    assert weight_bytes(networks) == pytest.approx(read, rel=0.01)


def test_made_up_inputs_give_finite_results() -> None:
    networks = toy_networks(CPU, torch.float32)
    with torch.no_grad():
        listed = {stage.name: stage for stage in stages(networks, TOY_SIZE)}
        clean = listed["step, whole"].function(*listed["step, whole"].arguments)
    assert clean.shape == (5, 4, 8, 8)
    assert clean.isfinite().all()


def test_seconds_are_those_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [10.0]
    monkeypatch.setattr("mofa.devices.time.perf_counter", lambda: clock[0])
    assert timed(lambda: clock.append(clock.pop() + 2.5), CPU) == 2.5


def test_the_rate_of_products_is_that_of_the_fastest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a second per look: a product of any size takes one."""
    monkeypatch.setattr("mofa.devices.time.perf_counter", count_seconds(1.0).__next__)
    assert matrix_product_rate(CPU, torch.float32, sides=(8, 16), repeats=2) == 2 * 2 * 16**3


def test_speed_is_work_over_time_and_shown_as_a_share() -> None:
    cost = Cost(flop=3 * 10**12, attention_flop=0, peak_bytes=10**9, parameter_bytes=2 * 10**9)
    row = MeasuredStage("step, UNet", cost, seconds=0.5, peak_bytes=4 * 10**9)
    assert row.flop_per_second == 6e12
    table = measured_table([row], product_rate=12e12, title="")
    cells = [next(iter(column.cells)) for column in table.columns]
    assert cells == ["step, UNet", "0.5000", "4.00", "3.000", "6.00", "50.0%"]


def test_the_counted_table_adds_weights_and_tensors() -> None:
    cost = Cost(flop=3 * 10**12, attention_flop=10**12, peak_bytes=10**9, parameter_bytes=2 * 10**9)
    table = counted_table([CountedStage("step, UNet", cost)], "")
    cells = [next(iter(column.cells)) for column in table.columns]
    assert cells == ["step, UNet", "3.00", "1.00", "2.00", "1.00", "3.00"]


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
