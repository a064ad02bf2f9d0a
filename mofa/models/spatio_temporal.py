"""What the backbone's UNet and the adapters' trunk have in common: how their blocks are told what they need.

The blocks are those of Stable Video Diffusion (Blattmann et al. 2023, arXiv 2311.15127) as diffusers has
them. Inside, batch and frames are one axis: frame t of clip b sits at b * T + t.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn


@runtime_checkable
class EmbedsTime(Protocol):
    """The part of a trunk that turns numbers about the whole clip into one vector."""

    time_proj: nn.Module
    time_embedding: nn.Module
    add_time_proj: nn.Module
    add_embedding: nn.Module


@dataclass(frozen=True)
class FrameCondition:
    """What every block of the trunk is told, once per frame of the batch.

    `embedding` says noise level and time ids, `image_embedding` is what cross-attention reads, and
    `still` is 0 for every frame: each one is part of a clip, none is a picture on its own.
    """

    embedding: Float[Tensor, "BT E"]
    image_embedding: Float[Tensor, "BT 1 D"]
    still: Float[Tensor, "B T"]

    def run(self, block: nn.Module, x: Float[Tensor, "BT c h w"], **more: Any) -> Any:
        """The block's output for `x`; blocks without cross-attention are not shown the picture."""
        if getattr(block, "has_cross_attention", False):
            more["encoder_hidden_states"] = self.image_embedding
        return block(hidden_states=x, temb=self.embedding, image_only_indicator=self.still, **more)

    def run_layer(self, block: nn.Module, index: int, x: Float[Tensor, "BT c h w"]) -> Tensor:
        """One layer of a block that shrinks or grows: a residual block and, where there is one, attention."""
        resnets, attentions = block.get_submodule("resnets"), getattr(block, "attentions", None)
        x = resnets.get_submodule(str(index))(x, self.embedding, image_only_indicator=self.still)
        if attentions is None:
            return x
        more = {"encoder_hidden_states": self.image_embedding, "image_only_indicator": self.still}
        hidden: Tensor = attentions[index](x, **more, return_dict=False)[0]
        return hidden


def condition_frames(
    trunk: EmbedsTime,
    sample: Float[Tensor, "B T c h w"],
    timestep: Float[Tensor, "*clip"],
    image_embedding: Float[Tensor, "B 1 D"],
    time_ids: Float[Tensor, "B 3"],
) -> FrameCondition:
    """Noise level (one, or one per clip), time ids and picture embedding, embedded and repeated per frame."""
    batch, num_frames = sample.shape[:2]
    # The sinusoids are worked out in float32 whatever the weights are.
    waves = trunk.time_proj(timestep.expand(batch)).to(sample.dtype)
    id_waves = trunk.add_time_proj(time_ids.flatten()).reshape(batch, -1).to(sample.dtype)
    embedding = trunk.time_embedding(waves) + trunk.add_embedding(id_waves)
    return FrameCondition(
        embedding=embedding.repeat_interleave(num_frames, dim=0),
        image_embedding=image_embedding.to(sample.dtype).repeat_interleave(num_frames, dim=0),
        still=sample.new_zeros(batch, num_frames),
    )
