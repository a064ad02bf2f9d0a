"""Files to networks: where weights, device and precision meet, and nowhere else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mofa.errors import WeightsError
from mofa.media.files import replacing
from mofa.models.adapter_config import read_adapter_config, released_fields
from mofa.models.attention import slice_attention
from mofa.models.backbone import Backbone
from mofa.models.flow_estimator import UniMatchFlow
from mofa.models.from_config import (
    adapter_from_config,
    complete,
    image_encoder_from_config,
    make_sparse_to_dense,
    unet_from_config,
    vae_from_config,
)
from mofa.models.sparse_to_dense import ConditionalMotionPropagation, SparseToDenseConfig
from mofa.models.unimatch import UniMatch, UniMatchConfig
from mofa.renderers.diffusion.placement import Placement, blocks_of
from mofa.renderers.diffusion.render import AdapterHalves, DiffusionModel
from mofa.renderers.diffusion.svd import StableVideoDiffusion
from mofa.types import AdapterName
from mofa.weights.convert import read_checkpoint, save_checkpoint
from mofa.weights.loading import load_exactly
from mofa.weights.registry import SLOTS
from mofa.weights.store import require

SlotFiles = Mapping[str, Mapping[str, Path]]
"""Slot -> the file's name in the registry -> where it is."""


def model_from_files(files: SlotFiles, placement: Placement, dtype: torch.dtype) -> DiffusionModel:
    """The networks whose files are given: the backbone, the adapters that are there, CMP if it is."""
    adapters: tuple[AdapterName, ...] = ("trajectory", "landmark")
    model = DiffusionModel(
        video=load_svd(files["svd-xt"], dtype),
        adapters={name: load_adapter(name, files[name], dtype) for name in adapters if name in files},
        sparse_to_dense=load_sparse_to_dense(files["cmp"]) if "cmp" in files else None,
    )
    placement.settle(*model.networks())
    return model


def prepare(networks: Sequence[nn.Module], attention_slices: int, compiled: bool) -> None:
    """Sets how networks of the denoising loop compute: attention in slices, blocks compiled."""
    for network in networks:
        slice_attention(network, attention_slices)
        if compiled:
            for block in blocks_of(network):
                block.compile()


def load_svd(files: Mapping[str, Path], dtype: torch.dtype) -> StableVideoDiffusion:
    """Stable Video Diffusion as a video model."""
    return StableVideoDiffusion(load_backbone(files, dtype))


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
    """CMP, in float32: it is small, and its bins ask for it. Released files have no config.json."""
    weights = {name: path for name, path in files.items() if name != "config.json"}
    sizes = SparseToDenseConfig()
    if "config.json" in files:
        fields = read_config(files["config.json"])
        sizes = SparseToDenseConfig(**fields | {"blocks": tuple(fields["blocks"])})
    network = make_sparse_to_dense(sizes)
    _fill(network, next(iter(weights.values())), "cmp", torch.float32)
    return network


def load_unimatch(device: torch.device) -> UniMatchFlow:
    """UniMatch in float32, as a flow estimator; raises WeightsError: its weights are absent or others."""
    (file,) = require(["unimatch"], "--optical-flow dis")["unimatch"].values()
    with torch.device("meta"):
        network = UniMatch(UniMatchConfig())
    _fill(network, file, "unimatch", torch.float32)
    return UniMatchFlow(network.eval().to(device))


def save_model(model: DiffusionModel, folder: Path) -> None:
    """Writes every network into `folder`, laid out like the store of `mofa models`.

    Raises OutputError where a file exists or cannot be written.
    """
    assert isinstance(model.video, StableVideoDiffusion), "only Stable Video Diffusion has a saved layout"
    backbone = model.video.backbone
    parts: dict[str, tuple[Sequence[nn.Module], Mapping[str, Any]]] = {
        "svd-xt/unet/diffusion_pytorch_model": ([backbone.unet], dict(backbone.unet.config)),
        "svd-xt/vae/diffusion_pytorch_model": ([backbone.vae], dict(backbone.vae.config)),
        "svd-xt/image_encoder/model": ([backbone.image_encoder], backbone.image_encoder.config.to_dict()),
    }
    for name, halves in model.adapters.items():
        own = released_fields(halves.adapter.config)
        parts[f"{name}/diffusion_pytorch_model"] = ([halves.encoder, halves.adapter], own)
    if model.sparse_to_dense is not None:
        parts["cmp/model"] = ([model.sparse_to_dense], asdict(model.sparse_to_dense.config))
    for stem, (networks, config) in parts.items():
        tensors = {key: value for network in networks for key, value in network.state_dict().items()}
        save_checkpoint(tensors, folder / f"{stem}.safetensors")
        with replacing((folder / stem).parent / "config.json", overwrite=False) as path:
            path.write_text(json.dumps(config, indent=2, default=str), encoding="utf-8")


def saved_files(folder: Path) -> SlotFiles:
    """What `save_model` wrote. Raises WeightsError for a folder without the backbone."""
    files = {
        slot.name: {path.relative_to(home).as_posix(): path for path in home.rglob("*") if path.is_file()}
        for slot in SLOTS
        if (home := folder / slot.name).is_dir()
    }
    if "svd-xt" not in files:
        raise WeightsError(f"{folder} holds no saved pipeline: it should have a folder svd-xt.")
    return files


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
