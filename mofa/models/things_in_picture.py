"""One picture, looked at by the network that tells things apart, ready to be asked about any point of it."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

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
THING = LEVELS.index("thing")


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

    @torch.inference_mode()
    def ask(self, points: Float[Tensor, "K P 2"], signs: Float[Tensor, "K P"]) -> ThingsAt:
        """What K questions of up to P clicks each, in pixels of the picture, are about.

        Small things are looked at again, closer.
        """
        points, signs = points.detach().float().cpu(), signs.detach().float().cpu()
        found = self._ask(self.whole, points, signs)
        grid = [2 * n for n in found.logits.shape[-2:]]
        logits = F.interpolate(found.logits, grid, mode="bilinear", align_corners=False)
        scores, is_thing = found.scores.clone(), found.is_thing.clone()
        for k in range(len(points)):
            box = self._closer_look(found.logits[k, THING], points[k][signs[k] > 0])
            if box is None:
                continue
            window = _look(self.net, self.picture, box, self.side)
            closer = self._ask(window, points[k : k + 1], signs[k : k + 1])
            if closer.scores[0, THING] < found.scores[k, THING]:
                continue  # too close to see what it is part of
            scores[k], is_thing[k] = closer.scores[0], closer.is_thing[0]
            logits[k] = self._pasted(closer.logits[0], box, grid)
        return ThingsAt(logits, scores, is_thing)

    def _ask(self, window: Window, points: Tensor, signs: Tensor) -> ThingsAt:
        offset, scale = torch.tensor([window.left, window.top]), torch.tensor(window.scale)
        there = (points - offset + 0.5) * scale - 0.5
        answers = self.net.answer(window.seen, Prompts(there[None], signs[None]))
        return ThingsAt(answers.logits[0], answers.scores[0].sigmoid(), answers.is_thing[0].sigmoid())

    def _closer_look(
        self, logits: Float[Tensor, "h w"], on: Float[Tensor, "P 2"]
    ) -> tuple[int, int, int, int] | None:
        """The window (left, top, right, bottom) in which what was found is looked at closer, if worth it."""
        height, width = self.picture.shape[1:]
        rows, columns = torch.nonzero(logits > 0).unbind(1)
        cell = torch.tensor([width / logits.shape[1], height / logits.shape[0]])
        places = torch.cat([on, (torch.stack([columns, rows], 1) + 0.5) * cell])
        low, high = places.amin(0), places.amax(0)
        side = max(CLOSER * float((high - low).max()), CLOSEST * max(height, width))
        if side > WORTH * max(height, width):
            return None
        middle = (low + high) / 2
        spans = []
        for at, limit in zip(middle.tolist(), (width, height), strict=True):
            length = min(round(side), limit)
            start = int(min(max(at - length / 2, 0), limit - length))
            spans.append((start, start + length))
        (left, right), (top, bottom) = spans
        return left, top, right, bottom

    def _pasted(
        self, logits: Float[Tensor, "3 h w"], box: tuple[int, int, int, int], grid: list[int]
    ) -> Float[Tensor, "3 H W"]:
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


def _look(
    net: ThingsNet, picture: Float[Tensor, "3 H W"], box: tuple[int, int, int, int], side: int
) -> Window:
    """A window of the picture, its longer side brought to `side`, both to multiples of MULTIPLE."""
    left, top, right, bottom = box
    shown = picture[:, top:bottom, left:right]
    height, width = shown.shape[1:]
    share = side / max(height, width) / MULTIPLE
    size = [max(2, round(n * share)) * MULTIPLE for n in (height, width)]
    small = F.interpolate(shown[None], size, mode="bilinear", antialias=True, align_corners=False)
    return Window(float(left), float(top), net.embed(small * 2 - 1), (size[1] / width, size[0] / height))


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
