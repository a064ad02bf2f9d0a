"""What is learned, as recipes name it: where the networks come from, and which of them are trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from mofa.errors import InputError, WeightsError
from mofa.models.adapter_config import AdapterConfig
from mofa.models.backbone import Backbone
from mofa.models.beginnings import begin_unet, begin_vae
from mofa.models.from_config import unnormalised
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.motion_encoder import MotionEncoder, RegionChannel, make_motion_encoder
from mofa.models.sparse_to_dense import ConditionalMotionPropagation, SparseToDenseConfig
from mofa.models.svd_xt import TOY, make_image_encoder, make_unet, make_vae
from mofa.models.tiny import TINY_ADAPTER, TINY_SPARSE_TO_DENSE
from mofa.training.adapters import AdapterObjective, adapter_config_beside, freeze, start_from_backbone
from mofa.training.backbones import BackboneObjective
from mofa.training.conventions import OURS, OURS_SPARSE, Conventions, SparseConventions
from mofa.training.hint_sampling import CMP_SAMPLING, RELEASED_SAMPLING, HintSampling
from mofa.training.low_rank import LowRankSettings, add_low_rank
from mofa.training.motion_signal import PairFlow
from mofa.training.painted import RegionSettings
from mofa.training.shown_motion import MotionKind, MotionSettings
from mofa.training.sparse_to_dense import SparseToDenseObjective
from mofa.types import AdapterName
from mofa.weights.low_rank import LowRank, read_low_rank
from mofa.weights.networks import (
    files_in,
    load_adapter_halves,
    load_backbone,
    load_sparse_to_dense,
    load_unimatch_network,
)
from mofa.weights.store import own_files, require

WEIGHTS_SEED = 20240529
"""New networks of a run begin alike every time."""


@dataclass(frozen=True)
class AdapterRecipe:
    """A motion-field adapter on a frozen backbone (`training.adapters`)."""

    adapter: AdapterName = "trajectory"
    backbone: str = "svd-xt"
    """Weights of `mofa models`, or a folder that a training run wrote."""
    start: str = "backbone"
    """What the adapter begins as: a copy of the backbone's encoder, weights of `mofa models`, or a folder."""
    motion: MotionKind = "dense"
    """What stands for the user: dense flow, samples of it, or landmarks."""
    estimator: Literal["none", "unimatch"] = "none"
    """What measures flow where the data bring none."""
    sparse_to_dense: str = "edge-aware"
    """What makes hints dense: edge-aware, cmp (of `mofa models`), or a folder that a training run wrote."""
    tune_sparse_to_dense: bool = False
    """Train that network along, as the paper describes for stage 2."""
    frozen: tuple[str, ...] = ()
    """Parameters that stay as they are, by name; * stands for anything."""
    lora: LowRankSettings | None = None
    """Train a low-rank change of `start` in place of its weights (`--lora RANK`); null trains the weights."""
    sampling: HintSampling = RELEASED_SAMPLING
    region: RegionSettings | None = None
    """Tell the adapter what may move, too, as a person would paint it; null tells it nothing, as the released
    weights are told."""
    conventions: Conventions = OURS

    def __post_init__(self) -> None:
        if self.region is not None and self.motion == "landmarks":
            raise InputError(
                "objective.region is painted around what a clip's flow moves, and objective.motion is "
                "landmarks: set objective.region=null, or train on dense or sparse motion."
            )

    def build(self, device: torch.device, dtype: torch.dtype) -> AdapterObjective:
        """The adapter's objective; raises WeightsError where weights are absent or others."""
        backbone = read_backbone(self.backbone, device, dtype)
        encoder, adapter = read_adapter(self, backbone)
        encoder.requires_grad_(True)
        adapter.requires_grad_(True)
        if self.lora is not None:
            with seeded():
                add_low_rank(encoder, adapter, self.lora)
        objective = AdapterObjective(
            backbone,
            encoder.to(device),
            adapter.to(device),
            MotionSettings(self.motion, self.sampling, self.conventions, self.region),
            sparse_to_dense=self.sparse_network(device),
            estimate=self.flow_estimator(device),
            low_rank=self.change(),
        )
        freeze(objective, self.frozen)
        return objective

    def change(self) -> LowRank | None:
        """What a low-rank change is of; None where the adapter itself is trained."""
        if self.lora is None:
            return None
        folder = Path(self.start)
        if self.start == "backbone" or (folder.is_dir() and read_low_rank(folder) is not None):
            raise InputError(
                "objective.lora changes an adapter that is there, and objective.start is "
                f"{self.start}: set it to trajectory, landmark, or a folder with a whole adapter "
                "(`mofa models export DIR -o OUT` makes one of a low-rank change)."
            )
        base = str(folder.resolve()) if folder.is_dir() else self.start
        return LowRank(base, self.adapter, self.lora.rank, self.lora.factor)

    def sparse_network(self, device: torch.device) -> ConditionalMotionPropagation | None:
        """What makes hints dense; None for `densify.edge_aware`. WeightsError where it is absent."""
        if self.sparse_to_dense == "edge-aware":
            if self.tune_sparse_to_dense:
                raise InputError(
                    "tune_sparse_to_dense trains a network, and edge-aware is none: set sparse_to_dense=cmp."
                )
            return None
        network = load_sparse_to_dense(folder_or_slot(self.sparse_to_dense)).to(device)
        return network.requires_grad_(self.tune_sparse_to_dense)

    def flow_estimator(self, device: torch.device) -> PairFlow | None:
        """What measures flow; WeightsError where it is absent."""
        return None if self.estimator == "none" else load_estimator(device)


@dataclass(frozen=True)
class BackboneRecipe:
    """A toy backbone (`training.backbones`)."""

    start: str = "random"
    """What it begins as: random, or a folder that a training run wrote, such as one that taught the VAE."""
    vae_layers: int = 1
    """Layers per block of the VAE, of a random one."""
    crop: int = 32
    """Side of the windows that the VAE learns from."""
    drawing_examples: int = 1600
    """Examples that teach the VAE; the rest teach the UNet. With none the VAE stays as it is."""
    conventions: Conventions = OURS

    def build(self, device: torch.device, dtype: torch.dtype) -> BackboneObjective:
        """Networks of toy size in float32; raises WeightsError where what they begin as is not there."""
        if self.start == "random":
            backbone = self.random()
        else:
            backbone = load_backbone(folder_or_slot(self.start), torch.float32)
        for network in (backbone.unet, backbone.vae, backbone.image_encoder):
            nn.Module.to(network, device)
        return BackboneObjective(backbone, self.conventions, self.crop, self.drawing_examples)

    def random(self) -> Backbone:
        """Networks of toy size that have learned nothing."""
        sizes = replace(TOY, vae_layers=self.vae_layers)
        with seeded():
            backbone = Backbone(make_unet(sizes), make_vae(sizes), make_image_encoder(sizes))
            unnormalised(backbone.vae)
            unnormalised(backbone.unet)
            begin_vae(backbone.vae)
            begin_unet(backbone.unet)
        return backbone


@dataclass(frozen=True)
class SparseToDenseRecipe:
    """The network that makes hints dense (`training.sparse_to_dense`)."""

    start: str = "random"
    """What it begins as: random, cmp (of `mofa models`), or a folder that a training run wrote."""
    side: int = 384
    """Side of its square grid, of a random one."""
    width: int = 64
    """Width of its channels, of a random one; the released one's is 64."""
    reach: float = 50.0
    """Longest displacement along an axis, in pixels of the grid, of a random one."""
    sampling: HintSampling = CMP_SAMPLING
    conventions: SparseConventions = OURS_SPARSE

    def build(self, device: torch.device, dtype: torch.dtype) -> SparseToDenseObjective:
        """The network in float32, as its bins ask for."""
        if self.start != "random":
            network = load_sparse_to_dense(folder_or_slot(self.start))
        else:
            with seeded():
                blocks = TINY_SPARSE_TO_DENSE.blocks if self.width < 64 else SparseToDenseConfig().blocks
                network = ConditionalMotionPropagation(
                    SparseToDenseConfig(side=self.side, width=self.width, reach=self.reach, blocks=blocks)
                )
        return SparseToDenseObjective(
            network.to(device).requires_grad_(True), self.sampling, self.conventions
        )


def load_estimator(device: torch.device) -> PairFlow:
    """UniMatch, frozen; raises WeightsError where its weights are absent."""
    network = load_unimatch_network(require(["unimatch"], "data.clips.flow=dis")["unimatch"]).to(device)
    return network.requires_grad_(False)


def read_backbone(source: str, device: torch.device, dtype: torch.dtype) -> Backbone:
    """The frozen backbone."""
    backbone = load_backbone(folder_or_slot(source), dtype)
    for network in (backbone.unet, backbone.vae, backbone.image_encoder):
        nn.Module.to(network, device).requires_grad_(False)
    return backbone


def read_adapter(recipe: AdapterRecipe, backbone: Backbone) -> tuple[MotionEncoder, MotionAdapter]:
    """The adapter that training begins with, in float32."""
    if recipe.start != "backbone":
        encoder, adapter = load_adapter_halves(recipe.adapter, folder_or_slot(recipe.start), torch.float32)
        tell_region(recipe, encoder, adapter)
        return encoder, adapter
    config = new_adapter_config(recipe, backbone)
    with seeded():
        encoder, adapter = make_motion_encoder(recipe.adapter, config), MotionAdapter(config)
        start_from_backbone(encoder, adapter, backbone, recipe.conventions)
    return encoder, adapter


def tell_region(recipe: AdapterRecipe, encoder: MotionEncoder, adapter: MotionAdapter) -> None:
    """Gives an adapter the input for regions that the recipe asks for, where it has none yet.

    Raises InputError for an adapter that reads regions in a recipe that paints none, and where only a low
    rank is trained, which could not hold the new input's weights.
    """
    if recipe.region is None and adapter.config.reads_region:
        raise InputError(
            f"{recipe.start} is an adapter that is told what may move, and the recipe tells it nothing: set "
            "objective.region.whole=0.3 (how often nobody paints), or start from another adapter."
        )
    if recipe.region is None or adapter.config.reads_region:
        return
    if recipe.lora is not None:
        raise InputError(
            f"{recipe.start} has no input for objective.region, and a low-rank change cannot hold a new one: "
            "set objective.region=null, or train the adapter itself first."
        )
    adapter.config = replace(adapter.config, reads_region=True)
    encoder.region_in = RegionChannel(adapter.config)


def new_adapter_config(recipe: AdapterRecipe, backbone: Backbone) -> AdapterConfig:
    """The sizes of an adapter that begins beside a backbone: the toy's beside a toy, else the released."""
    small = backbone.unet.config.block_out_channels[0] <= TINY_ADAPTER.block_out_channels[0]
    like = TINY_ADAPTER if small else AdapterConfig(num_attention_heads=(5, 10, 20, 20))
    config = adapter_config_beside(backbone, recipe.conventions, like)
    return replace(config, reads_region=recipe.region is not None)


def folder_or_slot(source: str) -> dict[str, Path]:
    """The files of a folder, or of a slot of `mofa models`; WeightsError where neither is there."""
    folder = Path(source)
    if folder.is_dir():
        return dict(files_in(folder) if read_low_rank(folder) is None else own_files(folder))
    if len(folder.parts) > 1:
        raise WeightsError(
            f"{source} is not there: it is a folder that another run writes; make that run first, or name a "
            "checkpoint that there is."
        )
    return dict(require([source], "a folder with weights")[source])


@contextmanager
def seeded() -> Iterator[None]:
    """New networks made in this block have the same weights every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(WEIGHTS_SEED)
        yield
