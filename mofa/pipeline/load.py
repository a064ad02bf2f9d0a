"""Files to networks as the diffusion renderer has them: where weights, device and precision meet."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mofa import __version__
from mofa.errors import WeightsError
from mofa.models.attention import set_attention
from mofa.models.compiling import compile_blocks
from mofa.models.flow_estimator import UniMatchFlow
from mofa.models.storage import store_in_8_bits
from mofa.pipeline.networks import Running
from mofa.renderers.diffusion.placement import Placement
from mofa.renderers.diffusion.render import AdapterHalves, DiffusionModel
from mofa.renderers.diffusion.svd import StableVideoDiffusion
from mofa.types import AdapterName
from mofa.weights.hub import rooms_of, variant_files
from mofa.weights.json_files import read_config, write_config
from mofa.weights.networks import (
    Files,
    load_adapter_halves,
    load_backbone,
    load_sparse_to_dense,
    load_unimatch_network,
    save_adapter_halves,
    save_backbone,
    save_sparse_to_dense,
)
from mofa.weights.store import require

SlotFiles = Mapping[str, Files]
"""Slot -> the file's name in the registry -> where it is."""

INDEX = "model_index.json"
PIPELINE = "MofaPipeline"
CMP_ROOM = "sparse_to_dense"
BACKBONE_ROOMS = {
    "unet": ("diffusers", "UNetSpatioTemporalConditionModel"),
    "vae": ("diffusers", "AutoencoderKLTemporalDecoder"),
    "image_encoder": ("transformers", "CLIPVisionModelWithProjection"),
}
"""Where a pipeline's folder has what, and the index that says so: diffusers' form."""


def model_from_files(files: SlotFiles, placement: Placement, dtype: torch.dtype) -> DiffusionModel:
    """The networks whose files are given: the backbone, the adapters that are there, CMP if it is."""
    adapters: tuple[AdapterName, ...] = ("trajectory", "landmark")
    model = DiffusionModel(
        video=StableVideoDiffusion(load_backbone(files["svd-xt"], dtype)),
        adapters={name: load_adapter(name, files[name], dtype) for name in adapters if name in files},
        sparse_to_dense=load_sparse_to_dense(files["cmp"]) if "cmp" in files else None,
    )
    placement.settle(*model.networks())
    return model


def prepare(networks: Sequence[nn.Module], running: Running) -> None:
    """Sets how networks of the denoising loop compute: attention, storage, repeated blocks compiled.

    Raises ResourceError for an attention kernel that is not installed.
    """
    for network in networks:
        set_attention(network, running.attention, running.attention_slices)
        if running.storage == "float8":
            store_in_8_bits(network, running.dtype)
        if running.compile:
            compile_blocks(network)


def load_adapter(name: AdapterName, files: Files, dtype: torch.dtype) -> AdapterHalves:
    """Both halves of an adapter, which share one file."""
    return AdapterHalves(*load_adapter_halves(name, files, dtype))


def load_unimatch(device: torch.device) -> UniMatchFlow:
    """UniMatch in float32, as a flow estimator; raises WeightsError: its weights are absent or others."""
    network = load_unimatch_network(require(["unimatch"], "--optical-flow dis")["unimatch"])
    return UniMatchFlow(network.to(device))


def save_model(model: DiffusionModel, folder: Path, variant: str | None = None) -> None:
    """Writes every network into `folder`, as diffusers lays a pipeline out: a room each, and an index.

    Raises OutputError where a file exists or cannot be written.
    """
    assert isinstance(model.video, StableVideoDiffusion), "only Stable Video Diffusion has a saved layout"
    index: dict[str, Any] = {"_class_name": PIPELINE, "_mofa_version": __version__, **BACKBONE_ROOMS}
    save_backbone(model.video.backbone, folder, variant)
    for name, halves in model.adapters.items():
        save_adapter_halves(halves.encoder, halves.adapter, folder / name, variant)
        index[name] = ("mofa", "MofaAdapter")
    if model.sparse_to_dense is not None:
        save_sparse_to_dense(model.sparse_to_dense, folder / CMP_ROOM, variant)
        index[CMP_ROOM] = ("mofa", type(model.sparse_to_dense).__name__)
    write_config(index, folder / INDEX)


def saved_files(folder: Path, variant: str | None = None) -> SlotFiles:
    """The networks of a folder that `save_model` wrote, or of one with Stable Video Diffusion alone.

    Raises WeightsError for a folder without the backbone, or without weights of that variant.
    """
    if not (folder / "unet").is_dir():
        raise WeightsError(f"{folder} holds no saved pipeline: it should have a folder unet.")
    files = variant_files(folder, variant)
    rooms = rooms_of(files)
    slots = {"trajectory": "trajectory", "landmark": "landmark", "cmp": CMP_ROOM}
    return {"svd-xt": files} | {slot: rooms[room] for slot, room in slots.items() if room in rooms}


def is_pipeline_of_ours(folder: Path) -> bool:
    """Whether a folder says that it is all of a pipeline, so that nothing is to be added to it."""
    index = folder / INDEX
    return index.is_file() and read_config(index).get("_class_name") == PIPELINE
