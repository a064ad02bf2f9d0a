"""Clips rendered from the truth read as ideal, and each kind of failure reads as what it is."""

from dataclasses import replace

import pytest
import torch

from mofa.evaluation.judge import MEASURES, judge
from mofa.evaluation.synthetic import SyntheticSuite
from mofa.evaluation.trackers import LucasKanade
from mofa.evaluation.trial import Instruments
from mofa.vision.dis import dis_flow

TRACKER = LucasKanade()
ERROR = TRACKER.error_px[0]
VELOCITY = (1.5, -1.0)


@pytest.fixture
def read(square_scene):
    """All values of a clip that was asked to show the square move at VELOCITY."""

    def judged(frames: torch.Tensor, **scene) -> dict[str, float]:
        return dict(judge(square_scene(VELOCITY, **scene), frames, Instruments(TRACKER, dis_flow)).values)

    return judged


def test_a_true_clip_reads_its_ideal_values_within_the_trackers_error(read, moving_square) -> None:
    values = read(moving_square(VELOCITY))
    for name in ("epe_hints", "epe_others", "objmc", "md_vid", "camera"):
        assert values[f"{name}.lk"] < ERROR, name
    for name in ("epe_hints_p95", "drift"):
        assert values[f"{name}.lk"] < TRACKER.error_px[1], name
    assert values["gain.lk"] == pytest.approx(1, abs=ERROR / 10)
    assert values["bg_obj_ctd.lk"] == pytest.approx(1.803 * 4.5, abs=ERROR)
    assert (values["moves.lk"], values["lag.lk"], values["followed.lk"]) == (1, 0, 1)
    assert values["moved_iou.lk"] == 1
    assert values["first_frame_psnr"] == 100


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scene-000", "scene-001", "scene-002"])
def test_synthetic_scenes_rendered_from_the_truth_are_ideal(
    name: str, small: SyntheticSuite, instruments: Instruments
) -> None:
    scene = small.open(name)
    values = judge(scene, scene.reference, instruments).values
    for measure in ("epe_hints", "epe_others", "objmc", "md_vid", "camera"):
        assert values.get(f"{measure}.lk", 0) < ERROR, measure
    for measure in ("epe_hints_p95", "drift"):
        assert values.get(f"{measure}.lk", 0) < TRACKER.error_px[1], measure
    assert values["gain.lk"] == pytest.approx(1, abs=0.02)
    assert (values["moves.lk"], values["lag.lk"], values["psnr"]) == (1, 0, 100)


def test_doubled_motion_reads_double(read, moving_square) -> None:
    values = read(moving_square((2 * VELOCITY[0], 2 * VELOCITY[1])))
    assert values["gain.lk"] == pytest.approx(2, abs=0.02)
    assert values["bg_obj_ctd.lk"] == pytest.approx(2 * 1.803 * 4.5, abs=ERROR)
    once = read(moving_square(VELOCITY))
    assert values["epe_hints.lk"] == pytest.approx(1.803 * 4.5 / 2, abs=ERROR)  # ground hints fit
    assert values["average_flow.dis"] == pytest.approx(2 * once["average_flow.dis"], rel=0.1)


def test_a_still_clip_fails_the_guard(read, moving_square) -> None:
    values = read(moving_square((0.0, 0.0)))
    assert values["moves.lk"] == 0
    assert values["gain.lk"] == pytest.approx(0, abs=0.01)
    assert values["average_flow.dis"] < 0.01
    assert values["moved_iou.lk"] == 0
    assert values["bg_obj_ctd.lk"] < ERROR


def test_a_clip_that_is_shifted_by_a_frame_reads_as_lag_one(read, moving_square) -> None:
    frames = moving_square(VELOCITY)
    late = torch.cat([frames[:1], frames[:-1]])
    assert read(late)["lag.lk"] == 1
    assert read(torch.cat([frames[1:], frames[-1:]]))["lag.lk"] in (0, -1)


def test_a_camera_nobody_asked_for_is_camera_error_and_drift_and_not_the_things_own_motion(
    read, moving_square
) -> None:
    values = read(moving_square(VELOCITY, camera=(0.5, 0.0)))
    assert values["camera.lk"] == pytest.approx(0.5 * 4.5, abs=ERROR)
    assert values["drift.lk"] == pytest.approx(0.5 * 8, abs=0.5)
    assert values["moved_iou.lk"] == 1
    asked = read(moving_square(VELOCITY, camera=(0.5, 0.0)), camera=(0.5, 0.0))
    assert asked["camera.lk"] < ERROR
    assert asked["drift.lk"] < ERROR


@pytest.mark.slow
@pytest.mark.parametrize("num_frames", [5, 15])
def test_length_changes_nothing_but_the_way(num_frames: int, read, moving_square) -> None:
    values = read(moving_square(VELOCITY, num_frames=num_frames), num_frames=num_frames)
    assert values["epe_hints.lk"] < ERROR
    assert values["gain.lk"] == pytest.approx(1, abs=0.02)
    usual = read(moving_square(VELOCITY))
    assert values["average_flow.dis"] == pytest.approx(usual["average_flow.dis"], rel=0.15)


def test_size_scales_pixels_and_leaves_shares_alone(read, moving_square, square_scene) -> None:
    large = {"size": 192}
    frames = moving_square((0.0, 0.0), **large)
    small = read(moving_square((0.0, 0.0)))
    values = dict(judge(square_scene((2.25, -1.5), **large), frames, Instruments(TRACKER, dis_flow)).values)
    assert values["epe_hints.lk"] == pytest.approx(1.5 * small["epe_hints.lk"], rel=0.02)
    assert values["epe_hints_percent.lk"] == pytest.approx(small["epe_hints_percent.lk"], rel=0.02)


def test_frame_rate_changes_nothing(moving_square, square_scene) -> None:
    frames, scene = moving_square(VELOCITY), square_scene(VELOCITY)
    given = Instruments(TRACKER, dis_flow)
    assert judge(scene, frames, given).values == judge(replace(scene, fps=60.0), frames, given).values


def test_every_measure_says_what_it_is() -> None:
    names = [measure.name for measure in MEASURES]
    assert len(set(names)) == len(names)
    for measure in MEASURES:
        assert measure.definition.endswith(".")
        assert measure.by in ("tracker", "flow", "face", "identity", "")


def test_numbers_of_different_trackers_have_different_columns() -> None:
    [measure] = [m for m in MEASURES if m.name == "epe_hints"]
    other = Instruments(replace(TRACKER, name="other"), dis_flow)
    assert measure.key(other) != measure.key(Instruments(TRACKER, dis_flow))
