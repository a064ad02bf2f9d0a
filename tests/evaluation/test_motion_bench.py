"""A bench asks a fair question, and counts right."""

from pathlib import Path

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from mofa.evaluation.motion_bench import (
    BEGIN,
    DEFINITIONS,
    END,
    LEAST_ASKED,
    NUM_MOVING,
    NUM_STILL,
    Definition,
    Errors,
    Row,
    Table,
    inverse_distance,
    make_trial,
    measure,
    nearest,
    part_by_pixels,
    part_by_scene,
    rows_of,
    run,
    spread_out,
    stretches,
    table,
    write_table,
)
from mofa.media.encode import write_clip
from mofa.types import Clip, TrackSet

SIZE = (96, 128)


def grid_tracks(velocity: Float[Tensor, "2"], steps: int = 16) -> TrackSet:
    """Points on a grid; the left half moves steadily, the right half stands still."""
    x, y = torch.meshgrid(torch.arange(4.0, 128, 8), torch.arange(4.0, 96, 8), indexing="xy")
    start = torch.stack([x.flatten(), y.flatten()], dim=-1)
    moves = (start[:, :1] < 64).float() * velocity
    points = start[:, None] + torch.linspace(0, 1, steps + 1)[None, :, None] * moves[:, None]
    return TrackSet(points, torch.ones(points.shape[:2], dtype=torch.bool))


@pytest.mark.parametrize("definition", DEFINITIONS, ids=["by scene", "by pixels"])
def test_hints_and_questions_are_apart_and_of_both_kinds(definition: Definition) -> None:
    tracks = grid_tracks(torch.tensor([6.0, 0.0]))
    trial = make_trial(tracks, definition, *SIZE)
    assert trial is not None
    assert (trial.hints.displacement[-1, :, 0] == 6).sum() == NUM_MOVING
    assert (trial.hints.displacement[-1, :, 0] == 0).sum() == NUM_STILL
    assert torch.cdist(trial.hints.positions, trial.points).min() > 1
    assert torch.equal(trial.moving, trial.displacement[-1, :, 0] == 6)
    assert trial.moving.sum() == len(tracks.points) // 2 - NUM_MOVING


def test_no_question_without_enough_moving_points_or_seen_tracks() -> None:
    tracks = grid_tracks(torch.tensor([6.0, 0.0]))
    assert make_trial(grid_tracks(torch.tensor([0.5, 0.0])), DEFINITIONS[0], *SIZE) is None
    few = torch.arange(len(tracks.points)) % 16 >= 8
    few[(~few).nonzero()[: NUM_MOVING + LEAST_ASKED - 1, 0]] = True
    assert make_trial(TrackSet(tracks.points[few], tracks.visible[few]), DEFINITIONS[0], *SIZE) is None
    assert make_trial(TrackSet(tracks.points, tracks.visible & False), DEFINITIONS[0], *SIZE) is None


def test_moving_is_relative_to_the_scene_or_in_pixels() -> None:
    far = torch.zeros(2, 20, 2)
    far[-1, :, 0] = torch.arange(20.0)
    moving, still = part_by_scene(far)
    assert moving.tolist() == [n > 8.55 for n in range(20)]  # half of the 90th percentile, 17.1
    assert still.tolist() == [n < 4 for n in range(20)]
    moving, still = part_by_pixels(far)
    assert moving.tolist() == [n > 3 for n in range(20)]
    assert still.tolist() == [n < 1 for n in range(20)]


def test_points_spread_out_go_to_the_corners() -> None:
    corners = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]])
    points = torch.cat([torch.rand(30, 2) + 4, corners])
    assert sorted(spread_out(points, torch.arange(34), 4).tolist()) == [30, 31, 32, 33]


def test_rivals_repeat_a_motion_that_all_hints_share() -> None:
    tracks = grid_tracks(torch.tensor([6.0, -2.0]))
    trial = make_trial(tracks, DEFINITIONS[0], *SIZE)
    assert trial is not None
    left = trial.points[:, 0] < trial.hints.positions[trial.hints.displacement[-1, :, 0] > 0, 0].min()
    assert torch.allclose(nearest(trial)[:, left], trial.displacement[:, left])
    assert inverse_distance(trial)[-1, :, 0].min() > 0
    assert inverse_distance(trial)[-1, :, 0].max() < 6


@pytest.mark.slow
def test_a_moving_half_is_told_better_than_by_distance_alone() -> None:
    picture = torch.randint(0, 60, (3, *SIZE), dtype=torch.uint8)
    picture[0, :, :64] += 150
    trial = make_trial(grid_tracks(torch.tensor([6.0, 0.0])), DEFINITIONS[0], *SIZE)
    assert trial is not None
    errors = measure(picture, trial)
    assert errors.ratio < 0.75
    assert errors.ours_ground < errors.inverse_distance_ground


def test_stretches_lie_within_the_clip() -> None:
    frames = torch.arange(40, dtype=torch.uint8)[:, None, None, None].expand(40, 3, 2, 2)
    found = list(stretches(frames, 3))
    assert [int(f[0, 0, 0, 0]) for f in found] == [0, 12, 23]
    assert all(len(f) == 17 for f in found)
    assert list(stretches(frames[:16], 3)) == []


def test_tables_replace_what_stands_between_the_marks(tmp_path: Path) -> None:
    tables = [Table("By scene.", [Row("box", 3, Errors(1.0, 4.0, 2.0, 0.1, 0.2, 0.3))])]
    page = tmp_path / "motion.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_table(tables, page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert table(tables) in text
    assert "| box | 3 | 1.00 | 4.00 | 2.00 | 0.50 |" in text
    page.write_text("no marks")
    with pytest.raises(ValueError, match="no place"):
        write_table(tables, page)


@pytest.mark.slow
def test_clips_are_measured_side_by_side_and_one_too_short_has_no_row(tmp_path: Path) -> None:
    chance = torch.Generator().manual_seed(0)
    cells = torch.randint(256, (3, 24, 48), generator=chance, dtype=torch.uint8)
    photo = cells.repeat_interleave(8, 1).repeat_interleave(8, 2)
    left, right = photo[:, :, :192], photo[:, :, 192:]
    frames = torch.stack([torch.cat([left.roll(step, dims=1), right], dim=2) for step in range(20)])
    for name, kept in (("a", frames), ("b", frames.flip(1)), ("short", frames[:12])):
        write_clip(Clip(kept, 8.0), tmp_path / f"{name}.mp4")
    # The mean of all steps is 8.5 px.
    alone = [rows_of(tmp_path / f"{name}.mp4", 3, DEFINITIONS) for name in ("a", "b")]
    for number, table_of in enumerate(run(tmp_path, workers=2, windows=3)):
        assert table_of.rows == [rows[number] for rows in alone]
        assert all(row.windows == 3 and row.errors.ours < 3 for row in table_of.rows)
