"""Whether what moves in a made clip goes where it was asked to, read off the clip by its flow.

A smaller thing than `mofa.evaluation`, for validation on the way: the truth of a held-out example is known,
so the points that move in it are asked about, and nothing else.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.tensors.flow import bilinear_sample
from mofa.training.clips import Clips
from mofa.types import TrackSet
from mofa.vision.dis import dis_flow

MOVES = 2.0
"""Pixels that a point ends away from its start, to be asked about."""
FEWEST, MOST = 8, 64
"""Points of a clip: with fewer it is not measured, of more an even choice is."""


@dataclass(frozen=True)
class Adherence:
    """Mean distances in pixels over points and frames: of the clip, and of one in which nothing moves."""

    error: float
    still: float


@dataclass(frozen=True)
class Asked:
    """The true way of points that move."""

    tracks: TrackSet

    def read(self, clip: UInt8[Tensor, "T 3 H W"]) -> Adherence:
        """How far the clip's points are from where they should be, where they can be seen in the truth."""
        wanted, seen = self.tracks.points[:, 1:], self.tracks.visible[:, 1:]
        starts = self.tracks.points[:, 0]
        found = carried(clip, starts)[:, 1:]
        return Adherence(
            error=float((found - wanted).norm(dim=-1)[seen].mean()),
            still=float((starts[:, None] - wanted).norm(dim=-1)[seen].mean()),
        )


def carried(clip: UInt8[Tensor, "T 3 H W"], starts: Float[Tensor, "N 2"]) -> Float[Tensor, "N T 2"]:
    """Where dense inverse search (Kroeger et al. 2016), frame by frame, takes the points `starts` of frame 0.

    In small clips whose ground moves, too, it reads the truth four times as well as Lucas-Kanade: its window
    holds a third of such a picture. A point that left the picture goes with the nearest that is in it.
    """
    way = [starts]
    for earlier, later in pairwise(clip.cpu()):
        step = bilinear_sample(dis_flow(earlier, later, finest=0)[None], way[-1].T[None])[0].T
        way.append(way[-1] + step)
    return torch.stack(way, dim=1)


def asked_of(clip: Clips) -> Asked | None:
    """What a held-out example asks for: its landmarks, or the points of its flow that move; else None."""
    if clip.landmarks is not None:
        points = clip.landmarks.cpu().transpose(0, 1)
        return Asked(TrackSet(points, torch.ones_like(points[..., 0], dtype=torch.bool)))
    return None if clip.flow is None else _moving_points(clip)


def _moving_points(clip: Clips) -> Asked | None:
    assert clip.flow is not None
    flow = clip.flow.cpu()
    rows, columns = (flow[-1].norm(dim=0) > MOVES).nonzero().unbind(-1)
    if len(rows) < FEWEST:
        return None
    chosen = torch.linspace(0, len(rows) - 1, min(MOST, len(rows))).round().long()
    rows, columns = rows[chosen], columns[chosen]
    start = torch.stack([columns, rows], dim=-1).float()
    way = torch.cat([start[None], start + flow[:, :, rows, columns].mT])
    seen = torch.ones(way.shape[:2], dtype=torch.bool)
    if clip.visible is not None:
        seen[1:] = clip.visible.cpu()[:, 0, rows, columns]
    return Asked(TrackSet(way.transpose(0, 1).contiguous(), seen.T.contiguous())) if seen[1:].any() else None
