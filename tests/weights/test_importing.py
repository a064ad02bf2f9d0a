from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from mofa.errors import InputError, OutputError, WeightsError
from mofa.pipeline.needs import all_slots
from mofa.pipeline.request import AnimationRequest
from mofa.weights import store
from mofa.weights.face_model_files import face_model_folder
from mofa.weights.importing import import_weights
from mofa.weights.registry import find_slot

WriteCheckpoint = Callable[[Path, str], Path]
ADAPTER = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def hybrid_release(tmp_path: Path, write_checkpoint: WriteCheckpoint) -> Path:
    """A folder laid out as the hybrid repository, with files that mofa has no use for."""
    root = tmp_path / "MOFA-Video-Hybrid"
    mofa = root / "ckpts" / "mofa"
    for name, kind in (("traj_controlnet", "trajectory-adapter"), ("ldmk_controlnet", "landmark-adapter")):
        write_checkpoint(mofa / name / ADAPTER, kind)
        (mofa / name / "config.json").write_text(f'{{"which": "{name}"}}')
    svd = mofa / "stable-video-diffusion-img2vid-xt-1-1"
    for name, kind in (
        ("unet/diffusion_pytorch_model.fp16.safetensors", "svd-unet"),
        ("vae/diffusion_pytorch_model.fp16.safetensors", "svd-vae"),
        ("image_encoder/model.fp16.safetensors", "svd-image-encoder"),
    ):
        write_checkpoint(svd / name, kind)
        (svd / name).with_name("config.json").write_text("{}")
    (svd / "model_index.json").write_text("{}")
    (root / "README.md").write_text("hello")
    save_file({"up_blocks.0.weight": torch.zeros(2)}, root / "ckpts" / "reference_unet.safetensors")
    return root


def test_a_release_is_taken_whole(hybrid_release: Path) -> None:
    report = import_weights(hybrid_release)
    for name in ("svd-xt", "trajectory-hybrid", "landmark"):
        assert store.locate(find_slot(name)).present
    assert not store.locate(find_slot("trajectory")).paths
    paths = store.locate(find_slot("trajectory-hybrid")).paths
    assert paths["config.json"].read_text() == '{"which": "traj_controlnet"}'
    assert store.locate(find_slot("svd-xt")).paths["model_index.json"].exists()
    assert [(spare.source.name, spare.reason) for spare in report.ignored] == [
        ("reference_unet.safetensors", "nothing that mofa uses")
    ]
    assert all(check.problem is None for check in store.verify(find_slot("svd-xt")))


def test_names_do_not_matter(tmp_path: Path, fingerprint: Callable[[str], dict[str, Tensor]]) -> None:
    folder = tmp_path / "downloads"
    folder.mkdir()
    wrapped = {f"module.{name}": tensor for name, tensor in fingerprint("cmp").items()}
    torch.save({"state_dict": wrapped, "step": 42000}, folder / "a (1).bin")
    torch.save({"model": fingerprint("unimatch")}, folder / "b")
    report = import_weights(folder)
    assert sorted(entry.slot for entry in report.imported) == ["cmp", "unimatch"]
    assert store.locate(find_slot("cmp")).paths.keys() == {"ckpt_iter_42000.pth.tar"}


def test_indistinguishable_adapters_ask_for_the_place(
    tmp_path: Path, write_checkpoint: WriteCheckpoint
) -> None:
    file = write_checkpoint(tmp_path / "my adapter.safetensors", "trajectory-adapter")
    with pytest.raises(WeightsError, match="--as trajectory or --as trajectory-hybrid"):
        import_weights(file)
    assert [entry.slot for entry in import_weights(file, "trajectory").imported] == ["trajectory"]
    with pytest.raises(WeightsError, match="which is not for cmp"):
        import_weights(file, "cmp")


def test_the_trajectory_release_goes_to_its_own_place(
    tmp_path: Path, write_checkpoint: WriteCheckpoint
) -> None:
    write_checkpoint(tmp_path / "MOFA-Video-Traj" / "ckpts" / "controlnet" / ADAPTER, "trajectory-adapter")
    assert [entry.slot for entry in import_weights(tmp_path).imported] == ["trajectory"]


def test_half_precision_as_released_wins_over_a_second_copy(
    tmp_path: Path, write_checkpoint: WriteCheckpoint
) -> None:
    write_checkpoint(tmp_path / "svd" / "unet" / "diffusion_pytorch_model.safetensors", "svd-unet")
    released = write_checkpoint(
        tmp_path / "svd" / "unet" / "diffusion_pytorch_model.fp16.safetensors", "svd-unet"
    )
    report = import_weights(tmp_path)
    assert [entry.source for entry in report.imported] == [released]
    assert "was taken from" in report.ignored[0].reason


def test_links_point_at_the_file_and_a_later_copy_does_not_touch_it(
    tmp_path: Path, write_checkpoint: WriteCheckpoint
) -> None:
    source = write_checkpoint(tmp_path / "cmp.safetensors", "cmp")
    content = source.read_bytes()
    [linked] = import_weights(source, link=True).imported
    assert linked.path.is_symlink()
    [copied] = import_weights(source).imported
    assert not copied.path.is_symlink()
    assert source.read_bytes() == copied.path.read_bytes() == content


def test_importing_our_own_store_changes_nothing(tmp_path: Path, write_checkpoint: WriteCheckpoint) -> None:
    import_weights(write_checkpoint(tmp_path / "cmp.safetensors", "cmp"))
    [path] = store.locate(find_slot("cmp")).paths.values()
    content = path.read_bytes()
    import_weights(store.home(), link=True)
    assert path.read_bytes() == content
    assert not path.is_symlink()


def test_damaged_and_foreign_files_are_left_out_with_a_reason(
    tmp_path: Path, write_checkpoint: WriteCheckpoint, fingerprint: Callable[[str], dict[str, Tensor]]
) -> None:
    folder = tmp_path / "in"
    write_checkpoint(folder / "good.safetensors", "cmp")
    whole = (folder / "good.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[:-10])
    small = fingerprint("unimatch")
    small["feature_flow_attn.q_proj.weight"] = torch.zeros(64, 64)
    save_file(small, folder / "small.safetensors")
    reasons = {spare.source.name: spare.reason for spare in import_weights(folder).ignored}
    assert "damaged or cut short" in reasons["cut.safetensors"]
    assert "in another size" in reasons["small.safetensors"]


def test_nothing_to_import_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        import_weights(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("none here")
    with pytest.raises(WeightsError, match="holds no checkpoint"):
        import_weights(tmp_path)


def test_room_is_checked_before_copying(
    tmp_path: Path, write_checkpoint: WriteCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_checkpoint(tmp_path / "cmp.safetensors", "cmp")
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: store.shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(OutputError, match="0 bytes free"):
        import_weights(source)
    assert not store.slot_folder(find_slot("cmp")).exists()
    assert import_weights(source, link=True).imported


def test_a_torchscript_program_is_not_damaged_but_not_used(
    tmp_path: Path, write_checkpoint: WriteCheckpoint
) -> None:
    folder = tmp_path / "in"
    write_checkpoint(folder / "good.safetensors", "cmp")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(folder / "film_net_fp16.pt"))
    [spare] = import_weights(folder).ignored
    assert spare.source.name == "film_net_fp16.pt"
    assert spare.reason == "a TorchScript program, not used by mofa"


def test_the_face_model_of_the_hybrid_release_comes_along(
    tmp_path: Path, write_checkpoint: WriteCheckpoint
) -> None:
    folder = tmp_path / "MOFA-Video-Hybrid"
    write_checkpoint(folder / "cmp.safetensors", "cmp")
    basis = folder / "ckpts" / "sad_talker" / "BFM_Fitting"
    basis.mkdir(parents=True)
    for name in ("BFM_model_front.mat", "similarity_Lm3D_all.mat", "Exp_Pca.bin"):
        (basis / name).write_bytes(name.encode())
    taken = {entry.path.name: entry for entry in import_weights(folder).imported}
    assert {"BFM_model_front.mat", "similarity_Lm3D_all.mat"} <= set(taken)
    assert "Exp_Pca.bin" not in taken
    assert (face_model_folder() / "BFM_model_front.mat").read_bytes() == b"BFM_model_front.mat"
    [alone, _] = import_weights(basis, link=True).imported
    assert alone.path.is_symlink()


SCENES = {
    "tracks": ["trajectory"],
    "landmarks": ["landmark"],
    "hybrid": ["trajectory", "landmark"],
}
CONTROLS = {
    "trajectory": {"kind": "track", "points": "10,10 20,10"},
    "landmark": {"kind": "landmarks", "speech": "hello.wav"},
}


@pytest.mark.parametrize("scene", SCENES)
def test_the_hybrid_release_alone_serves(
    scene: str, hybrid_release: Path, write_checkpoint: WriteCheckpoint
) -> None:
    controls = [CONTROLS[adapter] for adapter in SCENES[scene]]
    request = AnimationRequest.from_data(
        {"picture": "a.png", "renderer": "diffusion", "densifier": "edge-aware", "controls": controls}
    )
    with pytest.raises(WeightsError):
        store.require(all_slots(request))
    import_weights(hybrid_release)
    files = store.require(all_slots(request))
    for adapter in SCENES[scene]:
        lies = files[adapter][ADAPTER].parent.name
        assert lies == ("trajectory-hybrid" if adapter == "trajectory" else "landmark")
    assert not store.locate(find_slot("trajectory")).present
