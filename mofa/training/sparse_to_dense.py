"""Training the sparse-to-dense network: every pixel's displacement as a choice between bins.

Conditional Motion Propagation (Zhan et al., CVPR 2019), section 3.2: cross entropy over quantised flow, x and
y apart, from the picture and hints sampled from that flow.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mofa.densify import edge_aware
from mofa.errors import InputError
from mofa.models.sparse_to_dense import ConditionalMotionPropagation, ImageFeatures, SparseToDense
from mofa.tensors.geometry import resize_flow
from mofa.tensors.hints import rasterise
from mofa.training.clips import Clips
from mofa.training.conventions import OURS, OURS_SPARSE, SparseConventions
from mofa.training.hint_sampling import HintSampling, Uniform
from mofa.training.motion_signal import flow_hints
from mofa.training.protocol import Draws, Loss, Objective
from mofa.types import SparseMotion
from mofa.weights.networks import save_sparse_to_dense

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of pictures in 0..1."""
LARGEST_KEPT = 50.0
"""Longest displacement along an axis, in px, that CMP's flow in JPEG files has."""


class SparseToDenseObjective(Objective):
    """The network, its samples of flow, and the bins it shall choose."""

    def __init__(
        self,
        network: ConditionalMotionPropagation,
        sampling: HintSampling,
        conventions: SparseConventions = OURS_SPARSE,
    ) -> None:
        super().__init__()
        self.network, self.sampling, self.conventions = network, sampling, conventions

    def forward(self, batch: Clips, draws: Draws) -> Loss:
        """Mean cross entropy of every clip, over pixels, steps and axes.

        All clips go through the network together: its norms take their means over the batch.
        """
        side, coins = self.network.config.side, draws.numpy("hints")
        drawn = [
            rasterise(self.hints(batch, i, coins[i].random), side, side) for i in range(len(batch.frames))
        ]
        displacement, known = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        return Loss(self.entropy(batch, displacement, known))

    def entropy(
        self, batch: Clips, displacement: Float[Tensor, "N 2 g g"], known: Bool[Tensor, "N 1 g g"]
    ) -> Float[Tensor, " B"]:
        """Every clip's cross entropy; hints of all steps of all clips, one after another, on the grid."""
        config, batch_size = self.network.config, len(batch.frames)
        steps = batch.frames.shape[1] - 1
        features = self.network.encode(self.seen(batch.frames[:, 0].float() / 255))
        each = ImageFeatures(
            *(x.repeat_interleave(steps, 0) for x in (features.eighth, features.quarter, features.half))
        )
        scores = self.network.classify(each, displacement * known, known)
        wanted = resize_flow(self.truth(batch).flatten(0, 1), config.side, config.side)
        if self.conventions.judged == "picture":
            scores = F.interpolate(scores, wanted.shape[-2:], mode="bilinear", align_corners=True)
        else:
            wanted = F.interpolate(wanted, scores.shape[-2:], mode="area")
        bins = bins_of(wanted, config.num_bins, config.reach)
        choices = scores.unflatten(1, (2, config.num_bins)).flatten(0, 1)
        entropy = F.cross_entropy(choices, bins.flatten(0, 1), reduction="none")
        mean = entropy.reshape(batch_size, -1).mean(dim=1)
        return 2 * mean if self.conventions.axes == "sum" else mean

    def seen(self, pictures: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 3 g g"]:
        """Pictures (0..1) as the network is shown them."""
        side = self.network.config.side
        square = F.interpolate(pictures, (side, side), mode="bilinear", antialias=True)
        if self.conventions.pictures == "signed":
            return square * 2 - 1
        mean, deviation = (
            square.new_tensor(each)[:, None, None] for each in (IMAGENET_MEAN, IMAGENET_DEVIATION)
        )
        return (square - mean) / deviation

    def truth(self, batch: Clips) -> Float[Tensor, "B S 2 H W"]:
        """The flow to be found, in the clips' pixels."""
        flow = flow_of(batch).float()
        if self.conventions.flow == "exact":
            return flow
        share = ((flow + LARGEST_KEPT) / (2 * LARGEST_KEPT)).clamp(0, 1)
        return (share * 255).round() / 255 * 2 * LARGEST_KEPT - LARGEST_KEPT

    def hints(self, batch: Clips, i: int, uniform: Uniform) -> SparseMotion:
        """Samples of a clip's flow."""
        return flow_hints(self.truth(batch)[i], uniform, self.sampling, OURS, self.network.config.side)

    def measure(self, batch: Clips, draws: Draws) -> Mapping[str, float]:
        """End-point errors on visible pixels, of the network and of the edge-aware spread, in px."""
        coins = draws.numpy("hints")
        errors: dict[str, list[float]] = {"network": [], "edge-aware": [], "no motion": []}
        for i in range(len(batch.frames)):
            picture, truth = batch.frames[i, 0].float() / 255, flow_of(batch)[i]
            hints = self.hints(batch, i, coins[i].random)
            seen = torch.ones_like(truth[:, :1]) if batch.visible is None else batch.visible[i].float()
            for name, flow in {
                "network": SparseToDense(self.network)(picture, hints).at_every_step().pixels,
                "edge-aware": edge_aware.spread_hints(picture, hints).at_every_step().pixels,
                "no motion": torch.zeros_like(truth),
            }.items():
                error = (flow - truth).norm(dim=1, keepdim=True)
                errors[name].append(float((error * seen).sum() / seen.sum()))
        return {f"end-point error, {name}": sum(e) / len(e) for name, e in errors.items()}

    def write(self, folder: Path) -> None:
        """The network with its sizes, as the store of `mofa models` has it."""
        save_sparse_to_dense(self.network, folder)


def flow_of(batch: Clips) -> Float[Tensor, "B S 2 H W"]:
    """A batch's flow; InputError where it has none."""
    if batch.flow is None:
        raise InputError(
            "the clips bring no flow, which this recipe learns from: set data.clips.flow=dis, or run "
            "`mofa data prepare`."
        )
    return batch.flow


def bins_of(flow: Float[Tensor, "S 2 h w"], num_bins: int, reach: float) -> Int[Tensor, "S 2 h w"]:
    """The bin of every displacement, of equal ones that tile -reach..reach; the last hold what is beyond."""
    return ((flow + reach) * (num_bins / (2 * reach))).floor().long().clamp(0, num_bins - 1)
