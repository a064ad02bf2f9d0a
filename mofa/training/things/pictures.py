"""Pictures with masks of the things in them, and the questions a click on one of them asks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from scipy.ndimage import binary_dilation
from torch import Tensor

from mofa.media.image import read_mask, read_picture
from mofa.models.things import LEVELS, STRIDE
from mofa.tensors.geometry import shrunk

PART, THING, GROUP = range(len(LEVELS))
TOUCHING = 2
"""Cells of stride 4 between two things of a kind that still count as touching."""


@dataclass(frozen=True)
class Labelled:
    """A picture [3, H, W] in 0..1 and what is known of it, M masks [M, H, W] in 0..1.

    `is_part` tells parts from whole things; things of one `family` look alike, and those of them that
    touch are a group. Masks may lie in each other.
    """

    picture: Float[Tensor, "3 H W"]
    masks: Float[Tensor, "M H W"]
    is_part: Bool[Tensor, " M"]
    family: tuple[str, ...]


@dataclass(frozen=True)
class Questions:
    """A picture [3, S, S] in -1..1 and K questions about it, P clicks each.

    `targets` and `weights` [K, 3, S/4, S/4] are the shares of every cell that belong to part, thing and
    group, and how much each counts; `is_thing` [K, 2] says whether there is a thing and how much that counts.
    A batch of them has a leading axis.
    """

    picture: Float[Tensor, "*B 3 S S"]
    positions: Float[Tensor, "*B K P 2"]
    signs: Float[Tensor, "*B K P"]
    targets: Float[Tensor, "*B K 3 h w"]
    weights: Float[Tensor, "*B K 3 h w"]
    is_thing: Float[Tensor, "*B K 2"]
    name: str | tuple[str, ...] = ""


def read_labelled(masks: Path, photos: Sequence[Path], side: int = 512) -> list[Labelled]:
    """The photos of a folder of hand-made masks (`masks.json`), found by name in folders of photos."""
    entries = json.loads((masks / "masks.json").read_text(encoding="utf-8"))
    names = dict.fromkeys(entry["file"] for entry in entries)
    return [
        labelled
        for name in names
        if (labelled := _one(masks, photos, [e for e in entries if e["file"] == name], side)) is not None
    ]


def _one(
    folder: Path, photos: Sequence[Path], entries: Sequence[dict[str, str]], side: int
) -> Labelled | None:
    path = next((p / entries[0]["file"] for p in photos if (p / entries[0]["file"]).is_file()), None)
    if path is None:
        return None
    picture = read_small(path, side)
    masks = [read_mask(folder / "masks" / entry["mask"]) for entry in entries]
    fitted = [F.interpolate(mask[None], picture.shape[1:], mode="area")[0] for mask in masks]
    kinds = torch.tensor([entry["kind"] == "part" for entry in entries])
    families = tuple(entry["name"].rstrip("0123456789ABCDLR") for entry in entries)
    return Labelled(picture, torch.cat(fitted), kinds, families)


def read_small(path: Path, side: int) -> Float[Tensor, "3 H W"]:
    """The picture at `path`, its longer side at most `side`."""
    picture = read_picture(path)
    width, height = shrunk(picture.shape[2], picture.shape[1], side)
    return F.interpolate(picture[None], (height, width), mode="area")[0]


def crop(labelled: Labelled, size: int, rng: np.random.Generator, least: float = 0.5) -> Labelled:
    """A random window, squeezed to a square of `size`, mirrored half of the time.

    It holds at least `least` of the area, and the middle of one of the masks. Squeezing widens or narrows
    things by at most a third.
    """
    height, width = labelled.picture.shape[1:]
    share = rng.uniform(least, 1)
    aspect = np.exp(rng.uniform(-0.28, 0.28))
    longest = min(1.33 * min(height, width), max(height, width))
    w = int(np.clip(longest * np.sqrt(share) * aspect, 32, width))
    h = int(np.clip(longest * np.sqrt(share) / aspect, 32, height))
    within = labelled.masks[rng.integers(len(labelled.masks))] > 0.5
    rows, columns = np.nonzero(within.numpy())
    at = rng.integers(len(rows)) if len(rows) else None
    y, x = (height / 2, width / 2) if at is None else (rows[at], columns[at])
    top = int(np.clip(y - h * rng.uniform(0.2, 0.8), 0, height - h))
    left = int(np.clip(x - w * rng.uniform(0.2, 0.8), 0, width - w))
    both = torch.cat([labelled.picture, labelled.masks])[:, top : top + h, left : left + w]
    squeezed = F.interpolate(both[None], (size, size), mode="bilinear", antialias=True)[0]
    if rng.random() < 0.5:
        squeezed = squeezed.flip(-1)
    return replace(labelled, picture=squeezed[:3], masks=squeezed[3:])


def tinted(picture: Float[Tensor, "3 H W"], rng: np.random.Generator) -> Float[Tensor, "3 H W"]:
    """Other light, another camera: contrast, brightness, colour cast, gamma, a little noise."""
    contrast, gamma = rng.uniform(0.75, 1.2), rng.uniform(0.75, 1.3)
    cast = torch.from_numpy(rng.normal(0, 0.03, (3, 1, 1)) + rng.normal(0, 0.05)).float()
    seen = ((picture - 0.5) * contrast + 0.5 + cast).clamp(0, 1) ** gamma
    seed = int(rng.integers(2**31))
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(seed))
    return (seen + noise * rng.uniform(0, 0.025)).clamp(0, 1)


def ask(labelled: Labelled, rng: np.random.Generator, count: int, clicks: int) -> Questions:
    """`count` questions about a picture, room for `clicks` clicks each.

    Clicks lie on things and, one in five, on the ground, where there is nothing to find. One question in
    five has two clicks on its thing.
    """
    size = labelled.picture.shape[-1]
    cells = F.avg_pool2d(labelled.masks[None], STRIDE)[0]
    inside = (cells > 0.5).numpy()
    positions, signs = torch.zeros(count, clicks, 2), torch.zeros(count, clicks)
    targets = torch.zeros(count, len(LEVELS), size // STRIDE, size // STRIDE)
    weights, is_thing = torch.zeros_like(targets), torch.zeros(count, 2)
    things = np.flatnonzero(inside.any((1, 2)))
    for k in range(count):
        ground = len(things) == 0 or rng.random() < 0.2
        where: np.ndarray = ~np.any(inside, axis=0) if ground else inside[rng.choice(things)]
        place = _somewhere(where, rng)
        if place is None:
            place = (0, 0)
        positions[k, 0], signs[k, 0] = _pixel(place, rng), 1
        if ground:
            is_thing[k] = torch.tensor([0.0, 0.3])
            continue
        levels = _levels(cells, inside, labelled, place)
        for level, mask in levels.items():
            targets[k, level], weights[k, level] = mask, 1
        is_thing[k] = 1
        wanted = levels.get(THING, levels.get(PART))
        again = _somewhere((wanted > 0.5).numpy(), rng) if wanted is not None and rng.random() < 0.2 else None
        if again is not None:
            positions[k, 1], signs[k, 1] = _pixel(again, rng), 1
    return Questions(labelled.picture * 2 - 1, positions, signs, targets, weights, is_thing)


def _levels(
    cells: Float[Tensor, "M h w"], inside: np.ndarray, labelled: Labelled, place: tuple[int, int]
) -> dict[int, Float[Tensor, "h w"]]:
    """What the click at a cell may mean, as far as the masks know: smallest part and thing, and the group."""
    here = np.flatnonzero(inside[:, place[0], place[1]])
    by_size = here[np.argsort(inside[here].sum((1, 2)))]
    parts = [int(m) for m in by_size if labelled.is_part[m]]
    wholes = [int(m) for m in by_size if not labelled.is_part[m]]
    found = {}
    if wholes:
        found[THING], found[GROUP] = cells[wholes[0]], _group(cells, inside, labelled, wholes)
    if parts and (not wholes or inside[parts[0]].sum() < 0.9 * inside[wholes[0]].sum()):
        found[PART] = cells[parts[0]]
    return found


def _group(
    cells: Float[Tensor, "M h w"], inside: np.ndarray, labelled: Labelled, wholes: Sequence[int]
) -> Float[Tensor, "h w"]:
    """The thing with those of its family that touch it, one by one, and the next larger thing it lies in."""
    group = {wholes[0], *wholes[1:2]}
    alike = [
        m
        for m, family in enumerate(labelled.family)
        if family == labelled.family[wholes[0]] and not labelled.is_part[m]
    ]
    union = np.asarray(inside[list(group)].any(0))
    for _ in alike:
        near = binary_dilation(union, iterations=TOUCHING)
        group |= {m for m in alike if (inside[m] & near).any()}
        union = np.asarray(inside[list(group)].any(0))
    return cells[list(group)].sum(0).clamp(max=1)


def _somewhere(where: np.ndarray, rng: np.random.Generator) -> tuple[int, int] | None:
    rows, columns = np.nonzero(where)
    if len(rows) == 0:
        return None
    at = rng.integers(len(rows))
    return int(rows[at]), int(columns[at])


def _pixel(cell: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """Somewhere in a cell of stride 4, in pixels (x, y)."""
    return torch.tensor([cell[1], cell[0]]) * STRIDE + torch.from_numpy(rng.uniform(-0.5, 3.5, 2)).float()
