"""Did things move as they were asked to? Distances between asked and tracked motion.

Positions are in pixels of the clip; asked and tracked sets name the same N points in the same T frames,
and frame 0 is the picture, in which both start.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import gaussian_filter
from torch import Tensor

from mofa.faces.points import fit_similarity, move_points
from mofa.tensors.flow import bilinear_sample
from mofa.tensors.geometry import pixel_grid
from mofa.types import TrackSet

STANDS_STILL = 0.1
"""Share of the asked way below which a clip counts as one that does not move at all."""
DRAG_MOVED, DRAG_LEAKED, MOST_LEAK = 0.5, 0.25, 3.0
"""Of one drag: what moves more than half of it belongs to the thing, what moves more than a quarter of it
outside is leak, and leak counts up to three times the thing's area."""
SURE_LEVELS = 5.0
"""Levels of grey by which the drag must explain a place better than rest does; chosen on cut-outs that moved
exactly as asked, where 2 does nearly as well."""
GROUND_GRID = 16
"""Points per side of the grid that camera and background are read on (Time-to-Move, arXiv 2511.08633)."""


@dataclass(frozen=True)
class Distances:
    """Distances in pixels of N points in T frames, and where they are known."""

    pixels: Float[Tensor, "N T"]
    known: Bool[Tensor, "N T"]

    @property
    def mean(self) -> float | None:
        """Over everything known; None where nothing is."""
        return _mean(self.pixels[self.known])

    def quantile(self, share: float) -> float | None:
        """The distance that this share of the known ones does not exceed."""
        return float(self.pixels[self.known].quantile(share)) if self.known.any() else None

    @property
    def per_frame(self) -> list[float | None]:
        """The mean in every frame."""
        return [_mean(self.pixels[:, t][self.known[:, t]]) for t in range(self.pixels.shape[1])]


def end_point_error(asked: TrackSet, tracked: TrackSet) -> Distances:
    """EPE: how far each point is from where it was asked to be, after frame 0, where both see it.

    Its mean is the EPE of Motion Prompting (arXiv 2412.02700) and of MoveBench (Wan-Move, arXiv 2512.08765).
    """
    known = asked.visible & tracked.visible
    known = torch.cat([torch.zeros_like(known[:, :1]), known[:, 1:]], dim=1)
    return Distances((asked.points - tracked.points).norm(dim=-1), known)


def followed_share(asked: TrackSet, tracked: TrackSet) -> float | None:
    """Share of the asked (visible) places after frame 0 in which the tracker still had its point.

    Distances are about these only: a clip that destroys what it moves has few of them.
    """
    wanted = asked.visible[:, 1:]
    return _mean(tracked.visible[:, 1:][wanted].float())


def object_motion_control(asked: TrackSet, tracked: TrackSet) -> float | None:
    """ObjMC: mean distance of trajectories over all T frames, frame 0 included, seen or not.

    MotionCtrl (arXiv 2312.03641), used by DragAnything and later papers. Not comparable between sizes.
    """
    return _mean((asked.points - tracked.points).norm(dim=-1))


def motion_distance(asked: TrackSet, tracked: TrackSet) -> float | None:
    """MD-Vid, also called CTD: the same over the frames after frame 0, seen or not.

    MotionPro's MC-Bench (arXiv 2505.20287), as its evaluation script computes it.
    """
    return _mean((asked.points - tracked.points).norm(dim=-1)[:, 1:])


def background_distance(thing: TrackSet, background: TrackSet) -> float | None:
    """BG-Obj CTD: the mean over background points, then over the frames after the first, of |displacement of
    the thing minus displacement of the background point|; large when the background did not come along.

    Time-to-Move (arXiv 2511.08633). The thing's displacement is the mean of its points that are seen.
    """
    if len(thing.points) == 0:
        return None
    seen = thing.visible.to(thing.points)[:, :, None]
    own = (displacement(thing) * seen).sum(0) / seen.sum(0).clamp(min=1)
    apart = (displacement(background) - own).norm(dim=-1)
    known = background.visible & thing.visible.any(dim=0)
    known[:, 0] = False
    frames = [value for value in Distances(apart, known).per_frame if value is not None]
    return sum(frames) / len(frames) if frames else None


def displacement(tracks: TrackSet) -> Float[Tensor, "N T 2"]:
    """How far every point is from its start."""
    return tracks.points - tracks.points[:, :1]


def motion_gain(asked: TrackSet, tracked: TrackSet) -> float | None:
    """How much of the asked motion happened: the factor g for which tracked displacements come nearest to
    g times the asked ones (least squares, where both are seen). 1 as asked, 2 twice as far, 0 still.

    None where nothing was asked to move.
    """
    seen = (asked.visible & tracked.visible)[:, 1:]
    wanted, got = displacement(asked)[:, 1:][seen], displacement(tracked)[:, 1:][seen]
    power = float(wanted.square().sum())
    return float((wanted * got).sum()) / power if power > 0 else None


def average_flow(flow: Float[Tensor, "S 2 H W"]) -> float | None:
    """Mean length of the flow between neighbouring frames, in pixels per frame.

    The guard of MotionPro (arXiv 2505.20287, supplement): who stands still is never far from a short path.
    """
    return _mean(flow.norm(dim=1))


def drift(asked: TrackSet, tracked: TrackSet, still: Bool[Tensor, " N"]) -> float | None:
    """95th percentile of the end-point error of points that rest in the world (`still`)."""
    own = TrackSet(asked.points[still], asked.visible[still])
    return end_point_error(own, TrackSet(tracked.points[still], tracked.visible[still])).quantile(0.95)


def frame_lag(asked: TrackSet, tracked: TrackSet) -> int | None:
    """By how many frames the clip comes late: the shift k, at most a quarter of the clip, for which tracked
    displacements at t + k are nearest to the asked ones at t. Negative when it is early.

    None where nothing was asked to move.
    """
    wanted, got = displacement(asked), displacement(tracked)
    seen = asked.visible & tracked.visible
    num_frames = wanted.shape[1]
    if len(wanted) == 0 or float(wanted.abs().amax()) == 0:
        return None
    reach = max(1, num_frames // 4)

    def apart(shift: int) -> float:
        late = slice(max(0, shift), num_frames + min(0, shift))
        early = slice(max(0, -shift), num_frames + min(0, -shift))
        error = (wanted[:, early] - got[:, late]).norm(dim=-1)
        return _mean(error[seen[:, early] & seen[:, late]]) or 0.0

    return min(sorted(range(-reach, reach + 1), key=abs), key=lambda shift: round(apart(shift), 6))


def settle_drag(
    flow: Float[Tensor, "2 H W"],
    first: UInt8[Tensor, "3 H W"],
    last: UInt8[Tensor, "3 H W"],
    drag: Float[Tensor, "2"],
) -> Float[Tensor, "2 H W"]:
    """Flow between two frames, with the drag itself wherever the frames say that it happened.

    A flow estimator loses what is smaller than its own motion. But the motion that was asked for is known,
    and a known motion is easily tested: at p it happened if p's look is found where the drag ends, better
    than where the flow says, and if rest explains neither what p shows in the end nor what that end does.
    """
    grid = pixel_grid(flow.shape[-2], flow.shape[-1], flow)
    asked = drag.to(flow)[:, None, None].expand_as(flow)
    rest, along, read = (_unlikeness(first, last, grid + way) for way in (0 * flow, asked, flow))
    rest_at_end = bilinear_sample(rest[None], (grid + asked)[None])[0]
    happened = (along + SURE_LEVELS < torch.minimum(rest, rest_at_end)) & (along < read)
    return torch.where(happened, asked, flow)


def _unlikeness(
    first: UInt8[Tensor, "3 H W"], last: UInt8[Tensor, "3 H W"], places: Float[Tensor, "2 H W"]
) -> Float[Tensor, "1 H W"]:
    """Mean difference in levels of the first frame's pixels, lightly smoothed, from places of the last."""
    levels = (bilinear_sample(last.to(places)[None], places[None])[0] - first.to(places)).abs().mean(dim=0)
    return torch.from_numpy(gaussian_filter(levels.cpu().numpy(), 0.5))[None].to(places)


@dataclass(frozen=True)
class DragScores:
    """What one drag moved: share of the thing that went along, leak over its area (0..3), and IoU."""

    moved: float
    leak: float
    iou: float


def drag_scores(
    flow: Float[Tensor, "2 H W"],
    thing: Bool[Tensor, "H W"],
    may_move: Bool[Tensor, "H W"],
    drag: Float[Tensor, "2"],
) -> DragScores:
    """What moved at the end, in the pixels of frame 0, against a hand-made mask of the thing.

    moved: pixels of the mask whose displacement differs from the drag by less than half its length.
    leak: pixels outside mask and `may_move` that move more than a quarter of the drag, over the mask's area.
    iou: {moves more than half the drag} against the mask, `may_move` left out.
    """
    length = drag.norm()
    size = flow.norm(dim=0)
    counts = ~(may_move & ~thing)
    moves = (size > DRAG_MOVED * length) & counts
    goes_along = (flow - drag[:, None, None]).norm(dim=0) < DRAG_MOVED * length
    leaks = (size > DRAG_LEAKED * length) & ~thing & counts
    return DragScores(
        moved=float(goes_along[thing].float().mean()),
        leak=min(MOST_LEAK, float(leaks.sum() / thing.sum())),
        iou=float((moves & thing).sum() / (moves | thing).sum()),
    )


def leak_outside(flow: Float[Tensor, "S 2 H W"], region: Bool[Tensor, "H W"]) -> float | None:
    """95th percentile in pixels of what moves outside a brush at the end; None when it covers everything."""
    outside = flow[-1].norm(dim=0)[~region]
    return float(outside.quantile(0.95)) if len(outside) else None


def camera_error(
    camera: Float[Tensor, "S 2 3"], ground: TrackSet, height: int, width: int
) -> tuple[float | None, Float[Tensor, "S 2 3"]]:
    """How far, in pixels, the camera is from the asked one, and the camera that was found.

    Per frame a similarity (shift, rotation, zoom) is fitted to what rests in the world, twice: the second
    time to the half that fits best. The error is the mean distance of the two maps over a 16 x 16 grid of
    the picture and over the frames in which at least three points are seen.
    """
    found = torch.eye(2, 3).repeat(len(camera), 1, 1).to(camera)
    grid = spread_grid(height, width).to(camera)
    errors = []
    for step in range(len(camera)):
        seen = ground.visible[:, step + 1]
        if int(seen.sum()) < 3:
            continue
        found[step] = fitted_similarity(ground.points[seen, 0], ground.points[seen, step + 1])
        asked, read = (move_points(m[:, :2], m[:, 2], grid) for m in (camera[step], found[step]))
        errors.append(float((asked - read).norm(dim=-1).mean()))
    return (sum(errors) / len(errors) if errors else None), found


def moved_by_itself(tracks: TrackSet, camera: Float[Tensor, "S 2 3"]) -> Float[Tensor, " N"]:
    """How far, in pixels, every point ends from where the camera alone would have taken it."""
    carried = move_points(camera[-1, :, :2], camera[-1, :, 2], tracks.points[:, 0])
    return (tracks.points[:, -1] - carried).norm(dim=-1)


def fitted_similarity(before: Float[Tensor, "N 2"], after: Float[Tensor, "N 2"]) -> Float[Tensor, "2 3"]:
    """The similarity nearest to most of the pairs: least squares, then again over the better half."""
    error = (move_points(*fit_similarity(before, after), before) - after).norm(dim=-1)
    best = error.argsort()[: max(3, (len(error) + 1) // 2)]
    linear, offset = fit_similarity(before[best], after[best])
    return torch.cat([linear, offset[:, None]], dim=1)


def spread_grid(height: int, width: int, per_side: int = GROUND_GRID) -> Float[Tensor, "N 2"]:
    """Points spread evenly over a picture, half a cell from its border."""
    cells = pixel_grid(per_side, per_side, torch.zeros(())).flatten(1).T + 0.5
    return cells * torch.tensor([width, height]) / per_side - 0.5


def _mean(values: Float[Tensor, "*n"]) -> float | None:
    return float(values.double().mean()) if values.numel() else None
