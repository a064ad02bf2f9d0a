"""Flow on the disk: Middlebury `.flo` for one step, NPZ for all of them."""

import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from mofa.errors import InputError
from mofa.media.image import open_file
from mofa.types import FlowField

FLOW_GRID = 64
"""NPZ flow is rounded to 1 / FLOW_GRID px, far below what any estimator resolves, to halve the file."""

# Middlebury's format (Baker et al., IJCV 2011, the code that comes with the benchmark): this float reads
# "PIEH" in bytes; components above 1e9 in size mean that the flow is unknown, and 1e10 is written.
_FLO_MAGIC = 202021.25
_FLO_UNKNOWN, _FLO_UNKNOWN_LIMIT = 1e10, 1e9
_FLO_HEADER = struct.Struct("<fii")
AddFlow = Callable[[FlowField], None]
"""Takes the next step of a flow, as a field of one step."""
_LARGEST_ARRAY = 16 * 2**30  # bytes; a larger one was not written for a clip


def write_flo(path: Path, flow: Float[Tensor, "2 H W"], valid: Bool[Tensor, "1 H W"] | None = None) -> None:
    """Writes one step of flow, float32, at `path` itself; unknown pixels as Middlebury marks them."""
    _, height, width = flow.shape
    pairs = flow.permute(1, 2, 0).float().cpu().numpy().copy()
    if valid is not None:
        pairs[~valid[0].cpu().numpy()] = _FLO_UNKNOWN
    with path.open("wb") as file:
        file.write(_FLO_HEADER.pack(_FLO_MAGIC, width, height))
        file.write(pairs.astype("<f4").tobytes())


def write_flow(path: Path, flow: FlowField) -> None:
    """Writes all steps of a flow that is there as a whole: see `flow_writer`."""
    steps, _, height, width = flow.pixels.shape
    with flow_writer(path, steps, height, width) as add:
        for step in range(steps):
            add(flow.over([step]))


@contextmanager
def flow_writer(path: Path, steps: int, height: int, width: int) -> Iterator[AddFlow]:
    """Yields what takes one step after another; the file is at `path` itself when the block has ended.

    NumPy reads it: `numpy.load(path)["flow"]` is float32 [S, 2, H, W] in px rounded to 1 / FLOW_GRID, "valid"
    bool [S, 1, H, W]. The same flow gives the same bytes. No step is kept, and of `valid` only what differs
    from the step before.
    """
    masks: list[Bool[Tensor, "1 1 H W"]] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with _member(archive, "flow", (steps, 2, height, width), np.dtype("<f4")) as write:

            def add(flow: FlowField) -> None:
                write(torch.round(flow.pixels.float() * FLOW_GRID) / FLOW_GRID)
                same = masks and torch.equal(masks[-1], flow.valid)
                masks.append(masks[-1] if same else flow.valid.clone())

            yield add
        with _member(archive, "valid", (steps, 1, height, width), np.dtype(bool)) as write:
            for mask in masks:
                write(mask)


def read_flow(path: Path) -> FlowField:
    """Flow from `.flo` (one step) or NPZ (`flow` [S, 2, H, W], `valid` [S, 1, H, W] or absent).

    Values that are not finite are unknown: invalid, and 0 in `pixels`.

    Raises InputError: missing, empty, another format, cut short, wrong shapes.
    """
    with open_file(path, "flow file") as file:
        start = file.read(4)
        file.seek(0)
        data = file.read()
    if start == struct.pack("<f", _FLO_MAGIC):
        return _parsed_flo(data, path)
    if start[:2] == b"PK":
        return _parsed_npz(data, path)
    raise InputError(f"{path} is neither a .flo nor an .npz file; give flow in one of these forms.")


def _parsed_flo(data: bytes, path: Path) -> FlowField:
    if len(data) < _FLO_HEADER.size:
        raise InputError(f"The flow file {path} is cut short; save it again.")
    _, width, height = _FLO_HEADER.unpack_from(data)
    expected = _FLO_HEADER.size + 8 * width * height
    if width <= 0 or height <= 0 or len(data) != expected:
        raise InputError(
            f"The flow file {path} says {width} x {height} pixels but holds {len(data)} bytes; save it again."
        )
    pairs = np.frombuffer(data, "<f4", offset=_FLO_HEADER.size).reshape(1, height, width, 2)
    known = (np.abs(pairs) <= _FLO_UNKNOWN_LIMIT).all(axis=-1)[:, None]
    return _flow_field(pairs.transpose(0, 3, 1, 2), known)


def _parsed_npz(data: bytes, path: Path) -> FlowField:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            flow = _read_member(archive, "flow")
            has_valid = "valid.npy" in archive.namelist()
            valid = _read_member(archive, "valid") if has_valid else np.ones_like(flow[:, :1], dtype=bool)
    except Exception as error:  # foreign bytes: zipfile and numpy raise whatever they stumble over
        raise InputError(
            f"{path} holds no flow that can be read; an array 'flow' [steps, 2, height, width] is needed."
        ) from error
    fits = flow.ndim == 4 and flow.shape[1] == 2 and flow.size > 0 and flow.dtype.kind in "fiu"
    if not fits or valid.shape != (len(flow), 1, *flow.shape[2:]) or valid.dtype != bool:
        raise InputError(
            f"{path} holds 'flow' {list(flow.shape)} of {flow.dtype} and 'valid' {list(valid.shape)} of "
            f"{valid.dtype}; [steps, 2, height, width] numbers and [steps, 1, height, width] bool are needed."
        )
    return _flow_field(flow, valid)


def _flow_field(flow: NDArray[Any], valid: NDArray[np.bool_]) -> FlowField:
    with np.errstate(over="ignore"):
        values = flow.astype(np.float32)
    known = valid & np.isfinite(values).all(axis=1, keepdims=True)
    return FlowField(
        pixels=torch.from_numpy(np.where(known, values, np.float32(0))), valid=torch.from_numpy(known)
    )


@contextmanager
def _member(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: np.dtype
) -> Iterator[Callable[[Tensor], None]]:
    """One `.npy` inside the archive; yields what writes the next part of it."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array_header_1_0(member, header)

        def write(part: Tensor) -> None:
            member.write(np.ascontiguousarray(part.cpu().numpy(), dtype=dtype).data)

        yield write


def _read_member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One `.npy` of the archive. Raises ValueError when its header promises more than it holds."""
    size = archive.getinfo(f"{name}.npy").file_size
    if size > _LARGEST_ARRAY:
        raise ValueError("too large")
    with archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        read_header = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, fortran_order, dtype = read_header(member)
        if dtype.hasobject:
            raise ValueError("not numbers")
        content = member.read()
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran_order else "C")
