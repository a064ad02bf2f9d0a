"""Composites: things cut out of photos, laid on other photos, so that their masks are exact.

One to five things, two fifths of them copies of one another and often touching, so that look-alikes must be
told apart; soft shadows, light of their own, blurred rims, other sharpness than the ground.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mofa.media.image import read_mask, read_picture
from mofa.tensors.geometry import shrunk
from mofa.training.things.pictures import Labelled

LEAST_DETAIL = 0.3
"""Share of a cut-out's inner pixels that may be flat: drawings have large flat areas, photographs none."""


@dataclass(frozen=True)
class CutOut:
    """A thing [3, h, w] in 0..1 with its alpha [1, h, w] and the masks of its parts [P, h, w]."""

    pixels: Float[Tensor, "3 h w"]
    alpha: Float[Tensor, "1 h w"]
    parts: Float[Tensor, "P h w"]


def cut_out(labelled: Labelled) -> list[CutOut]:
    """Every whole thing of a picture that its border does not cut, with the parts that lie in it."""
    found = []
    for m in torch.nonzero(~labelled.is_part)[:, 0].tolist():
        mask = labelled.masks[m]
        inside = mask > 0.5
        if inside.sum() < 600 or _rim(inside) > 0.03 * inside.sum().sqrt():
            continue
        rows, columns = torch.nonzero(inside.any(1))[:, 0], torch.nonzero(inside.any(0))[:, 0]
        window = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
        within = [
            p
            for p in torch.nonzero(labelled.is_part)[:, 0].tolist()
            if (labelled.masks[p] * mask).sum() > 0.9 * labelled.masks[p].sum()
        ]
        found.append(
            CutOut(labelled.picture[:, *window], mask[None][:, *window], labelled.masks[within][:, *window])
        )
    return found


def _rim(inside: Tensor) -> Tensor:
    """How many pixels of a mask lie on the picture's border."""
    return inside[0].sum() + inside[-1].sum() + inside[:, 0].sum() + inside[:, -1].sum()


def read_stamps(folder: Path, side: int = 320) -> list[CutOut]:
    """The photographic ones of a folder of pictures with transparency; drawings are left out."""
    found = []
    for path in sorted(folder.rglob("*.png")):
        alpha = read_mask(path)
        if alpha.min() == 1 or min(alpha.shape[1:]) < 60:
            continue
        on_white = read_picture(path)
        pixels = ((on_white - (1 - alpha)) / alpha.clamp(min=1e-3)).clamp(0, 1)
        width, height = shrunk(alpha.shape[2], alpha.shape[1], side)
        stamp = F.interpolate(torch.cat([pixels, alpha])[None], (height, width), mode="area")[0]
        if _is_photograph(stamp):
            found.append(CutOut(stamp[:3], stamp[3:], stamp[:0]))
    return found


def _is_photograph(stamp: Float[Tensor, "4 h w"]) -> bool:
    inner = -F.max_pool2d(-(stamp[3:] > 0.8).float()[None], 5, stride=1, padding=2)[0, 0] > 0
    if inner.sum() < 1500 or (stamp[3] > 0.5).float().mean() > 0.97:
        return False
    grey = stamp[:3].mean(0)
    detail = (grey - F.avg_pool2d(grey[None, None], 3, stride=1, padding=1)[0, 0]).abs()
    flat = (detail[inner] < 0.0015).float().mean()
    colours = ((stamp[:3, inner] * 31).long() * torch.tensor([[1024], [32], [1]])).sum(0).unique()
    return bool(flat < LEAST_DETAIL) and len(colours) / float(inner.sum()) ** 0.5 > 0.8


def compose(
    cutouts: Sequence[CutOut], grounds: Sequence[Float[Tensor, "3 H W"]], size: int, rng: np.random.Generator
) -> Labelled:
    """One composite, `size` pixels wide and high."""
    picture = _ground(grounds[int(rng.integers(len(grounds)))], size, rng)
    light, cast = rng.uniform(0.8, 1.15), picture.mean((1, 2), keepdim=True)
    margin = -0.05 if rng.random() < 0.3 else 0.12
    count = int(rng.choice([1, 2, 3, 4, 5], p=[0.3, 0.25, 0.19, 0.14, 0.12]))
    masks: list[Tensor] = []
    kinds: list[bool] = []
    families: list[str] = []
    before: tuple[int, float, np.ndarray] | None = None
    for _ in range(count):
        if before is not None and rng.random() < 0.4:
            which, long = before[0], before[1] * rng.uniform(0.8, 1.2)
        else:
            largest = 1.2 if count == 1 else 0.9 if count == 2 else 0.6
            which = int(rng.integers(len(cutouts)))
            long = size * np.exp(rng.uniform(np.log(0.13), np.log(largest)))
        centre = rng.uniform(size * margin, size * (1 - margin), 2)
        if before is not None and rng.random() < 0.5:
            angle = rng.uniform(0, 2 * np.pi)
            step = rng.uniform(0.3, 0.7) * (before[1] + long) * 0.7
            centre = before[2] + step * np.array([np.cos(angle), 0.6 * np.sin(angle)])
            centre = centre.clip(size * margin, size * (1 - margin))
        before = which, long, centre
        placed = _placed(cutouts[which], size, long, centre, rng)
        alpha, parts = placed[3:4], placed[4:]
        colour = placed[:3] / alpha.clamp(min=1e-3) * light * rng.uniform(0.88, 1.12)
        share = rng.uniform(0, 0.25)
        colour = (colour * (1 - share) + cast * share).clamp(0, 1)
        if rng.random() < 0.35:
            picture = picture * (1 - _shadow(alpha, rng))
        if rng.random() < 0.5:
            alpha = _blurred(alpha, rng.uniform(0.4, 1.1))
        picture = picture * (1 - alpha) + colour * alpha
        masks = [mask * (1 - alpha[0]) for mask in masks] + [alpha[0], *parts]
        kinds += [False, *[True] * len(parts)]
        families += [str(which)] * (1 + len(parts))
    if rng.random() < 0.5:
        picture = _blurred(picture, rng.uniform(0.3, 0.9))
    return Labelled(picture, torch.stack(masks), torch.tensor(kinds), tuple(families))


def _ground(photo: Float[Tensor, "3 H W"], size: int, rng: np.random.Generator) -> Float[Tensor, "3 S S"]:
    height, width = photo.shape[1:]
    side = int(min(height, width) * rng.uniform(0.55, 1.0))
    top, left = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    window = photo[:, top : top + side, left : left + side]
    window = window.flip(-1) if rng.random() < 0.5 else window
    return F.interpolate(window[None], (size, size), mode="bilinear", antialias=True)[0]


def _placed(
    thing: CutOut, size: int, long: float, centre: np.ndarray, rng: np.random.Generator
) -> Float[Tensor, "C S S"]:
    """A cut-out's premultiplied colours, alpha and parts, scaled to a long side, turned and put in place."""
    layers = torch.cat([thing.pixels * thing.alpha, thing.alpha, thing.parts])
    if rng.random() < 0.5:
        layers = layers.flip(-1)
    scale = long / max(layers.shape[1:])
    if scale < 0.9:  # area filter first, so that the bilinear warp does not alias
        small = [max(4, round(n * scale)) for n in layers.shape[1:]]
        layers = F.interpolate(layers[None], small, mode="area")[0]
        scale = 1.0
    angle = np.deg2rad(rng.normal(0, 12))
    height, width = layers.shape[1:]
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / scale
    # Output -1..1 to input -1..1.
    to_input = np.diag([2 / width, 2 / height]) @ turn
    matrix = np.concatenate([to_input * size / 2, to_input @ (size / 2 - centre)[:, None]], axis=1)
    grid = F.affine_grid(torch.from_numpy(matrix)[None].float(), [1, 1, size, size], align_corners=False)
    return F.grid_sample(layers[None], grid, align_corners=False)[0]


def _shadow(alpha: Float[Tensor, "1 S S"], rng: np.random.Generator) -> Float[Tensor, "1 S S"]:
    shift = int(rng.integers(-14, 15)), int(rng.integers(0, 13))
    fallen = torch.roll(alpha, shift[::-1], (1, 2))
    return _blurred(fallen, rng.uniform(2, 8)) * rng.uniform(0.2, 0.55)


def _blurred(x: Float[Tensor, "C S S"], sigma: float) -> Float[Tensor, "C S S"]:
    reach = max(1, round(2.5 * sigma))
    line = torch.exp(-(torch.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    line = (line / line.sum()).expand(len(x), 1, 1, -1)
    padded = F.pad(x[None], (reach,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, line, groups=len(x)), line.mT, groups=len(x))[0]
