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
from mofa.training.painted import RegionSettings, heard, painted_region
from mofa.training.protocol import Draws
from mofa.types import SparseMotion

MotionKind = Literal["dense", "sparse", "landmarks"]


@dataclass(frozen=True)
class MotionSettings:
    """What stands for the user: dense flow, samples of it, or landmarks; and what makes those dense."""

    kind: MotionKind = "dense"
    sampling: HintSampling = RELEASED_SAMPLING
    conventions: Conventions = OURS
    region: RegionSettings | None = None
    """What is painted of clips, for an adapter that is told; None for one that is not."""


@dataclass(frozen=True)
class Told:
    """A batch's dense motion, and where it was painted that things may move (0..1); None where not asked."""

    flows: Float[Tensor, "B S 2 H W"]
    regions: Float[Tensor, "B 1 H W"] | None = None


@dataclass(frozen=True)
class ShownMotion:
    """The settings, and the networks that they need; see `AdapterObjective`."""

    motion: MotionSettings
    sparse_to_dense: ConditionalMotionPropagation | None = None
    estimate: PairFlow | None = None

    def told(self, batch: Clips, draws: Draws) -> Told:
        """What the adapter is shown of a batch."""
        clips = range(len(batch.frames))
        if self.motion.kind == "landmarks":
            return Told(torch.stack([self.spread(batch, i, self.face_hints(batch, i)) for i in clips]))
        measured = [self.true_flow(batch, i) for i in clips]
        regions = [self.region(flow, draws, i) for i, flow in enumerate(measured)]
        if self.motion.kind == "dense":
            flows = measured
        else:
            coins = draws.numpy("hints")
            hints = [self.hints(flow, coins[i].random, regions[i]) for i, flow in enumerate(measured)]
            flows = [self.spread(batch, i, each) for i, each in enumerate(hints)]
        painted = [region for region in regions if region is not None]
        if not painted:
            return Told(torch.stack(flows))
        return Told(torch.stack(flows) * torch.stack(painted)[:, None], torch.stack(painted))

    def region(self, flow: Float[Tensor, "S 2 H W"], draws: Draws, i: int) -> Float[Tensor, "1 H W"] | None:
        """What is painted of a clip; None where the adapter is not told."""
        if self.motion.region is None:
            return None
        coins = draws.numpy("region")[i]
        return painted_region(flow, self.motion.region, coins.random(), coins.random())

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

    def hints(
        self,
        flow: Float[Tensor, "S 2 H W"],
        uniform: Callable[[], float],
        region: Float[Tensor, "1 H W"] | None = None,
    ) -> SparseMotion:
        """Samples of a clip's flow, within what is painted."""
        side = 384 if self.sparse_to_dense is None else self.sparse_to_dense.config.side
        hints = flow_hints(flow, uniform, self.motion.sampling, self.motion.conventions, side)
        return hints if region is None else heard(hints, region)

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
