"""What the canvas asks about a photo while a hand moves over it, and the sounds that its clips have."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import torch
from fastapi import APIRouter, Body, Request
from fastapi.responses import FileResponse
from jaxtyping import Float
from torch import Tensor

from mofa.apps.studio.making import SELECT_SIDE, reduced, white_on_black
from mofa.apps.studio.photos import PHOTOS_KNOWN, decoded
from mofa.apps.studio.routes import TheStudio, TheVisitor, answered
from mofa.apps.studio.uploads import KINDS
from mofa.control.selection import Selection, parse_selection
from mofa.densify.things import is_thing
from mofa.errors import InputError
from mofa.pipeline.original import Original
from mofa.pipeline.selected import selected
from mofa.pipeline.things import sense_or_note
from mofa.tensors.geometry import to_working
from mofa.types import LookedAt, SenseOfThings, SourceImage

router = APIRouter(prefix="/studio")

NEAR = 0.015
"""How far beside a thing a hand may begin and still mean it, as a share of the photo's longer side: a few
cells of what the sense of things sees."""
ROUND = 8
"""Places around the hand that are asked about then."""


@dataclass(frozen=True)
class _Known:
    """A photo, reduced to what selecting needs, and as the sense of things sees it (None without one)."""

    original: Original
    source: SourceImage
    look: LookedAt | None

    @property
    def sense(self) -> SenseOfThings | None:
        """A sense that has seen this photo already."""
        look = self.look
        if look is None:
            return None

        def seen(picture: Float[Tensor, "3 H W"]) -> LookedAt:
            return look

        return seen

    def shows_a_thing(self, selection: Selection) -> bool:
        """Whether its first point lies on a thing at all, and not on mere ground."""
        if self.look is None:
            return True
        place = to_working(self.original.clicked(selection.on[0]), self.source.crop)
        return bool(is_thing(self.look.ask(place[None].float(), torch.ones(1, 1)))[0])

    def beside(self, selection: Selection) -> str | None:
        """A point on the surest thing whose rim its first point just misses, in words; None without one."""
        if self.look is None:
            return None
        angles = torch.arange(ROUND) * (2 * math.pi / ROUND)
        around = torch.stack([angles.cos(), angles.sin()], 1)
        reach = NEAR * max(self.original.width, self.original.height)
        places = (self.original.clicked(selection.on[0]) + reach * around).round()
        places = places[self.original.shows(places)]
        answers = self.look.ask(
            to_working(places, self.source.crop)[:, None].float(), torch.ones(len(places), 1)
        )
        there = is_thing(answers)
        if not there.any():
            return None
        surest = int((answers.is_thing * there).argmax())
        x, y = places[surest].tolist()
        return f"{x:g},{y:g}"


@router.post("/things")
async def thing(
    picture: Annotated[str, Body()],
    select: Annotated[str, Body(max_length=2000)],
    request: Request,
    studio: TheStudio,
    visitor: TheVisitor,
    near: Annotated[bool, Body()] = False,
) -> dict[str, Any]:
    """What a selection in words means: its mask, its share of the photo, and whether it is a thing.

    `near`: where its point lies on mere ground just beside a thing, that thing is meant; `select` says how.
    """
    path = visitor.file(picture)
    job = studio.things.submit(visitor.name, lambda _: _selected(path, select, near))
    answer: dict[str, Any] = await answered(job, studio.things, request)
    return answer


def _selected(path: Path, select: str, near: bool) -> dict[str, Any]:
    selection = parse_selection(select)
    known = _looked_at(path, path.stat().st_mtime_ns)
    thing = known.shows_a_thing(selection)
    if near and not thing and (beside := known.beside(selection)) is not None:
        select, selection, thing = beside, parse_selection(beside), True
    region, notes = selected(selection, known.original, known.source, known.sense)
    return {
        "select": select,
        "mask": white_on_black(region),
        "share": round(region.mean().item(), 4),
        "thing": thing,
        "notes": notes,
    }


@lru_cache(maxsize=PHOTOS_KNOWN)
def _looked_at(path: Path, changed: int) -> _Known:
    pixels = decoded(path)
    source = reduced(pixels, SELECT_SIDE)
    # Only its size will be asked for: the photo itself would stay in memory.
    original = Original(pixels.new_zeros(1, 1, 1).expand(pixels.shape))
    sense, _ = sense_or_note()
    return _Known(original, source, None if sense is None else sense(source.pixels))


@router.get("/sounds/{name}")
def sound(name: str, visitor: TheVisitor) -> FileResponse:
    """A sound as it was uploaded, to be heard while the canvas plays."""
    path = visitor.file(name)
    if path.suffix not in KINDS["speech"].suffixes:
        raise InputError(f'"{name}" is nothing to listen to.', key="file.sound")
    return FileResponse(path)
