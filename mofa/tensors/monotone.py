"""Smooth curves through values that never swing beyond them."""

import torch
from jaxtyping import Float
from torch import Tensor


def monotone_cubic(
    knots: Float[Tensor, " K"], values: Float[Tensor, " K *c"], at: Float[Tensor, " n"]
) -> Float[Tensor, " n *c"]:
    """The values at places between K > 1 rising knots, joined by a monotone cubic (PCHIP).

    Slopes are those of Fritsch and Butland, "A Method for Constructing Local Monotone Piecewise Cubic
    Interpolants" (SIAM J. Sci. Stat. Comput. 1984): weighted harmonic means of the neighbouring chords, 0
    where these disagree in sign. `scipy.interpolate` says the same, and takes half a second to import.
    """
    shape = (-1,) + (1,) * (values.dim() - 1)
    step = knots.diff().view(shape)
    chord = values.diff(dim=0) / step
    slopes = _slopes(step, chord)
    left = (torch.searchsorted(knots, at, right=True) - 1).clamp(0, len(knots) - 2)
    width = step[left]
    share = (at - knots[left]).view(shape) / width
    rise = chord[left] * width
    first, last = slopes[left] * width, slopes[left + 1] * width
    bend = first + last - 2 * rise
    return values[left] + share * (first + share * (rise - first - bend + share * bend))


def _slopes(step: Tensor, chord: Float[Tensor, " k *c"]) -> Float[Tensor, " K *c"]:
    if len(chord) == 1:
        return chord.repeat_interleave(2, dim=0)
    before, after = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    agree = chord[:-1] * chord[1:] > 0
    harmonic = (before + after) / (before / chord[:-1] + after / chord[1:])
    inner = torch.where(agree, harmonic, 0)
    first = _end_slope(step[0], step[1], chord[0], chord[1])
    last = _end_slope(step[-1], step[-2], chord[-1], chord[-2])
    return torch.cat([first[None], inner, last[None]])


def _end_slope(step: Tensor, next_step: Tensor, chord: Tensor, next_chord: Tensor) -> Tensor:
    """By three points, shape preserving (Moler, "Numerical Computing with Matlab", 2004, section 3.6)."""
    slope = ((2 * step + next_step) * chord - step * next_chord) / (step + next_step)
    slope = torch.where(slope * chord > 0, slope, 0)
    steep = (chord * next_chord <= 0) & (slope.abs() > 3 * chord.abs())
    return torch.where(steep, 3 * chord, slope)
