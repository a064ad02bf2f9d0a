import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from torch import Tensor

from mofa.errors import OutputError, WeightsError
from mofa.weights.convert import (
    canonical_names,
    checkpoint_form,
    convert,
    converted_name,
    part,
    read_checkpoint,
    read_shapes,
    sha256_of,
)

KEYS = Path(__file__).parents[3] / "shared" / "golden" / "keys"
TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


def same(found: dict[str, Tensor], wanted: dict[str, Tensor] = TENSORS) -> bool:
    return found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def save_old(content: object, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("save", [torch.save, save_old], ids=["zip", "old"])
@pytest.mark.parametrize(
    "content",
    [
        TENSORS,
        {"state_dict": {f"module.{name}": tensor for name, tensor in TENSORS.items()}, "step": 42000},
        {"model": TENSORS, "optimizer": {"lr": 0.1}},
    ],
    ids=["bare", "cmp", "unimatch"],
)
def test_every_released_form_of_pickle_gives_the_same_tensors(
    save: Callable[[object, Path], None], content: object, tmp_path: Path
) -> None:
    file = tmp_path / "anything.bin"
    save(content, file)
    assert same(read_checkpoint(file))
    assert read_shapes(file) == {"a.weight": (2, 3), "a.bias": (2,)}


def test_old_weight_norm_names_become_the_new_ones() -> None:
    assert canonical_names(["encoder.conv.weight_g", "encoder.conv.weight_v", "encoder.weight"]) == {
        "encoder.conv.weight_g": "encoder.conv.parametrizations.weight.original0",
        "encoder.conv.weight_v": "encoder.conv.parametrizations.weight.original1",
        "encoder.weight": "encoder.weight",
    }


def test_the_wrapper_is_removed_only_where_every_key_has_it() -> None:
    assert canonical_names(["module.a", "module.b"]) == {"module.a": "a", "module.b": "b"}
    assert canonical_names(["module.a", "b"]) == {"module.a": "module.a", "b": "b"}


def test_conversion_round_trips_and_names_its_source(tmp_path: Path) -> None:
    shared = torch.arange(4.0)
    content = {"module.a": shared, "module.b": shared, "module.c": torch.arange(6.0).reshape(2, 3).T}
    source, target = tmp_path / "ckpt.pth.tar", tmp_path / "ckpt.safetensors"
    torch.save({"state_dict": content}, source)
    convert(source, target)
    assert same(read_checkpoint(target), {name.removeprefix("module."): t for name, t in content.items()})
    with safe_open(target, framework="pt") as file:
        assert file.metadata()["source"] == "ckpt.pth.tar"
        assert file.metadata()["source_sha256"] == sha256_of(source)
    with pytest.raises(OutputError, match="exists already"):
        convert(source, target)


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'ran'}",)

    for save in (torch.save, save_old):
        file = tmp_path / "evil.pt"
        save({"state_dict": TENSORS, "hook": Payload()}, file)
        with pytest.raises(WeightsError, match=r"wants to run code \(\S*system\)"):
            read_checkpoint(file)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"GIF89a", pickle.dumps([1, 2]), b"PK\x03\x04", b"{}" * 40])
def test_other_files_are_no_checkpoints(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    assert checkpoint_form(file) is None
    with pytest.raises(WeightsError, match="is not a checkpoint"):
        read_checkpoint(file)


def test_a_checkpoint_without_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "run.pt")
    with pytest.raises(WeightsError, match="holds no weights"):
        read_checkpoint(tmp_path / "run.pt")


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    torch.save(TENSORS, folder / "zip.pt")
    save_old(TENSORS, folder / "old.pt")
    convert(folder / "zip.pt", folder / "new.safetensors")
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def refusal(file: Path) -> str:
    """What is said against the file; nothing if it is read."""
    try:
        read_shapes(file)
        read_checkpoint(file)
    except WeightsError as error:
        return str(error)
    return ""


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["zip.pt", "old.pt", "new.safetensors"]),
    share=st.floats(0.0, 0.999),
    flip=st.booleans(),
)
def test_damage_is_one_sentence_whatever_was_lost(
    name: str, share: float, flip: bool, whole_files: dict[str, bytes], tmp_path: Path
) -> None:
    whole = whole_files[name]
    spot = int(share * len(whole))
    file = tmp_path / name
    file.write_bytes(whole[:spot] + bytes([whole[spot] ^ 0xFF]) + whole[spot + 1 :] if flip else whole[:spot])
    message = refusal(file)
    # A flipped byte may be a number's; a missing end is always noticed.
    assert str(file) in message or (flip and not message)


def test_a_cut_download_says_so(whole_files: dict[str, bytes], tmp_path: Path) -> None:
    for name, whole in whole_files.items():
        (tmp_path / name).write_bytes(whole[: len(whole) * 9 // 10])
        with pytest.raises(WeightsError, match="damaged or cut short"):
            read_checkpoint(tmp_path / name)


def test_one_network_is_cut_out_of_a_file_of_several() -> None:
    assert part({"audio2exp.w": TENSORS["a.bias"], "renderer.w": torch.zeros(1)}, "audio2exp.").keys() == {
        "w"
    }


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("ckpt_iter_42000.pth.tar", "ckpt_iter_42000.safetensors"),
        ("audio2mesh.pt", "audio2mesh.safetensors"),
        ("model.safetensors", "model.safetensors"),
        ("config.json", "config.json"),
    ],
)
def test_names_after_conversion(name: str, new: str) -> None:
    assert converted_name(name) == new


@pytest.mark.slow
@pytest.mark.skipif(not KEYS.is_dir(), reason="the published key lists are not beside this checkout")
def test_a_full_size_training_file_of_cmp_converts(tmp_path: Path) -> None:
    shapes = json.loads((KEYS / "cmp.json").read_text())
    state = {
        name: torch.zeros(shape, dtype=torch.int64) if name.endswith("tracked") else torch.randn(shape)
        for name, shape in shapes.items()
    }
    source = tmp_path / "ckpt_iter_42000.pth.tar"
    save_old({"step": 42000, "state_dict": state, "optimizer": {"state": {}}}, source)
    convert(source, tmp_path / "cmp.safetensors")
    assert same(
        read_checkpoint(tmp_path / "cmp.safetensors"),
        {name.removeprefix("module."): tensor for name, tensor in state.items()},
    )
