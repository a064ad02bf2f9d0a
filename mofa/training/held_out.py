"""What a run says about itself on held-out examples: losses, and clips that its networks make, with numbers.

Everything is done with the running mean of the weights, which is what a checkpoint gives to others, and with
the same examples and noise every time: two lines of `metrics.jsonl` differ by what was learned alone.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from operator import itemgetter
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.media.image import save_png
from mofa.training.adherence import Adherence, asked_of
from mofa.training.clips import Clips
from mofa.training.config import GenerationSettings
from mofa.training.loading import Shares, batches
from mofa.training.protocol import Draws, Objective, Source, moved

VALIDATION_PASS = 2**40
"""Validation examples are drawn as if they came after all others: always the same, never trained on."""
FIGURES = "figures"
"""The folder of a run with a picture per validation."""
GAP = 2
"""White pixels between a truth and what was made."""


@contextmanager
def at_mean(objective: Objective, average: Mapping[str, Tensor] | None) -> Iterator[None]:
    """The objective at rest, with the running mean for its weights (None: as they are)."""
    own = {name: parameter.detach().clone() for name, parameter in objective.trained.items()}
    objective.eval()
    if average is not None:
        objective.follow(average)
    try:
        yield
    finally:
        objective.follow(own)
        objective.train()


@torch.no_grad()
def losses(
    objective: Objective, source: Source, shares: Shares, seed: int, count: int, device: torch.device
) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """The mean loss over `count` passes of this process, at noise and levels that are always the same, and
    the means of what the objective measures beside it."""
    found: list[Tensor] = []
    measures: dict[str, list[float]] = {}
    for batch, draws in passes(source, shares, seed, count, device):
        found.append(objective(batch, draws).per_example.mean())
        for name, value in objective.measure(batch, draws).items():
            measures.setdefault(name, []).append(value)
    return torch.stack(found).mean(), {name: sum(v) / len(v) for name, v in measures.items()}


@torch.no_grad()
def clips_made(
    objective: Objective,
    source: Source,
    shares: Shares,
    seed: int,
    settings: GenerationSettings,
    device: torch.device,
) -> tuple[UInt8[Tensor, "3 H W"], dict[str, float]] | None:
    """A picture of clips beside their truth, and how far what moves in them is from where it should be.

    None where the objective makes none.
    """
    rows: list[UInt8[Tensor, "3 h w"]] = []
    found: list[Adherence] = []
    count = max(1, settings.examples // shares.batch)
    for batch, draws in passes(source, shares, seed, count, device):
        made = objective.generate(batch, draws, settings)
        if made is None:
            return None
        for i, clip in enumerate(made.cpu()):
            one = moved(batch, itemgetter(i))
            rows.append(beside(one.frames.cpu(), clip))
            found += [a for asked in [asked_of(one)] if asked and (a := asked.read(clip))]
    numbers: dict[str, float] = {}
    if found:
        numbers = {
            "trajectory error": sum(a.error for a in found) / len(found),
            "trajectory error of still clips": sum(a.still for a in found) / len(found),
            "clips measured": float(len(found)),
        }
    return torch.cat(rows, dim=1), numbers


def passes(
    source: Source, shares: Shares, seed: int, count: int, device: torch.device
) -> Iterator[tuple[Clips, Draws]]:
    """The held-out batches of this process, with their random numbers."""
    for i, batch in enumerate(batches(source, shares, 0, count, 0)):
        yield moved(batch, lambda tensor: tensor.to(device)), shares.draws(seed, VALIDATION_PASS + i)


def beside(truth: UInt8[Tensor, "T 3 H W"], made: UInt8[Tensor, "T 3 H W"]) -> UInt8[Tensor, "3 H W2"]:
    """The frames of two clips in one row."""
    first, second = (torch.cat(list(clip), dim=2) for clip in (truth, made))
    gap = first.new_full((*first.shape[:2], GAP), 255)
    return torch.cat([first, gap, second], dim=2)


def save_figure(run: Path, step: int, picture: UInt8[Tensor, "3 H W"]) -> None:
    """The picture of a validation, in place of one of the same step. A full disk costs it, not the run."""
    folder = run / FIGURES
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        (folder / f"step-{step:07d}.png").unlink(missing_ok=True)
        save_png(folder / f"step-{step:07d}.png", picture)
