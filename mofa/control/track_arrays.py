"""Arrays of point trackers: which array holds the places, which axis is time, and which places are hidden.

Places are [N, T, 2] or [T, N, 2] in pixels, one per frame, perhaps with a batch axis of length 1 before
them, or with x, y and visibility (0..1) in the last axis; [T, 2] is one track. They lie alone (.npy, a
tensor), or under `tracks`, `pred_tracks`, `track_path`, `points`, `coords` or `trajectories`, else in the
only array that ends in 2. Visibility, with the axes of the places, is read from `visible`, `visibility`,
`visibles`, `visibilities`, `vis`, `pred_visibility` or `track_visibility` (seen above 0.5), else from
`occluded`, `occlusion` or `occlusions` (hidden above 0.5). A place that is NaN is hidden, and so is 0, 0
where a track would jump there.

Which axis is time, in this order: what the scene says (`axis`); where one axis has length 1, the other; the
names (`pred_tracks` and `track_path` of CoTracker and ComfyUI have time first; `tracks` or `points` beside
`visibles`, `occluded`, `occlusion` or `occlusions`, as TAPIR and TAP-Vid write them, time second); a batch
axis, as CoTracker and Wan-Move save it, time first. Only where nothing tells, or both of the last two, the
axis along which places change less and more smoothly is taken, and that is said.
"""

import io
import math
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Shaped

from mofa.control.coordinates import FARTHEST, TimeAxis
from mofa.errors import InputError
from mofa.types import Note, unsaid

Arrays = Mapping[str, np.ndarray]

POINT_ARRAYS = ("tracks", "pred_tracks", "track_path", "points", "coords", "trajectories")
VISIBLE_ARRAYS = (
    "visible", "visibility", "visibles", "visibilities", "vis", "pred_visibility", "track_visibility"
)  # fmt: skip
HIDDEN_ARRAYS = ("occluded", "occlusion", "occlusions")
TIME_FIRST = ("pred_tracks", "track_path")
POINTS_FIRST_BESIDE = ("visibles", "occluded", "occlusion", "occlusions")

MOST_BYTES = 500_000_000
"""Of a file's numbers once they are unpacked."""
MOST_PLACES = 4_000_000
"""Tracks times frames: 32 thousand points through 121 frames."""
MOST_NUMBERS = 3 * MOST_PLACES
"""Of an array: x, y and perhaps visibility."""
LONGEST_HEADER = 10_000
"""Bytes of an array's header, that with its shape."""
FINEST = 0.05
"""Pixels: changes below are a tracker's noise, and say nothing about which axis is time."""
JUMP = 4.0
"""Times a track's usual speed, or 2 pixels a frame where that is slower."""
ATI_FRAMES, ATI_UNITS = 121, 8
"""ATI's files hold 121 frames in eighths of pixels (bytedance/ATI, tools/trajectory_editor)."""


def load_arrays(data: bytes) -> np.ndarray | dict[str, np.ndarray]:
    """What a NumPy file holds: one array (.npy) or arrays by name (.npz).

    Raises InputError where it is neither, holds Python objects, or unpacks to more than `MOST_BYTES`.
    """
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return _array(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_unpacked(archive)
            entries = [entry for entry in archive.infolist() if entry.filename.endswith(".npy")]
            small = [entry for entry in entries if _numbers_said(archive, entry) <= MOST_NUMBERS]
            left_out = {_array_name(entry) for entry in entries} - {_array_name(entry) for entry in small}
            if left_out.intersection(POINT_ARRAYS) or (left_out and not small):
                raise InputError(
                    f"its arrays have more than {MOST_NUMBERS // 1_000_000} million numbers: save fewer "
                    "tracks.",
                    key="tracks.many",
                )
            return {_array_name(entry): _array(archive.read(entry)) for entry in small}
    except InputError:
        raise
    except Exception as error:  # zipfile has no common error for damaged archives
        raise InputError(_DAMAGED) from error


def _array_name(entry: zipfile.ZipInfo) -> str:
    return entry.filename.removesuffix(".npy")


def _numbers_said(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> int:
    """How many numbers an array has by its header, before the rest of it is unpacked: a video beside the
    tracks may be large, and a small file may say that it is."""
    with archive.open(entry) as packed:
        shape, _ = _header(io.BytesIO(packed.read(LONGEST_HEADER)))
    return math.prod(shape)


def check_unpacked(archive: zipfile.ZipFile) -> None:
    """Raises InputError for an archive that unpacks to more than `MOST_BYTES`, as far as it says itself.

    One that says too little fails while it is unpacked: zipfile reads no further than what is said.
    """
    if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
        raise InputError(
            f"it unpacks to more than {MOST_BYTES // 1_000_000} MB: save fewer tracks.", key="tracks.many"
        )


def load_tensors(data: bytes) -> np.ndarray | dict[str, np.ndarray]:
    """What a file of torch.save holds: a tensor, tensors by name, or (ATI) the bytes of a NumPy file.

    Nothing in it is executed. Raises InputError for anything else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            check_unpacked(archive)
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception as error:  # torch, pickle and zipfile have no common error
        raise InputError(
            "it is damaged, or holds more than tensors: save the tensor, or a dictionary of tensors."
        ) from error
    match content:
        case bytes():
            return load_arrays(content)
        case torch.Tensor():
            return _numbers(content)
        case dict() if any(isinstance(value, torch.Tensor) for value in content.values()):
            return {str(k): _numbers(v) for k, v in content.items() if isinstance(v, torch.Tensor)}
        case _:
            raise InputError("it holds no tensor: save the tensor, or a dictionary of tensors.")


_DAMAGED = "it is damaged, or holds Python objects: save plain numbers with numpy.save again."


def _array(data: bytes) -> np.ndarray:
    file = io.BytesIO(data)
    try:
        shape, kind = _header(file)
        if kind.hasobject or kind.itemsize * math.prod(shape) > len(data):
            raise InputError(_DAMAGED)
        file.seek(0)
        return np.asarray(np.load(file, allow_pickle=False))
    except InputError:
        raise
    except Exception as error:  # numpy has no common error for damaged files
        raise InputError(_DAMAGED) from error


def _header(file: io.BytesIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape and kind of the array in a .npy file, as its header says."""
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, _, kind = read_header(file, max_header_size=LONGEST_HEADER)
    return tuple(int(side) for side in shape), kind


def _numbers(tensor: torch.Tensor) -> np.ndarray:
    if tensor.numel() > MOST_NUMBERS:
        raise InputError(
            f"its tensor has more than {MOST_NUMBERS // 1_000_000} million numbers: save fewer tracks.",
            key="tracks.many",
        )
    if tensor.is_sparse or tensor.is_quantized:
        raise InputError("its tensor is no plain array of numbers that tracks could be.")
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).contiguous().numpy()


def places_and_visibility(
    content: np.ndarray | Arrays,
    axis: TimeAxis | None = None,
    visibility: np.ndarray | None = None,
    note: Note = unsaid,
) -> tuple[Float64[np.ndarray, "N T 2"], Bool[np.ndarray, "N T"]]:
    """The tracks in arrays (rules above); hidden places hold anything.

    `visibility` comes from a second file. Raises InputError for arrays that are none.
    """
    arrays = {"": content} if isinstance(content, np.ndarray) else content
    name = _name_of_places(arrays)
    array = arrays[name]
    if array.dtype.kind not in "iuf":
        raise InputError(f"its points are of type {array.dtype}: save plain numbers.")
    if _is_ati(array):
        return _ati(array)
    if array.ndim not in (2, 3, 4):
        raise InputError(_wrong_shape(array.shape))
    seen = _visibility(arrays) if visibility is None else _as_seen(visibility)
    batched = array.ndim == 4 and len(array) == 1
    places = array[0] if batched else array[None] if array.ndim == 2 else array
    places, given = _split(places.astype(np.float64), array.shape)
    if given is not None and seen is None:
        seen = given
    seen = np.ones(places.shape[:2], bool) if seen is None else _fitting(seen, places.shape[:2], array.shape)
    seen &= np.isfinite(places).all(-1)
    if axis is None:
        axis = _axis_by_form(name, arrays, places.shape[:2], batched)
    if axis is None:
        guessed = time_axis(np.where(seen[..., None], places, np.nan))
        axis = "points-first" if guessed else "time-first"
        count, frames = places.shape[:2] if guessed else places.shape[1::-1]
        note(
            f"{count} tracks of {frames} frames were recognized by how smoothly they run: if that is the "
            f"wrong way round, say axis: {'time-first' if guessed else 'points-first'} beside the file."
        )
    if axis == "time-first":
        places, seen = places.swapaxes(0, 1), seen.swapaxes(0, 1)
    return _checked(places, seen & ~_parked(places))


def time_axis(places: Float64[np.ndarray, "A B 2"]) -> int:
    """0 or 1: the axis along which places, NaN where hidden, change less and more smoothly.

    Compared are the mean first and second differences along both axes, by their ratios, since a point
    travels little and accelerates less from frame to frame, and neighbours in a list have no such bond. Along
    a tie time is the second axis, as in [N, T, 2].
    """
    if 1 in places.shape[:2]:
        return 0 if places.shape[1] == 1 and places.shape[0] > 1 else 1
    advantage = 0.0  # of the second axis
    for order in (1, 2) if min(places.shape[:2]) > 2 else (1,):
        along = [_roughness(places, order, axis) for axis in (0, 1)]
        advantage += float(np.log(along[0] / along[1]))
    return 0 if advantage < 0 else 1


def _roughness(places: Float64[np.ndarray, "A B 2"], order: int, axis: int) -> float:
    changes = np.linalg.norm(np.diff(places, order, axis=axis), axis=-1)
    seen = np.isfinite(changes)
    return max(float(changes[seen].mean()) if seen.any() else FARTHEST, FINEST)


def _name_of_places(arrays: Arrays) -> str:
    named = [name for name in POINT_ARRAYS if name in arrays]
    likely = [name for name, array in arrays.items() if array.ndim >= 3 and array.shape[-1] in (2, 3)]
    in_pairs = [name for name in likely if arrays[name].shape[-1] == 2]
    if named:
        return named[0]
    if len(arrays) == 1 and "" in arrays:
        return ""
    if len(in_pairs) == 1 or len(likely) == 1:
        return (in_pairs or likely)[0]
    raise InputError(
        f"none of its arrays ({', '.join(arrays) or 'it is empty'}) is called tracks or points: rename "
        "the one with the points."
    )


def _axis_by_form(name: str, arrays: Arrays, sides: tuple[int, ...], batched: bool) -> TimeAxis | None:
    if 1 in sides:
        return "time-first" if sides[1] == 1 and sides[0] > 1 else "points-first"
    if name in TIME_FIRST:
        return "time-first"
    beside = any(other in arrays for other in POINTS_FIRST_BESIDE)
    if beside == batched:
        return None
    return "time-first" if batched else "points-first"


def _visibility(arrays: Arrays) -> Bool[np.ndarray, "..."] | None:
    visible = next((_as_seen(arrays[name]) for name in VISIBLE_ARRAYS if name in arrays), None)
    if visible is not None:
        return visible
    return next((~_as_seen(arrays[name]) for name in HIDDEN_ARRAYS if name in arrays), None)


def _as_seen(array: Shaped[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    if array.dtype.kind not in "biuf":
        raise InputError(f"its visibility is of type {array.dtype}: save true and false.")
    return array > 0.5


def _wrong_shape(shape: tuple[int, ...]) -> str:
    return (
        f"its points have the shape {in_words(shape)}, but need N x T x 2 or T x N x 2 (tracks, frames, x "
        "and y, and perhaps visibility)."
    )


def _split(
    places: Float64[np.ndarray, "..."], shape: tuple[int, ...]
) -> tuple[Float64[np.ndarray, "A B 2"], Bool[np.ndarray, "A B"] | None]:
    """x and y, and what a third number says of their visibility."""
    if places.ndim != 3 or places.shape[-1] not in (2, 3) or 0 in places.shape:
        raise InputError(_wrong_shape(shape))
    if places.size > MOST_NUMBERS:
        raise InputError(
            f"it has {in_words(shape)} numbers, more than anybody can follow: save fewer tracks.",
            key="tracks.many",
        )
    if places.shape[-1] == 2:
        return places, None
    third = places[..., 2]
    known = third[np.isfinite(third)]
    if not ((known >= 0) & (known <= 1)).all():
        raise InputError(
            f"its points have the shape {in_words(shape)} and a third coordinate that is no visibility "
            "(0..1): save x and y as the picture shows them."
        )
    return places[..., :2], third > 0.5


def _fitting(
    seen: Bool[np.ndarray, "..."], sides: tuple[int, ...], shape: tuple[int, ...]
) -> Bool[np.ndarray, "A B"]:
    """Visibility with the axes of the places: batch and channel axes of length 1 go."""
    fitting = seen
    while fitting.ndim > 2 and fitting.shape[-1] == 1:
        fitting = fitting[..., 0]
    while fitting.ndim > 2 and fitting.shape[0] == 1:
        fitting = fitting[0]
    if fitting.ndim == 1 and len(sides) == 2 and 1 in sides:
        fitting = fitting.reshape(sides) if fitting.size == sides[0] * sides[1] else fitting
    if fitting.shape == sides[::-1] and fitting.shape != sides:
        fitting = fitting.T
    if fitting.shape != sides:
        raise InputError(
            f"its visibility has the shape {in_words(seen.shape)}, but the points are {in_words(shape)}."
        )
    return fitting.copy()


def _parked(places: Float64[np.ndarray, "N T 2"]) -> Bool[np.ndarray, "N T"]:
    """Where trackers leave points that they have lost: at 0, 0, from where the track would have to jump.

    A jump is `JUMP` times what the track usually travels in that time, or more.
    """
    at_zero = (places == 0).all(-1)
    parked = np.zeros_like(at_zero)
    for track in np.flatnonzero(at_zero.any(1) & ~at_zero.all(1)):
        frames, zeros = np.flatnonzero(~at_zero[track]), np.flatnonzero(at_zero[track])
        path = places[track, frames]
        speeds = np.linalg.norm(np.diff(path, axis=0), axis=1) / np.diff(frames)
        usual = max(float(np.median(speeds)) if len(speeds) else 0.0, 2.0)
        nearest = np.abs(frames[None] - zeros[:, None]).argmin(1)
        apart = np.linalg.norm(path[nearest], axis=1)
        parked[track, zeros] = apart > JUMP * usual * np.abs(frames[nearest] - zeros)
    return parked


def _is_ati(array: np.ndarray) -> bool:
    return array.ndim == 4 and array.shape[1:] == (ATI_FRAMES, 1, 3) and array.dtype.kind in "iu"


def _ati(array: np.ndarray) -> tuple[Float64[np.ndarray, "N T 2"], Bool[np.ndarray, "N T"]]:
    """Tracks shorter than `ATI_FRAMES` are padded with hidden places, which are no part of the motion."""
    places, seen = array[:, :, 0, :2] / ATI_UNITS, array[:, :, 0, 2] > 0
    last = int(np.flatnonzero(seen.any(0)).max(initial=0)) + 1
    return _checked(places[:, :last], seen[:, :last])


def _checked(
    places: Float64[np.ndarray, "N T 2"], seen: Bool[np.ndarray, "N T"]
) -> tuple[Float64[np.ndarray, "N T 2"], Bool[np.ndarray, "N T"]]:
    check_places(places[seen])
    return places, seen


def check_places(places: Float64[np.ndarray, "K 2"]) -> None:
    """Raises InputError for visible places that no picture holds, and for fractions of one."""
    if not (np.abs(places) <= FARTHEST).all():
        raise InputError("a visible point is not a number that a picture can hold (NaN, infinite or huge).")
    if len(places) and places.min() >= 0 and places.max() <= 1 and (places != places.round()).any():
        raise InputError(
            "its places lie between 0 and 1, so they seem to be fractions of the picture: multiply them by "
            "its width and height.",
            key="tracks.fractions",
        )


def in_words(shape: tuple[int, ...]) -> str:
    """A shape as people write it."""
    return " x ".join(map(str, shape)) or "a single number"
