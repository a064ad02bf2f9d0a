"""Dense motion that is made when it is asked for, and what the plan's motion looks like to its camera."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.tensors.flow import add_camera, apply_affine
from mofa.types import DenseMotion, FlowField, MotionPlan


@dataclass(frozen=True)
class Moved:
    """A motion with affine maps (2 x 3 per step) after it; known everywhere, for the maps say so."""

    motion: DenseMotion
    maps: Float[Tensor, "S 2 3"]

    def over(self, steps: Sequence[int], /) -> FlowField:
        """The flow at these steps."""
        flow = self.motion.over(steps)
        return FlowField(add_camera(flow.pixels, self.maps[list(steps)]), torch.ones_like(flow.valid))


@dataclass(frozen=True)
class Parallax:
    """A motion that goes further with a camera the nearer a thing is; known everywhere.

    `maps` (2 x 3 per step) are how the camera moves what is farthest, `nearness` the share of that way which
    is added: 0 at the farthest.
    """

    motion: DenseMotion
    maps: Float[Tensor, "S 2 3"]
    nearness: Float[Tensor, "1 H W"]

    def over(self, steps: Sequence[int], /) -> FlowField:
        """The flow at these steps."""
        flow = self.motion.over(steps)
        way = add_camera(torch.zeros_like(flow.pixels), self.maps[list(steps)].to(flow.pixels))
        return FlowField(flow.pixels * flow.valid + self.nearness * way, torch.ones_like(flow.valid))


@dataclass(frozen=True)
class Scaled:
    """A motion, so many times as far."""

    motion: DenseMotion
    factor: float

    def over(self, steps: Sequence[int], /) -> FlowField:
        """The flow at these steps."""
        flow = self.motion.over(steps)
        return FlowField(self.factor * flow.pixels, flow.valid)


@dataclass(frozen=True)
class Unknown:
    """Motion that nothing is known of, on a picture of height x width."""

    height: int
    width: int

    def over(self, steps: Sequence[int], /) -> FlowField:
        """The flow at these steps: zero, and not valid."""
        shape = len(steps), 1, self.height, self.width
        return FlowField(torch.zeros(shape).expand(-1, 2, -1, -1), torch.zeros(shape, dtype=torch.bool))


def camera_rests(camera: Float[Tensor, "S 2 3"]) -> bool:
    """Whether a camera never moves."""
    return torch.equal(camera, torch.eye(2, 3).to(camera).expand_as(camera))


def as_seen(motion: DenseMotion, camera: Float[Tensor, "S 2 3"]) -> DenseMotion:
    """A motion against the scene, as the camera shows it: of what the camera moves all is known."""
    return motion if camera_rests(camera) else Moved(motion, camera)


def points_as_seen(points: Float[Tensor, "T n 2"], camera: Float[Tensor, "S 2 3"]) -> Float[Tensor, "T n 2"]:
    """Points that move in the scene, as the moving camera shows them."""
    return torch.cat([points[:1], apply_affine(camera, points[1:].mT).mT])


def whole_flow(plan: MotionPlan, steps: Sequence[int] | None = None) -> FlowField:
    """The branches' motions as one, camera included, each where its region says; all steps unless named."""
    steps = range(plan.num_frames - 1) if steps is None else steps
    flows = [as_seen(branch.motion, plan.camera).over(steps) for branch in plan.branches]
    if len(flows) == 1:
        return flows[0]
    pixels, valid = torch.zeros_like(flows[0].pixels), torch.zeros_like(flows[0].valid)
    for branch, flow in zip(plan.branches, flows, strict=True):
        rules = flow.valid & (branch.region > 0)
        pixels += torch.where(rules, branch.region * flow.pixels, 0)
        valid |= rules
    return FlowField(pixels, valid)
