"""Motion made visible: flow as colour, tracks and regions on the photo, a clip as one picture."""

from collections.abc import Sequence
from math import ceil

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont
from torch import Tensor

Colour = tuple[int, int, int]

STILL = 0.5
"""Pixels. A track that strays no further from its start is drawn as an anchor."""

_INK: Colour = (20, 20, 20)  # outlines everything drawn, so that it is seen on light and dark
_COLOURS: tuple[Colour, ...] = (
    (255, 214, 10), (64, 196, 255), (255, 110, 64), (105, 240, 174),
    (255, 128, 190), (178, 140, 255), (230, 238, 90), (255, 255, 255),
)  # fmt: skip
_SUBPIXEL_BITS = 4  # cv2 draws at 1/16 px
# Steps between the six corners of the hue circle, as many as the eye tells apart (Baker et al. 2011).
_WHEEL_STEPS = (15, 6, 4, 11, 13, 6)
_WHEEL_CORNERS = ((1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 0, 0))
_UNKNOWN_GREY = 128  # no hue of the wheel is grey


def flow_wheel(
    flow: Float[Tensor, "2 H W"], largest: float | None = None, valid: Bool[Tensor, "1 H W"] | None = None
) -> UInt8[Tensor, "3 H W"]:
    """Flow as colour (Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 2011).

    Hue is the direction (right red, down yellow, left cyan, up violet), saturation the length as
    a share of `largest` (None: the longest in the picture); still is white, longer than `largest` is
    darker. Unknown pixels (`valid` False, or not finite) are grey.
    """
    known = torch.isfinite(flow).all(dim=0)
    if valid is not None:
        known = known & valid[0]
    x, y = torch.where(known, flow, flow.new_zeros(())).unbind(0)
    length = torch.hypot(x, y)
    share = length / max(float(length.max()) if largest is None else largest, 1e-6)

    wheel = _hue_circle().to(flow)
    # Their code spreads the circle over one step less, which leaves a seam to the right.
    turn = (torch.atan2(-y, -x) / torch.pi + 1) / 2 * len(wheel)
    step = turn.floor()
    below, above = step.long() % len(wheel), (step.long() + 1) % len(wheel)
    hue = torch.lerp(wheel[below], wheel[above], (turn - step)[..., None]).permute(2, 0, 1)

    colour = torch.where(share <= 1, 1 - share * (1 - hue), 0.75 * hue)
    levels = (colour * 255).round().to(torch.uint8)
    return torch.where(known, levels, levels.new_full((), _UNKNOWN_GREY))


def draw_overlay(
    picture: UInt8[Tensor, "3 H W"],
    tracks: Sequence[Float[Tensor, "T 2"]],
    regions: Sequence[Float[Tensor, "1 H W"]],
    colours: Sequence[str | None] = (),
) -> UInt8[Tensor, "3 H W"]:
    """The picture, dimmed, with its regions tinted and outlined and its tracks drawn on top.

    `colours` holds "#rrggbb" per track, None (or nothing at all) for the next of the usual ones.

    A track is a curve from a dot to an arrow head; one that stays where it is is an anchor, a ring with
    a cross. Positions that are not finite are left out. Lines scale with the picture.
    """
    _, height, width = picture.shape
    line = max(1, round(min(height, width) / 180))
    ground = picture.permute(1, 2, 0).cpu().numpy() * 0.85
    for region, colour in zip(regions, _cycle(len(regions)), strict=True):
        tint = 0.3 * region[0].clamp(0, 1).cpu().numpy()[..., None]
        ground = (1 - tint) * ground + tint * np.array(colour)
    canvas = np.ascontiguousarray(ground.round().astype(np.uint8))
    for region, colour in zip(regions, _cycle(len(regions)), strict=True):
        inside = (region[0] >= 0.5).to(torch.uint8).cpu().numpy()
        outlines, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, outlines, -1, colour, line, cv2.LINE_AA)
    chosen = colours or [None] * len(tracks)
    for track, usual, own in zip(tracks, _cycle(len(tracks)), chosen, strict=True):
        colour = usual if own is None else ImageColor.getrgb(own)[:3]
        points = track.detach().cpu().double().numpy()
        points = points[np.isfinite(points).all(axis=1)]
        if len(points):
            _draw_track(canvas, points, colour, line)
    return torch.from_numpy(canvas).permute(2, 0, 1).contiguous().to(picture.device)


SHEET_FRAMES = 12
"""Frames on a contact sheet, at most."""


def sheet_numbers(count: int, most: int = SHEET_FRAMES) -> list[int]:
    """The frames of a clip of `count` that a contact sheet shows: spread evenly, first and last included."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


def contact_sheet(
    frames: UInt8[Tensor, "T 3 H W"],
    columns: int | None = None,
    max_width: int = 1800,
    most: int = SHEET_FRAMES,
) -> UInt8[Tensor, "3 h w"]:
    """A clip at a glance: the frames of `sheet_numbers` side by side."""
    numbers = sheet_numbers(len(frames), most)
    return numbered_sheet(frames[numbers], numbers, columns, max_width)


def numbered_sheet(
    frames: UInt8[Tensor, "n 3 H W"],
    numbers: Sequence[int],
    columns: int | None = None,
    max_width: int = 1800,
) -> UInt8[Tensor, "3 h w"]:
    """Some frames side by side with their numbers.

    Frames shrink until the sheet is no wider than `max_width`; they never grow.
    """
    _, _, height, width = frames.shape
    columns = min(len(numbers), columns or (4 if width >= height else 6))
    rows, gap = ceil(len(numbers) / columns), 4
    scale = min(1.0, (max_width - gap * (columns + 1)) / (columns * width))
    tile_width, tile_height = max(1, int(width * scale)), max(1, int(height * scale))

    sheet_size = gap + columns * (tile_width + gap), gap + rows * (tile_height + gap)
    sheet = Image.new("RGB", sheet_size, (32, 32, 32))
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(max(10, tile_height // 14))
    for place, (frame, number) in enumerate(zip(frames, numbers, strict=True)):
        left = gap + place % columns * (tile_width + gap)
        top = gap + place // columns * (tile_height + gap)
        tile = Image.fromarray(frame.permute(1, 2, 0).contiguous().cpu().numpy())
        sheet.paste(tile.resize((tile_width, tile_height), Image.Resampling.LANCZOS), (left, top))
        label = (left + tile_height // 40 + 2, top + tile_height // 40)
        pen.text(label, str(number), "white", font, stroke_width=max(1, tile_height // 120), stroke_fill=_INK)
    return torch.from_numpy(np.array(sheet)).permute(2, 0, 1).contiguous()


def _hue_circle() -> Float[Tensor, "K 3"]:
    """The colour wheel: `_WHEEL_STEPS` even steps from each of `_WHEEL_CORNERS` towards the next."""
    corners = torch.tensor(_WHEEL_CORNERS, dtype=torch.float32)
    return torch.cat(
        [
            torch.lerp(start, end, torch.arange(steps)[:, None] / steps)
            for start, end, steps in zip(corners[:-1], corners[1:], _WHEEL_STEPS, strict=True)
        ]
    )


def _cycle(count: int) -> list[Colour]:
    return [_COLOURS[index % len(_COLOURS)] for index in range(count)]


def _draw_track(
    canvas: NDArray[np.uint8], points: Float[np.ndarray, "K 2"], colour: Colour, line: int
) -> None:
    start = points[0]
    distance = np.linalg.norm(points - start, axis=1)
    if distance.max() <= STILL:
        _draw_anchor(canvas, start, colour, line)
        return
    # One that comes back to its start points to where it turns.
    returns = distance[-1] < 0.2 * distance.max()
    head = _arrow_head(points[: distance.argmax() + 1] if returns else points, length=5.0 * line)
    # A dark rim under everything keeps light colours readable on light ground.
    for ink, rim in ((_INK, max(1, line)), (colour, 0)):
        cv2.polylines(canvas, [_fixed(points)], False, ink, line + rim, cv2.LINE_AA, _SUBPIXEL_BITS)
        if head is not None:
            if rim:
                cv2.polylines(canvas, [_fixed(head)], True, ink, line + rim, cv2.LINE_AA, _SUBPIXEL_BITS)
            else:
                cv2.fillPoly(canvas, [_fixed(head)], ink, cv2.LINE_AA, _SUBPIXEL_BITS)
        _draw_disc(canvas, start, radius=1.6 * line + rim / 2, colour=ink)


def _draw_anchor(canvas: NDArray[np.uint8], place: Float[np.ndarray, "2"], colour: Colour, line: int) -> None:
    across, down = np.array((3.5 * line, 0.0)), np.array((0.0, 3.5 * line))
    for ink, rim in ((_INK, max(1, line)), (colour, 0)):
        centre = _fixed(place[None])[0, 0]
        radius = round(3.5 * line * 2**_SUBPIXEL_BITS)
        cv2.circle(canvas, centre.tolist(), radius, ink, line + rim, cv2.LINE_AA, _SUBPIXEL_BITS)
        for arm in (across, down):
            stroke = _fixed(np.stack((place - arm, place + arm)))
            cv2.polylines(canvas, [stroke], False, ink, line + rim, cv2.LINE_AA, _SUBPIXEL_BITS)


def _draw_disc(
    canvas: NDArray[np.uint8], place: Float[np.ndarray, "2"], radius: float, colour: Colour
) -> None:
    centre = _fixed(place[None])[0, 0].tolist()
    cv2.circle(canvas, centre, round(radius * 2**_SUBPIXEL_BITS), colour, -1, cv2.LINE_AA, _SUBPIXEL_BITS)


def _arrow_head(points: Float[np.ndarray, "K 2"], length: float) -> Float[np.ndarray, "3 2"] | None:
    """The triangle at the curve's end, along its last stretch of about that length."""
    tip = points[-1]
    far = np.linalg.norm(points - tip, axis=1)
    behind = np.flatnonzero(far >= min(length, far.max()))
    direction = tip - points[behind[-1]]
    norm = np.linalg.norm(direction)
    if norm == 0:
        return None
    direction = direction / norm
    side = np.array((-direction[1], direction[0]))
    back, front = tip - 0.6 * length * direction, tip + 0.4 * length * direction
    return np.stack((front, back + 0.36 * length * side, back - 0.36 * length * side))


def _fixed(points: Float[np.ndarray, "K 2"]) -> NDArray[np.int32]:
    """Sub-pixel points as cv2 wants them; what lies far outside is held where its integers reach."""
    return (points.clip(-30000, 30000) * 2**_SUBPIXEL_BITS).round().astype(np.int32)[:, None]
