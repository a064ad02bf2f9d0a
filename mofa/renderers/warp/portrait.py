"""A face's expression drawn on the photo itself: the skin bends, lids close over the eyes, the mouth opens.

The skin is the photo read through the expression's inverse. Behind the skin's openings lies what the skin
does not carry: the eyeballs, which stay where they are while lids close over them, and the inside of the
mouth, which is the photo's own where its mouth stands open, and else is painted: dark, with a hint of teeth
under the upper lip.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from mofa.faces.motion import (
    LOWER_EDGES,
    UPPER_EDGES,
    along,
    down_axis,
    expression_window,
    spread_from_lines,
)
from mofa.faces.points import NOSE_BASE, NOSE_BRIDGE, OUTER_LIPS
from mofa.renderers.warp.inverse import window_grid
from mofa.renderers.warp.reading import read_at
from mofa.tensors.geometry import pixel_grid
from mofa.tensors.neighbourhood import window_around
from mofa.tensors.smoothstep import smoothstep

STILL = 0.05
"""Pixels: an expression that moves no point further is none."""
SHUT, AJAR = 0.06, 0.14
"""How high the photo's mouth stands open, in its widths, when its inside begins to show, and when it does."""
PARTING = 0.05
"""Mouth widths by which lips have parted when the painted inside is seen entirely."""
MEETING = 0.05, 0.3
"""Lids stand so far apart, as a share of the photo's, when only lashes are seen, and when eyes are open."""
LASHES = 0.6
"""How dark the line is that is left where lids or lips meet, against the photo's edge of the lid or lip."""
WIDENED = 1.0, 1.2
"""Times as open as in the photo that an eye begins to be stretched, and is."""
NARROW = 0.015, 0.09
"""Mouth widths: how far lips stand apart when they meet, and when light falls in freely."""
DIMMED = 0.55
"""Share of its light that a mouth's inside loses behind lips that nearly touch."""
TEETH = 0.16
"""Height of the upper teeth that show, in mouth widths."""
LEFT_LIDS, RIGHT_LIDS, LIPS = zip(UPPER_EDGES, LOWER_EDGES, strict=True)
"""The (upper, lower) edges of each opening."""
LINE = 0.03
"""Thickness of the line that is left where lids or lips meet, beside one pixel, as a share of their width."""
BLUR = 2.0
"""Pixels around an outline that it may colour partly, with room for rounding."""
Edges = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Opening:
    """An opening of the skin, in the box around it: what lies behind, and the points there, in its pixels.

    `photo` is shifted as what lies behind the skin is, and `face`, the points before, with it.
    """

    edges: Edges
    window: tuple[slice, slice]
    photo: Float[Tensor, "3 h w"]
    face: Float[Tensor, "68 2"]
    expression: Float[Tensor, "68 2"]

    @cached_property
    def grid(self) -> Float[Tensor, "2 h w"]:
        """The box's pixels."""
        return pixel_grid(self.photo.shape[1], self.photo.shape[2], self.photo)

    @property
    def before(self) -> Float[Tensor, ""]:
        """How far its edges stand apart in the photo, in pixels."""
        return height_of(self.face, self.edges)

    @property
    def now(self) -> Float[Tensor, ""]:
        """How far they stand apart."""
        return height_of(self.expression, self.edges)

    @property
    def line(self) -> float:
        """Pixels: how thick the line is that is left where they meet."""
        return line_of(self.face, self.edges)


def with_expression(
    picture: Float[Tensor, "C H W"], face: Float[Tensor, "68 2"], expression: Float[Tensor, "68 2"]
) -> Float[Tensor, "C H W"]:
    """The photo with its face (whose points are `face`) wearing an expression; its head does not move.

    Where nothing bends, the photo is returned as it is, bit for bit. A fourth channel, its alpha, bends with
    the skin.
    """
    if (expression - face).abs().amax() < STILL:
        return picture
    rows, columns = expression_window(face, *picture.shape[1:])
    origin = face.new_tensor([columns.start, rows.start])
    drawn = picture.clone()
    drawn[:, rows, columns] = _expressed(picture[:, rows, columns], face - origin, expression - origin)
    return drawn


def _expressed(
    photo: Float[Tensor, "C H W"], face: Float[Tensor, "68 2"], expression: Float[Tensor, "68 2"]
) -> Float[Tensor, "C H W"]:
    drawn, colours = _skin(photo, face, expression), photo[:3]
    for lids in (LEFT_LIDS, RIGHT_LIDS):
        eye = opening(colours, face, expression, lids, carriers=(lids[0][0], lids[0][-1]))
        skin = drawn[:3, eye.window[0], eye.window[1]]
        skin[:] = with_eye(skin, eye, colour_at(colours, face[list(lids[0])]))
    mouth = opening(colours, face, expression, LIPS, carriers=NOSE_BASE)
    lips, nose = (colour_at(colours, face[list(line)]) for line in (OUTER_LIPS, NOSE_BRIDGE))
    skin = drawn[:3, mouth.window[0], mouth.window[1]]
    skin[:] = with_mouth(skin, mouth, lips, nose)
    return drawn


def _skin(
    photo: Float[Tensor, "C H W"], face: Float[Tensor, "68 2"], expression: Float[Tensor, "68 2"]
) -> Float[Tensor, "C H W"]:
    """The photo read through the expression's inverse; what that hardly moves keeps its values."""
    height, width = photo.shape[1:]
    [back] = spread_from_lines(expression, (face - expression)[None], height, width)
    bent, drawn = back.abs().amax(0) > 0.01, photo.clone()
    if bent.any():
        window = rows, columns = window_around(bent, share=0.0, least=0)
        skin = read_at(photo, window_grid(window, back) + back[:, rows, columns]).clamp(0, 1)
        drawn[:, rows, columns] = torch.where(bent[window], skin, photo[:, rows, columns])
    return drawn


def opening(
    photo: Float[Tensor, "3 H W"],
    face: Float[Tensor, "68 2"],
    expression: Float[Tensor, "68 2"],
    edges: Edges,
    carriers: tuple[int, ...],
) -> Opening:
    """An opening's box, and in it the photo shifted as those points are that carry what lies behind."""
    shift = (expression[list(carriers)] - face[list(carriers)]).mean(0)
    shift = shift.where(shift.norm() >= STILL, 0)
    lines = [along(points, edge) for points in (face + shift, expression) for edge in edges]
    window = around(torch.cat(lines), line_of(face, edges) + 2 * BLUR, *photo.shape[1:])
    rows, columns = window
    moved = photo[:, rows, columns]
    if shift.any() and moved.numel():
        moved = read_at(photo, window_grid(window, photo) - shift[:, None, None]).clamp(0, 1)
    corner = shift.new_tensor([columns.start, rows.start])
    return Opening(edges, window, moved, face + shift - corner, expression - corner)


def with_eye(skin: Float[Tensor, "3 h w"], eye: Opening, lid: Float[Tensor, "3"]) -> Float[Tensor, "3 h w"]:
    """The eyeball at rest where the lids let it be seen, and lashes where they meet, darker than the lid.

    Of an eye wider open than in the photo nobody knows more than the photo shows: it is stretched.
    """
    opened = eye.now / eye.before.clamp(min=1e-3)
    seen = coverage(eye.grid, eye.expression, eye.edges).minimum(coverage(eye.grid, eye.face, eye.edges))
    skin = torch.lerp(skin, eye.photo, seen * (1 - smoothstep(opened, *WIDENED)))
    shut = 1 - smoothstep(opened, *MEETING)
    met = shut * seam(eye.grid, eye.expression, eye.edges, eye.line)
    return torch.lerp(skin, LASHES * lid[:, None, None], met)


def with_mouth(
    skin: Float[Tensor, "3 h w"], mouth: Opening, lips: Float[Tensor, "3"], nose: Float[Tensor, "3"]
) -> Float[Tensor, "3 h w"]:
    """The mouth's inside, seen through the lips' opening; the colours of lips and nose say how it is lit."""
    mouth_width = (mouth.face[54] - mouth.face[48]).norm()
    shown = smoothstep(mouth.before / mouth_width, SHUT, AJAR)
    parted = smoothstep((mouth.now - mouth.before) / mouth_width, 0.0, PARTING)
    # What little comes to light above the photo's opening is lip, not darkness.
    raised = mouth.face.clone()
    raised[list(LIPS[0][1:-1])] -= 0.08 * mouth_width * down_axis(mouth.face)
    open_now = coverage(mouth.grid, mouth.expression, LIPS)
    open_before = shown * coverage(mouth.grid, raised, LIPS)
    own = (open_before / open_now.clamp(min=1e-3)).clamp(0, 1)
    # Little light falls in between lips that nearly touch; where they meet, a line is left.
    narrow = 1 - smoothstep(mouth.now / mouth_width, *NARROW)
    narrow = narrow * (mouth.now < mouth.before)
    inside = torch.lerp(painted_mouth(mouth, lips, nose), (1 - DIMMED * narrow) * mouth.photo, own)
    skin = torch.lerp(skin, inside, open_now * torch.maximum(shown, parted))
    met = shown * narrow**2 * seam(mouth.grid, mouth.expression, LIPS, mouth.line)
    return torch.lerp(skin, LASHES * lips[:, None, None], met)


def painted_mouth(
    mouth: Opening, lips: Float[Tensor, "3"], nose: Float[Tensor, "3"]
) -> Float[Tensor, "3 h w"]:
    """A dark inside with upper teeth behind the lip, lit as the face is; they fade towards the corners."""
    face, expression, grid = mouth.face, mouth.expression, mouth.grid
    dark = 0.2 * lips.amax() * lips.new_tensor([1.0, 0.5, 0.48])
    teeth = 0.9 * nose.amax() * nose.new_tensor([1.0, 0.96, 0.9])

    mouth_width = (expression[64] - expression[60]).norm().clamp(min=1e-3)
    down = down_axis(expression)
    across = torch.stack([down[1], -down[0]])
    place = grid - expression[62][:, None, None]
    depth = (place * down[:, None, None]).sum(0)
    middle = (expression[60] + expression[64]) / 2
    aside = ((grid - middle[:, None, None]) * across[:, None, None]).sum(0) / (mouth_width / 2)
    # Teeth hang from the head, not from the lip: a wide mouth shows more of them, a narrow one few.
    room = mouth.now
    edge = torch.minimum(TEETH * (face[54] - face[48]).norm(), 0.5 * room)
    soft = (0.25 * edge).clamp(min=1.0)
    lit = (1 - smoothstep(depth, edge - soft, edge + soft)) * (1 - smoothstep(aside.abs(), 0.35, 0.9))
    shade = 0.6 + 0.4 * smoothstep(depth, 0.0, edge.clamp(min=1.0))
    tongue = smoothstep(depth, 0.45 * room, room) * (1 - smoothstep(aside.abs(), 0.2, 0.9))
    ground = torch.lerp(dark[:, None, None], 2.2 * dark[:, None, None], tongue[None])
    return torch.lerp(ground, teeth[:, None, None] * shade, 0.85 * lit[None])


def height_of(face: Float[Tensor, "68 2"], edges: Edges) -> Float[Tensor, ""]:
    """How far an opening's edges stand apart between their ends, in pixels."""
    return (face[list(edges[1][1:-1])] - face[list(edges[0][1:-1])]).norm(dim=1).mean()


def line_of(face: Float[Tensor, "68 2"], edges: Edges) -> float:
    """How thick the line is, in pixels, that is left where an opening's edges meet."""
    return 1 + LINE * float((face[edges[0][0]] - face[edges[0][-1]]).norm())


def colour_at(photo: Float[Tensor, "3 H W"], places: Float[Tensor, "n 2"]) -> Float[Tensor, "3"]:
    """The mean colour of the pixels at some places."""
    column, row = places.round().long().unbind(-1)
    _, height, width = photo.shape
    return photo[:, row.clamp(0, height - 1), column.clamp(0, width - 1)].mean(1)


def coverage(
    grid: Float[Tensor, "2 H W"], face: Float[Tensor, "68 2"], edges: Edges
) -> Float[Tensor, "1 H W"]:
    """How much of each pixel lies in an opening of the skin, 0..1."""
    corners = torch.cat([along(face, edges[0]), along(face, edges[1]).flip(0)])[::4]
    starts, ends = corners, corners.roll(-1, 0)

    def inside(points: Float[Tensor, "P 2"]) -> Float[Tensor, " P"]:
        (x, y), (left, top), (right, bottom) = points.T, starts.T[..., None], ends.T[..., None]
        crosses = (top <= y) != (bottom <= y)
        slope = (right - left) / (bottom - top).where(bottom != top, 1)
        left_of = x < left + (y - top) * slope
        side = 1 - 2 * ((crosses & left_of).sum(0) % 2)
        return (0.5 - side * distance_to(points, starts, ends)).clamp(0, 1)

    return near(grid, corners, BLUR, inside)


def seam(
    grid: Float[Tensor, "2 H W"], face: Float[Tensor, "68 2"], edges: Edges, thickness: float
) -> Float[Tensor, "1 H W"]:
    """How much of each pixel lies on the line half-way between an opening's edges, 0..1."""
    middle = ((along(face, edges[0]) + along(face, edges[1])) / 2)[::4]

    def on_line(points: Float[Tensor, "P 2"]) -> Float[Tensor, " P"]:
        return (0.5 + thickness / 2 - distance_to(points, middle[:-1], middle[1:])).clamp(0, 1)

    return near(grid, middle, thickness + BLUR, on_line)


def near(
    grid: Float[Tensor, "2 H W"],
    places: Float[Tensor, "n 2"],
    margin: float,
    value: Callable[[Float[Tensor, "P 2"]], Float[Tensor, " P"]],
) -> Float[Tensor, "1 H W"]:
    """`value` of the pixels around some places, 0 elsewhere."""
    rows, columns = around(places, margin, *grid.shape[1:])
    values = grid.new_zeros(1, *grid.shape[1:])
    part = values[0, rows, columns]
    if part.numel():
        values[0, rows, columns] = value(grid[:, rows, columns].flatten(1).T).reshape(part.shape)
    return values


def around(places: Float[Tensor, "n 2"], margin: float, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of a picture within a margin of some places; none where all of them lie outside."""
    low = (places.amin(0) - margin).floor().long().clamp(min=0).tolist()
    high = (places.amax(0) + margin + 1).ceil().long().clamp(min=0).tolist()
    left, top = min(low[0], width), min(low[1], height)
    return slice(top, max(top, min(high[1], height))), slice(left, max(left, min(high[0], width)))


def distance_to(
    points: Float[Tensor, "P 2"], starts: Float[Tensor, "E 2"], ends: Float[Tensor, "E 2"]
) -> Float[Tensor, " P"]:
    """Distance of points to the nearest of some straight stretches."""
    across, down = (points.T[:, None] - starts.T[..., None]).unbind(0)
    right, below = (ends - starts).T[..., None].unbind(0)
    share = (across * right + down * below) / (right.square() + below.square()).clamp(min=1e-9)
    share = share.clamp(0, 1)
    return ((across - share * right).square() + (down - share * below).square()).amin(0).sqrt()
