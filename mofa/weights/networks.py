"""Files to networks, of the sizes that their config.json states, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mofa.errors import WeightsError
from mofa.models.adapter_config import read_adapter_config, released_fields
from mofa.models.backbone import Backbone
from mofa.models.from_config import (
    adapter_from_config,
    complete,
    image_encoder_from_config,
    make_sparse_to_dense,
    unet_from_config,
    vae_from_config,
)
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.motion_encoder import MotionEncoder
from mofa.models.sparse_to_dense import ConditionalMotionPropagation, SparseToDenseConfig
from mofa.models.tiny_decoder import TinyDecoder
from mofa.models.unimatch import UniMatch, UniMatchConfig
from mofa.types import AdapterName
from mofa.weights.convert import read_checkpoint, save_checkpoint
from mofa.weights.json_files import read_config, write_config
from mofa.weights.loading import load_exactly
from mofa.weights.low_rank import LOW_RANK_WEIGHTS, read_merged

Files = Mapping[str, Path]
"""A file's name in the registry -> where it is."""


def files_in(folder: Path) -> Files:
    """Every file below a folder by its path in it; raises WeightsError where there is none."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    if not files:
        raise WeightsError(f"{folder} holds no weights: name the folder that has them.")
    return files


def load_backbone(files: Files, dtype: torch.dtype) -> Backbone:
    """Stable Video Diffusion's three networks."""
    unet = unet_from_config(read_config(find(files, "unet/config.json")))
    vae = vae_from_config(read_config(find(files, "vae/config.json")))
    image_encoder = image_encoder_from_config(read_config(find(files, "image_encoder/config.json")))
    fill(unet, find(files, "unet/diffusion_pytorch_model.safetensors"), "svd-unet", dtype)
    fill(vae, find(files, "vae/diffusion_pytorch_model.safetensors"), "svd-vae", dtype)
    fill(image_encoder, find(files, "image_encoder/model.safetensors"), "svd-image-encoder", dtype)
    return Backbone(unet, vae, image_encoder)


def load_adapter_halves(
    name: AdapterName, files: Files, dtype: torch.dtype
) -> tuple[MotionEncoder, MotionAdapter]:
    """Both halves of an adapter, which share one file."""
    settings = find(files, "config.json")
    config = read_adapter_config(read_config(settings), str(settings))
    encoder, adapter = adapter_from_config(name, config)
    weights = find(files, "diffusion_pytorch_model.safetensors")
    tensors = adapter_tensors(files)
    load_exactly([encoder, adapter], tensors, f"{name}-adapter", weights, dtype=dtype)
    complete(encoder)
    complete(adapter)
    return encoder, adapter


def adapter_tensors(files: Files) -> dict[str, Tensor]:
    """The tensors of both halves of an adapter, with a low-rank change added where `files` has one."""
    weights = find(files, "diffusion_pytorch_model.safetensors")
    return (
        read_merged(weights, files[LOW_RANK_WEIGHTS])
        if LOW_RANK_WEIGHTS in files
        else read_checkpoint(weights)
    )


def load_sparse_to_dense(files: Files) -> ConditionalMotionPropagation:
    """CMP, in float32: it is small, and its bins ask for it. Released files have no config.json."""
    weights = {name: path for name, path in files.items() if name != "config.json"}
    sizes = SparseToDenseConfig()
    if "config.json" in files:
        fields = read_config(files["config.json"])
        sizes = SparseToDenseConfig(**fields | {"blocks": tuple(fields["blocks"])})
    network = make_sparse_to_dense(sizes)
    fill(network, next(iter(weights.values())), "cmp", torch.float32)
    return network


def load_unimatch_network(files: Files) -> UniMatch:
    """UniMatch in float32."""
    (file,) = files.values()
    with torch.device("meta"):
        network = UniMatch(UniMatchConfig())
    fill(network, file, "unimatch", torch.float32)
    return network.eval()


def load_tiny_decoder(files: Files) -> TinyDecoder:
    """TAESD's decoder in float32."""
    (file,) = files.values()
    with torch.device("meta"):
        network = TinyDecoder()
    fill(network, file, "taesd-decoder", torch.float32)
    return network.eval()


def save_backbone(backbone: Backbone, folder: Path, variant: str | None = None) -> None:
    """Writes Stable Video Diffusion's networks into an empty folder, laid out as the store has them.

    `variant` ("fp16") becomes part of the names of the files, as in diffusers' folders.
    """
    parts = {
        "unet/diffusion_pytorch_model": (backbone.unet, dict(backbone.unet.config)),
        "vae/diffusion_pytorch_model": (backbone.vae, dict(backbone.vae.config)),
        "image_encoder/model": (backbone.image_encoder, backbone.image_encoder.config.to_dict()),
    }
    for stem, (network, config) in parts.items():
        save_network([network], config, folder / stem, variant)


def save_adapter_halves(
    encoder: MotionEncoder, adapter: MotionAdapter, folder: Path, variant: str | None = None
) -> None:
    """Writes an adapter into an empty folder, as releases and the store have it."""
    stem = folder / "diffusion_pytorch_model"
    save_network([encoder, adapter], released_fields(adapter.config), stem, variant)


def save_sparse_to_dense(
    network: ConditionalMotionPropagation, folder: Path, variant: str | None = None
) -> None:
    """Writes CMP into an empty folder, with a config.json that states its sizes."""
    save_network([network], asdict(network.config), folder / "model", variant)


def save_network(
    networks: Sequence[nn.Module], config: Mapping[str, Any], stem: Path, variant: str | None = None
) -> None:
    """Writes `stem`.safetensors, with the tensors of several networks in one file, and config.json beside it.

    Raises OutputError where a file exists or cannot be written.
    """
    tensors = {key: value for network in networks for key, value in network.state_dict().items()}
    save_checkpoint(tensors, stem.with_name(".".join(filter(None, (stem.name, variant, "safetensors")))))
    write_config(config, stem.parent / "config.json")


def find(files: Files, name: str) -> Path:
    """The file of that name; WeightsError where it is not among them."""
    if name not in files:
        some = next(iter(files.values()), None)
        raise WeightsError(f"{name} is missing beside {some}: name the folder that holds it, or fetch it.")
    return files[name]


def fill(networks: nn.Module | Sequence[nn.Module], file: Path, checkpoint: str, dtype: torch.dtype) -> None:
    """Loads a checkpoint into networks that have no memory yet."""
    load_exactly(networks, read_checkpoint(file), checkpoint, file, dtype=dtype)
    for network in [networks] if isinstance(networks, nn.Module) else networks:
        complete(network)
