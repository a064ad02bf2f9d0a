"""What clicks mean: the part, the thing or the group under them, with outlines on the picture's own edges.

A learned sense of things says what belongs together, coarsely; GrabCut (Rother et al., SIGGRAPH 2004) only
sharpens the outline.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mofa.tensors.geometry import shrunk
from mofa.types import LookedAt, SenseOfThings, ThingsAt
from mofa.vision.select import check_inside, grab_cut, one_piece, pixel_of, to_colours

Level = Literal["part", "thing", "group"]
LEVELS: tuple[Level, ...] = get_args(Level)
OUTLINE_SIDE = 512  # longest side at which outlines that are only shown are drawn
SURE = 2.5  # logit (a chance of 92 %) from which on GrabCut may not change its mind
CHANGED = 0.6  # least IoU of the sharpened outline with the one it sharpens; else the colours mislead
SAME = 0.85  # IoU from which on two nested answers are one
ASIDE = 0.015  # of the longer side: how far beside a click its neighbours are asked what they are
MOST_SHARPENED = 6  # questions at once whose outlines are sharpened: each takes about a tenth of a second
DECIDED = 2.0  # least logit, in size, of what has been sharpened
A_THING = 0.5  # least chance of a thing at which an outline is sharpened: mere ground has none
SPLIT = 0.25  # IoU below which a neighbour's answer is another thing's


@dataclass(frozen=True)
class Outline:
    """One answer: what it is, where (0..1), and how well it probably fits (0..1)."""

    level: Level
    region: Float[Tensor, "1 H W"]
    score: float


def outlines_at(picture: Float[Tensor, "3 H W"], look: LookedAt, x: float, y: float) -> tuple[Outline, ...]:
    """The nested answers to a point, in pixels, the smallest first; equal ones once. Quick: for hovering.

    `look` is the picture as the network sees it, made once. Raises InputError for a point outside.
    """
    height, width = picture.shape[1:]
    check_inside(x, y, height, width)
    answer = look.ask(torch.tensor([[[x, y]]]).float(), torch.ones(1, 1))
    columns, rows = shrunk(width, height, OUTLINE_SIDE)
    fine = F.interpolate(answer.logits, (rows, columns), mode="bilinear", align_corners=False)[0]
    click = pixel_of(x, y, (height, width), (rows, columns))
    found: list[Outline] = []
    masks: list[Bool[np.ndarray, "h w"]] = []
    for level, logits, score in zip(LEVELS, fine, answer.scores[0].tolist(), strict=True):
        mask = one_piece((logits > 0).numpy(), click)
        if any(_iou(mask, other) > SAME for other in masks):
            continue
        masks.append(mask)
        found.append(Outline(level, torch.from_numpy(mask).float()[None], score))
    order = np.argsort([mask.sum() for mask in masks], kind="stable")
    return tuple(found[n] for n in order)


@dataclass(frozen=True)
class SharpSense:
    """A sense of things whose outlines lie where the picture's own colours part."""

    sense: SenseOfThings

    def __call__(self, picture: Float[Tensor, "3 H W"]) -> "SharpLook":
        """The picture, looked at."""
        return SharpLook(picture, self.sense(picture))


@dataclass(frozen=True)
class SharpLook:
    """A picture that has been looked at; answers to few questions are sharpened, which takes a while each."""

    picture: Float[Tensor, "3 H W"]
    look: LookedAt
    level: Level = "thing"
    """Which of the nested answers is sharpened."""

    def ask(self, points: Float[Tensor, "K P 2"], signs: Float[Tensor, "K P"]) -> ThingsAt:
        """What the questions are about, the outline at the level on a finer grid."""
        answers = self.look.ask(points, signs)
        if len(points) > MOST_SHARPENED:
            return answers
        height, width = self.picture.shape[1:]
        columns, rows = shrunk(width, height, OUTLINE_SIDE)
        fine = F.interpolate(answers.logits, (rows, columns), mode="bilinear", align_corners=False)
        full = to_colours(self.picture)
        for answer, clicks, kinds, chance in zip(
            fine[:, LEVELS.index(self.level)], points, signs, answers.is_thing.tolist(), strict=True
        ):
            if chance < A_THING:
                continue
            on, off = (
                [pixel_of(x, y, (height, width), (rows, columns)) for x, y in clicks[kinds == sign].tolist()]
                for sign in (1, -1)
            )
            sharp = torch.from_numpy(_sharpened(full, answer.numpy(), on, off))
            answer.copy_(torch.where(sharp, answer.clamp(min=DECIDED), answer.clamp(max=-DECIDED)))
        return replace(answers, logits=fine)

    def glance(self, points: Float[Tensor, "K 1 2"]) -> ThingsAt:
        """What single points are about, roughly."""
        return self.look.glance(points)


def is_between_things(look: LookedAt, click: Float[Tensor, "2"], level: Level, size: tuple[int, int]) -> bool:
    """Whether some neighbours of a click in a picture of a size (height, width) belong to another thing."""
    aside = ASIDE * max(size)
    round_about = torch.tensor([[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]) * aside
    answers = look.glance((click + round_about)[:, None])
    masks = [(one > 0).numpy() for one in answers.logits[:, LEVELS.index(level)]]
    things = [k for k in range(1, 5) if answers.is_thing[k] > 0.5 and masks[k].any()]
    split = [k for k in things if _iou(masks[0], masks[k]) < SPLIT]
    return 0 < len(split) < len(things)


def _sharpened(
    full: np.ndarray, logits: np.ndarray, on: Sequence[tuple[int, int]], off: Sequence[tuple[int, int]]
) -> Bool[np.ndarray, "h w"]:
    """What is above 0, its outline moved to where the colours part; unless they would change the answer."""
    rough = logits > 0
    certain = np.where(np.abs(logits) > SURE, 1, 0) * np.where(rough, 1, -1)
    for sign, clicks in ((1, on), (-1, off)):
        for row, column in clicks:
            certain[row, column] = sign
    sharp = grab_cut(full, rough, certain)
    return sharp if _iou(sharp, rough) >= CHANGED else rough


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))
