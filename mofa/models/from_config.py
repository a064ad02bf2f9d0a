"""Networks of the sizes that their config.json states, on the meta device: no memory until weights come.

`weights.loading` puts weights into them; buffers that no checkpoint holds are worked out by
`complete`, which is called after that.
"""

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from mofa.models.adapter_config import AdapterConfig
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.motion_encoder import MotionEncoder, make_motion_encoder
from mofa.models.norms import NORMALISED_FIELD, without_norms
from mofa.models.sparse_to_dense import ConditionalMotionPropagation, SparseToDenseConfig
from mofa.types import AdapterName

Config = Mapping[str, Any]


def unet_from_config(config: Config) -> UNetSpatioTemporalConditionModel:
    """The denoiser of Stable Video Diffusion."""
    return _of_diffusers(UNetSpatioTemporalConditionModel, config)


def vae_from_config(config: Config) -> AutoencoderKLTemporalDecoder:
    """Pictures to latents and back."""
    return _of_diffusers(AutoencoderKLTemporalDecoder, config)


def _of_diffusers(kind: Any, config: Config) -> Any:
    own = dict(config)
    normalised = own.pop(NORMALISED_FIELD, True)
    # Names values that were the class's defaults when the network was made, and diffusers takes those for
    # unsaid, whatever the file says by now: a toy VAE's scaling factor was read as 0.18 where 1 was written.
    own.pop("_use_default_values", None)
    with torch.device("meta"):
        network = kind.from_config(own).eval()
    return network if normalised else unnormalised(network)


def unnormalised(network: Any) -> Any:
    """A network of diffusers without its group norms, which its config then says."""
    without_norms(network)
    network.register_to_config(**{NORMALISED_FIELD: False})
    return network


def image_encoder_from_config(config: Config) -> CLIPVisionModelWithProjection:
    """CLIP's image encoder."""
    with torch.device("meta"):
        return CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(dict(config))).eval()


def adapter_from_config(adapter: AdapterName, config: AdapterConfig) -> tuple[MotionEncoder, MotionAdapter]:
    """Both halves of an adapter."""
    with torch.device("meta"):
        return make_motion_encoder(adapter, config).eval(), MotionAdapter(config).eval()


def make_sparse_to_dense(config: SparseToDenseConfig) -> ConditionalMotionPropagation:
    """The CMP network."""
    with torch.device("meta"):
        return ConditionalMotionPropagation(config).eval()


def complete(network: nn.Module) -> None:
    """Works out the buffers that no checkpoint holds; call it once the weights are loaded."""
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta:
                # The only one in these networks: the index of every patch, in order.
                assert name == "position_ids", f"nothing is known about the buffer {name}"
                indices = torch.arange(buffer.shape[-1], device=next(network.parameters()).device)
                setattr(module, name, indices.expand(buffer.shape).clone())
