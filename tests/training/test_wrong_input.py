"""What is wrong with a run is told in one sentence, by its exit code, and before anything is written."""

import io
import json
import logging
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

import numpy as np
import pytest
import torch

from mofa.apps.cli import main
from mofa.errors import InputError, WeightsError
from mofa.media.image import save_png
from mofa.training.clips import Clips
from mofa.training.config import read_recipe
from mofa.training.loading import Shares, batches
from mofa.training.loop import check_processes
from mofa.training.shards import Shards
from mofa.weights.networks import load_adapter_halves


def refused(capsys: pytest.CaptureFixture[str], run: Path, *more: str) -> str:
    """What `mofa train` says about this, which is one line."""
    assert main(["train", "toy-sparse-to-dense", *more, "-o", str(run), "--device", "cpu"]) == 2
    said = capsys.readouterr().err.strip()
    assert "Traceback" not in said
    sentence = said.splitlines()[-1]
    assert sentence.startswith("mofa: ")
    assert said.count("mofa: ") == 1, said
    assert not run.exists()
    return sentence


@pytest.fixture(autouse=True)
def _files_that_are_left_out_are_logged_to_a_stream_that_an_earlier_test_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)


def write_short_video(path: Path) -> None:
    import av

    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_a_folder_without_videos_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clips").mkdir()
    videos = ("data.kind=videos", f"data.path={tmp_path / 'clips'}")
    assert "holds no videos" in refused(capsys, tmp_path / "run", *videos)


@pytest.mark.parametrize("workers", [0, 1])
def test_clips_that_are_all_too_short_are_told(
    tmp_path: Path, workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clips").mkdir()
    write_short_video(tmp_path / "clips" / "a.mp4")
    videos = ("data.kind=videos", f"data.path={tmp_path / 'clips'}", f"loop.workers={workers}")
    said = refused(capsys, tmp_path / "run", *videos)
    assert "none of the 1 videos" in said
    assert "has 3 frames, and a clip needs 53" in said


def test_an_unknown_key_is_answered_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 'did you mean "batch"' in refused(capsys, tmp_path / "run", "loop.bacth=3")


def test_shards_that_are_no_archives_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.tar").write_bytes(b"nothing of the kind" * 99)
    said = refused(capsys, tmp_path / "run", "data.kind=shards", f"data.urls={tmp_path / 'x.tar'}")
    assert "found nothing to read in 1 shards" in said


def test_what_is_broken_in_shards_is_named_once_and_the_rest_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = ["data", "prepare", "toy-sparse-to-dense", "--count", "4", "--per-shard", "2"]
    assert main([*whole, "-o", str(tmp_path / "s")]) == 0
    with tarfile.open(tmp_path / "s/000000.tar") as shard:
        kept = [(member, cast(IO[bytes], shard.extractfile(member)).read()) for member in shard]
    kept[0][0].size //= 2  # half of the first clip is lost
    with tarfile.open(tmp_path / "s/000000.tar", "w") as shard:
        for member, content in kept:
            shard.addfile(member, io.BytesIO(content))
    second = tmp_path / "s/000001.tar"
    second.write_bytes(second.read_bytes()[: second.stat().st_size * 3 // 4])  # it breaks off in its second
    row = Shards(f"{tmp_path}/s/*.tar").build(0).share(0, 1, 0)
    read = {str(next(row).name).split()[0] for _ in range(8)}
    assert read == {"00000001", "00000002"}
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert any("00000000 of" in line and "is damaged" in line for line in told)
    assert any("the rest of" in line and line.endswith("(unexpected end of data).") for line in told)


def test_changes_may_stand_anywhere_among_the_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, tmp_path / "run", "loop.steps=3", "--resume", "latest", "loop.bacth=3")
    assert 'did you mean "batch"' in said


def test_a_folder_that_another_run_has_yet_to_write_is_told() -> None:
    recipe = read_recipe("toy-stage1", ["objective.backbone=runs/none/checkpoint-9"])
    with pytest.raises(WeightsError, match=r"^runs/none/checkpoint-9 is not there: .*another run writes"):
        recipe.objective.build(torch.device("cpu"), torch.float32)


def test_a_folder_of_another_network_is_told(tmp_path: Path) -> None:
    (tmp_path / "cmp").mkdir()
    (tmp_path / "cmp/config.json").write_text('{"side": 64}')
    with pytest.raises(WeightsError, match="does not describe a motion-field adapter"):
        load_adapter_halves("trajectory", {"config.json": tmp_path / "cmp/config.json"}, torch.float32)


def test_a_checkpoint_that_is_none_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_png(tmp_path / "a.png", torch.zeros(3, 8, 8, dtype=torch.uint8))
    assert "does not exist" in refused(capsys, tmp_path / "run", "--resume", str(tmp_path / "none"))


class Failing:
    """Its third example cannot be made."""

    def __getitem__(self, number: int) -> Clips:
        if number == 2:
            raise InputError("the third is missing: bring it.")
        return Clips(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_worker_meets_is_told_in_its_own_sentence(workers: int) -> None:
    with pytest.raises(InputError) as told:
        list(batches(Failing(), Shares(1, 1, 1, 0), 0, 4, workers))
    assert str(told.value) == "the third is missing: bring it."


@pytest.mark.parametrize("now", [Shares(2, 1, 2, 0), Shares(4, 1, 1, 0)])
def test_a_run_goes_on_with_as_many_processes_as_it_began_with(tmp_path: Path, now: Shares) -> None:
    before: dict[str, int | Sequence[int]] = {"processes": 1, "batch": 2, "accumulation": 1}
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "state.json").write_text(json.dumps(before))
    check_processes(tmp_path, Shares(2, 1, 1, 0))
    with pytest.raises(InputError, match=f"1 processes x batch 2 .* {now.processes} processes x batch"):
        check_processes(tmp_path, now)
