"""Whole clips with the real networks at toy size: every kind of motion, short and long."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import pytest
import torch
from diffusers import UNetSpatioTemporalConditionModel
from torch import Tensor

from mofa.models.adapter_config import AdapterConfig
from mofa.models.backbone import Backbone
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.motion_encoder import MotionEncoder, make_motion_encoder
from mofa.renderers.diffusion.svd import StableVideoDiffusion
from mofa.sampling.denoiser import AdapterBranch, Denoiser, Guidance
from mofa.sampling.names import Reused
from mofa.sampling.reuse import Memory, Reuse
from mofa.sampling.sampler import euler_step, sample_latents
from mofa.sampling.schedule import Schedule, karras_sigmas
from mofa.tensors.noise import frame_noise
from mofa.tensors.windows import Window, blend, windows
from mofa.types import AdapterName, BackboneCondition

SIZE, FRAMES = 64, 5
WIDTHS, HEADS, TOLD = (32, 32, 32, 32), (1, 1, 2, 2), 8
CONFIG = AdapterConfig(
    num_attention_heads=HEADS,
    block_out_channels=WIDTHS,
    layers_per_block=(1,) * 4,
    cross_attention_dim=(TOLD,) * 4,
    addition_time_embed_dim=8,
    projection_class_embeddings_input_dim=24,
    conditioning_embedding_out_channels=(4, 4, 4, 4),
    sketch_embedding_out_channels=(4, 4, 4, 4),
    matting_channels=2,
)
SCHEDULE = Schedule(karras_sigmas(2))
SHORT = windows(FRAMES, 25, 12)
LONG = windows(FRAMES, 3, 1)
WHOLE = torch.ones(1, SIZE, SIZE)
LEFT = torch.cat([WHOLE[..., :32], 0 * WHOLE[..., 32:]], dim=-1)


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


PICTURE = drawn(1, 3, SIZE, SIZE, seed=1).clamp(-1, 1)
FLOW = drawn(FRAMES - 1, 2, 1, 1, seed=2).expand(-1, -1, SIZE, SIZE) * 6
SKETCH = drawn(FRAMES, 3, SIZE, SIZE, seed=3).clamp(0, 1)
NOISE = frame_noise(4, range(FRAMES), (4, SIZE // 8, SIZE // 8), PICTURE)


class ToyBackbone(Backbone):
    """The real UNet at toy size; pictures neither enter nor leave here."""

    def __init__(self, unet: UNetSpatioTemporalConditionModel) -> None:
        object.__setattr__(self, "unet", unet)


class Toy:
    """Networks with random weights, made once."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        unet = UNetSpatioTemporalConditionModel(
            block_out_channels=WIDTHS,
            layers_per_block=1,
            num_attention_heads=HEADS,
            cross_attention_dim=TOLD,
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=24,
        )
        self.backbone = ToyBackbone(unet.eval())
        self.encoders: dict[AdapterName, MotionEncoder] = {
            "trajectory": make_motion_encoder("trajectory", CONFIG).eval(),
            "landmark": make_motion_encoder("landmark", CONFIG).eval(),
        }
        self.adapters = {name: MotionAdapter(CONFIG).eval() for name in self.encoders}
        self.condition = BackboneCondition(
            image_embedding=drawn(1, 1, TOLD, seed=5),
            image_latent=drawn(1, 4, SIZE // 8, SIZE // 8, seed=6),
            time_ids=torch.tensor([[6.0, 128.0, 0.02]]),
        )

    @torch.no_grad()
    def branch(
        self, name: AdapterName, region: Tensor = WHOLE, strength: float = 1.0, frames: Window = SHORT[0]
    ) -> AdapterBranch:
        flow, sketch = FLOW[[frame - 1 for frame in frames[1:]]], SKETCH[list(frames)]
        features = self.encoders[name](PICTURE, flow, sketch if name == "landmark" else None)
        return AdapterBranch(self.adapters[name], features, region, strength)

    def denoiser(self, *branches: AdapterBranch) -> Denoiser:
        return Denoiser(StableVideoDiffusion(self.backbone), self.condition, branches)

    def clip(self, *branches: AdapterBranch, layout: Sequence[Window] = SHORT) -> Tensor:
        return sample_latents(self.denoiser(*branches), NOISE, SCHEDULE, layout)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """At toy size threads wait for each other longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy()


def motions(toy: Toy) -> dict[str, tuple[AdapterBranch, ...]]:
    return {
        "trajectory": (toy.branch("trajectory"),),
        "landmark": (toy.branch("landmark"),),
        "hybrid": (toy.branch("landmark", LEFT, 0.9), toy.branch("trajectory", 1 - LEFT, 0.6)),
    }


@pytest.mark.slow
@pytest.mark.parametrize("layout", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("kind", ["trajectory", "landmark", "hybrid"])
def test_every_motion_makes_short_and_long_clips_of_its_own(
    toy: Toy, kind: str, layout: Sequence[Window]
) -> None:
    latents, still = toy.clip(*motions(toy)[kind], layout=layout), toy.clip(layout=layout)
    assert latents.shape == NOISE.shape
    assert latents.isfinite().all()
    assert (latents - still).abs().max() > 1e-3


@pytest.mark.slow
def test_features_worked_out_once_are_those_worked_out_at_every_step(toy: Toy) -> None:
    """The slow twin encodes the clip and prepares every window anew at every step: bit for bit the same."""
    x = NOISE * SCHEDULE.initial_scale
    for sigma, sigma_next in pairwise(SCHEDULE.sigmas):
        with torch.no_grad():
            estimates = [
                toy.denoiser(*motions(toy)["hybrid"]).over(window)(x[list(window)], sigma) for window in LONG
            ]
        x = euler_step(x, blend(estimates, LONG, FRAMES), sigma, sigma_next)
    assert torch.equal(toy.clip(*motions(toy)["hybrid"], layout=LONG), x)


def test_a_windows_features_are_those_of_its_own_flows(toy: Toy) -> None:
    """Flows start at frame 0 in every window, so the clip's features can be cut instead of encoded again."""
    window = (0, 3, 4)
    for name in toy.encoders:
        whole, own = toy.branch(name).features, toy.branch(name, frames=window).features
        for level, own_level in zip(whole.levels, own.levels, strict=True):
            torch.testing.assert_close(level[list(window)], own_level)


@pytest.mark.slow
def test_strength_0_is_the_plain_backbone_bit_for_bit(toy: Toy) -> None:
    idle = (toy.branch("landmark", LEFT, 0.0), toy.branch("trajectory", strength=0.0))
    assert torch.equal(toy.clip(*idle), toy.clip())


def test_a_clip_no_longer_than_the_window_is_the_plain_pass_bit_for_bit(toy: Toy) -> None:
    acting = toy.branch("trajectory")
    denoise = toy.denoiser(acting).over(tuple(range(FRAMES)))
    x = NOISE * SCHEDULE.initial_scale
    for sigma, sigma_next in pairwise(SCHEDULE.sigmas):
        with torch.no_grad():
            x = euler_step(x, denoise(x, sigma), sigma, sigma_next)
    assert torch.equal(toy.clip(acting, layout=windows(FRAMES, FRAMES, 2)), x)


@pytest.mark.slow
def test_guidance_halves_one_after_the_other_make_the_same_clip(toy: Toy) -> None:
    acting = motions(toy)["hybrid"]
    in_turn = replace(toy.denoiser(*acting), guidance=Guidance(halves_at_once=1))
    found = sample_latents(in_turn, NOISE, SCHEDULE, SHORT)
    torch.testing.assert_close(found, toy.clip(*acting), rtol=1e-3, atol=1e-3)


# --- reuse ----------------------------------------------------------------------------------------

STEPS = Schedule(karras_sigmas(9))


def reusing(
    toy: Toy, reuse: Reuse, layout: Sequence[Window] = SHORT, guidance: Guidance | None = None
) -> Tensor:
    denoiser = replace(toy.denoiser(*motions(toy)["hybrid"]), guidance=guidance or Guidance())
    return sample_latents(denoiser, NOISE, STEPS, layout, reuse=reuse)


@torch.no_grad()
def test_layers_over_what_the_same_step_kept_are_the_whole_network(toy: Toy) -> None:
    """Reused at the very step that it comes from, what is kept gives the network's own prediction."""
    model, sigma = StableVideoDiffusion(toy.backbone), torch.tensor(3.0)
    branches = [branch.over(SHORT[0], NOISE) for branch in motions(toy)["hybrid"]]
    halves = [model.unseen(toy.condition), toy.condition]
    whole = model.predict(NOISE, sigma, halves, branches)
    for what in get_args(Reused):
        memory = Memory(what, NOISE.device)
        for _ in range(2):
            torch.testing.assert_close(model.predict(NOISE, sigma, halves, branches, memory), whole)
        assert memory.held


@torch.no_grad()
def test_steps_between_whole_ones_run_the_outermost_layers_alone(toy: Toy) -> None:
    """One over the deep layers enters nothing below them, one over the residuals needs no adapter."""
    model, sigma = StableVideoDiffusion(toy.backbone), torch.tensor(3.0)
    branches = [branch.over(SHORT[0], NOISE) for branch in motions(toy)["hybrid"]]
    ran: list[str] = []
    networks = {"unet": toy.backbone.unet, **toy.adapters}
    hooks = [
        network.get_submodule(part).register_forward_hook(
            lambda *_, label=f"{name} {part}": ran.append(label)
        )
        for name, network in networks.items()
        for part in ("conv_in", "mid_block", "down_blocks.1")
    ]
    shallow = [f"{name} conv_in" for name in ("landmark", "trajectory", "unet")]
    unet_alone = ["unet conv_in", "unet down_blocks.1", "unet mid_block"]
    for what, expected in (("deep", shallow), ("residuals", unet_alone)):
        memory = Memory(what, NOISE.device)
        model.predict(NOISE, sigma, [toy.condition], branches, memory)
        ran.clear()
        model.predict(NOISE * 1.1, sigma, [toy.condition], branches, memory)
        assert ran == expected
    for hook in hooks:
        hook.remove()


@pytest.mark.slow
@pytest.mark.parametrize("layout", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize("what", get_args(Reused))
def test_reuse_changes_a_clip_the_less_the_more_often_it_is_refreshed(
    toy: Toy, what: Reused, layout: Sequence[Window]
) -> None:
    exact = reusing(toy, Reuse(1, what), layout)
    assert torch.equal(exact, sample_latents(toy.denoiser(*motions(toy)["hybrid"]), NOISE, STEPS, layout))
    often, seldom = (reusing(toy, Reuse(every, what), layout) for every in (2, 9))
    assert seldom.isfinite().all()
    assert 0 < (often - exact).norm() < (seldom - exact).norm()


@pytest.mark.slow
def test_reuse_goes_on_where_guidance_ends(toy: Toy) -> None:
    """The half that is left is worked out whole once, and reused from then on."""
    latents = reusing(toy, Reuse(3), guidance=Guidance(down_to=2.0))
    assert latents.isfinite().all()
    in_turn = reusing(toy, Reuse(3), guidance=Guidance(down_to=2.0, halves_at_once=1))
    torch.testing.assert_close(in_turn, latents, rtol=1e-3, atol=1e-3)
