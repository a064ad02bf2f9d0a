"""What an adapter is told about motion in training: measured flow, hints from it, hints made dense."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mofa.models.sparse_to_dense import ConditionalMotionPropagation
from mofa.tensors.geometry import resize_flow
from mofa.tensors.hints import rasterise
from mofa.training.conventions import Conventions
from mofa.training.hint_sampling import HintSampling, Uniform, sample_mask
from mofa.types import SparseMotion

PairFlow = Callable[[Float[Tensor, "1 3 h w"], Float[Tensor, "1 3 h w"]], Float[Tensor, "1 2 h w"]]
"""Two pictures (0..255) to flow in their pixels; `models.unimatch.UniMatch` is one."""

SHORT_SIDE, LONG_SIDE = 384, 512
"""The size at which the released scripts measure flow."""


@torch.no_grad()
def measured_flow(
    estimate: PairFlow, frames: UInt8[Tensor, "T 3 H W"], conventions: Conventions
) -> Float[Tensor, "S 2 H W"]:
    """Flow from frame 0 to every later one, measured at 384 x 512; tall clips are turned for it."""
    turned = frames.shape[-2] > frames.shape[-1]
    seen = frames.mT if turned else frames
    height, width = seen.shape[-2:]
    pictures = F.interpolate(seen.float(), (SHORT_SIDE, LONG_SIDE), mode="bilinear", align_corners=True)
    flows = torch.cat([estimate(pictures[:1], later[None]) for later in pictures[1:]])
    flow = F.interpolate(flows, (height, width), mode="bilinear", align_corners=True)
    flow = flow * flow.new_tensor([width / LONG_SIDE, height / SHORT_SIDE])[:, None, None]
    if turned:
        flow = flow.mT
        # On the turned picture x ran down and y to the right.
        flow = flow.flip(1) if conventions.tall_flow == "exchanged" else flow
    return flow.to(getattr(torch, conventions.flow_precision))


def flow_hints(
    flow: Float[Tensor, "S 2 H W"],
    uniform: Uniform,
    sampling: HintSampling,
    conventions: Conventions,
    side: int,
) -> SparseMotion:
    """Hints where the last step's flow is sampled, the same places at every step.

    `side` is that of the sparse-to-dense network's grid, on which the released scripts sample.
    """
    if conventions.hint_grid == "network":
        flow = resize_flow(flow, side, side, "nearest")
    return hints_at(flow, sample_mask(flow[-1], uniform, sampling))


def hints_at(flow: Float[Tensor, "S 2 H W"], mask: Bool[Tensor, "H W"]) -> SparseMotion:
    """The flow at the pixels of a mask, row by row."""
    rows, columns = mask.nonzero().unbind(-1)
    displacement = flow[:, :, rows, columns].mT.float()
    return SparseMotion(
        positions=torch.stack([columns, rows], dim=-1).float(),
        displacement=displacement.contiguous(),
        known=torch.ones_like(displacement[..., 0], dtype=torch.bool),
        height=flow.shape[-2],
        width=flow.shape[-1],
    )


def landmark_hints(points: Float[Tensor, "T 68 2"], height: int, width: int) -> SparseMotion:
    """Every landmark's way from frame 0, where it lies inside the picture."""
    start = points[0]
    inside = ((start >= -0.5) & (start <= start.new_tensor([width, height]) - 0.5)).all(dim=-1)
    return SparseMotion(
        positions=start,
        displacement=points[1:] - start,
        known=inside.expand(len(points) - 1, -1).contiguous(),
        height=height,
        width=width,
    )


def network_flow(
    network: ConditionalMotionPropagation,
    picture: Float[Tensor, "3 H W"],
    hints: SparseMotion,
    conventions: Conventions,
) -> Float[Tensor, "S 2 H W"]:
    """Hints made dense by the sparse-to-dense network, with gradients, in the picture's pixels.

    As `models.sparse_to_dense.SparseToDense`, which is for inference and works in chunks; the released
    scripts read the picture at the nearest pixel.
    """
    side = network.config.side
    return dense_flow(network, picture, *rasterise(hints, side, side), conventions)


def dense_flow(
    network: ConditionalMotionPropagation,
    picture: Float[Tensor, "3 H W"],
    displacement: Float[Tensor, "S 2 g g"],
    known: Bool[Tensor, "S 1 g g"],
    conventions: Conventions,
) -> Float[Tensor, "S 2 H W"]:
    """`network_flow` of hints that are on the network's grid already."""
    side = network.config.side
    height, width = picture.shape[-2:]
    if conventions.hint_grid == "network":
        square = F.interpolate(picture[None], (side, side), mode="nearest")
    else:
        square = F.interpolate(picture[None], (side, side), mode="bilinear", antialias=True)
    dense = network(network.encode(square * 2 - 1), displacement * known, known)
    return resize_flow(dense, height, width, "nearest")
