import os
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

from mofa.errors import OutputError, WeightsError
from mofa.weights import store
from mofa.weights.convert import sha256_of
from mofa.weights.importing import import_weights
from mofa.weights.registry import find_slot

WriteCheckpoint = Callable[[Path, str], Path]


@pytest.fixture
def landmark(tmp_path: Path, write_checkpoint: WriteCheckpoint) -> Path:
    """The landmark adapter in our store; the path of its weights."""
    source = write_checkpoint(tmp_path / "in" / "diffusion_pytorch_model.safetensors", "landmark-adapter")
    (source.parent / "config.json").write_text("{}")
    import_weights(source)
    return store.locate(find_slot("landmark")).paths["diffusion_pytorch_model.safetensors"]


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MOFA_HOME", str(tmp_path / "own"))
    assert store.home() == tmp_path / "own"
    monkeypatch.delenv("MOFA_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(store.sys, "platform", "linux")
    assert store.home() == tmp_path / "cache" / "mofa"


def test_what_is_imported_is_located_and_required(landmark: Path) -> None:
    assert landmark.is_relative_to(store.home())
    assert store.locate(find_slot("landmark")).present
    assert store.require(["landmark"])["landmark"]["config.json"] == landmark.with_name("config.json")


def test_absent_weights_say_what_how_large_which_terms_and_what_to_do(landmark: Path) -> None:
    landmark.with_name("config.json").unlink()
    with pytest.raises(WeightsError) as raised:
        store.require(["svd-xt", "landmark"])
    message = str(raised.value)
    for fact in (
        "svd-xt (4.5 GB",
        "NC community",
        "access token",
        "landmark (2.9 GB",
        "only config.json is missing",
        "mofa models download svd-xt landmark",
        "--renderer warp",
    ):
        assert fact in message


def test_the_hub_cache_is_looked_into(write_checkpoint: WriteCheckpoint, tmp_path: Path) -> None:
    repository = Path(huggingface_hub.constants.HF_HUB_CACHE) / "models--MyNiuuu--MOFA-Video-Traj"
    commit = "a" * 40
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    blob = write_checkpoint(tmp_path / "blob", "cmp")
    blob = blob.rename(repository / sha256_of(blob))
    slot = find_slot("cmp")
    snapshot = repository / "snapshots" / commit / slot.sources[0].path(slot.files[0])
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(blob)

    assert store.locate(slot).paths == {slot.files[0].name: snapshot}
    [check] = store.verify(slot)
    assert check.problem is None
    assert check.compared == "checksum and keys"
    # The name of the content in the cache is its checksum.
    renamed = blob.rename(repository / ("0" * 64))
    snapshot.unlink()
    snapshot.symlink_to(renamed)
    assert "checksum differs" in (store.verify(slot)[0].problem or "")


def test_a_changed_byte_is_found_and_the_remedy_named(landmark: Path) -> None:
    assert [check.problem for check in store.verify(find_slot("landmark"))] == [None, None]
    content = bytearray(landmark.read_bytes())
    content[-1] ^= 1
    landmark.write_bytes(content)
    [problem] = [check.problem for check in store.verify(find_slot("landmark")) if check.problem]
    assert str(landmark) in problem
    assert "mofa models download landmark" in problem


def test_content_of_another_kind_is_found_without_a_checksum(
    landmark: Path, write_checkpoint: WriteCheckpoint
) -> None:
    slot = find_slot("landmark")
    store.forget(slot, landmark)
    write_checkpoint(landmark, "trajectory-adapter")
    check = next(check for check in store.verify(slot) if check.path == landmark)
    assert check.compared == "keys"
    assert "looks like the trajectory adapter, not like the landmark adapter" in (check.problem or "")


def test_a_damaged_manifest_is_one_sentence(landmark: Path) -> None:
    for content in ("", "[]", '{"files": {"a": {"x": 1}}}', '{"files": 3}'):
        landmark.with_name(store.MANIFEST).write_text(content)
        with pytest.raises(WeightsError, match=r"manifest\.json is damaged"):
            store.verify(find_slot("landmark"))


def test_a_pickled_file_is_replaced_by_its_conversion(
    fingerprint: Callable[[str], dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    slot = find_slot("cmp")
    torch.save({"state_dict": fingerprint("cmp")}, tmp_path / "any.bin")
    import_weights(tmp_path / "any.bin")
    pickled = store.locate(slot).paths["ckpt_iter_42000.pth.tar"]
    [converted] = store.convert_stored(slot)
    assert converted.suffix == ".safetensors"
    assert not pickled.exists()
    assert store.locate(slot).paths == {"ckpt_iter_42000.pth.tar": converted}
    assert store.verify(slot)[0].problem is None
    assert store.convert_stored(slot) == []


def test_removal_frees_the_bytes_and_leaves_what_is_not_ours(landmark: Path) -> None:
    (landmark.parent / "notes.txt").write_text("mine")
    size = landmark.stat().st_size
    assert store.remove(find_slot("landmark")) > size
    assert not store.locate(find_slot("landmark")).paths
    assert os.listdir(landmark.parent) == ["notes.txt"]


def test_a_link_is_removed_and_its_target_stays(tmp_path: Path, write_checkpoint: WriteCheckpoint) -> None:
    source = write_checkpoint(tmp_path / "mine.safetensors", "cmp")
    import_weights(source, link=True)
    assert store.verify(find_slot("cmp"))[0].problem is None
    store.remove(find_slot("cmp"))
    assert source.exists()
    assert not store.slot_folder(find_slot("cmp")).exists()


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="free some space or set MOFA_HOME"):
        store.check_room(tmp_path / "not" / "yet" / "there", 10**18)
    store.check_room(tmp_path, 1)
