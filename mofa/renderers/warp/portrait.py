"""A face's expression drawn on the photo itself: the skin bends, lids close over the eyes, the mouth opens.

The skin is the photo read through the expression's inverse. Behind the skin's openings lies what the skin
does not carry: the eyeballs, which stay where they are while lids close over them, and the inside of the
mouth, which is the photo's own where its mouth stands open, and else is painted: dark, with a hint of teeth
under the upper lip.
"""

from collections.abc import Callable

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
from mofa.faces.points import NOSE_BASE, NOSE_BRIDGE, OUTER_LIPS, face_size
from mofa.tensors.geometry import pixel_grid
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
AROUND = 0.1
"""Face sizes around lids and lips that are shifted with what lies behind them."""
DIMMED = 0.55
TEETH = 0.16
"""Height of the upper teeth that show, in mouth widths."""
LEFT_LIDS, RIGHT_LIDS, LIPS = zip(UPPER_EDGES, LOWER_EDGES, strict=True)
"""The (upper, lower) edges of each opening."""
Edges = tuple[tuple[int, ...], tuple[int, ...]]

Read = Callable[[Float[Tensor, "C H W"], Float[Tensor, "2 H W"]], Float[Tensor, "C H W"]]
"""Values of a picture at points (x, y) of it."""


def with_expression(
    picture: Float[Tensor, "C H W"],
    face: Float[Tensor, "68 2"],
    expression: Float[Tensor, "68 2"],
    read: Read,
) -> Float[Tensor, "C H W"]:
    """The photo with its face (whose points are `face`) wearing an expression; its head does not move.

    Where nothing bends, the photo is returned as it is, bit for bit. A fourth channel, its alpha, bends with
    the skin.
    """
    if (expression - face).abs().amax() < STILL:
        return picture
    rows, columns = expression_window(face, *picture.shape[1:])
    origin = face.new_tensor([columns.start, rows.start])
    window = picture[:, rows, columns]
    drawn = picture.clone()
    drawn[:3, rows, columns] = _expressed(window[:3], face - origin, expression - origin, read)
    if len(picture) > 3:
        drawn[3:, rows, columns] = _skin(window[3:], face - origin, expression - origin, read)
    return drawn


def _skin(
    photo: Float[Tensor, "C H W"], face: Float[Tensor, "68 2"], expression: Float[Tensor, "68 2"], read: Read
) -> Float[Tensor, "C H W"]:
    height, width = photo.shape[1:]
    [back] = spread_from_lines(expression, (face - expression)[None], height, width)
    grid = pixel_grid(height, width, photo)
    return read(photo, torch.where(back.abs().amax(0) > 0.01, grid + back, grid)).clamp(0, 1)


def _expressed(
    photo: Float[Tensor, "3 H W"], face: Float[Tensor, "68 2"], expression: Float[Tensor, "68 2"], read: Read
) -> Float[Tensor, "3 H W"]:
    skin = _skin(photo, face, expression, read)
    for lids in (LEFT_LIDS, RIGHT_LIDS):
        corners = [lids[0][0], lids[0][-1]]
        moved, shift = moved_with(photo, face, expression, corners, sorted({*lids[0], *lids[1]}), read)
        skin = with_eye(skin, moved, face + shift, expression, lids)
    moved, shift = moved_with(photo, face, expression, list(NOSE_BASE), [*NOSE_BRIDGE, *OUTER_LIPS], read)
    return with_mouth(skin, moved, face + shift, expression)


def moved_with(
    photo: Float[Tensor, "3 H W"],
    face: Float[Tensor, "68 2"],
    expression: Float[Tensor, "68 2"],
    points: list[int],
    shown: list[int],
    read: Read,
) -> tuple[Float[Tensor, "3 H W"], Float[Tensor, "2"]]:
    """The photo shifted as some points of the face are, and how far: what lies behind the skin goes along.

    It is shifted around the points that are to be `shown`; nobody looks at the rest.
    """
    shift = (expression[points] - face[points]).mean(0)
    if shift.norm() < STILL:
        return photo, torch.zeros_like(shift)
    places = pixel_grid(photo.shape[1], photo.shape[2], photo)
    seen = torch.cat([face[shown], face[shown] + shift, expression[shown]])
    rows, columns = around(seen, AROUND * float(face_size(face)), places)
    places[:, rows, columns] -= shift[:, None, None]
    return read(photo, places).clamp(0, 1), shift


def with_eye(
    skin: Float[Tensor, "3 H W"],
    photo: Float[Tensor, "3 H W"],
    face: Float[Tensor, "68 2"],
    expression: Float[Tensor, "68 2"],
    lids: Edges,
) -> Float[Tensor, "3 H W"]:
    """The eyeball at rest where the lids let it be seen, and lashes where they meet.

    Of an eye wider open than in the photo nobody knows more than the photo shows: it is stretched.
    """
    grid = pixel_grid(skin.shape[1], skin.shape[2], skin)
    opened = height_of(expression, lids) / height_of(face, lids).clamp(min=1e-3)
    seen = coverage(grid, expression, lids).minimum(coverage(grid, face, lids))
    skin = torch.lerp(skin, photo, seen * (1 - smoothstep(opened, *WIDENED)))
    shut = 1 - smoothstep(opened, *MEETING)
    lashes = LASHES * colour_at(photo, face[list(lids[0])])
    thickness = 0.03 * float((face[lids[0][0]] - face[lids[0][-1]]).norm())
    return torch.lerp(skin, lashes[:, None, None], shut * seam(grid, expression, lids, thickness + 1))


def with_mouth(
    skin: Float[Tensor, "3 H W"],
    photo: Float[Tensor, "3 H W"],
    face: Float[Tensor, "68 2"],
    expression: Float[Tensor, "68 2"],
) -> Float[Tensor, "3 H W"]:
    """The mouth's inside, seen through the lips' opening."""
    grid = pixel_grid(skin.shape[1], skin.shape[2], skin)
    mouth_width = (face[54] - face[48]).norm()
    shown = smoothstep(height_of(face, LIPS) / mouth_width, SHUT, AJAR)
    parted = smoothstep((height_of(expression, LIPS) - height_of(face, LIPS)) / mouth_width, 0.0, PARTING)
    # What little comes to light above the photo's opening is lip, not darkness.
    raised = face.clone()
    raised[list(LIPS[0][1:-1])] -= 0.08 * mouth_width * down_axis(face)
    open_now, open_before = coverage(grid, expression, LIPS), shown * coverage(grid, raised, LIPS)
    own = (open_before / open_now.clamp(min=1e-3)).clamp(0, 1)
    # Little light falls in between lips that nearly touch; where they meet, a line is left.
    narrow = 1 - smoothstep(height_of(expression, LIPS) / mouth_width, *NARROW)
    narrow = narrow * (height_of(expression, LIPS) < height_of(face, LIPS))
    inside = torch.lerp(painted_mouth(photo, face, expression), (1 - DIMMED * narrow) * photo, own)
    skin = torch.lerp(skin, inside, open_now * torch.maximum(shown, parted))
    line = LASHES * colour_at(photo, face[list(OUTER_LIPS)])[:, None, None]
    met = shown * narrow**2 * seam(grid, expression, LIPS, 1 + 0.03 * float(mouth_width))
    return torch.lerp(skin, line, met)


def painted_mouth(
    photo: Float[Tensor, "3 H W"], face: Float[Tensor, "68 2"], expression: Float[Tensor, "68 2"]
) -> Float[Tensor, "3 H W"]:
    """A dark inside with upper teeth behind the lip, lit as the face is; they fade towards the corners."""
    grid = pixel_grid(photo.shape[1], photo.shape[2], photo)
    light = colour_at(photo, face[list(OUTER_LIPS)]).amax()
    dark = 0.2 * light * photo.new_tensor([1.0, 0.5, 0.48])
    teeth = 0.9 * colour_at(photo, face[list(NOSE_BRIDGE)]).amax() * photo.new_tensor([1.0, 0.96, 0.9])

    mouth_width = (expression[64] - expression[60]).norm().clamp(min=1e-3)
    down = down_axis(expression)
    across = torch.stack([down[1], -down[0]])
    place = grid - expression[62][:, None, None]
    depth = (place * down[:, None, None]).sum(0)
    middle = (expression[60] + expression[64]) / 2
    aside = ((grid - middle[:, None, None]) * across[:, None, None]).sum(0) / (mouth_width / 2)
    # Teeth hang from the head, not from the lip: a wide mouth shows more of them, a narrow one few.
    room = height_of(expression, LIPS)
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

    def inside(points: Float[Tensor, "P 1 2"]) -> Float[Tensor, " P"]:
        crosses = (starts[:, 1] <= points[..., 1]) != (ends[:, 1] <= points[..., 1])
        slope = (ends[:, 0] - starts[:, 0]) / (ends[:, 1] - starts[:, 1]).where(starts[:, 1] != ends[:, 1], 1)
        left_of = points[..., 0] < starts[:, 0] + (points[..., 1] - starts[:, 1]) * slope
        side = 1 - 2 * ((crosses & left_of).sum(1) % 2)
        return (0.5 - side * distance_to(points, starts, ends)).clamp(0, 1)

    return near(grid, corners, 2.0, inside)


def seam(
    grid: Float[Tensor, "2 H W"], face: Float[Tensor, "68 2"], edges: Edges, thickness: float
) -> Float[Tensor, "1 H W"]:
    """How much of each pixel lies on the line half-way between an opening's edges, 0..1."""
    middle = ((along(face, edges[0]) + along(face, edges[1])) / 2)[::4]

    def on_line(points: Float[Tensor, "P 1 2"]) -> Float[Tensor, " P"]:
        return (0.5 + thickness / 2 - distance_to(points, middle[:-1], middle[1:])).clamp(0, 1)

    return near(grid, middle, thickness + 2, on_line)


def near(
    grid: Float[Tensor, "2 H W"],
    places: Float[Tensor, "n 2"],
    margin: float,
    value: Callable[[Float[Tensor, "P 1 2"]], Float[Tensor, " P"]],
) -> Float[Tensor, "1 H W"]:
    """`value` of the pixels around some places, 0 elsewhere."""
    rows, columns = around(places, margin, grid)
    values = grid.new_zeros(1, *grid.shape[1:])
    part = values[0, rows, columns]
    if part.numel():
        values[0, rows, columns] = value(grid[:, rows, columns].flatten(1).T[:, None]).reshape(part.shape)
    return values


def around(places: Float[Tensor, "n 2"], margin: float, grid: Float[Tensor, "2 H W"]) -> tuple[slice, slice]:
    """Rows and columns of a grid within a margin of some places."""
    height, width = grid.shape[1:]
    low = (places.amin(0) - margin).floor().long().clamp(min=0).tolist()
    high = (places.amax(0) + margin + 1).ceil().long().clamp(min=0).tolist()
    return slice(low[1], min(high[1], height)), slice(low[0], min(high[0], width))


def distance_to(
    points: Float[Tensor, "P 1 2"], starts: Float[Tensor, "E 2"], ends: Float[Tensor, "E 2"]
) -> Float[Tensor, " P"]:
    """Distance of points to the nearest of some straight stretches."""
    stretch = ends - starts
    share = ((points - starts) * stretch).sum(-1) / stretch.square().sum(-1).clamp(min=1e-9)
    nearest = starts + share.clamp(0, 1)[..., None] * stretch
    return (points - nearest).norm(dim=-1).amin(1)
