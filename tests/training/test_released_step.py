"""One step of training equals the released scripts', at toy size; tools.parity compares all their numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mofa.training.conventions import RELEASED
from mofa.training.denoising import denoised, denoising_loss, noise_clips
from mofa.training.noise_levels import noise_levels, stratified
from mofa.training.shown_motion import MotionSettings, Told
from tools.parity_reference import Reference, relative_error
from tools.parity_training import reference_objective, short_names, sparse_points, step_draws

REFERENCE = Path(__file__).parent / "released_step.npz"


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference(REFERENCE)


def test_noise_levels_are_the_released_ones(reference: Reference) -> None:
    assert relative_error(noise_levels(stratified(reference["u_4"])), reference["sigma_4"]) < 1e-6
    ends = noise_levels(torch.tensor([0.0, 1.0]))
    assert relative_error(ends, reference["sigma_at_u_0_and_1"]) < 1e-5


def test_noise_levels_fall_and_half_of_them_lie_below_their_median() -> None:
    levels = noise_levels(torch.linspace(0, 1, 101))
    assert (levels.diff() < 0).all()
    assert levels[50] == pytest.approx(0.7, abs=0.1)


def test_sampled_points_are_the_released_ones(reference: Reference) -> None:
    names = ("flow", "step", "edge_max", "edge", "candidates", "kept", "uniforms", "grid", "mask")
    arrays = {f"{name}_0": reference[name] for name in names}
    numbered = Reference.__new__(Reference)
    numbered.arrays = arrays
    findings = list(sparse_points(numbered))
    assert len(findings) == 6
    for finding in findings:
        assert torch.equal(finding.ours.long(), finding.reference.long()), finding.name


@pytest.mark.slow
def test_a_step_of_stage_1_is_the_released_one(reference: Reference) -> None:
    objective = reference_objective(reference)
    objective.motion = MotionSettings("dense", conventions=RELEASED)
    pixels = reference["frames"].float() / 255
    dropped = reference["released_random_p"].float().reshape(1)
    draws = step_draws(reference, stratified(reference["u"]), dropped)
    told = noise_clips(objective.backbone, pixels, draws, RELEASED)
    velocity = objective.predict(told, pixels[:, 0], Told(reference["flow_used"].float()[None]))
    loss = denoising_loss(velocity, told).mean()
    loss.backward()
    assert relative_error(told.latents, reference["released_latents"]) < 1e-5
    assert relative_error(told.sample, reference["released_network_input"]) < 1e-5
    assert relative_error(velocity.detach(), reference["released_model_pred"]) < 1e-5
    assert relative_error(denoised(velocity, told).detach(), reference["released_denoised"]) < 1e-5
    assert relative_error(loss.detach(), reference["released_loss"]) < 1e-5
    names = sorted(short_names(objective))
    with np.load(REFERENCE) as file:
        assert names == file["grad_names"].tolist()
    wanted = reference["released_grad_norms"]
    ours = torch.stack([short_names(objective)[name].grad.norm() for name in names])
    telling = wanted > 1e-6 * wanted.max()
    assert ((ours - wanted).abs() / wanted)[telling].max() < 5e-3
