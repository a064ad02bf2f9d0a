"""The denoiser with networks simple enough to say by hand what must come out."""

from dataclasses import replace

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mofa.models.backbone import Backbone
from mofa.models.motion_adapter import MotionAdapter, Residuals
from mofa.renderers.diffusion.svd import StableVideoDiffusion
from mofa.sampling.denoiser import AdapterBranch, Denoiser, Guidance
from mofa.sampling.schedule import guidance_scales, preconditioning, timestep_from_sigma
from mofa.types import BackboneCondition, MotionFeatures

FRAMES = 5
HEIGHT, WIDTH = 8, 16
SIGMA = torch.tensor(1.7)
ALL = tuple(range(FRAMES))
USUAL = Guidance()


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class PlainBackbone(Backbone):
    """v from all it is told; remembers the batches and dtypes it was sent."""

    def __init__(self) -> None:
        object.__setattr__(self, "sent", [])

    def predict(
        self,
        sample: Float[Tensor, "B T 8 h w"],
        timestep: Float[Tensor, ""],
        image_embedding: Float[Tensor, "B 1 D"],
        time_ids: Float[Tensor, "B 3"],
        residuals: Residuals | None,
    ) -> Float[Tensor, "B T 4 h w"]:
        self.sent.append((len(sample), sample.dtype))
        noisy, latent = sample.split(4, dim=2)
        told = (image_embedding.mean(dim=-1) * 0.7 + time_ids[:, :1] * timestep)[..., None, None, None]
        velocity = 0.8 * noisy + 0.3 * latent - 0.1 * noisy.mean(dim=1, keepdim=True) + told
        if residuals is None:
            return velocity
        corrections = [interpolate(r, sample.shape[-2:]) for r in (*residuals.skips, residuals.mid)]
        return velocity + sum(corrections).unflatten(0, sample.shape[:2])


class PlainAdapter(MotionAdapter):
    """Residuals proportional to the features, the noise level and the latents; remembers the features."""

    def __init__(self, gain: float) -> None:
        nn.Module.__init__(self)
        self.gain = gain
        self.seen: list[MotionFeatures] = []

    def forward(
        self,
        sample: Float[Tensor, "B T 8 h w"],
        timestep: Float[Tensor, ""],
        image_embedding: Float[Tensor, "B 1 D"],
        time_ids: Float[Tensor, "B 3"],
        features: MotionFeatures,
    ) -> Residuals:
        self.seen.append(features)
        own = sample.mean(dim=(1, 2, 3, 4)).repeat_interleave(sample.shape[1]).view(-1, 1, 1, 1)
        fine, coarse = (
            (level * self.gain * (1 + timestep)).repeat(len(sample), 1, 1, 1).to(sample) + own
            for level in features.levels
        )
        return Residuals(skips=(fine, coarse), mid=coarse * 2)


def features(seed: int) -> MotionFeatures:
    return MotionFeatures(
        levels=(
            drawn(FRAMES, 4, HEIGHT, WIDTH, seed=seed),
            drawn(FRAMES, 4, HEIGHT // 2, WIDTH // 2, seed=seed),
        ),
        sketch=drawn(FRAMES, 4, HEIGHT, WIDTH, seed=seed + 50),
    )


CONDITION = BackboneCondition(
    image_embedding=drawn(1, 1, 6, seed=1),
    image_latent=drawn(1, 4, HEIGHT, WIDTH, seed=2),
    time_ids=torch.tensor([[6.0, 128.0, 0.02]]),
)
X = drawn(FRAMES, 4, HEIGHT, WIDTH, seed=3) * 2
WHOLE = torch.ones(1, HEIGHT * 8, WIDTH * 8)
LEFT = torch.cat([WHOLE[..., :64], 0 * WHOLE[..., 64:]], dim=-1)


def branch(seed: int, region: Tensor = WHOLE, strength: float = 1.0) -> AdapterBranch:
    return AdapterBranch(PlainAdapter(gain=seed / 10), features(seed), region, strength)


def denoiser(*branches: AdapterBranch, guidance: Guidance = USUAL) -> Denoiser:
    return Denoiser(StableVideoDiffusion(PlainBackbone()), CONDITION, branches, guidance)


def clean(*branches: AdapterBranch, guidance: Guidance = USUAL) -> Tensor:
    return denoiser(*branches, guidance=guidance).over(ALL)(X, SIGMA)


def one_half(condition: BackboneCondition, residuals: Residuals | None) -> Tensor:
    """v of one guidance half, told the slow way."""
    latent = condition.image_latent.expand(FRAMES, -1, -1, -1)
    sample = torch.cat([X * preconditioning(SIGMA).input, latent], dim=1)[None]
    return PlainBackbone().predict(
        sample, timestep_from_sigma(SIGMA), condition.image_embedding, condition.time_ids, residuals
    )[0]


def test_each_frame_is_guided_away_from_what_an_unseen_picture_gives() -> None:
    blind = replace(
        CONDITION,
        image_embedding=0 * CONDITION.image_embedding,
        image_latent=0 * CONDITION.image_latent,
    )
    scale = guidance_scales(FRAMES).view(-1, 1, 1, 1)
    velocity = (1 - scale) * one_half(blind, None) + scale * one_half(CONDITION, None)
    factors = preconditioning(SIGMA)
    torch.testing.assert_close(clean(), factors.skip * X + factors.out * velocity)


def test_guidance_of_1_is_the_conditional_half_alone() -> None:
    unguided = denoiser(branch(1), guidance=Guidance(1.0, 1.0))
    factors = preconditioning(SIGMA)
    plain = factors.skip * X + factors.out * one_half(CONDITION, None)
    torch.testing.assert_close(clean(guidance=Guidance(1.0, 1.0)), plain)
    almost = clean(branch(1), guidance=Guidance(1.0, 1.0 + 1e-7))
    torch.testing.assert_close(unguided.over(ALL)(X, SIGMA), almost)
    assert unguided.model.backbone.sent == [(1, torch.float32)]


def test_halves_one_after_the_other_are_the_halves_together() -> None:
    together, in_turn = (denoiser(branch(1), guidance=Guidance(halves_at_once=halves)) for halves in (2, 1))
    torch.testing.assert_close(together.over(ALL)(X, SIGMA), in_turn.over(ALL)(X, SIGMA))
    assert [size for size, _ in together.model.backbone.sent] == [2]
    assert [size for size, _ in in_turn.model.backbone.sent] == [1, 1]


@pytest.mark.parametrize("idle", [branch(1, strength=0.0), branch(1, region=0 * WHOLE)])
def test_strength_0_and_an_empty_region_leave_the_plain_backbone_bit_for_bit(idle: AdapterBranch) -> None:
    assert torch.equal(clean(idle), clean())
    assert idle.adapter.seen == []


def test_strength_scales_what_the_adapter_says() -> None:
    at_0, at_1, at_2 = (clean(branch(1, strength=strength)) for strength in (0.0, 1.0, 2.0))
    assert (at_1 - at_0).abs().max() > 0.01
    torch.testing.assert_close(at_2 - at_0, 2 * (at_1 - at_0), rtol=1e-4, atol=1e-5)


def test_a_region_of_ones_leaves_the_other_branch_without_a_say() -> None:
    landmark, trajectory = branch(1, strength=0.9), branch(2, region=0 * WHOLE, strength=0.6)
    assert torch.equal(clean(landmark, trajectory), clean(landmark))


def test_two_branches_share_the_picture_by_region_at_every_level() -> None:
    landmark, trajectory = branch(1, strength=0.9), branch(2, strength=0.6)
    shared = clean(replace(landmark, region=LEFT), replace(trajectory, region=1 - LEFT))
    left, right = clean(landmark), clean(trajectory)
    torch.testing.assert_close(shared[..., :8], left[..., :8])
    torch.testing.assert_close(shared[..., 8:], right[..., 8:])


def test_the_order_of_branches_does_not_matter() -> None:
    first, second = branch(1, region=LEFT), branch(2, region=1 - LEFT, strength=0.5)
    assert torch.equal(clean(first, second), clean(second, first))


def test_a_window_reads_the_features_of_its_own_frames() -> None:
    window = (0, 3, 4)
    acting = branch(1, strength=0.5)
    denoiser(acting).over(window)(X[list(window)], SIGMA)
    (seen,) = acting.adapter.seen
    for level, whole in zip(seen.levels, acting.features.levels, strict=True):
        assert torch.equal(level, whole[list(window)])
    assert torch.equal(seen.sketch, acting.features.sketch[list(window)])


def test_a_window_of_some_frames_is_the_clip_of_those_frames() -> None:
    window = (0, 2, 3)
    acting = branch(1)
    cut = MotionFeatures(
        tuple(level[list(window)] for level in acting.features.levels),
        acting.features.sketch[list(window)],
    )
    x = X[list(window)]
    clip_of_those = denoiser(replace(acting, features=cut)).over((0, 1, 2))(x, SIGMA)
    assert torch.equal(denoiser(acting).over(window)(x, SIGMA), clip_of_those)


def test_features_are_cut_once_however_many_steps_follow() -> None:
    acting = branch(1)
    denoise = denoiser(acting).over((0, 3, 4))
    for sigma in torch.tensor([3.0, 2.0, 1.0]):
        denoise(X[[0, 3, 4]], sigma)
    assert len(acting.adapter.seen) == 3
    assert all(seen is acting.adapter.seen[0] for seen in acting.adapter.seen)


def test_networks_run_in_the_dtype_of_the_condition_and_latents_keep_theirs() -> None:
    half = BackboneCondition(
        image_embedding=CONDITION.image_embedding.bfloat16(),
        image_latent=CONDITION.image_latent.bfloat16(),
        time_ids=CONDITION.time_ids,
    )
    in_half = replace(denoiser(branch(1)), condition=half)
    found = in_half.over(ALL)(X, SIGMA)
    assert found.dtype == torch.float32
    assert in_half.model.backbone.sent == [(2, torch.bfloat16)]
    torch.testing.assert_close(found, clean(branch(1)), rtol=0.1, atol=0.1)
