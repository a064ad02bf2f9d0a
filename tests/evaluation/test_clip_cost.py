"""Counted clips: what is spared is what the settings say."""

from dataclasses import replace

import pytest
import torch

from mofa.evaluation.clip_cost import Call, call_flop, calls_of
from mofa.evaluation.stages import ClipSize, full_size_networks, svd_of, toy_networks
from mofa.renderers.diffusion.settings import PRESETS, TRADES

META = torch.device("meta")
EXACT = PRESETS["exact"]
SMALL = ClipSize(64, 64, 5)
VIDEO = svd_of(toy_networks(META, torch.float32))


def test_guidance_that_ends_spares_the_other_half_and_a_guide_the_first_steps() -> None:
    assert calls_of(VIDEO, EXACT, 25) == {Call(2): 25}
    assert calls_of(VIDEO, PRESETS["standard"], 25) == {Call(2): 20, Call(1): 5}
    assert calls_of(VIDEO, PRESETS["sketch"], 25) == {Call(1): 4}
    # Of 25 levels, the 8 above sigma 75 are left out.
    assert calls_of(VIDEO, replace(EXACT, guide="warp"), 25) == {Call(2): 17}
    assert calls_of(VIDEO, EXACT, 37) == {Call(2): 50}


@pytest.mark.parametrize(("every", "whole"), [(2, 15), (3, 12), (5, 9)])
def test_reuse_leaves_so_many_whole_steps(every: int, whole: int) -> None:
    assert calls_of(VIDEO, replace(EXACT, reuse=every), 25) == {Call(2): whole, Call(2, "deep"): 25 - whole}


@pytest.mark.slow
def test_every_way_to_spare_work_spares_some() -> None:
    model = toy_networks(META, torch.float32)
    whole, *less = (
        call_flop(model, call, ("trajectory",), SMALL)
        for call in (Call(2), Call(1), Call(2, "deep"), Call(2, "residuals"))
    )
    assert all(flop < 0.9 * whole for flop in less)


def test_every_preset_says_what_it_trades() -> None:
    assert TRADES.keys() == PRESETS.keys()


@pytest.mark.slow
def test_a_step_over_the_deep_layers_costs_a_fifth_of_a_whole_one() -> None:
    """Counted from diffusers' own UNet: 63.4 and 13.5 TFLOP; an adapter adds 23.0, or 4.3 of it."""
    model, size = full_size_networks(META, torch.float16), ClipSize()
    tera = {
        (call.reuses, adapters): call_flop(model, call, adapters, size) / 1e12
        for call in (Call(2), Call(2, "deep"))
        for adapters in ((), ("trajectory",))
    }
    assert tera["nothing", ()] == pytest.approx(63.4, rel=0.01)
    assert tera["deep", ()] == pytest.approx(13.5, rel=0.01)
    assert tera["deep", ("trajectory",)] == pytest.approx(13.5 + 4.3, rel=0.01)
    # DeepCache's own count, by its interval alone.
    for every, whole, fewer in ((2, 13, 1.62), (3, 9, 2.03), (5, 5, 2.74)):
        spent = whole * tera["nothing", ("trajectory",)] + (25 - whole) * tera["deep", ("trajectory",)]
        assert 25 * tera["nothing", ("trajectory",)] / spent == pytest.approx(fewer, rel=0.01), every
