"""Tracks: clicked points become curves, curves become hints."""

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.errors import InputError
from mofa.tensors.monotone import monotone_cubic
from mofa.types import SparseMotion, TrackSet


def curve(clicks: Float[Tensor, "K 2"], fraction: Float[Tensor, " T"]) -> Float[Tensor, "T 2"]:
    """The place at each fraction (0..1) of the way along the curve through K clicked points.

    A monotone cubic (PCHIP) per axis over equally spaced parameters (method 1): every leg between two clicks
    takes the same share of the way, however long it is. One click is an anchor, which stays where it is.
    Raises InputError when there is no point or one is not finite.
    """
    if len(clicks) == 0:
        raise InputError(
            "a track has no points: give at least one, as in 120,80 (one point holds its place).",
            key="track.points",
        )
    if not clicks.isfinite().all():
        raise InputError(f"a track has a point that is not a number: {clicks.tolist()}.", key="track.points")
    if len(clicks) == 1:
        return clicks.expand(len(fraction), 2)
    knots = torch.linspace(0, 1, len(clicks), dtype=torch.float64)
    return monotone_cubic(knots, clicks.double().cpu(), fraction.double().cpu()).to(clicks)


def retime(tracks: TrackSet, fraction: Float[Tensor, " T"]) -> TrackSet:
    """The same tracks at other times: fraction 0 is their first frame, 1 their last, linear in between.

    A point between two frames is visible where it is visible in both.
    """
    time = fraction.double() * (tracks.points.shape[1] - 1)
    time = time.round(decimals=4)  # a fraction of single precision must still meet the frame that it means
    before, after = time.floor().long(), time.ceil().long()
    share = (time - before).to(tracks.points)[:, None]
    return TrackSet(
        points=torch.lerp(tracks.points[:, before], tracks.points[:, after], share),
        visible=tracks.visible[:, before] & tracks.visible[:, after],
    )


def turning(
    tracks: TrackSet,
    angles: Float[Tensor, " T"],
    scales: Float[Tensor, " T"],
    size: tuple[int, int],
    reach: float = 4.0,
) -> TrackSet:
    """Tracks that turn (clockwise, in radians) and scale the thing they are on, as two tracks each say it.

    The two start `reach` pixels left and right of a track's start, within the picture (`size`: width,
    height): close together, so that they are on one thing. Two tracks on one thing are a similarity.
    """
    width, _ = size
    start = tracks.points[:, :1]
    linear = scales[:, None, None] * torch.stack(
        [torch.stack([angles.cos(), -angles.sin()], -1), torch.stack([angles.sin(), angles.cos()], -1)], 1
    )
    sides = []
    for side in (-reach, reach):
        beside = start.clone()
        beside[..., 0] = (beside[..., 0] + side).clamp(0, width - 1)
        sides.append(tracks.points + torch.einsum("tij,nj->nti", linear, (beside - start)[:, 0]))
    return TrackSet(torch.cat(sides), tracks.visible.repeat(2, 1))


def hints_from_tracks(tracks: TrackSet, height: int, width: int) -> SparseMotion:
    """Hints for a picture of height x width: step s carries p[s + 1] - p[0] at p[0] (method 1).

    A hint is known while its point is visible. A point that is hidden in frame 0 has no pixel of the picture
    to move and is left out. Points may leave the picture later. Raises InputError when a point that is
    visible in frame 0 starts outside the picture (more than half a pixel beyond the outermost pixel centres).
    """
    seen = tracks.visible[:, 0]
    points, visible = tracks.points[seen], tracks.visible[seen]
    start = points[:, 0]
    outside = ((start < -0.5) | (start > start.new_tensor([width, height]) - 0.5)).any(-1)
    if outside.any():
        x, y = start[outside][0].tolist()
        raise InputError(
            f"point {x:g},{y:g} lies outside the picture, which is {width} x {height} pixels: start every "
            "track inside it.",
            key="point.outside",
        )
    return SparseMotion(
        positions=start,
        displacement=(points[:, 1:] - start[:, None]).transpose(0, 1),
        known=visible[:, 1:].T,
        height=height,
        width=width,
    )
