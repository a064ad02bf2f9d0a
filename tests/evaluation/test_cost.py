"""Counting is checked against products done by hand, then against what the model is known to cost."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mofa.evaluation.bench import run_stage
from mofa.evaluation.cost import Cost, count
from mofa.evaluation.stages import (
    ADAPTERS,
    ClipSize,
    Stage,
    full_size_networks,
    hybrid_step,
    made_up_condition,
    place,
    stages,
    svd_of,
)
from mofa.models.adapter_config import AdapterConfig
from mofa.models.motion_encoder import make_motion_encoder
from mofa.renderers.diffusion.render import DiffusionModel
from mofa.types import AdapterName

META = torch.device("meta")
FLOAT = 4  # bytes


def nothing(*shape: int) -> Tensor:
    """A tensor with a shape and no values."""
    return torch.empty(shape, device=META)


def test_a_linear_layer_multiplies_every_input_with_every_output() -> None:
    cost = count(place(partial(nn.Linear, 7, 11), META, torch.float32), nothing(5, 7))
    assert cost.flop == 2 * 5 * 7 * 11
    assert cost.parameter_bytes == FLOAT * (7 * 11 + 11)
    assert cost.peak_bytes == FLOAT * (5 * 7 + 5 * 11)


def test_a_convolution_multiplies_its_kernel_at_every_output_pixel() -> None:
    convolution = place(partial(nn.Conv2d, 3, 8, 5, stride=2, padding=2), META, torch.float32)
    assert count(convolution, nothing(4, 3, 16, 32)).flop == 2 * 4 * (8 * 16) * (3 * 5 * 5) * 8


@pytest.mark.slow
def test_attention_counts_two_products_and_holds_no_scores() -> None:
    heads, tokens, width = 3, 1000, 16
    query, key, value = (nothing(1, heads, tokens, width) for _ in range(3))
    cost = count(F.scaled_dot_product_attention, query, key, value)
    assert cost.flop == cost.attention_flop == 2 * (2 * heads * tokens * tokens * width)
    tensors = FLOAT * 4 * heads * tokens * width
    assert tensors <= cost.peak_bytes < tensors + FLOAT * tokens


def test_a_chain_holds_its_input_and_two_links() -> None:
    cost = count(lambda x: x + 1 + 1 + 1 + 1, nothing(100))
    assert cost == Cost(flop=0, attention_flop=0, peak_bytes=FLOAT * 300, parameter_bytes=0)


def test_what_is_kept_adds_up_and_views_are_free() -> None:
    assert count(lambda x: [x + 1, x + 2, x + 3], nothing(100)).peak_bytes == FLOAT * 400
    assert count(lambda x: x.view(10, 10).mT[:5], nothing(100)).peak_bytes == FLOAT * 100
    assert count(lambda x: x.mul_(2), nothing(100)).peak_bytes == FLOAT * 100


def test_a_peak_in_the_middle_counts() -> None:
    assert count(lambda x: x.repeat(50).sum() + x, nothing(100)).peak_bytes >= FLOAT * 5100


def test_weights_that_are_shared_or_read_twice_count_once() -> None:
    layer = place(partial(nn.Linear, 10, 10, bias=False), META, torch.float32)
    assert count(nn.Sequential(layer, layer), nothing(1, 10)).parameter_bytes == FLOAT * 100


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_every_further_frame_adds_the_same_work(adapter: AdapterName) -> None:
    config = AdapterConfig(num_attention_heads=(1, 1, 1, 1), block_out_channels=(8, 8, 16, 16))
    encoder = place(partial(make_motion_encoder, adapter, config), META, torch.float32)

    def work(num_frames: int) -> int:
        drawing = nothing(num_frames, 3, 64, 64) if adapter == "landmark" else None
        return count(encoder, nothing(1, 3, 64, 64), nothing(num_frames - 1, 2, 64, 64), drawing).flop

    assert work(13) - work(9) == work(9) - work(5) >= 0
    assert (work(9) > work(5)) == (adapter == "landmark")  # splatting multiplies no matrices


# --- The released sizes -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def networks() -> DiffusionModel:
    return full_size_networks(META, torch.float16)


@pytest.fixture(scope="module")
def listed(networks: DiffusionModel) -> dict[str, Stage]:
    return {stage.name: stage for stage in stages(networks, ClipSize(512, 512, 25))}


def cost_of(stage: Stage) -> Cost:
    return count(stage.function, *stage.arguments)


def tflop_outside_attention(stage: Stage) -> float:
    cost = cost_of(stage)
    return (cost.flop - cost.attention_flop) / 1e12


@pytest.mark.slow
@pytest.mark.slow
def test_a_guided_step_costs_what_the_released_model_does(listed: dict[str, Stage]) -> None:
    """The published counts leave attention's own products out, and encode the motion at every step, twice."""
    assert tflop_outside_attention(listed["step, UNet"]) == pytest.approx(57.2, rel=0.01)
    for adapter, published in (("trajectory", 20.6), ("landmark", 23.8)):
        trunk = tflop_outside_attention(listed[f"step, {adapter}"])
        encoder = tflop_outside_attention(listed[f"features, {adapter}"])
        assert trunk + 2 * encoder == pytest.approx(published, rel=0.01)
        assert trunk == pytest.approx(20.5, rel=0.01)


@pytest.mark.slow
def test_decoding_costs_what_the_released_model_does(listed: dict[str, Stage]) -> None:
    assert tflop_outside_attention(listed["decode 8 frames"]) == pytest.approx(24.1, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["encode", "features, landmark", "step, whole", "decode 8 frames"])
def test_every_stage_fits_12_gb_when_the_others_wait_elsewhere(listed: dict[str, Stage], name: str) -> None:
    """Both adapters and both guidance halves at once; 16-bit weights, the VAE in float32."""
    assert cost_of(listed[name]).resident_bytes < 12e9


@pytest.mark.slow
@pytest.mark.slow
def test_guidance_halves_one_after_the_other_leave_3_gb_of_12_free(
    networks: DiffusionModel, listed: dict[str, Stage]
) -> None:
    """What kernels and the allocator take on top has room to spare then."""
    x, sigma = listed["step, whole"].arguments
    features = {name: run_stage(listed[f"features, {name}"]) for name in ADAPTERS}
    half = made_up_condition(svd_of(networks).backbone, x)
    step = hybrid_step(networks, features, ((half,), (half,)), nothing(3, 512, 512))
    assert count(step, x, sigma).resident_bytes < 9e9
