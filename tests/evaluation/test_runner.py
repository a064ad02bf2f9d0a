"""A run judges every scene once, goes on where it was cut off, and loses one broken clip, not the rest."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mofa.errors import InputError
from mofa.evaluation import runner
from mofa.evaluation.catalogue import find_suite, suite_names
from mofa.evaluation.compare import compare, comparison_table
from mofa.evaluation.makers import ClipsInFolder, OurRenderer, fitted, request_of, weights_digest
from mofa.evaluation.report import write_report
from mofa.evaluation.results import Results, read_results
from mofa.evaluation.runner import Job, run_suite
from mofa.evaluation.synthetic import SyntheticSuite
from mofa.evaluation.trial import Instruments
from mofa.media.image import save_png
from mofa.pipeline.request import AnimationRequest


@pytest.fixture
def job_for(small: SyntheticSuite, instruments: Instruments):
    """A job on clips in a folder."""

    def job(clips: Path, folder: Path) -> Job:
        return Job(small, ClipsInFolder(clips), instruments, folder)

    return job


@pytest.mark.slow
def test_other_programs_clips_are_judged_and_the_report_shows_them(
    other_clips: Path, tmp_path: Path, job_for, small: SyntheticSuite
) -> None:
    job = job_for(other_clips, tmp_path / "report")
    results = run_suite(job, "small")
    assert [row.name for row in results.scenes] == small.names()
    assert results.mean("epe_hints.lk").mean < 0.3
    paths = write_report(results, job)
    again = read_results(tmp_path / "report")
    assert again.values("psnr") == results.values("psnr")
    assert again.columns == results.columns
    page = paths["report.html"].read_text()
    assert page.count("<video") == 2 * len(small.names())
    assert page.count("<figure>") == len(results.used_columns) + 1
    assert 'src="http' not in page
    assert "| EPE of hints (px) ↓ | lk |" in paths["results.md"].read_text()


@pytest.mark.slow
def test_the_same_run_again_makes_nothing_twice_and_the_same_bytes(
    other_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job_for
) -> None:
    job = job_for(other_clips, tmp_path / "report")
    first = write_report(run_suite(job, "small", limit=2), job)["results.json"].read_bytes()
    monkeypatch.setattr(runner, "judge", lambda *_: pytest.fail("judged twice"))
    assert write_report(run_suite(job, "small", limit=2), job)["results.json"].read_bytes() == first
    monkeypatch.undo()
    fresh = job_for(other_clips, tmp_path / "elsewhere")
    assert write_report(run_suite(fresh, "small", limit=2), fresh)["results.json"].read_bytes() == first


@pytest.mark.slow
def test_a_changed_clip_is_judged_again(other_clips: Path, tmp_path: Path, job_for) -> None:
    clips = shutil.copytree(other_clips, tmp_path / "clips")
    job = job_for(clips, tmp_path / "report")
    before = run_suite(job, "small", limit=1)
    shutil.copy(clips / "scene-001.mp4", clips / "scene-000.mp4")
    assert run_suite(job, "small", limit=1).values("psnr") != before.values("psnr")


@pytest.mark.slow
def test_broken_clips_are_named_and_cost_their_own_row(other_clips: Path, tmp_path: Path, job_for) -> None:
    clips = shutil.copytree(other_clips, tmp_path / "clips")
    (clips / "scene-001.mp4").write_bytes(b"no video")
    (clips / "scene-002.mp4").unlink()
    results = run_suite(job_for(clips, tmp_path / "report"), "small")
    assert [row.name for row in results.judged] == ["scene-000"]
    errors = {row.name: row.error for row in results.skipped}
    assert "scene-001.mp4 cannot be read" in errors["scene-001"]
    assert "no clip for the scene scene-002" in errors["scene-002"]


@pytest.mark.slow
def test_two_workers_find_what_one_finds(other_clips: Path, tmp_path: Path, job_for) -> None:
    one = run_suite(job_for(other_clips, tmp_path / "one"), "small")
    two = run_suite(job_for(other_clips, tmp_path / "two"), "small", workers=2)
    assert one == two


def test_clips_of_another_size_are_fitted_and_of_another_shape_or_length_refused(
    small: SyntheticSuite,
) -> None:
    scene = small.open("scene-000")
    frames = scene.reference
    half = frames[..., ::2, ::2]
    assert fitted(half, scene).shape == frames.shape
    with pytest.raises(InputError, match="128x64, but the picture of the scene scene-000 is 128x128"):
        fitted(frames[..., ::2, :], scene)
    with pytest.raises(InputError, match=r"has 8 frames, but the scene scene-000 has 9"):
        fitted(frames[:8], scene)


@pytest.mark.slow
def test_frames_in_a_folder_are_a_clip(tmp_path: Path, job_for, small: SyntheticSuite) -> None:
    scene = small.open("scene-000")
    for index, frame in enumerate(scene.reference):
        path = tmp_path / "clips" / "scene-000" / f"{index:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(path, frame)
    results = run_suite(job_for(tmp_path / "clips", tmp_path / "report"), "small", limit=1)
    assert results.values("psnr") == {"scene-000": 100}


@pytest.mark.slow
def test_our_renderer_is_asked_for_just_the_scene(tmp_path: Path, small: SyntheticSuite) -> None:
    scene = small.open("scene-001")
    request = AnimationRequest.from_data(request_of(scene, tmp_path))
    assert (request.size, request.num_frames) == ((128, 128), 9)
    frames = OurRenderer({"renderer": "warp"}).make(scene, tmp_path / "kept.mp4")
    assert frames.shape == scene.reference.shape
    assert torch.equal(frames[0], scene.picture)
    assert (tmp_path / "kept.mp4").exists()


def test_comparing_says_whether_a_difference_is_more_than_chance() -> None:
    from mofa.evaluation.results import Column, SceneResult

    column = {"epe.lk": Column("EPE", "px", "low", "A distance.", "lk")}

    def report(values: list[float], suite: str = "s", columns: dict = column) -> Results:
        scenes = [SceneResult(f"{i}", {"epe.lk": v}) for i, v in enumerate(values)]
        return Results(suite, "S", {"renderer": "x"}, {}, columns, scenes)

    scattered = [1.0, 5.0, 2.0, 9.0, 4.0, 7.0, 3.0, 6.0]
    a, b = report(scattered), report([v - 0.5 + 0.01 * i for i, v in enumerate(scattered)])
    [better] = compare(a, b)
    assert better.verdict == "B better"
    assert better.difference.mean == pytest.approx(-0.465)
    assert "B better" in comparison_table(a, b, [better])
    [same] = compare(a, report(scattered[::-1]))
    assert same.verdict == "no difference shown"
    with pytest.raises(InputError, match="of the suite s, B of other"):
        compare(a, report(scattered, "other"))
    with pytest.raises(InputError, match="no measure in common"):
        compare(a, report(scattered, columns={"epe.lk": replace(column["epe.lk"], instrument="other")}))


def test_results_that_are_none_are_refused(tmp_path: Path) -> None:
    for text in ("", "[]", "{}", '{"format": 99}', '{"format": 1, "suite": "s"}'):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(InputError, match=r"results|version"):
            read_results(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_results(tmp_path / "absent")


def test_suites_are_found_by_name_or_file_and_misspelt_ones_named(tmp_path: Path) -> None:
    assert "synthetic" in suite_names()
    assert len(find_suite("synthetic").names()) == 64
    own = tmp_path / "own.yaml"
    own.write_text("kind: synthetic\nscenes: 2\n")
    assert len(find_suite(str(own)).names()) == 2
    with pytest.raises(InputError, match='did you mean "synthetic"'):
        find_suite("sinthetic")
    own.write_text("kind: synthetic\nsceens: 2\n")
    with pytest.raises(InputError, match='no setting "sceens": did you mean "scenes"'):
        find_suite(str(own))
    own.write_text("kind: synthetic\nscenes: many\n")
    with pytest.raises(InputError, match="scenes: input should be a valid integer"):
        find_suite(str(own))
    own.write_text("- 1\n")
    with pytest.raises(InputError, match="needs a kind"):
        find_suite(str(own))
    with pytest.raises(InputError, match="leave --data out"):
        find_suite("synthetic", tmp_path)


def test_other_weights_are_other_clips(tmp_path: Path) -> None:
    """A report that was made with weights of one's own does not hold for the next checkpoint."""
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    prints = []
    for content in (b"one", b"two"):
        file.write_bytes(content)
        weights_digest.cache_clear()
        prints.append(OurRenderer({"renderer": "diffusion"}, adapters=(tmp_path,)).fingerprint("scene"))
    assert len({*prints, OurRenderer({"renderer": "diffusion"}).fingerprint("scene")}) == 3
    assert OurRenderer(adapters=(tmp_path,)).describe()["adapter"] == str(tmp_path)
