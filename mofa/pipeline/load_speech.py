"""Files to speech drivers: where the learned drivers' weights and the face they drive meet."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mofa.faces.drivers.aniportrait import AniPortraitDriver
from mofa.faces.drivers.sadtalker import SadTalkerDriver, reconstruct
from mofa.faces.face_model import keypoints_of
from mofa.models.aniportrait import SpeechNetworkConfig, SpeechToMesh, SpeechToPose
from mofa.models.sadtalker import SadTalkerNetworks
from mofa.weights.convert import read_checkpoint
from mofa.weights.face_model_files import FaceModelFiles, read_face_model
from mofa.weights.loading import load_exactly
from mofa.weights.registry import SADTALKER_PARTS
from mofa.weights.store import require

INSTEAD = "--driver signal"
"""What needs no weights."""


RELEASED_SIZES = SpeechNetworkConfig()
"""AniPortrait's files come without settings."""


@dataclass(frozen=True)
class AniPortraitNetworks:
    """What AniPortrait learned, for any face."""

    to_mesh: SpeechToMesh
    to_pose: SpeechToPose


@dataclass(frozen=True)
class SadTalkerParts:
    """What SadTalker learned, and the face model that it speaks with, for any face."""

    networks: SadTalkerNetworks
    files: FaceModelFiles


def load_aniportrait(
    device: torch.device, config: SpeechNetworkConfig = RELEASED_SIZES
) -> AniPortraitNetworks:
    """AniPortrait's networks on a device.

    Raises WeightsError: weights are absent (it says how to get them), damaged, or another network's.
    """
    files = require(["audio2mesh", "audio2pose"], INSTEAD)
    with torch.device("meta"):
        to_mesh, to_pose = SpeechToMesh(config), SpeechToPose(config)
    _fill(to_mesh, files["audio2mesh"], "audio2mesh")
    _fill(to_pose, files["audio2pose"], "audio2pose")
    return AniPortraitNetworks(to_mesh.eval().to(device), to_pose.eval().to(device))


def aniportrait_for(
    networks: AniPortraitNetworks, mesh: Float[Tensor, "mesh 3"], height: int, width: int
) -> AniPortraitDriver:
    """AniPortrait for the face whose dense mesh is given, in pixels of a picture of height x width."""
    return AniPortraitDriver(networks.to_mesh, networks.to_pose, mesh, height, width)


def load_sadtalker(device: torch.device) -> SadTalkerParts:
    """SadTalker's networks on a device, and the face model.

    Raises WeightsError: weights or the face model are absent (it says how to get them), damaged, or others.
    """
    files = require(["sadtalker"], INSTEAD)
    model = read_face_model()
    with torch.device("meta"):
        networks = SadTalkerNetworks()
    _fill(networks, files["sadtalker"], "sadtalker", SADTALKER_PARTS)
    return SadTalkerParts(networks.eval().to(device), model)


def sadtalker_for(
    parts: SadTalkerParts, picture: Float[Tensor, "3 H W"], face: Float[Tensor, "68 2"]
) -> SadTalkerDriver:
    """SadTalker for the face whose 68 points are given, in the pixels of its picture (0..1)."""
    networks, model = parts.networks, parts.files
    source, alignment = reconstruct(networks.face_3drecon, picture, face, model.standard)
    return SadTalkerDriver(
        to_expression=networks.audio2exp,
        to_pose=networks.audio2pose,
        face_model=keypoints_of(model.mean, model.identity, model.expression, model.keypoints),
        source=source,
        alignment=alignment,
    )


def _fill(
    network: nn.Module, files: Mapping[str, Path], checkpoint: str, parts: tuple[str, ...] = ("",)
) -> None:
    """Loads the one file of a slot, or those of its tensors whose names begin with one of `parts`."""
    (file,) = files.values()
    tensors = read_checkpoint(file)
    needed = {name: tensor for name, tensor in tensors.items() if name.startswith(parts)}
    load_exactly(network, needed, checkpoint, file, dtype=torch.float32)
