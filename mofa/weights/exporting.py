"""Weights of one's own as others expect them: laid out as releases, or as diffusers, and merged.

Both layouts are read by `own_files` and `mofa animate --adapter`, bit for bit as before.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from mofa.errors import InputError, WeightsError
from mofa.media.files import replacing_folder
from mofa.models.adapter_config import (
    OWN_MARK,
    RELEASED_HEADS,
    RELEASED_WIDTHS,
    AdapterConfig,
    read_adapter_config,
    released_fields,
)
from mofa.weights.convert import WRAPPER, read_checkpoint, save_checkpoint
from mofa.weights.json_files import read_config, write_config
from mofa.weights.networks import adapter_tensors, find
from mofa.weights.registry import Slot, find_slot
from mofa.weights.store import own_files, slot_of

Layout = Literal["released", "diffusers"]

ADAPTERS = ("trajectory", "landmark")
OURS_ALONE = ("sketch_embedding_out_channels", "matting_channels")
"""Fields that a released config.json leaves out where they are as released."""


def export_weights(folder: Path, destination: Path, layout: Layout = "diffusers") -> list[Path]:
    """Writes the weights of a folder into a new one; returns its files. A low-rank change is merged.

    `diffusers`: config.json and one safetensors file at the top, or a backbone's folders, as
    `from_pretrained` reads them. `released`: in the folders in which the method's release has them,
    with its config.json, and CMP as the pickled tensors that it reads.

    Raises WeightsError: no weights that mofa uses, what they change is absent, or the release's code would
    not compute what they mean. InputError: `folder` is absent. OutputError: the destination exists.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder} does not exist: name a folder with weights, such as runs/x/checkpoint-2000."
        )
    slot, files = find_slot(slot_of(folder)), own_files(folder)
    with replacing_folder(destination, overwrite=False) as hidden:
        if slot.name in ADAPTERS:
            _adapter(files, hidden / _place(slot, layout), layout)
        elif slot.name == "cmp":
            _sparse_to_dense(files, hidden / _place(slot, layout), slot, layout)
        else:
            for name, path in files.items():
                (hidden / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, hidden / name)
    return sorted(path for path in destination.rglob("*") if path.is_file())


def _place(slot: Slot, layout: Layout) -> str:
    return slot.sources[0].folder if layout == "released" else "."


def _adapter(files: Mapping[str, Path], folder: Path, layout: Layout) -> None:
    settings = find(files, "config.json")
    config = read_adapter_config(read_config(settings), str(settings))
    fields = _as_the_release(config, settings) if layout == "released" else released_fields(config)
    _write(folder, "diffusion_pytorch_model", adapter_tensors(files), fields)


def _as_the_release(config: AdapterConfig, settings: Path) -> dict[str, Any]:
    """The fields of a released config.json; WeightsError where the release's class would read others."""
    heads = config.num_attention_heads
    if config.block_out_channels == RELEASED_WIDTHS and heads != RELEASED_HEADS:
        raise WeightsError(
            f"{settings} has {', '.join(map(str, heads))} heads, and the release's code computes with "
            f"{', '.join(map(str, RELEASED_HEADS))} whatever it is told: export with --layout diffusers, or "
            "train with objective.conventions.heads=5-10-10-20."
        )
    if config.reads_region:
        raise WeightsError(
            f"{settings} is of an adapter that is told what may move, and the release's code has no input "
            "for it: export with --layout diffusers."
        )
    as_released = AdapterConfig(num_attention_heads=heads)
    same = {name for name in OURS_ALONE if getattr(config, name) == getattr(as_released, name)}
    return {key: value for key, value in released_fields(config).items() if key not in {OWN_MARK, *same}}


def _sparse_to_dense(files: Mapping[str, Path], folder: Path, slot: Slot, layout: Layout) -> None:
    weights = next(path for name, path in files.items() if name != "config.json")
    tensors = read_checkpoint(weights)
    fields = read_config(files["config.json"]) if "config.json" in files else None
    if layout == "diffusers":
        _write(folder, "model", tensors, fields)
        return
    _write(folder, "", {}, fields)
    wrapped = {f"{WRAPPER}{name}": tensor for name, tensor in tensors.items()}
    torch.save({"state_dict": wrapped}, folder / slot.files[0].name)


def _write(folder: Path, stem: str, tensors: Mapping[str, Tensor], fields: Mapping[str, Any] | None) -> None:
    """`stem`.safetensors where there are tensors, and config.json where there are fields."""
    folder.mkdir(parents=True, exist_ok=True)
    if tensors:
        save_checkpoint(tensors, folder / f"{stem}.safetensors")
    if fields is not None:
        write_config(fields, folder / "config.json")
