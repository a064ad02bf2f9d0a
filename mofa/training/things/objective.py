"""What the network that tells things apart is asked to do, in the order in which it will be used.

Each question is answered twice. Half of the questions get a click between the passes, where the first answer
is most wrong, on the thing or beside it, so that the second learns to listen to corrections. A quarter get
one that tells nothing new, anywhere on the thing or beside it, so that a click does not spoil what was right.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from mofa.models.things import STRIDE, Answers, Prompts, ThingsNet
from mofa.training.things.pictures import THING, Questions

FIRST = 0.35
"""Share of the batches that train the first pass: the second starts from what the first one gives."""
CORRECTED, CONFIRMED = 0.5, 0.25
"""Shares of the questions that get a click where the first answer is most wrong, and just anywhere."""


@dataclass(frozen=True)
class Losses:
    """The parts of the loss, one number per picture."""

    masks: Float[Tensor, " B"]
    scores: Float[Tensor, " B"]
    is_thing: Float[Tensor, " B"]

    @property
    def total(self) -> Float[Tensor, " B"]:
        """Their weighted sum."""
        return self.masks + 0.3 * self.scores + 0.2 * self.is_thing


def losses(net: ThingsNet, batch: Questions, rng: np.random.Generator) -> Losses:
    """The losses of a batch of questions, at the first or the second pass."""
    seen = net.embed(batch.picture.contiguous(memory_format=torch.channels_last))
    prompts = Prompts(batch.positions, batch.signs)
    if rng.random() < FIRST:
        answers = net.first(seen, prompts)
    else:
        with torch.no_grad():
            first = net.first(seen, prompts).logits
        answers = net.second(seen, correct(first[:, :, THING], batch, rng), first)
    return judged(answers, batch)


def judged(answers: Answers, batch: Questions) -> Losses:
    """The losses of answers to a batch of questions."""
    found = iou(answers.logits > 0, batch.targets)
    known = batch.weights.amax((3, 4))
    guessed = F.binary_cross_entropy_with_logits(answers.scores, found, reduction="none")
    asked, counts = batch.is_thing.unbind(-1)
    there = F.binary_cross_entropy_with_logits(answers.is_thing, asked, reduction="none")
    return Losses(
        masks=mask_loss(answers, batch),
        scores=(guessed * known).sum((1, 2)) / known.sum((1, 2)).clamp(min=1),
        is_thing=(there * counts).sum(1) / counts.sum(1).clamp(min=1e-3),
    )


def mask_loss(answers: Answers, batch: Questions) -> Float[Tensor, " B"]:
    """Per picture: twice the cross-entropy plus the Dice loss, where known; things count double."""
    logits, targets, weights = answers.logits, batch.targets, batch.weights
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    entropy = (entropy * weights).mean((3, 4))
    share = logits.sigmoid()
    both, either = (share * targets * weights).sum((3, 4)), ((share + targets) * weights).sum((3, 4))
    dice = 1 - (2 * both + 10) / (either + 10)
    counts = weights.amax((3, 4)) * weights.new_tensor([1.0, 2.0, 0.5])
    return ((2 * entropy + dice) * counts).sum((1, 2)) / counts.sum((1, 2)).clamp(min=1)


def iou(found: Tensor, targets: Tensor) -> Tensor:
    """[...]: intersection over union of masks [..., h, w]."""
    wanted = targets > 0.5
    return (found & wanted).sum((-2, -1)) / (found | wanted).sum((-2, -1)).clamp(min=1)


def correct(logits: Float[Tensor, "B K h w"], batch: Questions, rng: np.random.Generator) -> Prompts:
    """The batch's clicks and, for most questions, one more: a correction, or one that tells nothing new."""
    positions, signs = batch.positions.clone(), batch.signs.clone()
    last = positions.shape[2] - 1
    for b, k in np.ndindex(*signs.shape[:2]):
        known, wanted = (batch.weights[b, k, THING] > 0).numpy(), (batch.targets[b, k, THING] > 0.5).numpy()
        kind = rng.random()
        if not known.any() or kind > CORRECTED + CONFIRMED:
            continue
        corrected = kind < CORRECTED
        found = (logits[b, k] > 0).numpy()
        click = largest_error(found, wanted, known) if corrected else any_click(wanted, known, rng)
        if click is not None:
            positions[b, k, last] = torch.tensor([click[0], click[1]]) * STRIDE + (STRIDE - 1) / 2
            signs[b, k, last] = click[2]
    return Prompts(positions, signs)


def any_click(wanted: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> tuple[int, int, int] | None:
    """(x, y, sign) of any cell, three times in four beside the thing; None: the thing is everywhere."""
    sign = 1 if rng.random() < 0.25 else -1
    rows, columns = np.nonzero(known & (wanted if sign > 0 else ~wanted))
    if len(rows) == 0:
        return None
    at = rng.integers(len(rows))
    return int(columns[at]), int(rows[at]), sign


def largest_error(found: np.ndarray, wanted: np.ndarray, known: np.ndarray) -> tuple[int, int, int] | None:
    """(x, y, sign) of the cell deepest in what is missing (1) or too much (-1); None: too small to click."""
    best, depth = None, 1.5
    for wrong, sign in ((wanted & ~found & known, 1), (found & ~wanted & known, -1)):
        deep = distance_transform_edt(np.pad(wrong, 1))[1:-1, 1:-1]
        if deep.max() > depth:
            row, column = np.unravel_index(deep.argmax(), deep.shape)
            best, depth = (int(column), int(row), sign), float(deep.max())
    return best
