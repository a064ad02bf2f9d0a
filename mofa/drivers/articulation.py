"""What muscles do, applied to 68 face points: jaw, lips, eyelids, brows and head, in the face's own frame.

Everything is measured in the face itself, so that tilted, small and mirrored faces move alike:
across is the line between the eyes, down is towards the chin.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

JAWLINE, BROWS, MOUTH = slice(0, 17), slice(17, 27), slice(48, 68)
EYES = (slice(36, 42), slice(42, 48))
CHIN, NOSE_TIP, NOSE_BASE = 8, 30, 33
CORNERS = (48, 54, 60, 64)
UPPER_LIDS, LOWER_LIDS = (37, 38, 43, 44), (41, 40, 47, 46)
"""Points that meet when an eye closes."""
UPPER_INNER, LOWER_INNER, INNER_SHARE = (61, 62, 63), (67, 66, 65), (0.92, 1.0, 0.92)
"""Points that meet when the lips close, and how much of the opening each takes part in."""
UPPER_OUTER, LOWER_OUTER, OUTER_SHARE = (
    (49, 50, 51, 52, 53),
    (59, 58, 57, 56, 55),
    (0.5, 0.92, 1.0, 0.92, 0.5),
)
OUTER_COLUMN = (0, 0, 1, 2, 2)
"""Which of the three inner points is nearest."""

WIDEST_OPENING = 0.2
"""Between the lips, per nose-to-chin distance: a loud open vowel, some 13 mm of 65 mm."""
UPPER_LIP_PART = 0.15
"""Of every opening and closing; the jaw carries the lower lip through the rest."""
CHIN_PART = 0.8
"""How far the chin goes with the lower lip."""


@dataclass(frozen=True)
class Articulation:
    """Curves over T frames.

    `given` 1: the mouth is as in the given face, 0: as the other curves say, with closed lips at rest.
    `jaw` 0 closed .. 1 wide open; `spread` -1 rounded .. 1 spread; `pressed` 0..1 lips rolled in;
    `lids` 0 as given .. 1 closed; `brows` 0 as given .. 1 raised. The head: `roll` in radians, `turn` and
    `nod` as shifts of the nose per face width and per nose-to-chin distance.
    """

    given: Float[Tensor, "T"]
    jaw: Float[Tensor, "T"]
    spread: Float[Tensor, "T"]
    pressed: Float[Tensor, "T"]
    lids: Float[Tensor, "T"]
    brows: Float[Tensor, "T"]
    roll: Float[Tensor, "T"]
    turn: Float[Tensor, "T"]
    nod: Float[Tensor, "T"]


@dataclass(frozen=True)
class FaceFrame:
    """Where a face is: its origin between the eyes, unit vectors `axes` (across, down), and its sizes.

    `width` is between the ends of the jawline, `height` from the nose's base to the chin, in pixels.
    """

    origin: Float[Tensor, "2"]
    axes: Float[Tensor, "2 2"]
    width: float
    height: float

    def local(self, points: Float[Tensor, "*T N 2"]) -> Float[Tensor, "*T N 2"]:
        """Pixels of the picture to pixels across and down the face."""
        return (points - self.origin) @ self.axes.T

    def picture(self, local: Float[Tensor, "*T N 2"]) -> Float[Tensor, "*T N 2"]:
        """The way back."""
        return local @ self.axes + self.origin


def face_frame(face: Float[Tensor, "68 2"]) -> FaceFrame:
    """The frame of a face; of one whose eyes fall together, the picture's own axes."""
    eyes = torch.stack([face[eye].mean(dim=0) for eye in EYES])
    origin, across = eyes.mean(dim=0), eyes[1] - eyes[0]
    if not across.norm() > 0:
        across = face.new_tensor([1.0, 0.0])
    across = across / across.norm()
    down = torch.stack([-across[1], across[0]])
    if (face[CHIN] - origin) @ down < 0:  # a mirrored face
        down = -down
    return FaceFrame(
        origin=origin,
        axes=torch.stack([across, down]),
        width=float((face[16] - face[0]).norm()),
        height=float((face[CHIN] - face[NOSE_BASE]).norm()),
    )


def articulate(face: Float[Tensor, "68 2"], curves: Articulation) -> Float[Tensor, "T 68 2"]:
    """The face's points in every frame, in the pixels of `face`."""
    frame = face_frame(face)
    given = frame.local(face).expand(len(curves.jaw), -1, -1)
    spoken = with_lips(lips_closed(given, frame.height), curves)
    spoken = with_jaw(spoken, frame.height, curves.jaw)
    local = spoken + curves.given[:, None, None] * (given - spoken)
    local = with_brows(with_lids(local, curves.lids), frame.height, curves.brows)
    return frame.picture(with_head(local, frame, curves))


def lips_closed(local: Float[Tensor, "T 68 2"], height: float) -> Float[Tensor, "T 68 2"]:
    """The same face with its lips together: both share the gap, and the jaw follows where it is wide."""
    gap = (local[:, LOWER_INNER, 1] - local[:, UPPER_INNER, 1]).clamp(min=0)
    around = gap[:, OUTER_COLUMN] * gap.new_tensor(OUTER_SHARE)
    rise = torch.zeros_like(local[..., 1])
    rise[:, UPPER_INNER], rise[:, LOWER_INNER] = -UPPER_LIP_PART * gap, (1 - UPPER_LIP_PART) * gap
    rise[:, UPPER_OUTER], rise[:, LOWER_OUTER] = -UPPER_LIP_PART * around, (1 - UPPER_LIP_PART) * around
    # A smile shows teeth with the jaw shut: narrow gaps are the lips' own.
    jaw = CHIN_PART * (gap.amax(dim=1, keepdim=True) - 0.06 * height).clamp(min=0)
    rise[:, JAWLINE] = jaw * chin_share(local)
    return _raised(local, rise)


def with_lips(local: Float[Tensor, "T 68 2"], curves: Articulation) -> Float[Tensor, "T 68 2"]:
    """Lips spread, rounded or pressed together: the mouth's width, and the height of the lips."""
    spread, rounded = curves.spread.clamp(0, 1), -curves.spread.clamp(-1, 0)
    wide = 1 + 0.1 * spread - 0.2 * rounded - 0.05 * curves.jaw
    thick = 1 + 0.15 * rounded - 0.08 * spread - 0.35 * curves.pressed
    mouth = local[:, MOUTH]
    middle = local[:, (48, 54), 0].mean(dim=1, keepdim=True)
    line = local[:, (*UPPER_INNER, *LOWER_INNER), 1].mean(dim=1, keepdim=True)
    moved = local.clone()
    moved[:, MOUTH, 0] = middle + (mouth[..., 0] - middle) * wide[:, None]
    moved[:, MOUTH, 1] = line + (mouth[..., 1] - line) * thick[:, None]
    # Only the lips swell and thin: the corners hang where they hung.
    moved[:, CORNERS, 1] = local[:, CORNERS, 1]
    return moved


def with_jaw(
    local: Float[Tensor, "T 68 2"], height: float, jaw: Float[Tensor, "T"]
) -> Float[Tensor, "T 68 2"]:
    """The jaw opened: lips apart by `jaw * WIDEST_OPENING * height` in the middle, chin and corners along."""
    opening = (jaw * WIDEST_OPENING * height)[:, None]
    inner, outer = local.new_tensor(INNER_SHARE), local.new_tensor(OUTER_SHARE)
    rise = torch.zeros_like(local[..., 1])
    rise[:, UPPER_INNER], rise[:, UPPER_OUTER] = (UPPER_LIP_PART * opening * part for part in (inner, outer))
    rise[:, LOWER_INNER], rise[:, LOWER_OUTER] = (
        (UPPER_LIP_PART - 1) * opening * part for part in (inner, outer)
    )
    rise[:, CORNERS] = -0.2 * opening
    rise[:, JAWLINE] = -CHIN_PART * opening * chin_share(local)
    return _raised(local, rise)


def with_lids(local: Float[Tensor, "T 68 2"], lids: Float[Tensor, "T"]) -> Float[Tensor, "T 68 2"]:
    """Eyelids closed by `lids` of their distance; the upper ones do most of it."""
    upper, lower = local[:, UPPER_LIDS], local[:, LOWER_LIDS]
    meeting = torch.lerp(upper, lower, 0.85)
    moved = local.clone()
    moved[:, UPPER_LIDS] = torch.lerp(upper, meeting, lids[:, None, None])
    moved[:, LOWER_LIDS] = torch.lerp(lower, meeting, lids[:, None, None])
    return moved


def with_brows(
    local: Float[Tensor, "T 68 2"], height: float, brows: Float[Tensor, "T"]
) -> Float[Tensor, "T 68 2"]:
    """Brows raised by up to a twelfth of the nose-to-chin distance."""
    rise = torch.zeros_like(local[..., 1])
    rise[:, BROWS] = (brows * height / 12)[:, None]
    return _raised(local, rise)


def with_head(
    local: Float[Tensor, "T 68 2"], frame: FaceFrame, curves: Articulation
) -> Float[Tensor, "T 68 2"]:
    """The head turned and nodding, the nose furthest and the rim least, then rolled on its neck."""
    radius = local.new_tensor([frame.width / 2, 2 * frame.height]).clamp(min=1e-6)
    from_nose = (local - local[:, NOSE_TIP, None]) / radius
    nearness = (1 - from_nose.square().sum(dim=-1, keepdim=True)).clamp(0, 1)
    shift = torch.stack([curves.turn * frame.width, curves.nod * frame.height], dim=-1)
    shifted = local + shift[:, None] * (0.4 + 0.6 * nearness)
    neck = local[:, CHIN, None] + local.new_tensor([0.0, frame.height])
    cosine, sine = curves.roll.cos(), curves.roll.sin()
    rotation = torch.stack([torch.stack([cosine, sine], -1), torch.stack([-sine, cosine], -1)], dim=-2)
    return (shifted - neck) @ rotation + neck


def chin_share(local: Float[Tensor, "T 68 2"]) -> Float[Tensor, "17"]:
    """How far each jawline point goes with the chin: those six points off, the angles of the jaw, stay."""
    from_chin = (torch.arange(17, dtype=local.dtype, device=local.device) - CHIN).abs()
    return 0.5 + 0.5 * (torch.pi * (from_chin / 6).clamp(max=1)).cos()


def _raised(local: Float[Tensor, "T 68 2"], rise: Float[Tensor, "T 68"]) -> Float[Tensor, "T 68 2"]:
    return torch.stack([local[..., 0], local[..., 1] - rise], dim=-1)
