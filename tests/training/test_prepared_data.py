"""`mofa data`: shards that training reads, and a page that shows a batch."""

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mofa.apps.cli import main
from mofa.errors import InputError, ResourceError
from mofa.models.backbone import Backbone
from mofa.models.svd_xt import TOY, make_image_encoder, make_unet, make_vae
from mofa.models.unimatch import UniMatch, UniMatchConfig
from mofa.training.config import read_recipe
from mofa.training.conventions import OURS
from mofa.training.denoising import embed_pictures, encode_frames
from mofa.training.motion_signal import measured_flow
from mofa.training.objectives import read_backbone
from mofa.training.precomputing import Kept
from mofa.training.preparing import Preparation, prepare_shards
from mofa.training.protocol import Draws, stack
from mofa.training.shards import Shards
from mofa.weights.networks import save_backbone


def test_prepared_shards_hold_the_clips_and_are_not_made_again(tmp_path: Path, capsys) -> None:
    command = ["data", "prepare", "toy-stage1", "-o", str(tmp_path / "s"), "--count", "5", "--per-shard", "2"]
    assert main(command) == 0
    assert "3 shards written, 0 were there" in capsys.readouterr().out
    (tmp_path / "s" / "000001.tar").unlink()
    assert main(command) == 0
    assert "1 shards written, 2 were there" in capsys.readouterr().out
    stream = Shards(f"{tmp_path}/s/*.tar").build(0)
    frames = {clip.frames.numpy().tobytes() for clip in islice(stream.share(0, 1, 0), 5)}
    source = read_recipe("toy-stage1").data.build(42)
    assert frames == {source[i].frames.numpy().tobytes() for i in range(5)}


@pytest.mark.slow
def test_a_page_shows_frames_flow_and_landmarks(tmp_path: Path) -> None:
    for recipe in ("toy-stage1", "toy-landmark"):
        page = tmp_path / f"{recipe}.html"
        assert main(["data", "look", recipe, "-o", str(page), "--count", "2"]) == 0
        text = page.read_text()
        assert text.count("<h2>") == 2
        # Frames, flow and visibility of scenes; points, hints and their dense flow of faces.
        assert text.count("data:image/png") == 6


def test_shards_of_shards_are_refused(tmp_path: Path, capsys) -> None:
    command = ["data", "prepare", "toy-stage1", "data.kind=shards", "-o", str(tmp_path / "s"), "--count", "1"]
    assert main(command) == 2
    capsys.readouterr()


def test_a_page_shows_hints_and_the_dense_flow_made_of_them(tmp_path: Path) -> None:
    hints = ["objective.sparse_to_dense=edge-aware", "objective.motion=sparse"]
    for name, changes, rows in (("toy-stage2", hints, 5), ("toy-sparse-to-dense", [], 5)):
        page = tmp_path / f"{name}.html"
        assert main(["data", "look", name, *changes, "-o", str(page), "--count", "1"]) == 0
        text = page.read_text()
        assert "dense flow of the hints" in text
        assert text.count("data:image/png") == rows


@pytest.fixture(scope="module")
def backbone(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("backbone")
    torch.manual_seed(0)
    sizes = replace(TOY, vae_layers=1)
    save_backbone(Backbone(make_unet(sizes), make_vae(sizes), make_image_encoder(sizes)), folder)
    return folder


def preparation(backbone: Path, folder: Path, *kinds: Kept, workers: int = 0, count: int = 3) -> Preparation:
    recipe = read_recipe("toy-stage1", [f"objective.backbone={backbone}", "data.scenes.num_frames=3"])
    return Preparation(recipe, folder, count, per_shard=2, kinds=kinds, device="cpu", workers=workers)


@pytest.mark.slow
def test_latents_and_embeddings_of_shards_are_what_a_step_works_out(backbone: Path, tmp_path: Path) -> None:
    wish = preparation(backbone, tmp_path, "latents", "embedding")
    prepare_shards(wish)
    clips = list(islice(Shards(f"{tmp_path}/*.tar").build(0).share(0, 1, 0), 3))
    networks = read_backbone(str(backbone), torch.device("cpu"), torch.float32)
    for clip in clips:
        assert clip.latent_mean is not None
        assert clip.latent_deviation is not None
        assert clip.embedding is not None
        found = encode_frames(networks, clip.pixels[None], OURS)
        # Half precision keeps 11 bits.
        assert torch.allclose(clip.latent_mean, found.mean[0], rtol=1e-3, atol=1e-4)
        assert torch.allclose(clip.latent_deviation, found.deviation[0], rtol=1e-3, atol=1e-4)
        assert torch.allclose(
            clip.embedding, embed_pictures(networks, clip.pixels[:1])[0], rtol=1e-3, atol=1e-4
        )


@pytest.mark.slow
def test_a_loss_of_prepared_clips_is_that_of_the_clips_and_asks_no_frozen_network(
    backbone: Path, tmp_path: Path, monkeypatch
) -> None:
    wish = preparation(backbone, tmp_path, "latents", "embedding", count=1)
    prepare_shards(wish)
    prepared = stack([next(iter(Shards(f"{tmp_path}/*.tar").build(0).share(0, 1, 0)))])
    plain = stack([wish.recipe.data.build(wish.recipe.loop.seed)[0]])
    learner, draws = wish.recipe.objective.build(torch.device("cpu"), torch.float32), Draws(0, 0, 1, 0, 1)
    losses = [float(learner(batch, draws).per_example.detach()) for batch in (plain, prepared)]
    assert losses[1] == pytest.approx(losses[0], rel=2e-3)
    monkeypatch.setattr("mofa.training.denoising.embed_pictures", None)
    monkeypatch.setattr("mofa.training.denoising.encode_frames", None)
    assert float(learner(prepared, draws).per_example.detach()) == losses[1]


@pytest.mark.slow
def test_shards_made_side_by_side_are_the_same(backbone: Path, tmp_path: Path) -> None:
    for workers in (0, 2):
        prepare_shards(preparation(backbone, tmp_path / str(workers), "embedding", workers=workers))
    one, other = (sorted((tmp_path / name).glob("*.tar")) for name in ("0", "2"))
    assert len(one) == 2
    for first, second in zip(one, other, strict=True):
        before, after = (next(iter(Shards(str(path)).build(0).share(0, 1, 0))) for path in (first, second))
        assert torch.equal(before.frames, after.frames)
        assert torch.equal(before.embedding, after.embedding)


def dies(preparation: Preparation, shard: int) -> Path:
    """A shard whose process is ended in the middle."""
    os.kill(os.getpid(), signal.SIGKILL)
    return preparation.path(shard)


def test_a_process_that_dies_is_told_and_what_was_made_stays(
    backbone: Path, tmp_path: Path, monkeypatch
) -> None:
    prepare_shards(preparation(backbone, tmp_path, count=2))
    # Spawned processes would not find this module's function: forked ones have it.
    forked = partial(ProcessPoolExecutor, mp_context=get_context("fork"))
    monkeypatch.setattr("mofa.training.preparing.sharing_cores", forked)
    monkeypatch.setattr("mofa.training.preparing.write_shard", dies)
    with pytest.raises(
        ResourceError, match=r"a process that makes shards has died.*shards that are there stay"
    ):
        prepare_shards(preparation(backbone, tmp_path, workers=2, count=6))
    assert [path.name for path in tmp_path.glob("*.tar")] == ["000000.tar"]


@pytest.mark.slow
def test_others_are_not_put_among_shards_and_more_of_the_same_are(backbone: Path, tmp_path: Path) -> None:
    prepare_shards(preparation(backbone, tmp_path, "embedding", count=2))
    assert len(prepare_shards(preparation(backbone, tmp_path, "embedding", count=4))) == 1
    with pytest.raises(InputError, match="with another kinds"):
        prepare_shards(preparation(backbone, tmp_path, "embedding", "latents", count=4))


def test_clips_without_a_face_are_left_out_of_shards_of_landmarks(
    backbone: Path, tmp_path: Path, caplog
) -> None:
    pytest.importorskip("mediapipe")
    prepare_shards(preparation(backbone, tmp_path, "landmarks", count=1))
    assert "left out: no face was found" in caplog.text


def test_weights_that_are_absent_are_told_before_any_work(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("MOFA_HOME", str(tmp_path / "empty"))
    command = ["data", "prepare", "trajectory-stage1", "-o", str(tmp_path / "s"), "--count", "1"]
    assert main([*command, "--keep", "latents"]) == 2
    assert "svd-xt" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
    assert (
        main(
            [
                "data",
                "prepare",
                "toy-backbone",
                "-o",
                str(tmp_path / "s"),
                "--count",
                "1",
                "--keep",
                "latents",
            ]
        )
        == 2
    )
    assert "only an adapter's names a backbone" in capsys.readouterr().err


@pytest.mark.slow
def test_flow_of_shards_is_what_unimatch_measures_in_a_step(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MOFA_HOME", str(tmp_path / "home"))
    torch.manual_seed(0)
    network = UniMatch(UniMatchConfig()).eval()
    save_file(network.state_dict(), tmp_path / "unimatch.safetensors")
    assert main(["models", "import", str(tmp_path / "unimatch.safetensors")]) == 0
    changes = ["objective.estimator=unimatch", "data.num_frames=2"]
    command = ["data", "prepare", "toy-landmark", *changes, "-o", str(tmp_path / "s"), "--count", "1"]
    assert main([*command, "--keep", "flow", "--device", "cpu"]) == 0
    clip = next(iter(Shards(f"{tmp_path}/s/*.tar").build(0).share(0, 1, 0)))
    assert clip.flow is not None
    found = measured_flow(network, clip.frames, OURS)
    # Half precision keeps 11 bits.
    assert torch.allclose(clip.flow, found, rtol=1e-3, atol=1e-2)
    assert found.abs().max() > 0.1


@pytest.mark.ray
@pytest.mark.slow
def test_shards_made_by_a_cluster_are_those_made_here(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    command = ["data", "prepare", "toy-stage1", "--count", "4", "--per-shard", "2", "-o"]
    assert main([*command, str(tmp_path / "here")]) == 0
    assert main([*command, str(tmp_path / "there"), "--ray", "--workers", "2"]) == 0
    for name in ("000000.tar", "000001.tar"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
