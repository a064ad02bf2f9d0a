"""The regions that selections mean, on the working picture."""

from jaxtyping import Float
from torch import Tensor

from mofa.control.selection import Selection
from mofa.pipeline.original import Original
from mofa.tensors.geometry import to_working
from mofa.types import SenseOfThings, SourceImage
from mofa.vision.select import grow_region
from mofa.vision.things import select_thing


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
