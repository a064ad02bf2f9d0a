"""What a clip takes of the memory is told before anything is decoded, and grows with what is asked."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mofa.pipeline.memory import needed_memory
from mofa.pipeline.request import AnimationRequest

TRACK = {"kind": "track", "points": "20,20 40,20"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("1", (4000, 3000)).save(tmp_path / "large.png")
    Image.new("RGB", (64, 48)).save(tmp_path / "small.png")
    np.save(tmp_path / "tracks.npy", np.ones((3, 9, 2)))
    return tmp_path


def needed(folder: Path, controls: tuple[dict[str, Any], ...] = (TRACK,), **more: Any) -> int:
    scene = {"picture": str(folder / "small.png"), "renderer": "warp", "controls": list(controls)} | more
    return needed_memory(AnimationRequest.from_data(scene))


def test_all_that_takes_memory_counts(folder: Path) -> None:
    plain = needed(folder)
    mask = {"mask": str(folder / "large.png")}
    assert needed(folder, picture=str(folder / "large.png"), size="64x48") > plain + 12 * 12_000_000
    assert needed(folder, region=mask) > plain + 4 * 12_000_000
    both = TRACK | {"region": mask}
    assert needed(folder, region=mask) == needed(folder, (both,)), "a mask that is named twice is read once"
    assert needed(folder, region=mask) == needed(folder, (both,), region=mask)
    assert needed(folder, (TRACK,) * 9) > plain
    assert needed(folder, ({"kind": "track", "file": str(folder / "tracks.npy")},)) > plain
    assert needed(folder, ({"kind": "reference", "video": "v.mp4"},)) > plain
    assert needed(folder, ({"kind": "landmarks", "speech": "v.wav"},)) > plain
    assert needed(folder, size="1920x1080") > needed(folder, size="960x540") > needed(folder, size="64x48")
    assert needed(folder, frames=1000) > needed(folder, frames=10)
    assert needed(folder, loop=True, size="1280x720") > needed(folder, size="1280x720")
    camera = {"kind": "camera", "move": "zoom 1.1"}
    deep = camera | {"depth": str(folder / "small.png")}
    assert needed(folder, (deep,), size="1280x720") > needed(folder, (camera,), size="1280x720") + 90e6


def test_a_picture_without_a_size_in_the_scene_is_counted_as_it_will_be_made(folder: Path) -> None:
    large = str(folder / "large.png")
    assert needed(folder, picture=large) == needed(folder, picture=large, size="1280x960")


def test_what_is_not_there_is_left_to_whoever_reads_it(folder: Path) -> None:
    assert needed(folder, picture=str(folder / "none.png")) > 0
    (folder / "bad.png").write_bytes(b"no picture")
    assert needed(folder, region={"mask": str(folder / "bad.png")}) == needed(folder)


def test_a_diffusion_clip_takes_the_networks_and_more_for_a_larger_picture(folder: Path) -> None:
    on_cpu = {"renderer": "diffusion", "diffusion": {"device": "cpu"}}
    small, large = needed(folder, size="512x512", **on_cpu), needed(folder, size="1024x576", **on_cpu)
    assert 10e9 < small < large
