"""Blendshape curves as capture apps export them: a table with a header, one row per frame.

Columns are ARKit's blendshapes in any order and style (`JawOpen`, `jawOpen`, `jaw_open`, `jaw open`,
`eyeBlink_L`), 0..1 or 0..100, separated by commas, semicolons or tabs, with points or commas in numbers. A
row without values, as Live Link Face writes where it sees no face, is bridged in a straight line.

The columns `HeadYaw`, `HeadPitch` and `HeadRoll` turn the head: radians, or degrees where a value is beyond
half a turn of radians. Their signs are those of Live Link Face, whose code negates ARKit's rotations about y
(up) and z (towards the camera) and keeps that about x: yaw above 0 turns the face to the person's right,
pitch down, roll clockwise as the camera sees it. (Unreal Engine, AppleARKitFaceMeshConversion.h and
AppleARKitConversion.h; in seven takes that were looked at, the columns LeftEyeYaw and LeftEyePitch, which
are made in the same way, say so too, and their 0.6 at the corner of the eye is radians.) Tools that make such
files without the app do not all agree, and neither do takes with the phone held sideways.

Rows have times, by a `Timecode` (HH:MM:SS:FF.fraction, FF counting so many frames a second as it ever shows)
or a column `time`, `timestamp`, `seconds` or `ms` in any unit, which its steps tell; without either there are
60 rows per second. Rows at irregular times are brought to a steady rate. Other columns are not read.
"""

import csv
import io

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from mofa.control.text_files import text_of
from mofa.errors import InputError
from mofa.faces.blendshapes import PAIRED, SHAPES, SIDES, BlendshapeClip
from mofa.media.decode import evenly
from mofa.types import Note, unsaid

ROWS_PER_SECOND = 60.0
"""Live Link Face's rate, where a table says none."""
MOST_ROWS = 100_000
"""Nearly half an hour at 60 a second."""
FRAME_RATES = (24, 25, 30, 48, 50, 60, 120, 240)
"""That timecodes count in."""
TIMES = ("time", "times", "timestamp", "timestamps", "seconds", "t", "ms", "timems", "timestampms", "times")
UNITS = (1.0, 1e-3, 1e-6, 1e-9)
"""Seconds per unit of a time column, the coarsest first."""
HEAD = ("headyaw", "headpitch", "headroll")
HALF_TURN = 3.2
"""Radians; a head that seems turned further is given in degrees."""
LONGEST_STEP = 1.0
"""Seconds between two rows at the most, as a rule: a step that seems longer is in a finer unit."""

_SHORT = {name + side[0]: name + side for name in PAIRED for side in SIDES}
SHAPE_OF_COLUMN = {name.lower(): name for name in SHAPES} | {k.lower(): name for k, name in _SHORT.items()}
"""Blendshapes by their names in small letters, also as `eyeBlinkL`."""


def read_table(data: bytes, note: Note = unsaid) -> BlendshapeClip:
    """The curves of a table; `note` is told where nothing says how fast they run. Raises InputError."""
    rows = _rows(data)
    header = [_plain(name) for name in rows[0]]
    columns = {index: SHAPE_OF_COLUMN[name] for index, name in enumerate(header) if name in SHAPE_OF_COLUMN}
    if not columns and {"x0", "y0"} <= set(header):
        raise InputError(
            "it holds points of a face (x_0, y_0, ...), as OpenFace writes them, not curves: write 68 "
            'points per frame as JSON, {"fps": 30, "points": [[[x, y], ...], ...]}.'
        )
    if not columns:
        raise InputError(
            "none of its columns is called like a blendshape (jawOpen, eyeBlinkLeft, ...): its first row "
            "must name them."
        )
    if not 1 < len(rows) <= MOST_ROWS + 1:
        raise InputError(f"it has {len(rows) - 1} rows of values: give 1 to {MOST_ROWS}, one per frame.")
    turns = {index: name for index, name in enumerate(header) if name in HEAD}
    values = np.array(
        [[_value(row, index, name) for index, name in (columns | turns).items()] for row in rows[1:]]
    )
    known = np.isfinite(values).all(1)
    if not known.any():
        raise InputError(f"its column {next(iter(columns.values()))} holds no numbers: export it again.")
    times = _times(header, rows[1:], note)
    largest = float(np.abs(values[known, : len(columns)]).max())
    if largest > 100:
        raise InputError(f"it holds the value {largest:g}: blendshapes run from 0 to 1, or from 0 to 100.")
    fps, curves = _steady(times, values, known)
    steady = torch.from_numpy(curves).float()
    shapes = steady[:, : len(columns)] / (100.0 if largest > 2 else 1.0)
    return BlendshapeClip(
        {name: shapes[:, k].clone() for k, name in enumerate(columns.values())},
        fps,
        _head(dict(zip(turns.values(), steady[:, len(columns) :].unbind(1), strict=True))),
    )


def _head(turns: dict[str, Float[Tensor, " T"]]) -> Float[Tensor, "T 3"] | None:
    """The head's rotation from the columns that there are; None where there are none."""
    if not turns:
        return None
    still = torch.zeros_like(next(iter(turns.values())))
    angles = torch.stack([turns.get(name, still) for name in HEAD], dim=1)
    furthest = float(angles.abs().max())
    if furthest > 360:
        raise InputError(f"it turns the head by {furthest:g}: give radians, or degrees up to 360.")
    return angles.deg2rad() if furthest > HALF_TURN else angles


def _rows(data: bytes) -> list[list[str]]:
    text = text_of(data, "export it as CSV")
    try:
        first = text.lstrip().partition("\n")[0]
        separator = max(",;\t", key=first.count)
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=separator) if any(map(str.strip, row))]
    except csv.Error as error:
        raise InputError("it is no table of comma-separated values: export it as CSV.") from error
    if separator != ",":  # commas are then those of numbers
        rows = [rows[0], *([cell.replace(",", ".") for cell in row] for row in rows[1:])] if rows else rows
    return rows or [[]]


def _plain(name: str) -> str:
    return name.strip().lower().partition("(")[0].translate({ord(mark): None for mark in " _-"})


def _value(row: list[str], index: int, name: str) -> float:
    """The number in a cell; NaN for an empty one."""
    text = row[index].strip() if index < len(row) else ""
    if not text:
        return np.nan
    try:
        value = float(text)
    except ValueError as error:
        raise InputError(f'its column {name} holds "{text[:20]}", no number: export it again.') from error
    if not np.isfinite(value):
        raise InputError(f"its column {name} holds a value that is not a finite number: export it again.")
    return value


def _times(header: list[str], rows: list[list[str]], note: Note) -> Float64[np.ndarray, " R"]:
    """When each row is, in seconds from the first."""
    if "timecode" in header and len(rows) > 1:
        column = header.index("timecode")
        times = _timecodes([row[column] for row in rows if column < len(row)])
        if len(times) == len(rows):
            return times
    named = next((header.index(name) for name in header if name in TIMES), None)
    if named is None or len(rows) < 2:
        if len(rows) > 1:
            note(
                f"no column says when its rows are, so they are taken as {ROWS_PER_SECOND:g} a second: add a "
                "column time, in seconds, if they are not."
            )
        return np.arange(len(rows)) / ROWS_PER_SECOND
    told = np.array([_value(row, named, "of times") for row in rows])
    steps = np.diff(told)
    if not np.isfinite(told).all() or (steps < 0).any() or not steps.any():
        raise InputError("its times do not rise: give seconds, one row per frame.")
    usual = float(np.median(steps[steps > 0]))
    unit = next((unit for unit in UNITS if usual * unit <= LONGEST_STEP), UNITS[-1])
    return (told - told[0]) * unit


def _timecodes(cells: list[str]) -> Float64[np.ndarray, " R"]:
    """Seconds of HH:MM:SS:FF.fraction; of none where they are not such. Midnight may pass."""
    try:
        parts = np.array([[float(part) for part in cell.replace(";", ":").split(":")] for cell in cells])
    except ValueError:
        return np.empty(0)
    if parts.ndim != 2 or parts.shape[1] != 4 or not np.isfinite(parts).all():
        return np.empty(0)
    highest = int(parts[:, 3].max())
    rate = next((rate for rate in FRAME_RATES if rate > highest), FRAME_RATES[-1])
    if len(np.unique(parts[:, 2])) == 1:  # within one second nothing shows how far it counts
        rate = max(rate, round(ROWS_PER_SECOND))
    seconds = parts[:, 0] * 3600 + parts[:, 1] * 60 + parts[:, 2] + parts[:, 3] / rate
    seconds = seconds + 86_400 * np.cumsum(np.diff(seconds, prepend=seconds[0]) < -43_200)
    return np.maximum.accumulate(seconds) - seconds[0]


def _steady(
    times: Float64[np.ndarray, " R"], values: Float64[np.ndarray, "R n"], known: Bool[np.ndarray, " R"]
) -> tuple[float, Float64[np.ndarray, "T n"]]:
    """The rate, and the values at it: linear between the rows that have any."""
    if len(times) == 1:
        return ROWS_PER_SECOND, values
    steps = np.diff(times)
    end = float(times[-1] + np.median(steps[steps > 0] if (steps > 0).any() else steps))
    if not end > 0 or len(times) > 1000 * end:
        raise InputError("its times do not rise: give seconds, one row per frame.")
    fps, shown = evenly(times.tolist(), end)
    if len(shown) > MOST_ROWS:
        raise InputError(f"it lasts {end:.0f} s, which is too long: cut it.")
    wanted = times if shown == list(range(len(times))) else np.arange(len(shown)) / fps
    curves = [np.interp(wanted, times[known], column[known]) for column in values.T]
    return fps, np.stack(curves, axis=1)
