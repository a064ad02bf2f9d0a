"""A motion adapter as diffusers keeps models: a folder with a config.json and one file of weights.

adapter = MofaAdapter.from_pretrained("runs/mine/checkpoint-2000")
adapter.push_to_hub("me/my-adapter")
pipe = MofaPipeline.from_pretrained("svd-xt", trajectory=MofaAdapter.from_pretrained("me/my-adapter"))
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

import torch

from mofa.errors import WeightsError
from mofa.pipeline.load import load_adapter
from mofa.renderers.diffusion.render import AdapterHalves
from mofa.types import AdapterName
from mofa.weights.convert import read_shapes
from mofa.weights.hub import HubOptions, Pushed, folder_of, variant_files
from mofa.weights.networks import Files, find, save_adapter_halves
from mofa.weights.registry import recognise

KINDS: dict[str, AdapterName] = {"trajectory-adapter": "trajectory", "landmark-adapter": "landmark"}
WEIGHTS = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True)
class MofaAdapter(Pushed):
    """A trajectory or landmark adapter, released or trained, with both of its halves."""

    name: AdapterName
    halves: AdapterHalves

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        torch_dtype: torch.dtype = torch.float32,
        subfolder: str = "",
        variant: str | None = None,
        **options: Unpack[HubOptions],
    ) -> "MofaAdapter":
        """Loads what a folder or a repository of the hub ("owner/name") holds; its keys tell the kind.

        Options are those of diffusers' models. Raises WeightsError: it is absent, damaged, or no adapter.
        """
        files = variant_files(folder_of(source, variant, **options) / subfolder, variant)
        name = _kind_of(files)
        return cls(name, load_adapter(name, files, torch_dtype))

    def save_pretrained(self, folder: str | Path, *, variant: str | None = None) -> None:
        """Writes config.json and the weights into a folder; files that exist are refused with OutputError."""
        save_adapter_halves(self.halves.encoder, self.halves.adapter, Path(folder), variant)


def _kind_of(files: Files) -> AdapterName:
    path = find(files, WEIGHTS)
    kind = recognise(read_shapes(path))
    if kind is None or kind.name not in KINDS:
        looks = "nothing that mofa knows" if kind is None else kind.title
        raise WeightsError(f"{path} looks like {looks}, not like a motion adapter: name an adapter's folder.")
    return KINDS[kind.name]
