"""The sampler against a data distribution whose path from noise to data is known in closed form.

For Gaussian data of mean m and deviation d the ideal clean estimate at noise level s is
m + (x - m) * d^2 / (d^2 + s^2), and dx / ds = (x - clean) / s carries a point x at level s0 to
m + (x - m) * sqrt(d^2 / (d^2 + s0^2)) at level 0.
"""

import weakref
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from mofa.errors import Cancelled, InputError
from mofa.sampling.reuse import Memory, Reuse
from mofa.sampling.sampler import Estimate, consistency_step, euler_step, sample_latents
from mofa.sampling.schedule import Schedule, consistency_sigmas, karras_sigmas
from mofa.tensors.noise import frame_noise
from mofa.tensors.windows import Window, windows

NOISE = frame_noise(0, range(9), (4, 2, 3), torch.zeros(0))


@dataclass
class Gaussian:
    """Ideal denoiser of Gaussian data; the mean of a frame is its index, plus what the window leans to."""

    deviation: float = 0.5
    lean: dict[Window, float] = field(default_factory=dict)
    prepared: int = 0
    calls: int = 0

    def over(self, frames: Window) -> Estimate:
        self.prepared += 1
        mean = torch.tensor(frames).view(-1, 1, 1, 1) + self.lean.get(frames, 0.0)

        def estimate(
            x: Float[Tensor, "T 4 h w"], sigma: Float[Tensor, ""], memory: Memory | None = None
        ) -> Float[Tensor, "T 4 h w"]:
            self.calls += 1
            trust = self.deviation**2 / (self.deviation**2 + sigma**2)
            return mean + (x - mean) * trust

        return estimate


def exact_path(
    noise: Float[Tensor, "T 4 h w"], schedule: Schedule, deviation: float
) -> Float[Tensor, "T 4 h w"]:
    mean = torch.arange(len(noise)).view(-1, 1, 1, 1).to(noise)
    start = noise * schedule.initial_scale
    return mean + (start - mean) * deviation / (deviation**2 + schedule.sigmas[0] ** 2).sqrt()


def sampled(
    steps: int, layout: tuple[Window, ...] | None = None, denoiser: Gaussian | None = None
) -> Float[Tensor, "T 4 h w"]:
    layout = layout or windows(len(NOISE), len(NOISE), 1)
    return sample_latents(denoiser or Gaussian(), NOISE, Schedule(karras_sigmas(steps)), layout)


def test_more_steps_come_closer_to_the_exact_path_at_first_order() -> None:
    exact = exact_path(NOISE, Schedule(karras_sigmas(1)), 0.5)
    errors = [float((sampled(steps) - exact).abs().max()) for steps in (50, 100, 200)]
    assert errors[2] < 0.03
    for coarse, fine in pairwise(errors):
        assert 1.8 < coarse / fine < 2.2


def test_a_single_step_lands_on_the_clean_estimate() -> None:
    schedule = Schedule(torch.tensor([3.0, 0.0]))
    start = NOISE * schedule.initial_scale
    clean = Gaussian().over(tuple(range(9)))(start, schedule.sigmas[0])
    torch.testing.assert_close(sample_latents(Gaussian(), NOISE, schedule, windows(9, 9, 1)), clean)


def test_a_step_to_the_same_level_stays_and_a_clean_point_does_not_move() -> None:
    sigma = torch.tensor(2.0)
    assert torch.equal(euler_step(NOISE, NOISE * 0, sigma, sigma), NOISE)
    assert torch.equal(euler_step(NOISE, NOISE, sigma, sigma / 2), NOISE)


def test_windows_that_agree_change_nothing() -> None:
    torch.testing.assert_close(sampled(5, windows(9, 4, 2)), sampled(5))


def test_a_clip_no_longer_than_the_window_is_the_plain_pass_bit_for_bit() -> None:
    assert torch.equal(sampled(5, windows(9, 25, 12)), sampled(5))


def test_blending_estimates_is_averaging_the_latents_the_windows_step_to() -> None:
    """A slow twin that steps every window by itself and averages the latents, frame 0 from the first."""
    layout = windows(9, 4, 2)
    leaning = Gaussian(lean={window: 0.3 * n for n, window in enumerate(layout)})
    schedule = Schedule(karras_sigmas(4))
    x = NOISE * schedule.initial_scale
    for sigma, sigma_next in pairwise(schedule.sigmas):
        stepped: list[list[Tensor]] = [[] for _ in x]
        for window in layout:
            part = x[list(window)]
            moved = euler_step(part, leaning.over(window)(part, sigma), sigma, sigma_next)
            for frame, latent in zip(window, moved, strict=True):
                stepped[frame].append(latent)
        x = torch.stack([stepped[0][0], *(torch.stack(found).mean(dim=0) for found in stepped[1:])])
    torch.testing.assert_close(sampled(4, layout, leaning), x, rtol=1e-5, atol=1e-4)


def test_each_window_is_read_once_per_step_and_a_lone_one_prepared_once() -> None:
    several, lone = Gaussian(), Gaussian()
    sampled(6, windows(9, 4, 2), several)
    assert several.calls == 6 * 4
    sampled(6, windows(9, 25, 12), lone)
    assert (lone.prepared, lone.calls) == (1, 6)


def test_of_several_windows_no_more_than_two_are_prepared_at_a_time() -> None:
    """So that memory does not grow with the clip: what a window needs goes when the next one is ready."""
    alive = weakref.WeakSet()

    class Counting(Gaussian):
        most = 0

        def over(self, frames: Window, /) -> Estimate:
            estimate = super().over(frames)

            def denoise(x: Tensor, sigma: Tensor, memory: Memory | None = None, /) -> Tensor:
                return estimate(x, sigma)

            alive.add(denoise)
            self.most = max(self.most, len(alive))
            return denoise

    denoiser = Counting()
    sampled(2, windows(9, 3, 1), denoiser)
    assert denoiser.most <= 2


def test_progress_and_callback_hear_of_every_pass_and_step() -> None:
    heard: list[tuple[str, int, int]] = []
    steps: list[tuple[int, Tensor]] = []
    latents = sample_latents(
        Gaussian(),
        NOISE,
        Schedule(karras_sigmas(3)),
        windows(9, 4, 2),
        progress=lambda stage, done, total: heard.append((stage, done, total)),
        callback=lambda step, x, clean: steps.append((step, x)),
    )
    assert heard == [("sample", done, 12) for done in range(1, 13)]
    assert [step for step, _ in steps] == [0, 1, 2]
    assert torch.equal(steps[-1][1], latents)


def test_a_callback_that_cancels_stops_the_run_at_once() -> None:
    denoiser = Gaussian()

    def cancel(step: int, x: Tensor, clean: Tensor) -> None:
        if step == 1:
            raise Cancelled("stopped by the user")

    with pytest.raises(Cancelled):
        sample_latents(denoiser, NOISE, Schedule(karras_sigmas(5)), windows(9, 9, 1), callback=cancel)
    assert denoiser.calls == 2


def test_the_longer_clip_starts_with_the_noise_of_the_shorter() -> None:
    """With frames that do not look at each other, the clip's length changes no frame."""
    layout = windows(5, 4, 2)
    short = sample_latents(Gaussian(), NOISE[:5], Schedule(karras_sigmas(4)), layout)
    torch.testing.assert_close(sampled(4, windows(9, 4, 2))[:5], short)


def test_a_consistency_step_forgets_the_noise_it_came_from() -> None:
    """What is at a level is the estimate and fresh noise; what the clip began with is gone after a step."""
    seen: list[Tensor] = []

    class Watched(Gaussian):
        def over(self, frames: Window) -> Estimate:
            inner = super().over(frames)

            def estimate(x: Tensor, sigma: Tensor, memory: Memory | None = None, /) -> Tensor:
                seen.append(x)
                return inner(x, sigma)

            return estimate

    fresh = [torch.full_like(NOISE, 0.3), torch.full_like(NOISE, -0.2)]
    schedule = Schedule(torch.tensor([700.0, 20.0, 3.0, 0.0]))
    rule = consistency_step(iter(fresh))
    latents = sample_latents(Watched(), NOISE, schedule, windows(9, 9, 1), rule=rule)
    ideal = Gaussian().over(tuple(range(9)))
    for step, level in enumerate(schedule.sigmas[1:3]):
        expected = ideal(seen[step], schedule.sigmas[step]) + level * fresh[step]
        torch.testing.assert_close(seen[step + 1], expected)
    torch.testing.assert_close(latents, ideal(seen[2], schedule.sigmas[2]))


def test_a_consistency_model_visits_levels_that_it_was_distilled_on() -> None:
    """The levels of AnimateLCM-SVD's own scheduler, for the numbers of steps that it is used with."""
    published = {1: [700.0], 2: [700, 13.68], 4: [700, 128.56, 13.68, 0.497],
                 8: [700, 315.7, 128.6, 45.9, 13.7, 3.17, 0.497, 0.040]}  # fmt: skip
    for steps, levels in published.items():
        torch.testing.assert_close(
            consistency_sigmas(steps), torch.tensor([*levels, 0.0]), rtol=3e-3, atol=1e-3
        )
    for wrong in (0, 41):
        with pytest.raises(InputError, match="1 to 40 steps"):
            consistency_sigmas(wrong)


@pytest.mark.parametrize(
    ("interval", "whole"),
    [(1, list(range(12))), (3, [0, 1, 2, 3, 6, 9, 10, 11]), (5, [0, 1, 2, 5, 10, 11])],
)
def test_first_and_last_steps_are_whole_and_every_so_manyth(interval: int, whole: list[int]) -> None:
    reuse = Reuse(interval)
    assert [step for step in range(12) if reuse.whole(step, 12)] == whole


def test_every_window_has_a_memory_of_its_own_that_whole_steps_find_empty() -> None:
    """The estimate keeps the index of its step, and what it finds later is that of its own window."""
    calls: list[tuple[Window, int | None]] = []

    class Keeping(Gaussian):
        def over(self, frames: Window) -> Estimate:
            inner = super().over(frames)

            def estimate(x: Tensor, sigma: Tensor, memory: Memory | None = None, /) -> Tensor:
                assert memory is not None
                held = memory.recall(x)
                calls.append((frames, None if held is None else int(held[0])))
                if held is None:
                    memory.keep(torch.tensor(frames[0]))
                return inner(x, sigma)

            return estimate

    layout = windows(9, 5, 4)
    schedule = Schedule(karras_sigmas(8))
    sample_latents(Keeping(), NOISE, schedule, layout, reuse=Reuse(3))
    per_step = [calls[first : first + len(layout)] for first in range(0, len(calls), len(layout))]
    for step, entries in enumerate(per_step):
        expected = [None if Reuse(3).whole(step, 8) else window[0] for window in layout]
        assert [held for _, held in entries] == expected
