"""What an adapter is shown in a user's stead: a clip's dense flow, samples of it made dense, or landmarks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.densify import edge_aware
from mofa.errors import InputError
from mofa.models.sparse_to_dense import ConditionalMotionPropagation
from mofa.training.clips import Clips
from mofa.training.conventions import OURS, Conventions
from mofa.training.hint_sampling import RELEASED_SAMPLING, HintSampling
from mofa.training.motion_signal import PairFlow, flow_hints, landmark_hints, measured_flow, network_flow
from mofa.training.protocol import Draws
from mofa.types import SparseMotion

MotionKind = Literal["dense", "sparse", "landmarks"]


@dataclass(frozen=True)
class MotionSettings:
    """What stands for the user: dense flow, samples of it, or landmarks; and what makes those dense."""

    kind: MotionKind = "dense"
    sampling: HintSampling = RELEASED_SAMPLING
    conventions: Conventions = OURS


@dataclass(frozen=True)
class ShownMotion:
    """The settings, and the networks that they need; see `AdapterObjective`."""

    motion: MotionSettings
    sparse_to_dense: ConditionalMotionPropagation | None = None
    estimate: PairFlow | None = None

    def flows(self, batch: Clips, draws: Draws) -> Float[Tensor, "B S 2 H W"]:
        """The motion that the adapter is shown, dense."""
        clips = range(len(batch.frames))
        match self.motion.kind:
            case "dense":
                return torch.stack([self.true_flow(batch, i) for i in clips])
            case "sparse":
                coins = draws.numpy("hints")
                return torch.stack(
                    [self.spread(batch, i, self.hints(batch, i, coins[i].random)) for i in clips]
                )
            case "landmarks":
                return torch.stack([self.spread(batch, i, self.face_hints(batch, i)) for i in clips])

    def true_flow(self, batch: Clips, i: int) -> Float[Tensor, "S 2 H W"]:
        """A clip's flow, as it came or as it is measured."""
        if batch.flow is not None:
            return batch.flow[i]
        if self.estimate is None:
            raise InputError(
                "the clips bring no flow and the recipe names no estimator: set "
                "objective.estimator=unimatch, or data.clips.flow=dis, or run `mofa data prepare`."
            )
        return measured_flow(self.estimate, batch.frames[i], self.motion.conventions)

    def hints(self, batch: Clips, i: int, uniform: Callable[[], float]) -> SparseMotion:
        """Samples of a clip's flow."""
        side = 384 if self.sparse_to_dense is None else self.sparse_to_dense.config.side
        flow = self.true_flow(batch, i)
        return flow_hints(flow, uniform, self.motion.sampling, self.motion.conventions, side)

    def face_hints(self, batch: Clips, i: int) -> SparseMotion:
        """A clip's landmarks as hints."""
        return landmark_hints(landmarks_of(batch)[i], *batch.frames.shape[-2:])

    def spread(self, batch: Clips, i: int, hints: SparseMotion) -> Float[Tensor, "S 2 H W"]:
        """Hints made dense over a clip's first frame."""
        picture = batch.frames[i, 0].float() / 255
        if self.sparse_to_dense is None:
            with torch.no_grad():
                flow = edge_aware.spread_hints(picture, hints).at_every_step()
            return flow.pixels * flow.valid
        return network_flow(self.sparse_to_dense, picture, hints, self.motion.conventions)


def landmarks_of(batch: Clips) -> Float[Tensor, "B T 68 2"]:
    """A batch's landmarks; InputError where it has none."""
    if batch.landmarks is None:
        raise InputError(
            "the clips bring no landmarks, which this recipe learns from: give shards that hold them, or "
            "data.kind=faces."
        )
    return batch.landmarks
