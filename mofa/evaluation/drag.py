"""The suite of single drags: real photos, one thing each with a hand-made mask, and one drag.

A folder with cases.json, a list of {photo, name, start, end, mask, may_move or null}; masks are pictures,
white on the thing, and `may_move` is what may come along and is not judged.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from mofa.errors import InputError
from mofa.evaluation.scene import Scene, no_tracks
from mofa.media.image import read_mask, read_picture, to_bytes
from mofa.types import TrackSet

FPS = 8.0
"""The rate of a clip of which nothing else says one, as in a scene."""


@dataclass(frozen=True)
class DragSuite:
    """Every case of `data`; `select` tells the maker to find the thing at the drag's start."""

    data: Path
    select: bool = False
    frames: int = 9
    title: str = "One drag on one thing in a real photo"

    def names(self) -> Sequence[str]:
        """PHOTO_THING."""
        return list(self._cases())

    def open(self, name: str) -> Scene:
        """Raises InputError when a file of the case is missing or damaged."""
        cases = self._cases()
        if name not in cases:
            raise InputError(f"{self.data} has no case {name}.")
        case = cases[name]
        try:
            start, end = (torch.tensor(case[key], dtype=torch.float32) for key in ("start", "end"))
            photo, mask, may_move = self.data / case["photo"], self.data / case["mask"], case["may_move"]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{self.data / 'cases.json'}: the case {name} is incomplete ({error})."
            ) from None
        picture = to_bytes(read_picture(photo))
        thing = self._mask(mask, picture)
        way = start + torch.linspace(0, 1, self.frames)[:, None] * (end - start)
        return Scene(
            name=name,
            picture=picture,
            fps=FPS,
            hints=TrackSet(way[None], torch.ones(1, self.frames, dtype=torch.bool)),
            others=no_tracks(self.frames),
            rests=torch.zeros(1, dtype=torch.bool),
            thing=thing,
            may_move=self._mask(self.data / may_move, picture) & ~thing if may_move else None,
            select=self.select,
        )

    def _mask(self, path: Path, picture: Tensor) -> Bool[Tensor, "H W"]:
        mask = read_mask(path)[0] > 0.5
        if mask.shape != picture.shape[1:]:
            raise InputError(f"{path} has another size than its photo: draw the mask on the photo itself.")
        if not mask.any():
            raise InputError(f"{path} is black: paint the thing white.")
        return mask

    def _cases(self) -> dict[str, dict[str, Any]]:
        file = self.data / "cases.json"
        try:
            listed = json.loads(file.read_text(encoding="utf-8"))
            return {f"{Path(case['photo']).stem}_{case['name']}": case for case in listed}
        except OSError:
            raise InputError(
                f"{self.data} holds no cases.json: give the folder of the drag set with --data."
            ) from None
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{file} is no list of cases.") from None
