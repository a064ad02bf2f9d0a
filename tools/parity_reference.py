"""The arrays of a reference file and what becomes of comparing ours with them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Comparison:
    """Our array and the reference's, which should have the same shape.

    `rounding` is how far float32 alone moves ours, as a relative error, where that is worth knowing.
    """

    name: str
    ours: Tensor
    reference: Tensor
    rounding: float = 0.0

    @property
    def error(self) -> float:
        """Relative error; infinite where the shapes differ."""
        if self.ours.shape != self.reference.shape:
            return float("inf")
        return relative_error(self.ours, self.reference)

    def limit(self, wanted: float) -> float:
        """The largest error that counts as agreement: float32 runs need not be closer than rounding lets."""
        return max(wanted, 2 * self.rounding)


def relative_error(ours: Tensor, reference: Tensor) -> float:
    """||ours - reference|| / ||reference||."""
    difference = (ours.double() - reference.double()).norm()
    return float(difference / reference.double().norm().clamp(min=1e-30))


@dataclass(frozen=True)
class Skipped:
    """An array that nothing of ours computes yet."""

    name: str
    reason: str


class Reference(Mapping[str, Tensor]):
    """The arrays of one reference file."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as file:
            values = {name: np.array(file[name]) for name in file.files}
        # Some files list parameter names, which no tensor holds.
        self.arrays = {name: torch.from_numpy(v) for name, v in values.items() if v.dtype.kind != "U"}

    def __getitem__(self, name: str) -> Tensor:
        return self.arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)

    def compare(self, name: str, ours: Tensor) -> Comparison:
        """`ours` beside the array of that name."""
        return Comparison(name, ours, self[name])


Findings = Iterator[Comparison | Skipped]
