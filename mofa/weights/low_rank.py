"""Small changes of an adapter that lies elsewhere: a low rank for some of its layers, and where it is.

LoRA (Hu et al. 2021, arXiv 2106.09685), equation 3: W + (alpha / rank) B A. A folder that holds such a
change has `pytorch_lora_weights.safetensors`, whose keys are the changed layers' with `lora_A` and `lora_B`
behind, and `adapter_config.json` with the words of peft. Merging needs no library.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from torch import Tensor, nn

from mofa.errors import WeightsError
from mofa.types import AdapterName
from mofa.weights.convert import read_checkpoint, save_checkpoint
from mofa.weights.json_files import write_config

LOW_RANK_WEIGHTS = "pytorch_lora_weights.safetensors"
LOW_RANK_SETTINGS = "adapter_config.json"


@dataclass(frozen=True)
class LowRank:
    """What a change is of: `base` is a name of `mofa models` or a folder, `adapter` its kind."""

    base: str
    adapter: AdapterName
    rank: int
    alpha: float

    @property
    def scale(self) -> float:
        """What the product of both factors is multiplied by."""
        return self.alpha / self.rank


def read_low_rank(folder: Path) -> LowRank | None:
    """What a folder's adapter_config.json says; None without one, WeightsError for a damaged one."""
    path = folder / LOW_RANK_SETTINGS
    if not path.is_file():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        settings = LowRank(
            str(values["base_model_name_or_path"]),
            values["adapter"],
            int(values["r"]),
            float(values["lora_alpha"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} cannot be read ({error!r}): it is no adapter that mofa wrote.") from error
    if settings.adapter not in get_args(AdapterName) or settings.rank < 1:
        raise WeightsError(
            f"{path} describes rank {settings.rank} of {settings.adapter!r}: mofa wrote no such adapter."
        )
    return settings


def save_low_rank(networks: tuple[nn.Module, ...], settings: LowRank, folder: Path) -> None:
    """Writes the factors that peft has put into networks, and what they are of, into an empty folder."""
    tensors = {
        name.replace(".default.", "."): parameter.detach()
        for network in networks
        for name, parameter in network.named_parameters()
        if ".lora_" in name
    }
    save_checkpoint(tensors, folder / LOW_RANK_WEIGHTS)
    content = {
        "peft_type": "LORA",
        "base_model_name_or_path": settings.base,
        "adapter": settings.adapter,
        "r": settings.rank,
        "lora_alpha": settings.alpha,
    }
    write_config(content, folder / LOW_RANK_SETTINGS)


def read_merged(weights: Path, change: Path) -> dict[str, Tensor]:
    """An adapter's tensors in `weights` with the change in the file `change` added, in their own dtype.

    Raises WeightsError where the change is of layers that the adapter has not, or of other sizes.
    """
    settings = read_low_rank(change.parent)
    if settings is None:
        raise WeightsError(f"{LOW_RANK_SETTINGS} is missing beside {change}: name the folder that has both.")
    tensors, factors = read_checkpoint(weights), read_checkpoint(change)
    for name in [key.removesuffix(".lora_A.weight") for key in factors if key.endswith(".lora_A.weight")]:
        key, added = f"{name}.weight", product(factors, name, change)
        if key not in tensors or tensors[key].shape[:2] != added.shape[:2]:
            has = list(tensors[key].shape) if key in tensors else "no such layer"
            raise WeightsError(
                f"{change} changes {key} of {list(added.shape)}, and {weights} has {has}: it was trained on "
                f'an adapter of another architecture; name the right one as "base_model_name_or_path" in '
                f"{change.parent / LOW_RANK_SETTINGS}."
            )
        own = tensors[key]
        tensors[key] = (own.float() + settings.scale * added.reshape(own.shape)).to(own.dtype)
    return tensors


def product(factors: Mapping[str, Tensor], name: str, file: Path) -> Tensor:
    """B A of a layer: [out, in], or a convolution's [out, in, *kernel]. A has the kernel, B is 1 wide."""
    first = factors[f"{name}.lora_A.weight"].float()
    second = factors.get(f"{name}.lora_B.weight")
    if second is None or second.shape[1] != first.shape[0]:
        raise WeightsError(f"{file} has no lora_B that fits the lora_A of {name}: get it again.")
    return (second.float().flatten(1) @ first.flatten(1)).reshape(len(second), *first.shape[1:])
