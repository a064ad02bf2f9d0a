"""Things that move, turn and grow."""

import math

import pytest
import torch

from mofa.control.transform import Keyframe, Pose, check_keyframes, similarities
from mofa.errors import InputError
from mofa.tensors.flow import apply_affine

PIVOT = (30.0, 20.0)


def places(keyframes: list[Keyframe], fraction: float, *points: tuple[float, float]) -> torch.Tensor:
    maps = similarities(keyframes, torch.tensor([fraction]), PIVOT)
    return apply_affine(maps, torch.tensor([points]).float().mT)[0].mT


def test_the_pivot_moves_and_everything_turns_and_grows_about_it() -> None:
    keys = [Keyframe(1.0, Pose((10.0, -5.0), 90.0, 2.0))]
    pivot, right = places(keys, 1.0, PIVOT, (33.0, 20.0))
    torch.testing.assert_close(pivot, torch.tensor([40.0, 15.0]))
    # Clockwise on the screen: what was right of the pivot is below it now, twice as far.
    torch.testing.assert_close(right, torch.tensor([40.0, 21.0]))


def test_at_rest_nothing_has_moved_and_after_the_last_keyframe_it_stays() -> None:
    keys = [Keyframe(0.5, Pose((8.0, 0.0), 30.0, 1.5))]
    torch.testing.assert_close(places(keys, 0.0, (1.0, 2.0)), torch.tensor([[1.0, 2.0]]))
    torch.testing.assert_close(places(keys, 0.5, (1.0, 2.0)), places(keys, 0.9, (1.0, 2.0)))


def test_keyframes_are_met_and_growth_between_them_is_even() -> None:
    keys = [Keyframe(0.5, Pose((8.0, 0.0), 0.0, 4.0)), Keyframe(1.0, Pose((8.0, 6.0), 0.0, 1.0))]
    sizes = similarities(keys, torch.tensor([0.25, 0.5, 0.75, 1.0]), PIVOT)[:, 0, 0]
    torch.testing.assert_close(sizes, torch.tensor([2.0, 4.0, 2.0, 1.0]))
    torch.testing.assert_close(places(keys, 1.0, PIVOT)[0], torch.tensor([38.0, 26.0]))


def test_easing_holds_between_two_keyframes() -> None:
    keys = [Keyframe(1.0, Pose((8.0, 0.0)), "in")]
    assert math.isclose(places(keys, 0.5, PIVOT)[0, 0].item(), 30 + 8 * 0.25, rel_tol=1e-5)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([], "no keyframe"),
        ([Keyframe(0.0, Pose())], "between 0"),
        ([Keyframe(0.5, Pose()), Keyframe(0.5, Pose())], "order of time"),
        ([Keyframe(1.0, Pose(scale=0.0))], "scaled by"),
    ],
)
def test_impossible_keyframes_are_refused(keys: list[Keyframe], said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_keyframes(keys)
