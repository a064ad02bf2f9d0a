"""One picture, looked at by the network that tells things apart, ready to be asked about any point of it."""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mofa.models.click_correction import corrected
from mofa.models.things import LEVELS, MULTIPLE, Embedding, Prompts, ThingsNet
from mofa.types import ThingsAt

SIDE = 320
"""Longer side, in pixels, of the picture the network sees; it was trained at about this size."""
CLOSER = 2.2
"""A small thing is looked at again, closer, in a window so many times as large as it seems, ..."""
CLOSEST = 0.2
"""... but no smaller than this share of the picture's longer side, ..."""
WORTH = 0.65
"""... and only if the window is smaller than this share: else little would be seen better."""
SNAP = 8
"""Windows lie on a grid of so many steps to their side, so that clicks on one thing share one."""
KEPT = 6
"""Windows, and answers, that a picture keeps: a window has about 2 MB, an answer 0.3 MB per question."""
FEW = 12
"""Questions at once above which the answer is not kept."""
CLICKS_AT_ONCE = 100
"""Asked about together: each takes up to 3 MB while the network answers."""
THING = LEVELS.index("thing")

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels."""


@dataclass(frozen=True)
class Window:
    """A window of a picture, in its pixels, and what the network sees there: `scale` (x, y) as large."""

    left: float
    top: float
    seen: Embedding
    scale: tuple[float, float]


@dataclass(frozen=True)
class ThingsInPicture:
    """A picture that `net` has seen as a whole; implements `types.LookedAt`."""

    net: ThingsNet
    picture: Float[Tensor, "3 H W"]
    whole: Window
    side: int
    windows: dict[Box, Window] = field(default_factory=dict, repr=False, compare=False)
    answered: dict[bytes, ThingsAt] = field(default_factory=dict, repr=False, compare=False)

    def ask(self, points: Float[Tensor, "K P 2"], signs: Float[Tensor, "K P"]) -> ThingsAt:
        """What K questions of up to P clicks each, in pixels of the picture, are about.

        A question is answered from its first click on the thing. Every further click changes that answer
        where it says something new, and nowhere else; scores stay those of the first. The last few answers
        are kept: one request asks the same several times.
        """
        points, signs = points.detach().float().cpu(), signs.detach().float().cpu()
        if len(points) > FEW:
            return self._answer(points, signs)
        question = torch.cat([points, signs[..., None]], -1)
        key = repr(tuple(question.shape)).encode() + question.numpy().tobytes()
        answer = self.answered.get(key)
        if answer is None:
            while len(self.answered) >= KEPT:
                self.answered.pop(next(iter(self.answered)), None)
            answer = self.answered[key] = self._answer(points, signs)
        return answer

    @torch.inference_mode()
    def _answer(self, points: Float[Tensor, "K P 2"], signs: Float[Tensor, "K P"]) -> ThingsAt:
        first = (signs > 0).int().argmax(1)
        own = torch.take_along_dim(points, first[:, None, None].expand(-1, -1, 2), 1)
        found = self._closely(own, torch.ones(len(points), 1))
        logits = [
            self._corrected(*question) for question in zip(found.logits, points, signs, first, strict=True)
        ]
        return ThingsAt(torch.stack(logits), found.scores, found.is_thing)

    def _corrected(
        self, answer: Float[Tensor, "3 h w"], points: Float[Tensor, "P 2"], signs: Tensor, first: Tensor
    ) -> Float[Tensor, "3 h w"]:
        """The answer to a question's first click, corrected by its others."""
        asked = torch.zeros_like(signs)
        asked[first] = 1
        for n in signs.nonzero()[:, 0].tolist():
            cell, sign = self._cell(points[n], answer), int(signs[n])
            if n == first or (sign * answer[:, *cell] > 0).all():
                continue
            asked[n] = sign
            now = self._closely(points[None], asked[None]).logits[0]
            if sign > 0:  # what is added has to belong to the new click alone, too
                now = now.minimum(self._closely(points[None, n : n + 1], signs[None, n : n + 1]).logits[0])
            answer = torch.stack([corrected(*level, cell, sign) for level in zip(answer, now, strict=True)])
        return answer

    def _cell(self, point: Float[Tensor, "2"], grid: Float[Tensor, "3 h w"]) -> tuple[int, int]:
        """Row and column of the cell of an answer's grid that holds a point of the picture."""
        size, cells = self.picture.shape[1:], grid.shape[1:]
        row, column = (
            min(max(int((at + 0.5) * n / s), 0), n - 1)
            for at, n, s in zip(point.flip(0).tolist(), cells, size, strict=True)
        )
        return row, column

    def _closely(self, points: Float[Tensor, "K P 2"], signs: Float[Tensor, "K P"]) -> ThingsAt:
        """The network's own answers; small things are looked at again, closer."""
        found = self._ask(self.whole, points, signs)
        coarse, grid = found.logits, [2 * n for n in found.logits.shape[-2:]]
        logits = F.interpolate(coarse, grid, mode="bilinear", align_corners=False)
        scores, is_thing = found.scores.clone(), found.is_thing.clone()
        for k in range(len(points)):
            box = self._closer_look(coarse[k, THING], points[k][signs[k] > 0])
            if box is None:
                continue
            closer = self._ask(self._window(box), points[k : k + 1], signs[k : k + 1])
            if closer.scores[0, THING] < found.scores[k, THING]:
                continue  # too close to see what it is part of
            scores[k], is_thing[k] = closer.scores[0], closer.is_thing[0]
            logits[k] = self._pasted(closer.logits[0], box, grid)
        return ThingsAt(logits, scores, is_thing)

    @torch.inference_mode()
    def glance(self, points: Float[Tensor, "K 1 2"]) -> ThingsAt:
        """The answers to single clicks without a closer look."""
        return self._ask(self.whole, points.detach().float().cpu(), torch.ones(points.shape[:2]))

    def _window(self, box: Box) -> Window:
        """A part of the picture, looked at once for all clicks that ask for it."""
        if box not in self.windows:
            while len(self.windows) >= KEPT:
                self.windows.pop(next(iter(self.windows)), None)
            self.windows[box] = _look(self.net, self.picture, box, self.side)
        return self.windows[box]

    def _ask(self, window: Window, points: Tensor, signs: Tensor) -> ThingsAt:
        offset, scale = torch.tensor([window.left, window.top]), torch.tensor(window.scale)
        there = (points - offset + 0.5) * scale - 0.5
        # Every click is compared with every place, so that a file of tracks would take gigabytes at once.
        some = max(1, CLICKS_AT_ONCE // points.shape[1])
        answers = [
            self.net.answer(window.seen, Prompts(part[None], kinds[None]))
            for part, kinds in zip(there.split(some), signs.split(some), strict=True)
        ]
        return ThingsAt(
            torch.cat([part.logits[0] for part in answers]),
            torch.cat([part.scores[0] for part in answers]).sigmoid(),
            torch.cat([part.is_thing[0] for part in answers]).sigmoid(),
        )

    def _closer_look(self, logits: Float[Tensor, "h w"], on: Float[Tensor, "P 2"]) -> Box | None:
        """The window in which what was found is looked at closer, if worth it."""
        height, width = self.picture.shape[1:]
        rows, columns = torch.nonzero(logits > 0).unbind(1)
        cell = torch.tensor([width / logits.shape[1], height / logits.shape[0]])
        places = torch.cat([on, (torch.stack([columns, rows], 1) + 0.5) * cell])
        low, high = places.amin(0), places.amax(0)
        side = max(CLOSER * float((high - low).max()), CLOSEST * max(height, width))
        if side > WORTH * max(height, width):
            return None
        # The next rung of a ladder of sizes, each a quarter of an octave below the one before.
        side = max(height, width) * 2 ** (math.floor(4 * math.log2(side / max(height, width)) + 4) / 4 - 0.75)
        (left, right), (top, bottom) = (
            _span(float(at), round(side), limit)
            for at, limit in zip((low + high) / 2, (width, height), strict=True)
        )
        return left, top, right, bottom

    def _pasted(self, logits: Float[Tensor, "3 h w"], box: Box, grid: list[int]) -> Float[Tensor, "3 H W"]:
        """The answer in a window on the grid of the whole picture; what is outside does not belong."""
        height, width = self.picture.shape[1:]
        y, x = (
            (torch.arange(n) + 0.5) * size / n - start
            for n, size, start in zip(grid, (height, width), (box[1], box[0]), strict=True)
        )
        x, y = x / (box[2] - box[0]) * 2 - 1, y / (box[3] - box[1]) * 2 - 1
        where = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)[None]
        inside = (where.abs() <= 1).all(-1)
        answer = F.grid_sample(logits[None], where, padding_mode="border", align_corners=False)
        return torch.where(inside[:, None], answer, answer.new_tensor(-10.0))[0]


def _look(net: ThingsNet, picture: Float[Tensor, "3 H W"], box: Box, side: int) -> Window:
    """A window of the picture, its longer side brought to `side`, both to multiples of MULTIPLE."""
    left, top, right, bottom = box
    shown = picture[:, top:bottom, left:right]
    height, width = shown.shape[1:]
    share = side / max(height, width) / MULTIPLE
    size = [max(2, round(n * share)) * MULTIPLE for n in (height, width)]
    small = F.interpolate(shown[None], size, mode="bilinear", antialias=True, align_corners=False)
    seen = net.embed((small * 2 - 1).contiguous(memory_format=torch.channels_last))
    return Window(float(left), float(top), seen, (size[1] / width, size[0] / height))


def _span(middle: float, length: int, limit: int) -> tuple[int, int]:
    """From where to where a window of some length about a middle reaches, on a grid, within 0..limit."""
    if length >= limit:
        return 0, limit
    step = max(1, length // SNAP)
    start = min(max(round((middle - length / 2) / step) * step, 0), limit - length)
    return start, start + length


@dataclass(frozen=True)
class ThingsSense:
    """Looks at pictures; implements `types.SenseOfThings`."""

    net: ThingsNet
    side: int = SIDE

    @torch.inference_mode()
    def __call__(self, picture: Float[Tensor, "3 H W"]) -> ThingsInPicture:
        """The picture (0..1) as a whole."""
        picture = picture.detach().float().cpu()
        whole = _look(self.net, picture, (0, 0, picture.shape[2], picture.shape[1]), self.side)
        return ThingsInPicture(self.net, picture, whole, self.side)
