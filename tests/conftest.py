"""Shared fixtures. Shapes in annotations are checked while tests run (jaxtyping and beartype)."""

import logging
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import settings
from jaxtyping import Bool, Float, install_import_hook
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

if TYPE_CHECKING:
    from mofa.types import ThingsAt

install_import_hook("mofa", "beartype.beartype")
# How long an example takes says more about the machine's other work than about the code.
settings.register_profile("mofa", deadline=None, print_blob=True)
settings.load_profile("mofa")
# Toy sizes gain nothing from a second thread, and lose much where the machine has other things to do.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A command that runs in the tests' own process leaves nothing to the log that others listen to."""
    logger = logging.getLogger("mofa")
    before = logger.level, logger.propagate, list(logger.handlers)
    yield
    logger.level, logger.propagate, logger.handlers = before


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """What is logged, even after a command has begun to send the log to the error stream alone."""
    logger = logging.getLogger("mofa")
    monkeypatch.setattr(logger, "handlers", [logging.NullHandler()])
    monkeypatch.setattr(logger, "propagate", True)
    return caplog


def _arc(x: float, y: float, across: float, down: float, start: float, end: float, count: int) -> list:
    angles = [math.radians(start + (end - start) * i / (count - 1)) for i in range(count)]
    return [[x + across * math.cos(a), y + down * math.sin(a)] for a in angles]


def _eye(x: float, y: float) -> list[list[float]]:
    return [[x - 12, y], [x - 5, y - 5], [x + 5, y - 5], [x + 12, y], [x + 5, y + 5], [x - 5, y + 5]]


@pytest.fixture
def face_points() -> torch.Tensor:
    """The 68 points of a face of circles and lines, in a picture of 200 x 200, its mouth a little open."""
    points = _arc(100, 90, 60, 80, 180, 0, 17)
    points += _arc(72, 66, 20, 8, 200, 340, 5) + _arc(128, 66, 20, 8, 200, 340, 5)
    points += [[100, y] for y in (75, 85, 95, 105)] + [[x, 112] for x in (90, 95, 100, 105, 110)]
    points += _eye(72, 78) + _eye(128, 78)
    points += _arc(100, 138, 24, 10, 180, 360, 7) + _arc(100, 138, 24, 10, 30, 150, 5)
    points += _arc(100, 138, 18, 3, 180, 360, 5) + _arc(100, 138, 18, 3, 45, 135, 3)
    return torch.tensor(points)


def draw_person(opening: float = 0.0, turn: float = 0.0, size: int = 256) -> torch.Tensor:
    """A drawn person, bytes [3, size, size], that face detectors take for one.

    `opening` is half the height of the mouth's inside, in 256ths of the picture, and `turn` how far the
    head has gone to the right.
    """
    scale = 4 * size / 256
    image = Image.new("RGB", (4 * size, 4 * size), (120, 140, 160))
    pen = ImageDraw.Draw(image)

    def box(x: float, y: float, across: float, down: float) -> list[float]:
        return [v * scale for v in (x - across, y - down, x + across, y + down)]

    def ellipse(x: float, y: float, across: float, down: float, colour: tuple[int, int, int]) -> None:
        pen.ellipse(box(x, y, across, down), fill=colour)

    ellipse(128, 260, 110, 60, (60, 70, 110))
    pen.rectangle(box(128, 205, 23, 25), fill=(205, 160, 135))
    middle = 128 + turn
    ellipse(middle, 118, 72, 88, (60, 40, 30))
    ellipse(middle, 130, 60, 78, (225, 180, 150))
    for x in (middle - 25, middle + 25):
        for across, down, colour in ((13, 7, (250, 250, 250)), (6, 6, (70, 50, 40)), (3, 3, (10, 10, 10))):
            ellipse(x, 118, across, down, colour)
        pen.arc(box(x, 118.5, 15, 11.5), 190, 350, fill=(60, 35, 30), width=round(2 * scale))
        pen.arc(box(x, 110, 18, 15), 205, 335, fill=(60, 40, 30), width=round(5 * scale))
    ellipse(middle, 155, 11, 7, (212, 160, 135))
    for x in (middle - 6, middle + 6):
        ellipse(x, 158, 3, 2, (120, 70, 60))
    ellipse(middle, 179, 24, 8 + opening, (190, 90, 90))
    ellipse(middle, 179, 21, 0.7 + opening, (60, 20, 25))
    small = image.resize((size, size), Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(1))
    return torch.from_numpy(np.array(small)).permute(2, 0, 1).contiguous()


@pytest.fixture(scope="session")
def person():
    """Draws people: see `draw_person`."""
    return draw_person


class Discs:
    """Two discs that touch, each with a smaller disc as its part; known at a quarter of the size."""

    height, width = 96, 128
    centres = ((44.0, 48.0), (84.0, 48.0))

    def __init__(self) -> None:
        self.is_thing: torch.Tensor | None = None
        """How surely there is a thing under each of K questions; None: surely."""

    def disc(self, which: int, radius: float, step: int = 1) -> Bool[Tensor, "h w"]:
        y, x = (torch.arange(n // step) * step + (step - 1) / 2 for n in (self.height, self.width))
        cx, cy = self.centres[which]
        return (x[None] - cx).square() + (y[:, None] - cy).square() < radius**2

    def picture(self) -> Float[Tensor, "3 H W"]:
        colours = torch.full((3, self.height, self.width), 0.85)
        for which, colour in enumerate(([0.8, 0.2, 0.2], [0.2, 0.3, 0.8])):
            colours[:, self.disc(which, 20)] = torch.tensor(colour)[:, None]
        return colours + 0.02 * torch.randn(colours.shape, generator=torch.Generator().manual_seed(0))

    def ask(self, points: Float[Tensor, "K P 2"], signs: Float[Tensor, "K P"]) -> "ThingsAt":
        from mofa.types import ThingsAt

        answers, scores = [], []
        for clicks, kinds in zip(points, signs, strict=True):
            on = {self.nearest(click) for click in clicks[kinds > 0]}
            off = {self.nearest(click) for click in clicks[kinds < 0]}
            thing = torch.stack([self.disc(w, 19, 4) for w in on - off] or [self.disc(0, 0, 4)]).any(0)
            part = torch.stack([self.disc(w, 8, 4) for w in on - off] or [self.disc(0, 0, 4)]).any(0)
            group = self.disc(0, 19, 4) | self.disc(1, 19, 4)
            answers.append(torch.stack([part, thing, group]).float() * 2 - 1)
            scores.append(torch.tensor([0.5, 0.9, 0.6]))
        sure = torch.ones(len(points)) if self.is_thing is None else self.is_thing
        return ThingsAt(torch.stack(answers), torch.stack(scores), sure)

    def glance(self, points: Float[Tensor, "K 1 2"]) -> "ThingsAt":
        return self.ask(points, torch.ones(points.shape[:2]))

    def nearest(self, click: Float[Tensor, "2"]) -> int:
        return int(abs(click[0] - self.centres[0][0]) > abs(click[0] - self.centres[1][0]))

    @staticmethod
    def overlap(region: Float[Tensor, "1 H W"], thing: Bool[Tensor, "H W"]) -> float:
        chosen = region[0] > 0.5
        return float((chosen & thing).sum() / (chosen | thing).sum())


@pytest.fixture
def discs() -> Discs:
    """A picture of two things, and a sense that knows them coarsely."""
    return Discs()
