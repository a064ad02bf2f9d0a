"""What a run did, in a sentence, and what a person may not have meant."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mofa.densify.things import is_thing
from mofa.tensors.geometry import to_original
from mofa.types import DenseMotion, SenseOfThings, SourceImage, SparseMotion

SEEN = 0.5
"""Pixels: less motion is hardly seen."""
MOST = 0.6
"""Share of the picture from which on "the thing" is probably more than was meant."""
ASKED = 12
"""With more hints than this the sentence does not say what each sits on."""


@dataclass(frozen=True)
class Remarks:
    """`moved`: what moves, in one line, None where no track says so; `notes`: what should be read besides."""

    moved: str | None = None
    share: float = 0.0
    notes: tuple[str, ...] = ()


def remark(
    hints: Sequence[tuple[bool, SparseMotion]],
    motion: DenseMotion,
    source: SourceImage,
    num_steps: int,
    sense: SenseOfThings | None,
    tracks: int | None = None,
) -> Remarks:
    """Remarks on tracks' hints, each group with whether it has a region, and the motion they make.

    `tracks` is how many tracks move where that is not the number of moving hints; `sense` is what decided
    which things the hints sit on, None where nothing did.
    """
    moving = [_moving(group) for _, group in hints]
    count = sum(int(mask.sum()) for mask in moving)
    if count == 0:
        return Remarks()
    count = count if tracks is None else tracks
    share = _moving_share(motion, num_steps)
    places = [
        group.positions[mask] for (bounded, group), mask in zip(hints, moving, strict=True) if not bounded
    ]
    free = torch.cat([*places, torch.zeros(0, 2)])
    on_nothing = _on_nothing(free, source, sense)
    what = _what(count, len(free), int(on_nothing.sum()))
    notes = [_nothing_note(free[on_nothing], source)] if on_nothing.any() else []
    if share > MOST and len(free):
        notes.append(
            f"this moves {share:.0%} of the picture: add an anchor (a track of one point) on what "
            "should stay, or select the thing that should move."
        )
    who = "1 track moves" if count == 1 else f"{count} tracks move"
    return Remarks(f"{who}: {what} ({_percent(share)} of the picture)", share, tuple(notes))


def _moving(hints: SparseMotion) -> Bool[Tensor, " N"]:
    return hints.displacement.norm(dim=-1).amax(dim=0) > SEEN


def _moving_share(motion: DenseMotion, num_steps: int) -> float:
    """The share of the picture that moves at the middle or at the end of the clip."""
    flow = motion.over(sorted({num_steps // 2, num_steps - 1}))
    # Squares: many times quicker than the norm over an axis that is not the last.
    seen = (flow.pixels.square().sum(dim=1, keepdim=True) > SEEN**2) & flow.valid
    return float(seen.any(dim=0).float().mean())


def _on_nothing(
    points: Float[Tensor, "N 2"], source: SourceImage, sense: SenseOfThings | None
) -> Bool[Tensor, " N"]:
    if sense is None or not 0 < len(points) <= ASKED:
        return torch.zeros(len(points), dtype=torch.bool)
    return ~is_thing(sense(source.pixels).ask(points[:, None], torch.ones(len(points), 1)))


def _what(count: int, free: int, on_nothing: int) -> str:
    under = "the thing under it" if count == 1 else "the things under them"
    if free == 0:
        return "what is painted or selected"
    if on_nothing == 0:
        return under if free <= ASKED else "the scene"
    if on_nothing == free:
        return "a soft patch around it" if count == 1 else "soft patches around them"
    return f"{under}, and soft patches"


def _nothing_note(points: Float[Tensor, "N 2"], source: SourceImage) -> str:
    x, y = to_original(points, source.crop)[0].tolist()
    return (
        f"there is no thing to take hold of at {x:.0f},{y:.0f}, so a soft patch around it moves: "
        "start the track on a thing, or paint what should move."
    )


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else f"{share:.1%}"
