"""How well a few hints tell the motion of a real clip.

Points are tracked through 17 frames. Six moving ones, far apart, and four still ones become hints;
the motion of all other moving points is predicted and compared with their tracks. The rivals need no
picture: the nearest hint's motion, and the mean of all hints weighted by inverse squared distance.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from mofa.devices import sharing_cores
from mofa.media.decode import read_video
from mofa.pipeline.things import densify_things
from mofa.tensors.flow import bilinear_sample
from mofa.types import SparseMotion, TrackSet
from mofa.vision.track_points import track_points

NUM_FRAMES = 17
NUM_MOVING, NUM_STILL = 6, 4
"""The table's definition (docs/motion.md): 16 steps, and about as many hints as a person draws."""
# Fewer moving points to predict in a window, or windows in a clip, are not measured: chance decides there.
LEAST_ASKED, LEAST_WINDOWS = 10, 3
SUFFIXES = (".mp4", ".avi", ".mpg", ".mov", ".gif", ".webm")
BEGIN, END = "<!-- motion table: written by make eval -->", "<!-- end of motion table -->"

Parted = tuple[Bool[Tensor, " N"], Bool[Tensor, " N"]]


@dataclass(frozen=True)
class Definition:
    """Which points of a stretch move and which are still, in words and as two masks over N points.

    `part` gets displacements [S, N, 2] in pixels.
    """

    words: str
    part: Callable[[Float[Tensor, "S N 2"]], Parted]


def part_by_scene(displacement: Float[Tensor, "S N 2"]) -> Parted:
    """Moving: further than half of what the fast points of this scene move; still: its slowest fifth."""
    moved = displacement[-1].norm(dim=-1)
    fast, slow = moved.quantile(0.9), moved.quantile(0.2)
    moving = moved > torch.maximum(0.5 * fast, moved.new_tensor(2.0))
    return moving, (moved <= slow) & ~moving


def part_by_pixels(displacement: Float[Tensor, "S N 2"]) -> Parted:
    """Moving: further than 3 px from the start at the end; still: never further than 1 px from it."""
    return displacement[-1].norm(dim=-1) > 3, displacement.norm(dim=-1).amax(dim=0) < 1


DEFINITIONS = (
    Definition(
        "Moving: ends further from its start than half of what the fast points of the stretch do "
        "(the 90th percentile), and than 2 px. Still: the slowest fifth.",
        part_by_scene,
    ),
    Definition("Moving: ends more than 3 px from its start. Still: stays within 1 px of it.", part_by_pixels),
)


@dataclass(frozen=True)
class Errors:
    """Mean end-point errors in pixels over all steps: of moving points, and of still ones (`ground`)."""

    ours: float
    nearest: float
    inverse_distance: float
    ours_ground: float
    nearest_ground: float
    inverse_distance_ground: float

    @property
    def ratio(self) -> float:
        """Our error over the better rival's; below 1 we win."""
        return self.ours / min(self.nearest, self.inverse_distance)


@dataclass(frozen=True)
class Row:
    """A clip and its mean errors over `windows` stretches of 17 frames."""

    clip: str
    windows: int
    errors: Errors


@dataclass(frozen=True)
class Trial:
    """Hints, and the points [N, 2] with their displacements [S, N, 2] to be predicted from them."""

    hints: SparseMotion
    points: Float[Tensor, "N 2"]
    displacement: Float[Tensor, "S N 2"]
    moving: Bool[Tensor, " N"]


@dataclass(frozen=True)
class Table:
    """What one definition of moving and still gives."""

    words: str
    rows: Sequence[Row]


def run(
    clips: Path, workers: int = 1, windows: int = 15, definitions: Sequence[Definition] = DEFINITIONS
) -> list[Table]:
    """A table per definition, with a row per clip in the folder that asks the question often enough.

    Clips are measured side by side, each in one of so many processes.
    """
    paths = sorted(path for path in clips.rglob("*") if path.suffix in SUFFIXES)
    with sharing_cores(workers) as pool:
        found = list(pool.map(partial(rows_of, windows=windows, definitions=definitions), paths))
    columns = zip(*found, strict=True) if found else ((),) * len(definitions)
    return [
        Table(definition.words, [row for row in rows if row.windows >= LEAST_WINDOWS])
        for definition, rows in zip(definitions, columns, strict=True)
    ]


def rows_of(path: Path, windows: int, definitions: Sequence[Definition]) -> list[Row]:
    """A clip's row for each definition; NaN where no stretch asks the question."""
    found: list[list[Errors]] = [[] for _ in definitions]
    for frames in stretches(read_video(path).frames, windows):
        tracks = track_points(frames)
        for errors, definition in zip(found, definitions, strict=True):
            if trial := make_trial(tracks, definition, *frames.shape[-2:]):
                errors.append(measure(frames[0], trial))
    return [Row(path.stem, len(errors), mean_errors(errors)) for errors in found]


def stretches(frames: UInt8[Tensor, "T 3 H W"], windows: int) -> Iterator[UInt8[Tensor, "17 3 H W"]]:
    """Evenly spread stretches of 17 frames; a clip that is too short has none."""
    last = len(frames) - NUM_FRAMES
    if last >= 0:
        for start in torch.linspace(0, last, windows).round().long().unique().tolist():
            yield frames[start : start + NUM_FRAMES]


def measure(picture: UInt8[Tensor, "3 H W"], trial: Trial) -> Errors:
    """Errors of the three ways to answer the question about a stretch that begins with the picture."""
    field = densify_things(picture.float() / 255, trial.hints).over(range(len(trial.displacement)))
    read = bilinear_sample(field.pixels, trial.points.T.expand(len(field.pixels), -1, -1)).mT
    flows = (read, nearest(trial), inverse_distance(trial))
    apart = torch.stack([(prediction - trial.displacement).norm(dim=-1).mean(dim=0) for prediction in flows])
    return Errors(*apart[:, trial.moving].mean(dim=1).tolist(), *apart[:, ~trial.moving].mean(dim=1).tolist())


def make_trial(tracks: TrackSet, definition: Definition, height: int, width: int) -> Trial | None:
    """The question that a stretch asks; None unless enough points are left over beside the hints.

    At least LEAST_ASKED moving points and one still one must be. The choice among them is the spread
    that farthest-point sampling gives, and so always the same.
    """
    kept = tracks.points[tracks.visible.all(dim=1)]
    if len(kept) < NUM_MOVING + LEAST_ASKED + NUM_STILL:
        return None
    start, displacement = kept[:, 0], (kept[:, 1:] - kept[:, :1]).transpose(0, 1)
    moving, still = (mask.nonzero()[:, 0] for mask in definition.part(displacement))
    if len(moving) < NUM_MOVING + LEAST_ASKED or len(still) <= NUM_STILL:
        return None
    hinted = torch.cat([spread_out(start, moving, NUM_MOVING), spread_out(start, still, NUM_STILL)])
    asked = torch.cat([moving, still])
    asked = asked[~torch.isin(asked, hinted)]
    known = torch.ones(len(displacement), len(hinted), dtype=torch.bool)
    hints = SparseMotion(start[hinted], displacement[:, hinted], known, height, width)
    return Trial(hints, start[asked], displacement[:, asked], torch.isin(asked, moving))


def spread_out(points: Float[Tensor, "N 2"], among: Int[Tensor, " M"], count: int) -> Int[Tensor, " {count}"]:
    """`count` of the points `among`, each as far as can be from those chosen before it."""
    candidates = points[among]
    chosen = [int((candidates - candidates.mean(dim=0)).norm(dim=-1).argmax())]
    while len(chosen) < count:
        chosen.append(int(torch.cdist(candidates, candidates[chosen]).amin(dim=1).argmax()))
    return among[chosen]


def nearest(trial: Trial) -> Float[Tensor, "S N 2"]:
    """Every point moves as the hint nearest to it."""
    return trial.hints.displacement[:, torch.cdist(trial.points, trial.hints.positions).argmin(dim=1)]


def inverse_distance(trial: Trial) -> Float[Tensor, "S N 2"]:
    """Every point moves as the mean of all hints, weighted by inverse squared distance (Shepard, 1968)."""
    weight = torch.cdist(trial.points, trial.hints.positions).clamp(min=1e-6) ** -2
    return torch.einsum("nh,shc->snc", weight / weight.sum(dim=1, keepdim=True), trial.hints.displacement)


def mean_errors(errors: list[Errors]) -> Errors:
    """The mean of every field; NaN of none."""
    count = len(errors) or math.nan
    return Errors(**{f.name: sum(getattr(e, f.name) for e in errors) / count for f in fields(Errors)})


def table(tables: Sequence[Table]) -> str:
    """Markdown: per definition one line per clip, and the mean of the ratios."""
    return "\n\n".join(f"{one.words}\n\n{_lines(one.rows)}" for one in tables)


def _lines(rows: Sequence[Row]) -> str:
    lines = [
        "| clip | windows | ours | nearest hint | inverse distance | ours / better "
        "| ground: ours | nearest | inverse |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        e = row.errors
        moving = f"{e.ours:.2f} | {e.nearest:.2f} | {e.inverse_distance:.2f} | {e.ratio:.2f}"
        ground = f"{e.ours_ground:.2f} | {e.nearest_ground:.2f} | {e.inverse_distance_ground:.2f}"
        lines.append(f"| {row.clip} | {row.windows} | {moving} | {ground} |")
    if rows:
        lines.append(f"| **mean** | | | | | **{sum(r.errors.ratio for r in rows) / len(rows):.2f}** | | | |")
    return "\n".join(lines)


def write_table(tables: Sequence[Table], path: Path) -> None:
    """Replace what stands between the marks in a Markdown file; raises ValueError without marks."""
    text = path.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise ValueError(f"{path} has no place for the tables: put the lines {BEGIN!r} and {END!r} there.")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{BEGIN}\n\n{table(tables)}\n\n{END}{after}", encoding="utf-8")
