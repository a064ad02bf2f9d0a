"""Where in each frame something shows that moved, and where nothing of the photo lands."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mofa.tensors.motion import camera_rests, whole_flow
from mofa.tensors.neighbourhood import widened
from mofa.tensors.splat import splat
from mofa.types import MotionPlan

MOVES = 0.5
"""Pixels: what never goes further than this is taken to stand still."""
ARRIVED, REACHED = 0.4, 0.3
"""Of a pixel's weight: with more that moves landing on it, it shows that; with less of anything, it is a hole
and not a crack between parted pixels."""


@dataclass(frozen=True)
class MotionMasks:
    """One frame's masks, 1 or 0: what has moved and is seen, and what nothing of the photo lands on."""

    moved: Float[Tensor, "1 H W"]
    uncovered: Float[Tensor, "1 H W"]


def motion_masks(plan: MotionPlan, frames: int) -> Iterator[MotionMasks]:
    """The masks of each frame; what moves covers what stands still, as in the warp renderer.

    With a moving camera everything has moved that the photo still shows; without one, what ever goes further
    than `MOVES` against the scene, where it is in that frame.
    """
    flow = whole_flow(plan, [0])
    carried = torch.ones_like(flow.pixels[:, :1])
    if camera_rests(plan.camera):
        carried = _ever_moves(plan)
    yield MotionMasks(carried[0], torch.zeros_like(carried[0]))
    for step in range(frames - 1):
        flow = whole_flow(plan, [step])
        moved = torch.where(flow.valid, flow.pixels, 0)
        _, arrived = splat(carried, moved, carried.clamp(min=1e-6))
        _, covered = splat(carried, moved)
        seen = _without_threads(arrived > ARRIVED)
        yield MotionMasks(seen.float()[0], (covered < REACHED).float()[0])


def _without_threads(mask: Bool[Tensor, "1 1 H W"]) -> Bool[Tensor, "1 1 H W"]:
    """Cracks closed and threads of a pixel or two dropped, which a soft region's border leaves behind."""
    closed = ~widened(~widened(mask[0, 0], 1), 1)
    return widened(~widened(~closed, 1), 1)[None, None]


def front_weight(flow: Float[Tensor, "1 2 H W"]) -> Float[Tensor, "1 1 H W"]:
    """Weights with which `splat` lays what moves more over what moves less."""
    speed = flow.norm(dim=1, keepdim=True)
    return (8 * speed / speed.max().clamp(min=1e-6)).exp()


def _ever_moves(plan: MotionPlan) -> Float[Tensor, "1 1 H W"]:
    moves: Tensor | None = None
    for step in range(plan.num_frames - 1):
        flow = whole_flow(plan, [step])
        here = (flow.pixels.norm(dim=1, keepdim=True) > MOVES) & flow.valid
        moves = here if moves is None else moves | here
    assert moves is not None
    return moves.float()
