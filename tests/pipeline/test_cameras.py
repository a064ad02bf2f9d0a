"""A camera with a depth picture: what is near moves further, what lies behind it as the camera says."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mofa.errors import InputError
from mofa.pipeline.animate import animate, plan
from mofa.pipeline.request import AnimationRequest
from mofa.tensors.motion import whole_flow

WIDTH, HEIGHT = 96, 64
PAN = {"kind": "camera", "move": "pan right 6 px", "depth": "depth.png"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A noisy photo, whose right half is near."""
    pixels = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    grey = np.full((HEIGHT // 2, WIDTH // 2), 40, np.uint8)
    grey[:, WIDTH // 4 :] = 200
    Image.fromarray(grey).save(tmp_path / "depth.png")
    return tmp_path


def request(folder: Path, *controls: dict, **more: object) -> AnimationRequest:
    data = {"picture": "photo.png", "frames": 4, "renderer": "warp", "controls": list(controls)} | more
    return AnimationRequest.from_data(data).with_paths(lambda path: folder / path)


def final_flow(wanted: AnimationRequest) -> torch.Tensor:
    return whole_flow(plan(wanted).motion.plan).pixels[-1]


@pytest.mark.parametrize(("parallax", "near"), [(0.0, -6.0), (1.0, -12.0), (0.5, -9.0)])
def test_the_nearest_moves_further_by_the_parallax_and_the_farthest_as_the_words_say(
    folder: Path, parallax: float, near: float
) -> None:
    flow = final_flow(request(folder, PAN | {"parallax": parallax}))
    assert flow[0, :, : WIDTH // 2 - 3].numpy() == pytest.approx(-6.0, abs=1e-3)
    assert flow[0, :, WIDTH // 2 + 3 :].numpy() == pytest.approx(near, abs=1e-3)
    assert not flow[1].any()


def test_a_zoom_makes_what_is_near_grow_more_about_the_middle(folder: Path) -> None:
    flow = final_flow(request(folder, PAN | {"move": "zoom 1.1"}))
    still = flow[:, HEIGHT // 2 - 1 : HEIGHT // 2 + 1, WIDTH // 2 - 1 : WIDTH // 2 + 1]
    assert still.abs().max() < 0.3
    far, near = flow[0, HEIGHT // 2, 0], flow[0, HEIGHT // 2, -1]
    assert near / -far == pytest.approx(2.1, abs=0.05), "twice the way, which the camera enlarges, too"


def test_what_moves_on_something_near_is_carried_along(folder: Path) -> None:
    Image.new("L", (WIDTH, HEIGHT), 255).save(folder / "all.png")
    track = {"kind": "track", "points": "80,30 80,40", "region": {"mask": "all.png"}}
    flow = final_flow(request(folder, PAN, track))
    assert flow[:, 30, 80].tolist() == pytest.approx([-12, 10], abs=0.2)


def test_only_what_is_in_the_camera_s_region_has_depth(folder: Path) -> None:
    region = np.zeros((HEIGHT, WIDTH), np.uint8)
    region[: HEIGHT // 2] = 255
    Image.fromarray(region).save(folder / "top.png")
    flow = final_flow(request(folder, PAN | {"region": {"mask": "top.png"}}))
    assert flow[0, 5, -8] == pytest.approx(-12, abs=1e-3)
    assert flow[0, -5].abs().max() == 0


def test_what_the_near_uncovers_is_filled(folder: Path) -> None:
    frames = animate(request(folder, PAN)).clip.frames
    assert frames.shape == (4, 3, HEIGHT, WIDTH)
    assert (frames[-1].float().std(dim=0) > 0).float().mean() > 0.95, "of a colourful photo no part is blank"


def test_a_cropped_clip_takes_its_part_of_the_depth(folder: Path) -> None:
    flow = final_flow(request(folder, PAN, size="32x64", fit="crop"))
    assert flow[0, 32, 4] == pytest.approx(-6, abs=0.01)
    assert flow[0, 32, -4] == pytest.approx(-12, abs=0.01)


def test_depth_pictures_that_say_nothing_or_are_of_another_photo_are_refused(folder: Path) -> None:
    Image.new("L", (WIDTH, HEIGHT), 90).save(folder / "flat.png")
    Image.fromarray(np.eye(64, dtype=np.uint8) * 255).save(folder / "square.png")
    for name, reason in (("flat", "one grey"), ("square", "another aspect"), ("none", "no picture")):
        with pytest.raises(InputError, match=reason):
            plan(request(folder, PAN | {"depth": f"{name}.png"}))
