"""Noise levels are those of Stable Video Diffusion, and its v-predictions are read as they should be."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mofa.errors import InputError
from mofa.sampling.schedule import (
    Schedule,
    guidance_scales,
    karras_sigmas,
    preconditioning,
    timestep_from_sigma,
)

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"


@pytest.mark.parametrize("file", ["pipe_traj.npz", "pipe_hybrid.npz", "pipe_long.npz"])
def test_levels_and_timesteps_are_the_released_ones(file: str) -> None:
    if not (GOLDEN / file).exists():
        pytest.skip(f"no {GOLDEN / file}")
    golden = np.load(GOLDEN / file)
    sigmas = karras_sigmas(len(golden["timesteps"]))
    assert np.array_equal(sigmas.numpy(), golden["sigmas"])
    np.testing.assert_allclose(timestep_from_sigma(sigmas[:-1]).numpy(), golden["timesteps"], rtol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 25])
def test_levels_fall_from_highest_to_lowest_to_zero(steps: int) -> None:
    schedule = Schedule(karras_sigmas(steps))
    assert schedule.steps == steps
    assert schedule.sigmas[0] == 700
    assert schedule.sigmas[-1] == 0
    if steps > 1:
        torch.testing.assert_close(schedule.sigmas[-2], torch.tensor(0.002))
    assert (schedule.sigmas.diff() < 0).all()


def test_with_rho_1_levels_are_evenly_spaced() -> None:
    torch.testing.assert_close(karras_sigmas(4, 1.0, 4.0, rho=1.0), torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0]))


def test_no_steps_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1 step"):
        karras_sigmas(0)


@pytest.mark.parametrize(
    "levels", [[0.0], [1.0, 0.5], [1.0, 1.0, 0.0], [1.0, 2.0, 0.0], [1.0, float("nan"), 0.0]]
)
def test_levels_that_do_not_fall_to_zero_are_no_schedule(levels: list[float]) -> None:
    with pytest.raises(InputError, match="no schedule"):
        Schedule(torch.tensor(levels))


@pytest.mark.parametrize("level", [0.002, 0.3, 1.0, 15.6, 700.0])
def test_the_true_v_gives_the_clean_latents_back(level: float) -> None:
    """v = cos * noise - sin * clean on the circle where x / sqrt(sigma^2 + 1) = cos * clean + sin * noise."""
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 100, generator=generator, dtype=torch.float64)
    sigma = torch.tensor(level, dtype=torch.float64)
    angle = sigma.atan()
    velocity = angle.cos() * noise - angle.sin() * clean
    x = clean + sigma * noise
    factors = preconditioning(sigma)
    torch.testing.assert_close(factors.input * x, angle.cos() * clean + angle.sin() * noise)
    torch.testing.assert_close(factors.skip * x + factors.out * velocity, clean)


def test_preconditioning_takes_a_batch_of_levels() -> None:
    sigmas = torch.tensor([0.1, 1.0, 10.0])
    batch = preconditioning(sigmas)
    for i, sigma in enumerate(sigmas):
        one = preconditioning(sigma)
        assert (batch.skip[i], batch.out[i], batch.input[i]) == (one.skip, one.out, one.input)


def test_guidance_rises_evenly_from_the_source_to_the_last_frame() -> None:
    assert guidance_scales(5).tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert guidance_scales(1, 2.0, 3.0).tolist() == [2.0]
