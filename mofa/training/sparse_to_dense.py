"""Training the sparse-to-dense network: every pixel's displacement as a choice between bins.

Conditional Motion Propagation (Zhan et al., CVPR 2019), section 3.2: cross entropy over quantised flow, x and
y apart, from the picture and hints sampled from that flow.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from mofa.densify import edge_aware
from mofa.errors import InputError
from mofa.models.sparse_to_dense import ConditionalMotionPropagation, ImageFeatures, SparseToDense
from mofa.tensors.geometry import resize_flow
from mofa.tensors.hints import rasterise
from mofa.training.clips import Clips
from mofa.training.conventions import OURS
from mofa.training.hint_sampling import HintSampling, Uniform
from mofa.training.motion_signal import flow_hints
from mofa.training.protocol import Draws, Loss, Objective
from mofa.types import SparseMotion
from mofa.weights.networks import save_sparse_to_dense


class SparseToDenseObjective(Objective):
    """The network, its samples of flow, and the bins it shall choose."""

    def __init__(self, network: ConditionalMotionPropagation, sampling: HintSampling) -> None:
        super().__init__()
        self.network, self.sampling = network, sampling

    def forward(self, batch: Clips, draws: Draws) -> Loss:
        """Mean cross entropy of every clip, over pixels, steps and axes.

        All clips go through the network together: its norms take their means over the batch.
        """
        config, coins = self.network.config, draws.numpy("hints")
        batch_size, steps = len(batch.frames), batch.frames.shape[1] - 1
        pictures = batch.frames[:, 0].float() / 255
        square = F.interpolate(pictures, (config.side, config.side), mode="bilinear", antialias=True)
        features = self.network.encode(square * 2 - 1)
        each = ImageFeatures(
            *(x.repeat_interleave(steps, 0) for x in (features.eighth, features.quarter, features.half))
        )
        drawn = [
            rasterise(self.hints(batch, i, coins[i].random), config.side, config.side)
            for i in range(batch_size)
        ]
        displacement, known = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        scores = self.network.classify(each, displacement * known, known)
        wanted = resize_flow(flow_of(batch).flatten(0, 1).float(), config.side, config.side)
        wanted = F.interpolate(wanted, scores.shape[-2:], mode="area")
        bins = bins_of(wanted, config.num_bins, config.reach)
        choices = scores.unflatten(1, (2, config.num_bins)).flatten(0, 1)
        entropy = F.cross_entropy(choices, bins.flatten(0, 1), reduction="none")
        return Loss(entropy.reshape(batch_size, -1).mean(dim=1))

    def hints(self, batch: Clips, i: int, uniform: Uniform) -> SparseMotion:
        """Samples of a clip's flow."""
        return flow_hints(flow_of(batch)[i], uniform, self.sampling, OURS, self.network.config.side)

    def measure(self, batch: Clips, draws: Draws) -> Mapping[str, float]:
        """End-point errors on visible pixels, of the network and of the edge-aware spread, in px."""
        coins = draws.numpy("hints")
        errors: dict[str, list[float]] = {"network": [], "edge-aware": [], "no motion": []}
        for i in range(len(batch.frames)):
            picture, truth = batch.frames[i, 0].float() / 255, flow_of(batch)[i]
            hints = self.hints(batch, i, coins[i].random)
            seen = torch.ones_like(truth[:, :1]) if batch.visible is None else batch.visible[i].float()
            for name, flow in {
                "network": SparseToDense(self.network)(picture, hints).pixels,
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
