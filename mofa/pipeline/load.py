"""Files to networks: where weights, device and precision meet, and nowhere else."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mofa.errors import WeightsError
from mofa.models.adapter_config import read_adapter_config
from mofa.models.backbone import Backbone
from mofa.models.flow_estimator import UniMatch
from mofa.models.from_config import (
    adapter_from_config,
    complete,
    image_encoder_from_config,
    make_sparse_to_dense,
    unet_from_config,
    vae_from_config,
)
from mofa.models.sparse_to_dense import ConditionalMotionPropagation
from mofa.pipeline.diffusion import AdapterHalves, DiffusionModel
from mofa.pipeline.placement import Placement
from mofa.pipeline.settings import DiffusionSettings
from mofa.types import AdapterName
from mofa.weights.convert import read_checkpoint
from mofa.weights.loading import load_exactly
from mofa.weights.store import require

SlotFiles = Mapping[str, Mapping[str, Path]]
"""Slot -> the file's name in the registry -> where it is."""


def load_diffusion_model(
    settings: DiffusionSettings, adapters: Sequence[AdapterName], placement: Placement, dtype: torch.dtype
) -> DiffusionModel:
    """The networks that these settings and adapters need, from the weights that are on this machine.

    Raises WeightsError: weights are absent (it says how to get them), damaged, or another network's.
    """
    needed = [settings.model, *adapters, *(["cmp"] if settings.densifier == "cmp" else [])]
    return model_from_files(require(needed), placement, dtype)


def model_from_files(files: SlotFiles, placement: Placement, dtype: torch.dtype) -> DiffusionModel:
    """The networks whose files are given: the backbone, the adapters that are there, CMP if it is."""
    adapters: tuple[AdapterName, ...] = ("trajectory", "landmark")
    model = DiffusionModel(
        backbone=load_backbone(files["svd-xt"], dtype),
        adapters={name: load_adapter(name, files[name], dtype) for name in adapters if name in files},
        sparse_to_dense=load_sparse_to_dense(files["cmp"]) if "cmp" in files else None,
    )
    placement.settle(*model.networks())
    return model


def load_backbone(files: Mapping[str, Path], dtype: torch.dtype) -> Backbone:
    """Stable Video Diffusion's three networks."""
    unet = unet_from_config(read_config(files["unet/config.json"]))
    vae = vae_from_config(read_config(files["vae/config.json"]))
    image_encoder = image_encoder_from_config(read_config(files["image_encoder/config.json"]))
    _fill(unet, files["unet/diffusion_pytorch_model.safetensors"], "svd-unet", dtype)
    _fill(vae, files["vae/diffusion_pytorch_model.safetensors"], "svd-vae", dtype)
    _fill(image_encoder, files["image_encoder/model.safetensors"], "svd-image-encoder", dtype)
    return Backbone(unet, vae, image_encoder)


def load_adapter(name: AdapterName, files: Mapping[str, Path], dtype: torch.dtype) -> AdapterHalves:
    """Both halves of an adapter, which share one file."""
    settings = files["config.json"]
    encoder, adapter = adapter_from_config(name, read_adapter_config(read_config(settings), str(settings)))
    _fill([encoder, adapter], files["diffusion_pytorch_model.safetensors"], f"{name}-adapter", dtype)
    return AdapterHalves(encoder, adapter)


def load_sparse_to_dense(files: Mapping[str, Path]) -> ConditionalMotionPropagation:
    """CMP, in float32: it is small, and its 198 bins ask for it."""
    network = make_sparse_to_dense()
    _fill(network, next(iter(files.values())), "cmp", torch.float32)
    return network


def load_flow_estimator() -> UniMatch:
    """UniMatch, from the weights that are on this machine (WeightsError where they are not)."""
    raise NotImplementedError


def read_config(path: Path) -> dict[str, Any]:
    """A config.json as plain data; WeightsError where it is none."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as a config.json ({error}): fetch it again.") from error
    if not isinstance(config, dict):
        raise WeightsError(f"{path} is not a config.json: fetch it again.")
    return config


def _fill(networks: nn.Module | Sequence[nn.Module], file: Path, checkpoint: str, dtype: torch.dtype) -> None:
    load_exactly(networks, read_checkpoint(file), checkpoint, file, dtype=dtype)
    for network in [networks] if isinstance(networks, nn.Module) else networks:
        complete(network)
