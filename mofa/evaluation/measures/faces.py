"""What a driven face does, on MediaPipe's mesh: THEval's measures (arXiv 2511.04520) that need no network of
their own, and what users of talking heads complain about.

A mesh is [T, 478, 2 or 3] in pixels. Time 0 of the sound is frame 0; frame t is heard from t / fps on.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mofa.evaluation.measures.pixels import brightness
from mofa.faces.drivers.voice import STEPS_PER_SECOND, analyse_voice
from mofa.faces.geometry import metric_face
from mofa.faces.points import STABLE, face_size, fit_similarity, move_points, points_of_mesh
from mofa.tensors.sound import mono
from mofa.types import Waveform

UPPER_INNER_LIP = (191, 80, 81, 82, 13, 312, 311, 310)
LOWER_INNER_LIP = (95, 88, 178, 87, 14, 317, 402, 318)
"""Points of MediaPipe's mesh, from one corner of the mouth to the other."""
LIPS = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
    78, *LOWER_INNER_LIP, 308, *UPPER_INNER_LIP,
)  # fmt: skip
LEFT_EYE, RIGHT_EYE = (33, 133), (362, 263)
"""Corners of the eyes; their middles are the eyes' centres."""
LEFT_BROW, RIGHT_BROW = (70, 63, 105, 66, 107), (336, 296, 334, 293, 300)
OUTER_EYE_CORNERS = (33, 263)
LOUDNESS_BLOCK = 0.05
"""Seconds of one RMS value (THEval)."""
SHORTEST_SILENCE = 0.3
"""Seconds (THEval)."""
LEAST_SPEECH = 0.1
"""Share of a clip that must be spoken for lip-sync to be asked (THEval)."""
FURTHEST_LAG = 0.5
"""Seconds by which a mouth may be early or late."""
RESIZED = 256.0
"""Pixels to which THEval brings faces before it measures lips."""


def mouth_opening(mesh: Float[Tensor, "T mesh d"]) -> Float[Tensor, " T"]:
    """THEval's lip-sync opening: heights of the inner lips apart, over the eyes' horizontal distance."""
    upper, lower = (mesh[:, list(lip), 1].mean(dim=1) for lip in (UPPER_INNER_LIP, LOWER_INNER_LIP))
    return (upper - lower).abs() / eye_distance(mesh)


def eye_distance(mesh: Float[Tensor, "T mesh d"]) -> Float[Tensor, " T"]:
    """Horizontal distance of the eyes' centres."""
    left, right = (mesh[:, list(eye), 0].mean(dim=1) for eye in (LEFT_EYE, RIGHT_EYE))
    return (left - right).abs().clamp(min=1e-6)


def loudness(sound: Waveform, fps: float, num_frames: int) -> Float[Tensor, " T"]:
    """RMS of blocks of 50 ms, linear in between, at every frame's time; silence beyond the end."""
    samples = mono(sound)
    block = max(1, round(LOUDNESS_BLOCK * sound.rate))
    padded = F.pad(samples, (0, -len(samples) % block))
    return at_frames(padded.view(-1, block).square().mean(1).sqrt(), 1 / LOUDNESS_BLOCK, fps, num_frames)


def at_frames(
    curve: Float[Tensor, " N"], rate: float, fps: float, num_frames: int
) -> Float[Tensor, " {num_frames}"]:
    """A curve of `rate` values a second, each for the middle of its stretch, at the middles of frames."""
    place = (torch.arange(num_frames) + 0.5) / fps * rate - 0.5
    low = place.floor().long()
    known = F.pad(curve, (0, 1))

    def value(index: Tensor) -> Tensor:
        return known[index.clamp(0, len(curve))]

    return torch.lerp(value(low.clamp(min=0)), value(low + 1), place - low)


def spoken(sound: Waveform, fps: float, num_frames: int) -> Bool[Tensor, " T"]:
    """The frames that lie within a phrase, by energy (THEval asks a voice detector)."""
    return at_frames(analyse_voice(sound).active, float(STEPS_PER_SECOND), fps, num_frames) > 0.5


def lip_sync(
    opening: Float[Tensor, " T"], loud: Float[Tensor, " T"], speech: Bool[Tensor, " T"]
) -> float | None:
    """Mean |opening - loudness| over spoken frames, each scaled to 0..1 there; real people have about 0.25.

    None when less than a tenth of the clip is spoken.
    """
    if float(speech.float().mean()) < LEAST_SPEECH:
        return None
    one, other = (scaled(curve[speech]) for curve in (opening, loud))
    return float((one - other).abs().mean())


def scaled(curve: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """From its smallest to its largest value as 0..1; a constant is 0."""
    low, high = curve.min(), curve.max()
    return (curve - low) / (high - low).clamp(min=1e-9)


def silent_lips(mesh: Float[Tensor, "T mesh d"], speech: Bool[Tensor, " T"], fps: float) -> float | None:
    """Lip stability in silence: median |x - mean| of the opening (8 gaps over the outer eye corners'
    distance) over silences of at least 0.3 s; real people have about 0.026. None without such a silence."""
    gaps = (mesh[:, list(LOWER_INNER_LIP), 1] - mesh[:, list(UPPER_INNER_LIP), 1]).abs().mean(dim=1)
    left, right = OUTER_EYE_CORNERS
    opening = gaps / (mesh[:, left, :2] - mesh[:, right, :2]).norm(dim=-1).clamp(min=1e-6)
    quiet = long_runs(~speech, math.ceil(SHORTEST_SILENCE * fps))
    if not quiet.any():
        return None
    return float((opening[quiet] - opening[quiet].mean()).abs().median())


def long_runs(mask: Bool[Tensor, " T"], least: int) -> Bool[Tensor, " T"]:
    """The same mask without runs shorter than `least`."""
    kept, start = mask.clone(), None
    for index, on in enumerate([*mask.tolist(), False]):
        if on and start is None:
            start = index
        elif not on and start is not None:
            if index - start < least:
                kept[start:index] = False
            start = None
    return kept


def lip_dynamics(mesh: Float[Tensor, "T mesh d"]) -> float:
    """Deviation over time of all distances between lip points, mean over pairs, in pixels of a face that is
    256 large; real people have about 1.7."""
    lips = mesh[:, list(LIPS), :2]
    lips = lips * (RESIZED / face_size(points_of_mesh(mesh)).mean())
    apart = torch.cdist(lips.double(), lips.double())
    row, column = torch.triu_indices(len(LIPS), len(LIPS), 1)
    return float(apart[:, row, column].std(dim=0).mean())


def brow_dynamics(mesh: Float[Tensor, "T mesh d"]) -> float:
    """Mean change from frame to frame of the brows' distance from the eyes, over the distance of the eyes;
    real people have about 0.0068 at 25 frames per second."""
    raised = []
    for brow, eye in ((LEFT_BROW, LEFT_EYE), (RIGHT_BROW, RIGHT_EYE)):
        apart = mesh[:, list(brow), :2].mean(dim=1) - mesh[:, list(eye), :2].mean(dim=1)
        raised.append(apart.norm(dim=-1))
    curve = torch.stack(raised).mean(dim=0) / eye_distance(mesh)
    return float(curve.diff().abs().mean())


def head_dynamics(angles: Float[Tensor, "T 3"], shift: Float[Tensor, "T 2"]) -> float:
    """sqrt(mean deviation of the angles times mean variance of their steps plus mean variance of the shift):
    THEval's head motion, in degrees and in hundredths of the face's size."""
    turning = angles.std(dim=0).mean() * angles.diff(dim=0).var(dim=0).mean()
    return float((turning + shift.var(dim=0).mean()).sqrt())


@dataclass(frozen=True)
class Lag:
    """By how many seconds the mouth comes late, and how well it follows the sound then (-1..1)."""

    seconds: float
    correlation: float


def mouth_lag(opening: Float[Tensor, " T"], loud: Float[Tensor, " T"], fps: float) -> Lag | None:
    """The lag of the best correlation of opening and loudness within half a second (SLCC of arXiv 2503.20308
    at its best shift). None when one of them never changes or the clip is shorter than twice that."""
    reach = round(FURTHEST_LAG * fps)
    if len(opening) <= 2 * reach + 2 or float(opening.std()) < 1e-6 or float(loud.std()) < 1e-9:
        return None
    scores = {shift: correlation(opening, loud, shift) for shift in range(-reach, reach + 1)}
    best = max(sorted(scores, key=abs), key=lambda shift: scores[shift])
    return Lag(best / fps, scores[best])


def correlation(curve: Float[Tensor, " T"], other: Float[Tensor, " T"], shift: int) -> float:
    """Pearson's, of `curve` at t + shift with `other` at t, over the frames that both have."""
    length = len(curve)
    late = curve[max(0, shift) : length + min(0, shift)]
    early = other[max(0, -shift) : length + min(0, -shift)]
    pair = torch.stack([late, early]).double()
    return float(torch.corrcoef(pair)[0, 1].nan_to_num())


def jitter(points: Float[Tensor, "T 68 2"]) -> float | None:
    """Root mean square acceleration of the points that expressions hardly move, the head's pose removed, in
    percent of the face's size per frame squared. None for fewer than three frames."""
    if len(points) < 3:
        return None
    stable = points[:, list(STABLE)]
    linear, offset = fit_similarity(stable, stable[:1].expand_as(stable))
    held = move_points(linear, offset, stable)
    bend = held[2:] - 2 * held[1:-1] + held[:-2]
    return 100 * float(bend.square().sum(-1).mean().sqrt() / face_size(points[0]))


def head_angles(mesh: Float[Tensor, "T mesh 3"], height: int, width: int) -> Float[Tensor, "T 3"]:
    """Pitch, yaw and roll of the head in degrees, from the pose of the face in space."""
    angles = []
    for one in mesh:
        pose = metric_face(one, height, width).pose[:3, :3]
        turn = pose / torch.linalg.det(pose).abs().clamp(min=1e-12) ** (1 / 3)
        pitch, yaw = torch.atan2(turn[2, 1], turn[2, 2]), torch.asin((-turn[2, 0]).clamp(-1, 1))
        angles.append(torch.stack([pitch, yaw, torch.atan2(turn[1, 0], turn[0, 0])]))
    return torch.rad2deg(torch.stack(angles))


def landmark_distance(points: Float[Tensor, "T 68 2"], reference: Float[Tensor, "T 68 2"]) -> float:
    """Mean distance of the 68 points from those of the true clip, in percent of the eyes' outer distance
    (NME, as in 300-W)."""
    between = (reference[:, 36] - reference[:, 45]).norm(dim=-1).clamp(min=1e-6)
    return 100 * float(((points - reference).norm(dim=-1).mean(dim=1) / between).mean())


def identity_distance(points: Float[Tensor, "T 68 2"]) -> float:
    """How far the shape of what expressions hardly move departs from frame 0's: mean distance after the best
    similarity, in percent of the face's size. A stand-in for networks that recognise people."""
    stable = points[:, list(STABLE)]
    first = stable[:1].expand_as(stable)
    linear, offset = fit_similarity(stable, first)
    apart = (move_points(linear, offset, stable) - first).norm(dim=-1)
    return 100 * float(apart.mean() / face_size(points[0]))


def box_edge(frames: UInt8[Tensor, "T 3 H W"], face: Float[Tensor, "68 2"]) -> float | None:
    """How much the change since frame 0 jumps at its sharpest straight edge round the face, in usual jumps:
    a pasted box shows as a column or row in which the change begins. About 2 to 4 without one.

    `face` are the points of frame 0. None when nothing changes, or the face leaves no surroundings.
    """
    change = (brightness(frames[1:]) - brightness(frames[:1])).abs().mean(dim=0)
    size = float(face_size(face))
    low = (face.amin(0) - 0.6 * size).floor().long().clamp(min=0).tolist()
    high = (face.amax(0) + 0.6 * size).ceil().long().tolist()
    around = change[low[1] : high[1], low[0] : high[0]]
    if min(around.shape) < 8:
        return None
    jumps = torch.cat([around.diff(dim=1).abs().mean(dim=0), around.diff(dim=0).abs().mean(dim=1)])
    usual = float(jumps[jumps > 1e-3].median()) if (jumps > 1e-3).any() else 0.0
    return float(jumps.max()) / usual if usual > 0 else None
