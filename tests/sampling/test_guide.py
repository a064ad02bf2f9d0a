"""A guide by what must be: everything followed is the guide, nothing followed is plain sampling."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from mofa.sampling.guide import Guide, levels_of
from mofa.sampling.reuse import Memory
from mofa.sampling.sampler import sample_latents
from mofa.sampling.schedule import Schedule, karras_sigmas
from mofa.tensors.windows import Window, windows

FRAMES = 5
SCHEDULE = Schedule(karras_sigmas(25))


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


CRUDE, NOISE, CLEAN = (drawn(FRAMES, 4, 6, 6, seed=seed) for seed in (1, 2, 3))


@dataclass(frozen=True)
class Sure:
    """A denoiser that knows what comes out, and remembers the noise levels it was asked at."""

    asked: list[float]

    def over(self, frames: Window, /) -> Any:
        def estimate(x: Tensor, sigma: Tensor, memory: Memory | None = None, /) -> Tensor:
            self.asked.append(float(sigma))
            return CLEAN[list(frames)]

        return estimate


def run(guide: Guide | None, layout: Any = None) -> tuple[Tensor, list[float]]:
    denoiser = Sure([])
    found = sample_latents(denoiser, NOISE, SCHEDULE, layout or windows(FRAMES, FRAMES, 2), guide=guide)
    return found, denoiser.asked


def guide(mask: Tensor, weak: float = 75.0, strong: float = 31.0) -> Guide:
    return Guide(CRUDE, levels_of(mask, weak, strong), weak)


EVERYWHERE, NOWHERE = torch.ones(FRAMES, 1, 6, 6), torch.zeros(FRAMES, 1, 6, 6)
LEFT = EVERYWHERE * (torch.arange(6) < 3)


@pytest.mark.parametrize("layout", [None, windows(FRAMES, 3, 1)], ids=["short", "long"])
def test_everything_followed_to_the_end_is_the_guide(layout: Any) -> None:
    assert torch.equal(run(guide(EVERYWHERE, strong=0.0), layout)[0], CRUDE)


def test_nothing_followed_from_the_highest_level_is_plain_sampling_but_for_the_photo() -> None:
    found, asked = run(guide(NOWHERE, weak=700.0))
    plain, all_asked = run(None)
    assert torch.equal(found[1:], plain[1:])
    assert torch.equal(found[0], CRUDE[0])
    assert asked == all_asked


def test_the_first_frame_stays_and_the_rest_begins_at_the_weak_level() -> None:
    found, asked = run(guide(LEFT))
    assert torch.equal(found[0], CRUDE[0])
    assert 49 < asked[0] <= 75
    assert len(asked) < 0.75 * SCHEDULE.steps


def test_what_moves_follows_the_guide_down_to_the_strong_level_and_is_free_below() -> None:
    given, seen = guide(LEFT), []
    sample_latents(
        Sure([]),
        NOISE,
        SCHEDULE,
        windows(FRAMES, FRAMES, 2),
        callback=lambda step, x, clean: seen.append(x.clone()),
        guide=given,
    )
    schedule, _ = given.begin(NOISE, SCHEDULE)
    for x, sigma in zip(seen, schedule.sigmas[1:], strict=True):
        follows = torch.isclose(x[1:], (CRUDE + sigma * NOISE)[1:], atol=1e-4).all(dim=(0, 1))
        assert bool(follows[:, :3].all()) == (sigma >= 31)
        assert not follows[:, 3:].any()


def test_a_soft_mask_follows_to_a_level_in_between() -> None:
    levels = levels_of(torch.tensor([0.0, 0.25, 0.75, 1.0]).expand(2, 1, 1, 4), 75.0, 31.0)[1].flatten()
    assert levels[0] == torch.inf
    assert 75 > levels[1] > levels[2] > levels[3] == 31
