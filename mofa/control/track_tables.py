"""Tables of tracks: CSV with a header, MOT (multi-object tracking) and Tora's text.

CSV needs columns for x and y (`x`, `y`, or `left`, `top`, `width`, `height` of boxes, whose centres count)
and may have `frame` (or `t`), `id` (or `track`, `track_id`, `point`, `object_id`) and `visible`. Without a
header it is MOT's "frame,id,left,top,width,height,..." or, with two numbers in a line, Tora's "x,y" of one
point. Separators are commas, semicolons, tabs or spaces. A track is hidden in frames that do not list it.
"""

import csv
import io
import re

import numpy as np
from jaxtyping import Bool, Float64

from mofa.control.text_files import text_of
from mofa.control.track_arrays import MOST_PLACES, check_places
from mofa.errors import InputError

COLUMNS = {
    "frame": ("frame", "frame_id", "frame_index", "frameid", "t", "time_index", "image_id"),
    "id": ("id", "track", "track_id", "trackid", "point", "point_id", "object_id", "particle", "trajectory"),
    "x": ("x", "x_px", "px", "pos_x", "cx", "center_x"),
    "y": ("y", "y_px", "py", "pos_y", "cy", "center_y"),
    "left": ("left", "bb_left", "bbox_left", "x1", "xmin"),
    "top": ("top", "bb_top", "bbox_top", "y1", "ymin"),
    "width": ("width", "w", "bb_width", "bbox_width"),
    "height": ("height", "h", "bb_height", "bbox_height"),
    "visible": ("visible", "visibility", "vis"),
}
MOT = ("frame", "id", "left", "top", "width", "height")
TORA_SIDE = 256
"""Tora's trajectories are drawn on a canvas of 256 x 256 (alibaba/Tora, README)."""

Places = tuple[Float64[np.ndarray, "N T 2"], Bool[np.ndarray, "N T"]]
Table = dict[str, Float64[np.ndarray, " R"]]


def read_table(data: bytes) -> tuple[Places, bool]:
    """Tracks [N, T, 2] with where they are seen, and whether they are Tora's; InputError for no table."""
    rows = _rows(data)
    header = [name.strip().strip('"').lower().replace(" ", "_") for name in rows[0]]
    known = {kind: header.index(name) for kind, names in COLUMNS.items() for name in names if name in header}
    if {"x", "y"} <= known.keys() or {"left", "top", "width", "height"} <= known.keys():
        return _tracks(_columns(rows[1:], known)), False
    if any(re.search("[a-z]", name) for name in header):
        raise InputError(f"its first line names no x and y, but {', '.join(header)[:60]}: call them x and y.")
    widths = {len(row) for row in rows}
    if widths == {2}:
        table = _columns(rows, {"x": 0, "y": 1})
        return _tracks(table | {"frame": np.arange(len(rows), dtype=float)}), True
    if min(widths) >= len(MOT):
        return _tracks(_columns(rows, {name: index for index, name in enumerate(MOT)})), False
    raise InputError(
        "its lines hold neither x,y nor frame,id,left,top,width,height: name the columns in its first line."
    )


def _rows(data: bytes) -> list[list[str]]:
    text = text_of(data, "save the table as CSV")
    try:
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        first = lines[0] if lines else ""
        separator = next((one for one in ";\t," if one in first), " ")
        rows = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=separator, skipinitialspace=True))
    except csv.Error as error:
        raise InputError("it is no table of numbers: save it as CSV.") from error
    rows = [[cell for cell in row if cell] if separator == " " else row for row in rows]
    if separator in ";\t":  # commas are then those of numbers
        rows = [[cell.replace(",", ".") for cell in row] for row in rows]
    if not rows:
        raise InputError("it holds no lines: write the tracks again.")
    return rows


def _columns(rows: list[list[str]], places: dict[str, int]) -> Table:
    try:
        return {name: np.array([_value(row[index]) for row in rows]) for name, index in places.items()}
    except (ValueError, IndexError) as error:
        raise InputError("some line lacks a number that the first one has: write the table again.") from error


def _value(cell: str) -> float:
    text = cell.strip()
    match text.lower():
        case "" | "nan" | "none" | "null":
            return float("nan")
        case "true" | "false":
            return float(text.lower() == "true")
        case _:
            return float(text)


def _tracks(table: Table) -> Places:
    if "x" not in table:
        table = table | {
            "x": table["left"] + table["width"] / 2,
            "y": table["top"] + table["height"] / 2,
        }
    places = np.stack([table["x"], table["y"]], axis=1)
    who, names = np.unique(table.get("id", np.zeros(len(places))), return_inverse=True)
    frames = table["frame"] if "frame" in table else _counted(names, len(who))
    if not len(places) or not np.isfinite(frames).all() or (frames != frames.round()).any():
        raise InputError("its frames are no whole numbers: number them, one line per track and frame.")
    frames = frames - frames.min()
    length = int(frames.max()) + 1
    if length * len(who) > MOST_PLACES:
        raise InputError(f"it has {len(who)} tracks through {length} frames, more than anybody can follow.")
    result = np.full((len(who), length, 2), np.nan)
    result[names, frames.astype(int)] = places
    seen = np.isfinite(result).all(-1)
    if "visible" in table:
        seen[names, frames.astype(int)] &= table["visible"] > 0.5
    check_places(result[seen])
    return result, seen


def _counted(names: np.ndarray, tracks: int) -> Float64[np.ndarray, " R"]:
    """The frame of each line where none is named: how many lines of its track came before."""
    frames = np.zeros(len(names))
    for track in range(tracks):
        lines = names == track
        frames[lines] = np.arange(lines.sum())
    return frames
