"""What a picture shows behind things: holes filled from their surroundings.

Coarse to fine, every hole pixel becomes the mean of what the patches around it would show there, and every
patch looks for the known patch most like it (Wexler, Shechtman and Irani, "Space-Time Completion of Video",
PAMI 2007; the search is that of Barnes et al., "PatchMatch", SIGGRAPH 2009, for all pixels at once).
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from mofa.tensors.gaps import fill_gaps
from mofa.tensors.neighbourhood import widened, window_around

PATCH = 3
"""Radius in pixels of the patches that are compared: 7 x 7."""
SEARCHED = 12_000
"""Hole pixels up to which a level is searched; larger ones take over what the coarser level found."""
SIMPLE = 300
"""Hole pixels below which there is no coarser level."""
TRUST = 1.3
"""How much less a patch has to say for every pixel that it lies deeper in the hole."""
AT_ONCE = 50_000
"""Pixels whose patches are compared at once: what bounds the memory."""
ROUNDS = 5
"""Turns of search and mean per level."""
NEAR = 3e-4
"""How much more alike (sum of squares) a patch d pixels away has to be, over d squared: in a sky, what is
near has the right shade. Chosen on shapes of real things put where the ground is known."""
TINT = 0.15
"""Largest step at the rim, 0..1, that is a difference of light; beyond it, another thing stands there."""


def inpaint(
    picture: Float[Tensor, "3 H W"], hole: Bool[Tensor, "H W"], foreign: Bool[Tensor, "H W"]
) -> Float[Tensor, "3 H W"]:
    """The picture (0..1) with `hole` filled from around it; the rest is returned as it is.

    Nothing is taken from `foreign` pixels, nor from the hole. The same input gives the same picture. Where
    too little is known to compare patches, colours flow in from the rim instead; a picture of which nothing
    may be used comes back unchanged.
    """
    unknown = hole | foreign
    if not hole.any() or unknown.all():
        return picture
    rows, columns = surroundings(hole, unknown)
    # Across a seam of foreign pixels the hole's patches would see nothing that is known.
    made_up = (unknown & widened(hole, 2 * PATCH))[rows, columns]
    unknown_here = unknown[rows, columns]
    flowed = flow_in(picture[:, rows, columns], unknown_here)
    found = complete(flowed, made_up, unknown_here)
    filled = picture.clone()
    filled[:, rows, columns] = flowed if found is None else match_rim(*found, made_up, unknown_here)
    return torch.where(hole, filled.clamp(0, 1), picture)


def surroundings(hole: Bool[Tensor, "H W"], unknown: Bool[Tensor, "H W"]) -> tuple[slice, slice]:
    """Rows and columns of the hole and of as much around it as it is large: what is near looks alike."""
    rows, columns = window_around(hole, share=0.5, least=32)
    return (slice(None), slice(None)) if unknown[rows, columns].all() else (rows, columns)


def flow_in(picture: Float[Tensor, "3 H W"], hole: Bool[Tensor, "H W"]) -> Float[Tensor, "3 H W"]:
    """The hole filled smoothly from its rim (Telea, "An Image Inpainting Technique", JGT 2004)."""
    pixels = np.ascontiguousarray((picture * 255).round().byte().movedim(0, -1).cpu().numpy())
    filled = cv2.inpaint(pixels, hole.cpu().numpy().astype(np.uint8), 5, cv2.INPAINT_TELEA)
    return torch.where(hole, torch.from_numpy(filled).movedim(-1, 0).to(picture) / 255, picture)


def complete(
    picture: Float[Tensor, "3 H W"], hole: Bool[Tensor, "H W"], unknown: Bool[Tensor, "H W"]
) -> tuple[Float[Tensor, "3 H W"], Int[Tensor, "2 H W"]] | None:
    """The picture with its hole filled, starting from what it holds there, and where the fill came from.

    The second is, per pixel, the offset (x, y) to the centre of the known patch that looks like the one
    here. None if no whole patch is known.
    """
    height, width = hole.shape
    known = ~widened(unknown, PATCH)
    known[:PATCH], known[-PATCH:], known[:, :PATCH], known[:, -PATCH:] = False, False, False, False
    if not known.any():
        return None
    size = int(hole.sum())
    generator = torch.Generator().manual_seed(0)
    offsets = torch.zeros_like(positions(hole))
    if size > SIMPLE:
        shares = F.avg_pool2d(torch.stack([hole, unknown])[:, None].float(), 2, ceil_mode=True)[:, 0]
        coarse = complete(F.avg_pool2d(picture, 2, ceil_mode=True), shares[0] >= 0.5, shares[1] >= 0.5)
        if coarse is not None:
            shown, places = coarse
            shown = F.interpolate(shown[None], (height, width), mode="bilinear", align_corners=False)[0]
            picture = torch.where(hole, shown, picture)
            offsets = 2 * places.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :height, :width]
    offsets = lead_to_known(offsets, known, generator)
    # What is near the rim knows better: it decides, and what is deep inside follows.
    depth = torch.from_numpy(distance_transform_edt(hole.cpu().numpy())).to(picture)
    trust = (TRUST**-depth)[None]
    touched = widened(hole, PATCH).nonzero()
    if size > SEARCHED:
        for part in touched.split(AT_ONCE):
            offsets = search(picture, part, known, offsets, (1,), 0, generator)
        return vote(picture, offsets, trust, hole, 1), offsets
    for _ in range(ROUNDS):
        offsets = search(picture, touched, known, offsets, (4, 2, 1), max(height, width) // 2, generator)
        picture = vote(picture, offsets, trust, hole, PATCH)
    return picture, offsets


def lead_to_known(
    offsets: Int[Tensor, "2 H W"], known: Bool[Tensor, "H W"], generator: torch.Generator
) -> Int[Tensor, "2 H W"]:
    """The offsets, those that miss the known patches replaced by offsets to any known patch."""
    height, width = known.shape
    here = positions(known)
    places = known.flatten().nonzero()[:, 0]
    chosen = places[torch.randint(len(places), (height, width), generator=generator).to(places.device)]
    anywhere = torch.stack([chosen % width, chosen // width]) - here
    return torch.where(look_up(known[None], here + offsets), offsets, anywhere)


def search(
    picture: Float[Tensor, "3 H W"],
    touched: Int[Tensor, "N 2"],
    known: Bool[Tensor, "H W"],
    offsets: Int[Tensor, "2 H W"],
    strides: tuple[int, ...],
    reach: int,
    generator: torch.Generator,
) -> Int[Tensor, "2 H W"]:
    """Better offsets for touched pixels (row, column): those of neighbours, random ones within `reach`."""
    row, column = touched.T
    here = torch.stack([column, row])
    patches = Patches.of(picture)
    own = patches.at(here)
    best = offsets[:, row, column]
    least = patches.unlike(here + best, own) + far(best)
    least = least.where(look_up(known[None], here + best)[0], torch.inf)

    def keep_better(candidate: Int[Tensor, "2 N"]) -> None:
        # Where most agree with their neighbours there is little to compare.
        other = (candidate != best).any(0) & look_up(known[None], here + candidate)[0]
        asked = other.nonzero()[:, 0]
        if len(asked) == 0:
            return
        wanted = candidate[:, asked]
        found = patches.unlike(here[:, asked] + wanted, own.index_select(0, asked)) + far(wanted)
        better = found < least[asked]
        taken = asked[better]
        best[:, taken] = wanted[:, better]
        least[taken] = found[better]

    offsets = offsets.clone()
    for stride in strides:
        for step in ((stride, 0), (-stride, 0), (0, stride), (0, -stride)):
            offsets[:, row, column] = best
            keep_better(look_up(offsets, here + torch.tensor(step).to(here)[:, None]))
    while reach:
        keep_better(best + torch.randint(-reach, reach + 1, best.shape, generator=generator).to(best))
        reach //= 2
    offsets[:, row, column] = best
    return offsets


def far(offsets: Int[Tensor, "2 N"]) -> Float[Tensor, " N"]:
    """What patches at these offsets have to be more alike by."""
    return NEAR * offsets.square().sum(0)


def vote(
    picture: Float[Tensor, "3 H W"],
    offsets: Int[Tensor, "2 H W"],
    trust: Float[Tensor, "1 H W"],
    hole: Bool[Tensor, "H W"],
    radius: int,
) -> Float[Tensor, "3 H W"]:
    """Every hole pixel the mean, by trust, of what patches of this radius around it would show there."""
    row, column = hole.nonzero().T
    here = torch.stack([column, row])
    total, weights = picture.new_zeros(len(picture), len(row)), picture.new_zeros(1, len(row))
    for centre in (here[:, :, None] + cells(here, radius)).unbind(2):
        weight = look_up(trust, centre)
        total += weight * look_up(picture, here + look_up(offsets, centre))
        weights += weight
    filled = picture.clone()
    filled[:, row, column] = total / weights
    return filled


def match_rim(
    picture: Float[Tensor, "3 H W"],
    offsets: Int[Tensor, "2 H W"],
    hole: Bool[Tensor, "H W"],
    unknown: Bool[Tensor, "H W"],
) -> Float[Tensor, "3 H W"]:
    """The fill, tinted smoothly so that it meets the rim without a step (as in Poisson image editing).

    A large step is no difference of light: something stands at the rim that does not go on behind the hole.
    """
    rim = widened(hole, PATCH) & ~unknown
    row, column = distance_transform_edt(~hole.cpu().numpy(), return_distances=False, return_indices=True)
    row, column = torch.from_numpy(row).long(), torch.from_numpy(column).long()
    # What the nearest patch of the fill would show on the rim, against what is there.
    step = picture - look_up(picture, positions(hole) + offsets[:, row, column])
    rim &= step.abs().amax(0) < TINT
    return torch.where(hole, picture + fill_gaps(step, rim), picture) if rim.any() else picture


def positions(like: Shaped[Tensor, "H W"]) -> Int[Tensor, "2 H W"]:
    """(x, y) of every pixel, as whole numbers."""
    row, column = torch.ones_like(like, dtype=torch.bool).nonzero().T.view(2, *like.shape)
    return torch.stack([column, row])


@dataclass(frozen=True)
class Patches:
    """The patches around all pixels of a picture, whose border goes on beyond it.

    `rows` holds every run of a patch's width: a patch is read as a few runs, not as many pixels.
    """

    rows: Float[Tensor, "M _"]
    height: int
    width: int

    @classmethod
    def of(cls, picture: Float[Tensor, "3 H W"]) -> "Patches":
        """Those of one picture."""
        height, width = picture.shape[1:]
        padded = F.pad(picture[None], (PATCH,) * 4, mode="replicate")[0]
        return cls(padded.movedim(0, -1).flatten().unfold(0, 3 * (2 * PATCH + 1), 3), height, width)

    def at(self, centres: Int[Tensor, "2 N"]) -> Float[Tensor, "N rows _"]:
        """The colours of the patches around `centres` (x, y); centres beyond the border are moved onto it."""
        stride = self.width + 2 * PATCH
        first = centres[1].clamp(0, self.height - 1) * stride + centres[0].clamp(0, self.width - 1)
        down = stride * torch.arange(2 * PATCH + 1, device=centres.device)
        # `index_select` copies runs, where indexing copies one number after another: a quarter of the time.
        runs = self.rows.index_select(0, (first[:, None] + down).flatten())
        return runs.unflatten(0, (-1, len(down)))

    def unlike(self, centres: Int[Tensor, "2 N"], own: Float[Tensor, "N rows _"]) -> Float[Tensor, " N"]:
        """How much the patches around `centres` differ from others: the sum of squares."""
        return self.at(centres).sub_(own).square_().sum((1, 2))


def cells(like: Tensor, radius: int) -> Int[Tensor, "2 1 P"]:
    """The offsets (x, y) of a patch's pixels from its centre."""
    side = torch.arange(-radius, radius + 1, device=like.device)
    return torch.stack(torch.meshgrid(side, side, indexing="xy")).flatten(1)[:, None]


def look_up(values: Shaped[Tensor, "C H W"], points: Int[Tensor, " 2 *n"]) -> Shaped[Tensor, " C *n"]:
    """Values at whole-pixel points (x, y), beyond the border those of the border."""
    height, width = values.shape[1:]
    index = points[1].clamp(0, height - 1).mul_(width).add_(points[0].clamp(0, width - 1))
    return values.flatten(1).index_select(1, index.flatten()).unflatten(1, index.shape)
