"""The Basel Face Model's files, which SadTalker needs and only the user can get: they are not passed on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.io import loadmat
from torch import Tensor

from mofa.errors import WeightsError
from mofa.weights.store import home

MODEL_FILE, STANDARD_FILE = "BFM_model_front.mat", "similarity_Lm3D_all.mat"
IDENTITY, EXPRESSION, POINTS = 80, 64, 68
"""Sizes that the face model has to have for SadTalker."""


@dataclass(frozen=True)
class FaceModelFiles:
    """A face model of n / 3 vertices, its 68 keypoints (counted from 0), and the standard face, y up."""

    mean: Float[Tensor, " n"]
    identity: Float[Tensor, "n 80"]
    expression: Float[Tensor, "n 64"]
    keypoints: Int[Tensor, "68"]
    standard: Float[Tensor, "68 3"]


def face_model_folder() -> Path:
    """Where the user puts the files."""
    return home() / "models" / "bfm"


def read_face_model() -> FaceModelFiles:
    """The face model on this machine.

    Raises WeightsError: a file is absent (it says where to get both), damaged, or something else.
    """
    folder = face_model_folder()
    model, standard = folder / MODEL_FILE, folder / STANDARD_FILE
    if not (model.is_file() and standard.is_file()):
        raise WeightsError(
            f"SadTalker needs the Basel Face Model, which nobody may pass on: accept its terms at "
            f"https://faces.dmi.unibas.ch/bfm/, then put {MODEL_FILE} and {STANDARD_FILE} (in the folder "
            f"BFM_Fitting of https://github.com/OpenTalker/SadTalker/releases) into {folder}, or use "
            "`--driver signal`, which needs none.",
            key="weights.basel",
        )
    fields, points = _read(model), _read(standard)
    try:
        mean = _array(fields["meanshape"], (-1,))
        found = FaceModelFiles(
            mean=mean,
            identity=_array(fields["idBase"], (len(mean), IDENTITY)),
            expression=_array(fields["exBase"], (len(mean), EXPRESSION)),
            keypoints=torch.from_numpy(np.asarray(fields["keypoints"]).flatten().astype(np.int64)) - 1,
            standard=_array(points["lm"], (POINTS, 3)),
        )
        if len(mean) % 3 or len(found.keypoints) != POINTS or not _within(found.keypoints, len(mean) // 3):
            raise ValueError("sizes")
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(
            f"{model} or {standard} is another file than SadTalker's release has ({error}); get it again."
        ) from error
    return found


def _within(indices: Int[Tensor, "68"], count: int) -> bool:
    return bool(((indices >= 0) & (indices < count)).all())


def _read(path: Path) -> dict[str, Any]:
    try:
        return loadmat(path)
    # A damaged file can make its reader fail in any way.
    except Exception as error:
        raise WeightsError(f"{path} is damaged or no MATLAB file; get it again.") from error


def _array(values: Any, shape: tuple[int, ...]) -> Float[Tensor, "*n"]:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32).reshape(shape))
