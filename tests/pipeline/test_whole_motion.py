"""Regions that turn, sway or stay as a whole, from a scene to the plan."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mofa.control.coordinates import Coordinate
from mofa.control.transform_words import WordedPose, format_pose, parse_pose
from mofa.errors import InputError
from mofa.media.image import save_png, to_bytes
from mofa.pipeline.animate import animate, plan
from mofa.pipeline.request import AnimationRequest

HEIGHT, WIDTH, FRAMES = 48, 64, 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo with a box on it, and masks of the box and of its upper half."""
    folder = tmp_path_factory.mktemp("scene")
    photo = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) * 0.2
    photo[:, 16:32, 20:40] = 0.9
    box = torch.zeros(3, HEIGHT, WIDTH)
    box[:, 16:32, 20:40] = 1
    upper = box.clone()
    upper[:, 24:] = 0
    for name, picture in (("photo", photo), ("box", box), ("upper", upper)):
        save_png(folder / f"{name}.png", to_bytes(picture))
    return folder


def request(folder: Path, *controls: dict[str, Any], **more: Any) -> AnimationRequest:
    scene = {"picture": str(folder / "photo.png"), "frames": FRAMES, "renderer": "warp"}
    return AnimationRequest.from_data(scene | {"controls": list(controls)} | more)


def last_flow(made: AnimationRequest) -> torch.Tensor:
    motion = plan(made).motion.plan
    (branch,) = motion.branches
    field = branch.motion.over([motion.num_frames - 2])
    return torch.where(field.valid[0], field.pixels[0], 0)


def mask(folder: Path, name: str) -> dict[str, str]:
    return {"mask": str(folder / f"{name}.png")}


def test_a_track_turns_and_scales_what_it_moves(folder: Path) -> None:
    region = mask(folder, "box")
    flow = last_flow(
        request(
            folder, {"kind": "track", "points": "29,23 33,23", "rotate": 90, "scale": 2, "region": region}
        )
    )
    torch.testing.assert_close(flow[:, 23, 29], torch.tensor([4.0, 0.0]), rtol=0, atol=0.05)
    # Six pixels to the right end twelve below, and everything has moved by four besides.
    torch.testing.assert_close(flow[:, 23, 35], torch.tensor([-2.0, 12.0]), rtol=0, atol=0.2)
    assert flow[:, :10].abs().max() == 0


def test_a_track_of_one_point_turns_its_thing_in_place_and_is_one_track(folder: Path) -> None:
    made = request(folder, {"kind": "track", "points": "29,23", "rotate": -30, "region": mask(folder, "box")})
    flow = last_flow(made)
    assert flow[:, 23, 29].abs().max() < 0.05
    assert flow[1, 23, 37] < -3.5
    assert str(plan(made).motion.remarks.moved).startswith("1 track moves")


def test_two_tracks_on_one_thing_turn_and_scale_it(folder: Path) -> None:
    """A quarter turn about the first: the second goes from its right to below it."""
    tracks = [{"kind": "track", "points": "25,20"}, {"kind": "track", "points": "33,20 25,28"}]
    flow = last_flow(request(folder, *tracks, region=mask(folder, "box")))
    torch.testing.assert_close(flow[:, 28, 25], torch.tensor([-8.0, -8.0]), rtol=0, atol=0.2)


def test_a_thing_turns_about_its_middle_and_nothing_else_moves(folder: Path) -> None:
    flow = last_flow(
        request(folder, {"kind": "transform", "move": "rotate 90", "region": mask(folder, "box")})
    )
    # The middle of the box is (29.5, 23.5); a quarter turn clockwise takes what is right of it below it.
    torch.testing.assert_close(flow[:, 23, 36], torch.tensor([-6.0, 7.0]), rtol=0, atol=0.1)
    assert flow[:, :10].abs().max() == 0
    assert flow[:, :, 50:].abs().max() == 0


def test_it_moves_by_percent_of_the_picture_and_grows_about_a_pivot(folder: Path) -> None:
    control = {"kind": "transform", "move": "50%,0 scale 2", "pivot": "20,16", "region": mask(folder, "box")}
    flow = last_flow(request(folder, control))
    torch.testing.assert_close(flow[:, 20, 24], torch.tensor([31.5 + 4, 4.0]), rtol=0, atol=0.05)


def test_a_transform_without_a_thing_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="say which"):
        plan(request(folder, {"kind": "transform", "move": "5,5"}))
    with pytest.raises(InputError, match="not both"):
        request(folder, {"kind": "transform"})


def test_what_is_to_stay_stays_though_a_track_carries_the_thing(folder: Path) -> None:
    track = {"kind": "track", "points": "30,28 36,28", "region": mask(folder, "box")}
    flow = last_flow(request(folder, track, {"kind": "still"} | mask(folder, "upper")))
    assert flow[:, 17:23, 21:39].abs().max() == 0
    assert flow[0, 27:31, 22:38].mean() > 5


def test_a_sway_begins_and_ends_with_the_photo_and_loops(folder: Path) -> None:
    sway = {"kind": "sway", "like": "wind", "amount": 5, "region": mask(folder, "box")}
    frames = list(animate(request(folder, sway)).frames())
    assert torch.equal(frames[0], frames[-1])
    assert not torch.equal(frames[0], frames[1])
    looped = plan(request(folder, sway, loop=True)).motion.plan
    assert looped.branches[0].motion.over([looped.num_frames - 2]).pixels.abs().max() < 1e-3


numbers = st.floats(-300, 300).map(lambda value: round(value, 3))
coordinates = st.builds(Coordinate, numbers, st.booleans())


@given(st.builds(WordedPose, st.tuples(coordinates, coordinates), numbers, numbers))
def test_transforms_are_read_back_from_their_words(pose: WordedPose) -> None:
    assert parse_pose(format_pose(pose)) == pose


@pytest.mark.parametrize("words", ["", "rotate", "turn 5", "5,5 6,6", 7, "scale x"])
def test_what_is_no_transform_is_refused(words: object) -> None:
    with pytest.raises(InputError):
        parse_pose(words)


def test_moments_can_be_written_in_one_line(folder: Path) -> None:
    words = {"kind": "transform", "keys": "0.5: 8,0 rotate 20; 1: 0,0", "region": mask(folder, "box")}
    data = words | {"keys": [{"at": 0.5, "move": "8,0 rotate 20"}, {"at": 1, "move": "0,0"}]}
    assert request(folder, words) == request(folder, data)
    assert last_flow(request(folder, words)).abs().max() < 1e-4


def test_a_shadow_comes_along_where_it_is_asked_for(tmp_path: Path) -> None:
    photo = torch.full((3, 96, 128), 0.7) + 0.01 * torch.randn(3, 96, 128)
    photo[:, 60:70, 40:90] *= 0.5
    photo[0, 30:60, 50:80], photo[1:, 30:60, 50:80] = 0.9, 0.2
    painted = torch.zeros(3, 96, 128)
    painted[:, 30:60, 50:80] = 1
    save_png(tmp_path / "photo.png", to_bytes(photo))
    save_png(tmp_path / "box.png", to_bytes(painted))
    track = {"kind": "track", "points": "65,45 75,45", "region": {"mask": str(tmp_path / "box.png")}}
    bare = last_flow(request(tmp_path, track))
    both = last_flow(request(tmp_path, track | {"with_shadow": True}))
    assert bare[0, 65, 60] == 0
    assert both[0, 45, 65] == pytest.approx(10, abs=0.1)
    assert both[0, 65, 60] == pytest.approx(10, abs=0.1)
    assert both[0, 85, 20] == 0


def test_a_thing_without_a_shadow_says_so(folder: Path) -> None:
    track = {"kind": "track", "points": "29,23 33,23", "region": mask(folder, "box"), "with_shadow": True}
    assert any("no shadow" in note for note in plan(request(folder, track)).motion.notes)


def test_tracks_from_a_file_do_not_say_whose_shadow_is_meant(folder: Path) -> None:
    with pytest.raises(InputError, match="with_shadow needs to know the thing"):
        request(folder, {"kind": "track", "file": "walk.json", "with_shadow": True})


def test_a_transform_carries_along_what_tracks_bend(folder: Path) -> None:
    thing = {"region": mask(folder, "box")}
    bend = [{"kind": "track", "points": points} | thing for points in ("22,24 22,32", "38,24")]
    flow = last_flow(request(folder, *bend, {"kind": "transform", "move": "10,0"} | thing))
    assert flow[0, 18:30, 22:38].mean() == pytest.approx(10, abs=0.5)
    assert flow[1, 24, 22] > 6
    assert flow[1, 24, 38].abs() < 1
    turned = last_flow(request(folder, *bend, {"kind": "transform", "move": "rotate 180"} | thing))
    # The middle is (29.5, 23.5): what has been bent down by some pixels is as far above the mirrored place.
    assert turned[1, 24, 22] == pytest.approx(-1 - flow[1, 24, 22].item(), abs=0.1)


def test_the_border_is_locked_and_lets_go_little_by_little(folder: Path) -> None:
    walk = {"kind": "track", "points": "8,24 16,24", "region": {"border": 50}}
    lock = {"kind": "still", "region": {"border": 25}}
    loose, held = (last_flow(request(folder, walk, *more))[0, 24] for more in ((), (lock,)))
    assert loose[0] > 4
    assert held[0].abs() < 0.01
    assert 0.2 * loose[12] < held[12] < 0.8 * loose[12]
    torch.testing.assert_close(held[20:30], loose[20:30])
