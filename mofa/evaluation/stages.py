"""The diffusion renderer's work, cut into the stages that are worth a number each.

A stage is a call with its arguments. On the meta device it can be counted (`evaluation.cost`), on any other
it can be timed (`evaluation.bench`): both read the same list.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mofa.models.adapter_config import RELEASED_HEADS, AdapterConfig
from mofa.models.backbone import Backbone
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.motion_encoder import make_motion_encoder
from mofa.models.sparse_to_dense import ConditionalMotionPropagation, SparseToDense, SparseToDenseConfig
from mofa.models.svd_xt import SVD_XT, TOY, BackboneSizes, make_image_encoder, make_unet, make_vae
from mofa.models.tiny import TINY_ADAPTER, TINY_SPARSE_TO_DENSE
from mofa.renderers.diffusion.render import AdapterHalves, DiffusionModel
from mofa.renderers.diffusion.svd import StableVideoDiffusion
from mofa.sampling.denoiser import AdapterBranch, WindowDenoiser
from mofa.sampling.schedule import guidance_scales
from mofa.types import AdapterName, BackboneCondition, MotionFeatures, SparseMotion

ADAPTERS: tuple[AdapterName, ...] = ("trajectory", "landmark")
DECODED_FRAMES = 8  # as many as are decoded at once
NUM_HINTS = 20  # a person's tracks are fewer, a tracker's more: CMP's work does not depend on it

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class ClipSize:
    """Width and height in pixels (multiples of 64) and frames, the source frame included."""

    width: int = 512
    height: int = 512
    num_frames: int = 25


TOY_SIZE = ClipSize(64, 64, 5)


@dataclass(frozen=True)
class Stage:
    """A call that is worth a number."""

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def full_size_networks(device: torch.device, dtype: torch.dtype) -> DiffusionModel:
    """The released sizes. On the meta device they take no memory, elsewhere 9 GB at two bytes a weight."""
    adapter = AdapterConfig(num_attention_heads=RELEASED_HEADS)
    return make_networks(SVD_XT, adapter, SparseToDenseConfig(), device, dtype)


def toy_networks(device: torch.device, dtype: torch.dtype) -> DiffusionModel:
    """The same classes, small enough for any machine; good for comparing a machine with itself."""
    return make_networks(TOY, TINY_ADAPTER, TINY_SPARSE_TO_DENSE, device, dtype)


def make_networks(
    backbone: BackboneSizes,
    adapter: AdapterConfig,
    sparse_to_dense: SparseToDenseConfig,
    device: torch.device,
    dtype: torch.dtype,
) -> DiffusionModel:
    """Networks of these sizes with random weights; the sparse-to-dense one computes in float32."""
    return DiffusionModel(
        video=StableVideoDiffusion(
            Backbone(
                unet=place(partial(make_unet, backbone), device, dtype),
                vae=place(partial(make_vae, backbone), device, dtype),
                image_encoder=place(partial(make_image_encoder, backbone), device, dtype),
            )
        ),
        adapters={
            name: AdapterHalves(
                encoder=place(partial(make_motion_encoder, name, adapter), device, dtype),
                adapter=place(partial(MotionAdapter, adapter), device, dtype),
            )
            for name in ADAPTERS
        },
        sparse_to_dense=place(partial(ConditionalMotionPropagation, sparse_to_dense), device, torch.float32),
    )


def weight_bytes(model: DiffusionModel) -> int:
    """What all weights take together."""
    return sum(weight.nbytes for network in model.networks() for weight in network.parameters())


def place(make: Callable[[], Module], device: torch.device, dtype: torch.dtype) -> Module:
    """The network that `make` makes, in evaluation mode, made where it will be."""
    with device:
        network = make()
    # Some weights are made on the CPU whatever was asked for. Diffusers' own `to` warns about every dtype.
    return nn.Module.to(network.eval(), device, dtype)


@torch.no_grad()
def stages(model: DiffusionModel, size: ClipSize) -> tuple[Stage, ...]:
    """The renderer's stages for a clip of `size`, in their order, with made-up inputs.

    A step is a guided one: both halves as one batch. It is listed by its parts and as a whole, as the
    sampler runs it with both adapters sharing the picture.
    """
    backbone = svd_of(model).backbone
    latent = backbone.unet.conv_in.weight
    num_frames, height, width = size.num_frames, size.height, size.width
    picture = torch.rand(3, height, width, device=latent.device)
    flow = 8 * torch.randn(num_frames - 1, 2, height, width, device=latent.device)
    drawing = torch.rand(num_frames, 3, height, width).to(latent)
    encoding = {
        name: (picture[None].to(latent) * 2 - 1, flow, drawing if name == "landmark" else None)
        for name in ADAPTERS
    }
    features = {name: model.adapters[name].encoder(*encoding[name]) for name in ADAPTERS}
    assert model.sparse_to_dense is not None
    densify = SparseToDense(model.sparse_to_dense)
    x = torch.randn(num_frames, 4, height // 8, width // 8, device=latent.device)
    halves = (made_up_condition(backbone, x), made_up_condition(backbone, x))
    sigma = x.new_ones(())
    decoded = x[:DECODED_FRAMES]
    given = svd_of(model).inputs(x, sigma, halves)
    return (
        Stage("encode", backbone.condition, (picture,)),
        Stage("densify", densify, (picture, made_up_hints(flow))),
        *(Stage(f"features, {name}", model.adapters[name].encoder, encoding[name]) for name in ADAPTERS),
        Stage("step, UNet", backbone.predict, given),
        *(
            Stage(f"step, {name}", model.adapters[name].adapter, (*given, features[name]))
            for name in ADAPTERS
        ),
        Stage("step, whole", hybrid_step(model, features, (halves,), picture), (x, sigma)),
        Stage(f"decode {len(decoded)} frames", lambda latents: list(backbone.decode(latents)), (decoded,)),
    )


def hybrid_step(
    model: DiffusionModel,
    features: Mapping[AdapterName, MotionFeatures],
    batches: tuple[tuple[BackboneCondition, ...], ...],
    picture: Float[Tensor, "3 H W"],
) -> WindowDenoiser:
    """One whole step, (x, sigma) -> clean, with both adapters in half of the picture's strength each."""
    latent = batches[0][0].image_latent
    region = torch.full_like(picture[:1], 0.5)
    num_frames = len(next(iter(features.values())).levels[0])
    frames = tuple(range(num_frames))
    return WindowDenoiser(
        model=model.video,
        batches=batches,
        steering=tuple(
            AdapterBranch(model.adapters[name].adapter, features[name], region).over(frames, latent)
            for name in features
        ),
        scales=guidance_scales(num_frames).to(picture.device).view(-1, 1, 1, 1),
    )


def made_up_condition(backbone: Backbone, x: Float[Tensor, "T 4 h w"]) -> BackboneCondition:
    """A condition of the right shape, device and dtype for one guidance half of the latents `x`."""
    like = backbone.unet.conv_in.weight
    width = backbone.image_encoder.config.projection_dim
    return BackboneCondition(
        image_embedding=torch.randn(1, 1, width).to(like),
        image_latent=torch.randn(1, *x.shape[1:]).to(like),
        time_ids=torch.tensor([[6, 127, 0.02]]).to(like),
    )


def svd_of(model: DiffusionModel) -> StableVideoDiffusion:
    """The video model, whose parts are counted one by one."""
    assert isinstance(model.video, StableVideoDiffusion)
    return model.video


def made_up_hints(flow: Float[Tensor, "S 2 H W"]) -> SparseMotion:
    """Hints spread evenly over a picture, moving as the flow does where they start."""
    steps, _, height, width = flow.shape
    grid = torch.linspace(0.05, 0.95, NUM_HINTS, device=flow.device)
    positions = torch.stack([grid * width, grid.flip(0) * height], dim=1)
    return SparseMotion(
        positions=positions,
        displacement=flow[:, :, :NUM_HINTS, 0].mT.contiguous(),
        known=torch.ones(steps, NUM_HINTS, dtype=torch.bool, device=flow.device),
        height=height,
        width=width,
    )
