"""Runs that choose by the free memory how they run."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, repeat
from typing import Any

import pytest
import torch
from torch import Tensor

from mofa.errors import OutOfMemory
from mofa.evaluation.cost import count
from mofa.evaluation.stages import ClipSize, full_size_networks, stages
from mofa.pipeline import fitted
from mofa.pipeline.fitted import fitted_render
from mofa.renderers.diffusion.fitting import NOTCHES, Notch, Work, expected_seconds, fitting, needed_bytes
from mofa.renderers.diffusion.settings import PRESETS, DiffusionSettings
from mofa.types import CropBox, MotionPlan, SourceImage

CUDA, CPU, META = torch.device("cuda"), torch.device("cpu"), torch.device("meta")
BOTH = Work(512, 512, 25, 2)
SOURCE = SourceImage(torch.zeros(3, 64, 64), CropBox(0.0, 0.0, 64.0, 64.0, 64, 64))
STILL = MotionPlan((), torch.eye(2, 3).repeat(4, 1, 1), 5)


@pytest.mark.parametrize(
    ("free", "first"),
    [
        (80e9, Notch("none", 2, 8)),
        (13.5e9, Notch("none", 1, 4)),
        (12e9, Notch("model", 2, 8)),
        (9.5e9, Notch("model", 1, 4)),
        (5e9, Notch("block", 1, 2)),
        (2e9, Notch("block", 1, 1)),
    ],
)
def test_the_fastest_way_that_fits_comes_first(free: float, first: Notch) -> None:
    assert fitting(int(free), BOTH, torch.float16, CUDA)[0] == first


def test_every_notch_needs_no_more_than_the_one_before_of_its_kind_and_less_picture_needs_less() -> None:
    for kind in ("none", "model", "block"):
        needs = [needed_bytes(way, BOTH, torch.float16) for way in NOTCHES if way.offload == kind]
        assert all(after <= before for before, after in pairwise(needs))
    for way in NOTCHES:
        assert needed_bytes(way, replace(BOTH, width=256), torch.float16) < needed_bytes(
            way, BOTH, torch.float16
        )


def test_on_a_cpu_weights_have_nowhere_else_to_wait() -> None:
    assert {way.offload for way in fitting(int(400e9), BOTH, torch.float32, CPU)} == {"none"}


@pytest.mark.slow
@pytest.mark.parametrize("size", [ClipSize(512, 512, 25), ClipSize(768, 320, 14)])
def test_what_a_stage_needs_is_what_the_count_says(size: ClipSize) -> None:
    listed = {stage.name: stage for stage in stages(full_size_networks(META, torch.float16), size)}
    work = Work(size.width, size.height, size.num_frames, 2)
    step = count(listed["step, whole"].function, *listed["step, whole"].arguments).resident_bytes
    decode = listed["decode 8 frames"]
    decoding = count(decode.function, *decode.arguments).resident_bytes
    needed = needed_bytes(Notch("model", 2, 8), work, torch.float16)
    assert needed == pytest.approx(max(step, decoding), rel=0.1)


def render(settings: DiffusionSettings, make: Any) -> list[Tensor]:
    return list(fitted_render(settings, make)(SOURCE, STILL, lambda *_: None))


@pytest.mark.slow
def test_where_memory_runs_out_it_goes_on_lower_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fitted, "free_memory", lambda device: int(80e9))
    tried: list[DiffusionSettings] = []

    def make(settings: DiffusionSettings) -> Any:
        def frames(*_: Any) -> Iterator[Tensor]:
            tried.append(settings)
            if settings.decode_chunk > 1:
                raise OutOfMemory("no more")
            yield from repeat(SOURCE.pixels, 5)

        return frames

    settings = replace(PRESETS["standard"], device="cpu", precision="float32", fit_memory=True)
    assert len(render(settings, make)) == 5
    assert [(one.halves_at_once, one.decode_chunk) for one in tried] == [(2, 8), (1, 4), (1, 1)]
    assert "chosen by the free memory" in caplog.text
    assert "once more with less" in caplog.text


def test_where_nothing_is_left_to_try_the_advice_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitted, "free_memory", lambda device: int(1e9))

    def make(settings: DiffusionSettings) -> Any:
        def frames(*_: Any) -> Iterator[Tensor]:
            raise OutOfMemory("try --size 64x64.")
            yield SOURCE.pixels

        return frames

    with pytest.raises(OutOfMemory, match="--size 64x64"):
        render(replace(PRESETS["standard"], device="cpu", precision="float32"), make)


def test_twice_the_frames_or_guidance_take_twice_as_long() -> None:
    draft, exact = PRESETS["draft"], replace(PRESETS["draft"], guidance_highest=3.0)
    once = expected_seconds(draft, BOTH, 1e14)
    assert expected_seconds(exact, BOTH, 1e14) == pytest.approx(2 * once)
    assert expected_seconds(draft, replace(BOTH, frames=50), 1e14) == pytest.approx(2 * once)
