"""What synthetic layers look like: procedural textures and outlines, or photos and cut-outs from folders.

A layer's pixels are [4, h, w]: RGB premultiplied by alpha, and alpha. All randomness comes from the
`numpy.random.Generator` that is handed in.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mofa.errors import InputError
from mofa.media.image import crop_and_resize, read_mask, read_picture
from mofa.tensors.geometry import fit_crop, pixel_grid, shrunk
from mofa.types import CropBox

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
LARGEST_SIDE = 1024
"""Photos are kept in memory no larger than this: four times the side of the usual training scene."""


def texture(
    rng: np.random.Generator, height: int, width: int, octaves: int = 6
) -> Float[Tensor, "3 {height} {width}"]:
    """Colour clouds of several octaves, here and there with stripes or spots: something to see moving.

    With three octaves or less there are clouds alone.
    """
    clouds = _clouds(rng, height, width, octaves)
    palette = torch.from_numpy(rng.uniform(0.05, 0.95, (3, 3))).float()
    first, second = clouds[0].clamp(0, 1), clouds[1].clamp(0, 1)
    mixed = torch.lerp(
        torch.lerp(palette[0, :, None, None], palette[1, :, None, None], first),
        palette[2, :, None, None],
        second * rng.uniform(0.2, 0.8),
    )
    if octaves > 3 and rng.random() < 0.5:
        mixed = torch.lerp(mixed, _pattern(rng, height, width), rng.uniform(0.2, 0.6))
    return mixed.clamp(0, 1)


def _clouds(
    rng: np.random.Generator, height: int, width: int, octaves: int
) -> Float[Tensor, "2 {height} {width}"]:
    """Two fields of about 0..1: noise at scales of half the picture and finer, the finer the weaker."""
    field = torch.zeros(2, height, width)
    roughness = rng.uniform(0.45, 0.75)
    for octave in range(1, octaves + 1):
        cells = 2**octave
        grid = torch.from_numpy(rng.normal(size=(1, 2, cells + 1, cells + 1))).float()
        field += roughness**octave * F.interpolate(grid, (height, width), mode="bilinear")[0]
    return 0.5 + 0.7 * field


def _pattern(rng: np.random.Generator, height: int, width: int) -> Float[Tensor, "3 {height} {width}"]:
    """Stripes or spots of two colours, of 4 to 16 repeats."""
    x, y = pixel_grid(height, width, torch.zeros(()))
    angle, repeats = rng.uniform(0, np.pi), rng.uniform(4, 16)
    pace = 2 * np.pi * repeats / max(height, width)
    along = pace * (x * np.cos(angle) + y * np.sin(angle))
    across = pace * (y * np.cos(angle) - x * np.sin(angle))
    wave = along.sin() if rng.random() < 0.5 else along.sin() * across.sin()
    share = (0.5 + 3 * wave).clamp(0, 1)
    colours = torch.from_numpy(rng.uniform(0, 1, (2, 3))).float()
    return torch.lerp(colours[0, :, None, None], colours[1, :, None, None], share)


def blob(rng: np.random.Generator, side: int) -> Float[Tensor, "{side} {side}"]:
    """A soft-edged outline: a circle whose radius waves by up to a third, or a polygon of 3 to 7 sides."""
    x, y = (pixel_grid(side, side, torch.zeros(())) - (side - 1) / 2) / (0.5 * side - 2)
    stretch = rng.uniform(0.6, 1.0)
    x, y = x / stretch, y
    distance, angle = (x**2 + y**2).sqrt(), torch.atan2(y, x)
    if rng.random() < 0.35:
        corners, turn = int(rng.integers(3, 8)), rng.uniform(0, 2 * np.pi)
        sector = torch.remainder(angle + turn, 2 * np.pi / corners) - np.pi / corners
        rim = np.cos(np.pi / corners) / sector.cos()
    else:
        waves = [
            rng.uniform(0, 0.33 / n) * torch.cos(n * angle + rng.uniform(0, 2 * np.pi)) for n in range(2, 6)
        ]
        wavy = 1 + torch.stack(waves).sum(dim=0)
        rim = wavy / wavy.max()
    return _soft((rim - distance) * (0.5 * side - 2) * stretch)


def capsule(side: int, start: tuple[float, float], end: tuple[float, float], radius: float) -> Tensor:
    """The soft-edged coverage [side, side] of all within `radius` of the line from start to end (x, y)."""
    grid = pixel_grid(side, side, torch.zeros(()))
    begin, way = grid.new_tensor(start)[:, None, None], grid.new_tensor(end) - grid.new_tensor(start)
    along = ((grid - begin) * way[:, None, None]).sum(dim=0) / way.square().sum().clamp(min=1e-6)
    nearest = begin + along.clamp(0, 1) * way[:, None, None]
    return _soft(radius - (grid - nearest).norm(dim=0))


def _soft(inwards: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Coverage of pixels by how far inside the outline their centre is, in px."""
    return (inwards + 0.5).clamp(0, 1)


def layer_pixels(colour: Float[Tensor, "3 h w"], alpha: Float[Tensor, "h w"]) -> Float[Tensor, "4 h w"]:
    """Colour and coverage as a layer holds them."""
    return torch.cat([colour * alpha, alpha[None]])


def pictures_in(folder: Path) -> tuple[Path, ...]:
    """The pictures of a folder and those below it, by name; raises InputError where there are none."""
    found = tuple(sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES))
    if not found:
        raise InputError(f"{folder} holds no pictures: give a folder with PNG or JPEG files.")
    return found


def photo(
    path: Path, rng: np.random.Generator, height: int, width: int
) -> Float[Tensor, "3 {height} {width}"]:
    """A random window of a photo, of that aspect, showing half of what fits or more."""
    pixels = _photo_pixels(path)
    whole = fit_crop(pixels.shape[2], pixels.shape[1], width, height, "crop")
    zoom = rng.uniform(0.5, 1.0)
    across, down = whole.width * zoom, whole.height * zoom
    left = rng.uniform(0, pixels.shape[2] - across)
    top = rng.uniform(0, pixels.shape[1] - down)
    return crop_and_resize(pixels, CropBox(left, top, across, down, width, height))


def cut_out(path: Path, side: int) -> Float[Tensor, "4 h w"]:
    """A cut-out with transparency, its long side `side` pixels, with a transparent rim.

    Raises InputError for a picture without transparency.
    """
    pixels = _resized(_cut_out_pixels(path), side)
    pixels[:3] = pixels[:3].minimum(pixels[3:])  # filtering may overshoot
    return F.pad(pixels, (1, 1, 1, 1))


@lru_cache(maxsize=256)
def _photo_pixels(path: Path) -> Float[Tensor, "3 h w"]:
    return _resized(read_picture(path), LARGEST_SIDE)


@lru_cache(maxsize=256)
def _cut_out_pixels(path: Path) -> Float[Tensor, "4 h w"]:
    on_white, alpha = read_picture(path), read_mask(path)
    # Transparent parts were laid on white: what is left without it is the colour times alpha. Where a
    # picture has no transparency, the "mask" is its luminance, which may exceed its darkest colour.
    if bool((on_white < 1 - alpha - 0.02).any()):
        raise InputError(f"{path} has no transparent parts: cut-outs are pictures with an alpha channel.")
    return _resized(torch.cat([(on_white - (1 - alpha)).clamp(0, 1), alpha]), LARGEST_SIDE)


def _resized(pixels: Float[Tensor, "C H W"], long_side: int) -> Float[Tensor, "C h w"]:
    width, height = shrunk(pixels.shape[2], pixels.shape[1], long_side)
    return crop_and_resize(pixels, fit_crop(pixels.shape[2], pixels.shape[1], width, height, "crop"))
