"""Weights leave in the forms that others read, and come back bit for bit."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from mofa.errors import InputError, OutputError, WeightsError
from mofa.models.adapter_config import RELEASED_HEADS, RELEASED_WIDTHS, AdapterConfig, released_fields
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.motion_encoder import make_motion_encoder
from mofa.models.sparse_to_dense import ConditionalMotionPropagation
from mofa.models.tiny import TINY_ADAPTER, TINY_SPARSE_TO_DENSE
from mofa.weights.exporting import Layout, export_weights
from mofa.weights.networks import (
    load_adapter_halves,
    load_sparse_to_dense,
    save_adapter_halves,
    save_sparse_to_dense,
)
from mofa.weights.store import own_files, require, standing_in


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    first, second = one.state_dict(), other.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["released", "diffusers"])
@pytest.mark.parametrize("name", ["trajectory", "landmark"])
def test_an_adapter_comes_back_bit_for_bit(tmp_path: Path, name: str, layout: Layout) -> None:
    halves = make_motion_encoder(name, TINY_ADAPTER), MotionAdapter(TINY_ADAPTER)
    save_adapter_halves(*halves, tmp_path / "own")
    export_weights(tmp_path / "own", tmp_path / "out", layout)
    with standing_in([tmp_path / "out"]):
        encoder, adapter = load_adapter_halves(name, require([name])[name], torch.float32)
    assert_same_weights(halves[0], encoder)
    assert_same_weights(halves[1], adapter)
    assert adapter.config == TINY_ADAPTER


@pytest.mark.parametrize("layout", ["released", "diffusers"])
def test_the_sparse_to_dense_network_comes_back_bit_for_bit(tmp_path: Path, layout: Layout) -> None:
    network = ConditionalMotionPropagation(TINY_SPARSE_TO_DENSE)
    save_sparse_to_dense(network, tmp_path / "own")
    export_weights(tmp_path / "own", tmp_path / "out", layout)
    assert_same_weights(network, load_sparse_to_dense(own_files(tmp_path / "out")))
    assert list((tmp_path / "out").rglob("*.pth.tar")) if layout == "released" else True


def test_the_release_finds_its_adapter_where_its_repository_has_it(tmp_path: Path) -> None:
    halves = make_motion_encoder("trajectory", TINY_ADAPTER), MotionAdapter(TINY_ADAPTER)
    save_adapter_halves(*halves, tmp_path / "own")
    written = export_weights(tmp_path / "own", tmp_path / "out", "released")
    assert [str(path.relative_to(tmp_path / "out")) for path in written] == [
        "controlnet/config.json",
        "controlnet/diffusion_pytorch_model.safetensors",
    ]
    fields = json.loads(written[0].read_text())
    assert not any(name.startswith("_") and name != "_class_name" for name in fields)


def test_head_counts_that_the_release_would_not_read_are_told(tmp_path: Path) -> None:
    halves = make_motion_encoder("trajectory", TINY_ADAPTER), MotionAdapter(TINY_ADAPTER)
    save_adapter_halves(*halves, tmp_path / "own")
    wide = AdapterConfig(num_attention_heads=(5, 10, 20, 20), block_out_channels=RELEASED_WIDTHS)
    (tmp_path / "own/config.json").write_text(json.dumps(released_fields(wide)))
    assert wide.num_attention_heads != RELEASED_HEADS
    with pytest.raises(WeightsError, match=r"5, 10, 20, 20 heads.*--layout diffusers"):
        export_weights(tmp_path / "own", tmp_path / "out", "released")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_exported_is_told_and_nothing_of_the_users_is_replaced(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        export_weights(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="holds no weights"):
        export_weights(tmp_path / "empty", tmp_path / "out")
    save_sparse_to_dense(ConditionalMotionPropagation(TINY_SPARSE_TO_DENSE), tmp_path / "own")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/mine.txt").write_text("mine")
    with pytest.raises(OutputError):
        export_weights(tmp_path / "own", tmp_path / "taken")
    assert (tmp_path / "taken/mine.txt").read_text() == "mine"
