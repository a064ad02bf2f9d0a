"""CLIP's picture half by itself (Radford et al., 2021): embeddings of pictures, for measuring."""

import json

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from mofa.models.backbone import CLIP_DEVIATION, CLIP_MEAN


def clip_from_config(text: str) -> nn.Module:
    """The network that a released config.json, of all of CLIP or of its picture half, describes."""
    config = json.loads(text)
    vision = config.get("vision_config", config)
    vision["projection_dim"] = config.get("projection_dim", vision.get("projection_dim"))
    return CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(vision)).eval()


def embed(network: nn.Module, pictures: Float[Tensor, "T 3 S S"]) -> Float[Tensor, "T D"]:
    """Embeddings of pictures 0..1 at the size that the network looks at."""
    mean, deviation = (pictures.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_DEVIATION))
    with torch.inference_mode():
        return network((pictures - mean) / deviation).image_embeds.clone()
