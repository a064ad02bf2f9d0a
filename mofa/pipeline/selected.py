"""The regions that selections mean, on the working picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.control.selection import Selection
from mofa.densify.edge_aware import moved_pixels
from mofa.pipeline.original import Original
from mofa.tensors.geometry import to_working
from mofa.tensors.neighbourhood import widened
from mofa.types import LookedAt, SenseOfThings, SourceImage
from mofa.vision.select import check_inside, grow_region
from mofa.vision.things import LEVELS, Level, SharpLook, is_between_things

RIM, RIM_WIDTH = 1e-6, 16
"""Around what is selected, so many pixels wide, a share that moves nothing: a thing's outline is seen partly
through by the pixels beside it, and what it leaves of itself there has to be filled in behind it, as it is
behind a bare drag. Where a region is 0 nothing may change."""


@dataclass(frozen=True)
class SelectedThing:
    """What was selected (1, RIM around it, else 0), and whether a single click lay on the border of two."""

    region: Float[Tensor, "1 H W"]
    on_a_border: bool


def select_thing(
    picture: Float[Tensor, "3 H W"],
    look: LookedAt,
    points: Sequence[tuple[float, float]],
    beside: Sequence[tuple[float, float]] = (),
    level: Level = "thing",
) -> SelectedThing:
    """The region of the thing (or part, or group) at some points, in pixels, but not at those beside it.

    At the level of things it is, pixel by pixel, what a bare drag from there moves.
    Raises InputError for a point outside the picture.
    """
    height, width = picture.shape[1:]
    for x, y in (*points, *beside):
        check_inside(x, y, height, width)
    clicks = torch.tensor([*points, *beside]).float()
    signs = torch.tensor([1.0] * len(points) + [-1.0] * len(beside))
    logits = SharpLook(picture, look, level).ask(clicks[None], signs[None]).logits[0, LEVELS.index(level)]
    # What of a group touches at a point alone may part where its outline is sharpened.
    places = None if level == "group" else clicks[: len(points)]
    thing = moved_pixels(picture, logits, places)
    region = torch.where(thing, 1.0, RIM * widened(thing, RIM_WIDTH))[None].to(picture)
    single = len(clicks) == 1
    return SelectedThing(region, single and is_between_things(look, clicks[0], level, (height, width)))


def selected(
    selection: Selection, original: Original, source: SourceImage, sense: SenseOfThings | None
) -> tuple[Float[Tensor, "1 H W"], tuple[str, ...]]:
    """The region (0..1) of what is selected, and sentences that the person should read.

    Without a sense of things, what grows from the points by colour, less what grows from those beside it.
    Raises InputError for a point outside the picture.
    """
    points = [[original.clicked(point) for point in kind] for kind in (selection.on, selection.beside)]
    on, beside = ([_in(point, source) for point in kind] for kind in points)
    if sense is None:
        region = grow_region(source.pixels, *on[0])
        for x, y in on[1:]:
            region = region.maximum(grow_region(source.pixels, x, y))
        for x, y in beside:
            region = region * (1 - grow_region(source.pixels, x, y))
        return region, ()
    found = select_thing(source.pixels, sense(source.pixels), on, beside, selection.level)
    if not found.on_a_border:
        return found.region, ()
    x, y = points[0][0][0].tolist()
    return found.region, (
        f"the point {x:g},{y:g} lies on the border between two things: the nearer one was selected; "
        f'add a point on it ("{x:g},{y:g} +x,y") or beside it ("{x:g},{y:g} -x,y") to be sure.',
    )


def _in(point: Float[Tensor, "1 2"], source: SourceImage) -> tuple[float, float]:
    x, y = to_working(point, source.crop)[0].tolist()
    return x, y
