"""What a thing throws on the ground and what water shows of it, so that it can come along.

A shadow is darker than the ground around it and has its hue; a reflection looks like the thing upside down.
Both cling to the thing. The ground is a smooth surface of colour through what lies around the thing, fitted
again without what is not like it.
"""

import cv2
import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from mofa.tensors.geometry import shrunk
from mofa.vision.select import at_full_size, to_colours

SIDE = 256
"""Longest side at which shadows are looked for: they are soft."""
AROUND = 1.0
"""How far from the thing, in the square root of its area, what belongs to it may reach."""
DARKER = 0.1
"""Of the ground's brightness that a shadow takes at least, ..."""
HUE = 0.045
"""... and how far its chromaticity may be off that of the ground (0..1)."""
ALIKE = 0.6
"""Cosine from which on what differs from the ground is the mirrored thing."""
ENOUGH = 0.35
"""Share of a piece that has to agree so for the whole of it to be a reflection."""
SEEN = 0.06
"""How far, in RGB, a reflection differs from the ground at least."""
LARGEST = 1.5
"""What is larger than so many times the thing is no shadow of it, but a darker part of the ground."""

Array = NDArray[np.float32]
Mask = NDArray[np.bool_]


def shadow_of(
    picture: Float[Tensor, "3 H W"], region: Float[Tensor, "1 H W"]
) -> Float[Tensor, "1 H W"] | None:
    """The thing's shadow and reflection (0..1), soft by one pixel; None: there is none to be seen."""
    full = to_colours(picture)
    size = shrunk(full.shape[1], full.shape[0], SIDE)
    small = cv2.resize(full, size, interpolation=cv2.INTER_AREA) / np.float32(255)
    thing = cv2.resize(region[0].cpu().numpy(), size, interpolation=cv2.INTER_AREA) > 0.5
    colours = _smooth(small, thing)
    if not thing.any() or thing.all():
        return None
    reach = AROUND * float(thing.sum()) ** 0.5
    away = ndimage.distance_transform_edt(~thing)
    ring = (away > 2) & (away <= reach)
    rows = np.flatnonzero(thing.any(1))
    if ring.sum() < 50:
        return None
    ground = _ground(colours, ring)
    mirrored = _mirrored(colours, ground, thing) & (away <= max(reach, float(np.ptp(rows))))
    clinging = _clinging((_darker(colours, ground) & ring) | mirrored, thing)
    if clinging.sum() < 0.01 * thing.sum():
        return None
    # Between it and the thing nothing stays behind.
    joined = ndimage.binary_closing(np.pad(clinging | thing, 4), iterations=3)[4:-4, 4:-4]
    return torch.from_numpy(at_full_size(full, joined & ~thing)).to(picture)[None]


def _smooth(colours: Array, thing: Mask) -> Array:
    """Without texture; nothing of the thing's colours in those around it."""
    widened = ndimage.binary_dilation(thing, iterations=2)
    outside = np.where(widened, 0.0, 1.0).astype(np.float32)
    share = cv2.GaussianBlur(outside, (0, 0), 2.0)[..., None]
    around = cv2.GaussianBlur(colours * outside[..., None], (0, 0), 2.0) / np.maximum(share, 1e-3)
    return np.where(thing[..., None] | (share < 0.02), cv2.GaussianBlur(colours, (0, 0), 2.0), around)


def _ground(colours: Array, ring: Mask) -> Array:
    """[h, w, 3]: a plane of colour through the brighter part of the ring; what is off it is dropped twice."""
    height, width = ring.shape
    y, x = np.indices((height, width), dtype=np.float32)
    terms = np.stack([np.ones_like(x), x / width - 0.5, y / height - 0.5], -1)
    kept = ring
    plane = np.broadcast_to(np.median(colours[ring], axis=0), colours.shape)
    for _ in range(3):
        off = np.abs(colours - plane).max(-1)
        kept = ring & (off <= max(0.05, float(np.median(off[ring]))))
        solved, *_ = np.linalg.lstsq(terms[kept], colours[kept], rcond=None)
        plane = np.clip(terms @ solved, 0, 1)
    return plane.astype(np.float32)


def _darker(colours: Array, ground: Array) -> Mask:
    bright, usual = colours.sum(-1) + 1e-3, ground.sum(-1) + 1e-3
    hue = np.abs(colours / bright[..., None] - ground / usual[..., None]).max(-1)
    # In the dark hue is noise, and black ground shows no shadow.
    return (bright < (1 - DARKER) * usual) & ((hue < HUE) | (bright < 0.3)) & (usual > 0.3)


def _mirrored(colours: Array, ground: Array, thing: Mask) -> Mask:
    """What lies below the thing and differs from the ground as, by and large, the thing upside down does.

    Water is not flat, so a piece is taken whole where enough of it agrees.
    """
    rows, columns = (np.flatnonzero(thing.any(axis)) for axis in (1, 0))
    bottom = int(np.quantile(np.nonzero(thing)[0], 0.97))
    unlike = colours - ground
    source = 2 * bottom - np.arange(len(thing))
    usable = (source >= rows[0]) & (source < bottom)
    flipped = np.where(thing[..., None], unlike, 0)[source.clip(0, len(thing) - 1)] * usable[:, None, None]
    size, flipped_size = np.linalg.norm(unlike, axis=-1), np.linalg.norm(flipped, axis=-1)
    cosine = (unlike * flipped).sum(-1) / (size * flipped_size + 1e-4)
    alike = (cosine > ALIKE) & (flipped_size > SEEN)
    seen = (size > SEEN) & ~thing
    seen[:bottom] = seen[:, : columns[0]] = seen[:, columns[-1] + 1 :] = False
    pieces, count = ndimage.label(seen)
    agrees = ndimage.mean(alike, pieces, np.arange(count + 1))
    agrees[0] = 0
    return np.asarray(agrees >= ENOUGH)[pieces]


def _clinging(found: Mask, thing: Mask) -> Mask:
    """The pieces that touch the thing and are not too large to be its own."""
    pieces, count = ndimage.label(ndimage.binary_opening(found))
    near = ndimage.binary_dilation(thing, iterations=4)
    touching = np.unique(pieces[near & (pieces > 0)])
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    top = np.flatnonzero(thing.any(1))[0]
    above = np.bincount(pieces[:top].ravel(), minlength=count + 1) / np.maximum(sizes, 1)
    # What is above the thing is behind it.
    own = [n for n in touching if sizes[n] <= LARGEST * thing.sum() and above[n] < 0.5]
    return np.isin(pieces, own)
