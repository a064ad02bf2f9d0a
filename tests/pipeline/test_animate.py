"""One request, end to end, at toy size: what was asked for happens, and the rest stays still."""

import json
import weakref
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mofa import AnimationRequest, animate
from mofa.apps.cli import main
from mofa.errors import Cancelled, OutputError
from mofa.media.decode import read_video
from mofa.media.encode import write_clip
from mofa.media.image import to_bytes
from mofa.pipeline.animate import plan, prepare, resolve
from mofa.pipeline.inputs import read_inputs
from mofa.pipeline.outputs import check_outputs, estimate_outputs, output_files, write_outputs
from mofa.tensors.motion import whole_flow

SIZE = 96, 64  # width, height


def textured(seed: int) -> np.ndarray:
    """A smooth random texture, [64, 96, 3]."""
    noise = np.random.default_rng(seed).uniform(0, 255, (16, 24, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def scene_folder(tmp_path_factory):
    """A red textured disc on a green textured ground, and the disc's mask."""
    folder = tmp_path_factory.mktemp("scene")
    y, x = np.mgrid[: SIZE[1], : SIZE[0]]
    disc = (x - 36) ** 2 + (y - 32) ** 2 < 12**2
    ground = textured(1) * [0.1, 0.8, 0.1] + [0, 40, 0]
    thing = textured(2) * [0.8, 0.1, 0.1] + [40, 0, 0]
    Image.fromarray(np.where(disc[..., None], thing, ground).astype(np.uint8)).save(folder / "photo.png")
    Image.fromarray(disc.astype(np.uint8) * 255).save(folder / "mask.png")
    return folder


def request(folder: Path, controls: list[dict], **more: object) -> AnimationRequest:
    data = {"picture": str(folder / "photo.png"), "frames": 5, "controls": controls} | more
    return AnimationRequest.from_data(data)


def frames_of(folder: Path, controls: list[dict], **more: object) -> torch.Tensor:
    clip = animate(request(folder, controls, **more)).clip
    assert clip is not None
    return clip.frames


TRACK = {"kind": "track", "points": "36,32 52,32"}


def test_nothing_moves_when_nothing_is_asked_to(scene_folder):
    for still in ({"kind": "track", "points": "36,32"}, {"kind": "camera", "move": "still"}):
        frames = frames_of(scene_folder, [still])
        source = torch.from_numpy(np.array(Image.open(scene_folder / "photo.png"))).permute(2, 0, 1)
        assert torch.equal(frames, source.expand_as(frames))


def test_the_brushed_thing_moves_and_nothing_outside_does(scene_folder):
    brushed = TRACK | {"region": {"mask": str(scene_folder / "mask.png")}}
    frames = frames_of(scene_folder, [brushed])
    red = frames[:, 0].float() - frames[:, 1]
    centre = [
        (plane.clamp(min=0).sum(0) * torch.arange(96)).sum() / plane.clamp(min=0).sum() for plane in red
    ]
    assert float(centre[-1] - centre[0]) == pytest.approx(16, abs=1.5)
    untouched = torch.ones(64, 96, dtype=torch.bool)
    untouched[17:48, 20:70] = False
    assert torch.equal(frames[-1][:, untouched], frames[0][:, untouched])


def test_a_track_is_drawn_relative_to_the_scene(scene_folder):
    brushed = TRACK | {"region": {"mask": str(scene_folder / "mask.png")}}
    planned = plan(request(scene_folder, [brushed, {"kind": "camera", "move": "pan right 10 px"}]))
    flow = whole_flow(planned.motion.plan, [3])
    assert flow.pixels[-1, :, 32, 36].tolist() == pytest.approx([6.0, 0.0], abs=0.1)
    assert flow.pixels[-1, :, 5, 5].tolist() == pytest.approx([-10.0, 0.0], abs=1e-4)


def test_strength_easing_and_frames_say_how_far_and_when(scene_folder):
    control = TRACK | {"strength": 0.5, "start": 1, "end": 3, "there_and_back": True}
    flow = plan(request(scene_folder, [control])).motion.plan.branches[0].motion.over(range(4))
    assert flow.pixels[:, 0, 32, 36].tolist() == pytest.approx([0, 8, 0, 0], abs=0.1)


def test_percent_means_the_same_at_any_size(scene_folder):
    control = {
        "kind": "track",
        "points": "40%,50% 60%,50%",
        "region": {"mask": str(scene_folder / "mask.png")},
    }
    small = plan(request(scene_folder, [control])).motion.plan
    large = plan(request(scene_folder, [control], size="192x128")).motion.plan
    small, large = (whole_flow(one, [3]).pixels for one in (small, large))
    assert float(large[-1, 0].max()) == pytest.approx(2 * float(small[-1, 0].max()), rel=0.02)


def test_a_loop_that_goes_there_and_back_ends_where_it_began(scene_folder):
    frames = frames_of(scene_folder, [TRACK | {"there_and_back": True}], loop=True, frames=8).float()
    steps = (frames - frames.roll(1, 0)).abs().mean(dim=(1, 2, 3))
    assert steps[0] <= 1.5 * steps[1:].max()


def test_a_reference_video_drives_the_picture(scene_folder, tmp_path):
    driven = animate(request(scene_folder, [{"kind": "camera", "move": "pan left 8 px"}], size="192x128"))
    write_clip(driven.clip, tmp_path / "drive.mp4")
    flow = plan(request(scene_folder, [{"kind": "reference", "video": str(tmp_path / "drive.mp4")}]))
    inner = flow.motion.plan.branches[0].motion.over([3]).pixels[-1, 0, 16:48, 24:72]
    assert float(inner.median()) == pytest.approx(8.0, abs=0.5)


@pytest.mark.slow
def test_every_output_is_written_and_the_scene_repeats_the_run(scene_folder, tmp_path, capsys):
    arguments = ["--track", "36,32 52,32", "--select", "36,32", "--frames", "4"]
    arguments += ["--extras", "flow,flow-npz,flow-flo,overlay,sheet", "--json"]
    assert main(["animate", str(scene_folder / "photo.png"), *arguments, "-o", str(tmp_path / "a.mp4")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert all(Path(path).stat().st_size > 0 for path in told["files"].values())
    assert len(told["files"]) == 1 + 1 + 1 + 3 + 1 + 1 + 1
    assert read_video(tmp_path / "a.mp4").frames.shape == (4, 3, 64, 96)

    again = ["animate", str(tmp_path / "a.scene.yaml"), "-o", str(tmp_path / "b" / "a.mp4"), "--quiet"]
    assert main(again) == 0
    for name in ("a.mp4", "a.flow.npz", "a.flow.png", "a.overlay.png", "a.sheet.png"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_preview_stops_after_the_motion(scene_folder, tmp_path):
    arguments = ["animate", str(scene_folder / "photo.png"), "--track", "36,32 52,32", "--preview", "--quiet"]
    assert main([*arguments, "-o", str(tmp_path / "a.mp4")]) == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"a.flow.png", "a.flow.npz", "a.overlay.png", "a.scene.yaml"}


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["densify", "render", "writing"])
def test_cancelling_leaves_nothing_behind(scene_folder, tmp_path, stage):
    def stop(name: str, done: int, total: int, /) -> None:
        if name == stage:
            raise Cancelled("stopped")

    asked = request(scene_folder, [TRACK], outputs={"clip": str(tmp_path / "a.mp4")})
    with pytest.raises(Cancelled):
        write_outputs(animate(asked, progress=stop), progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_the_first_frame_is_the_photo(scene_folder):
    result = animate(request(scene_folder, [TRACK], size="70x64"))
    assert torch.equal(result.clip.frames[0], to_bytes(result.source.pixels))


def test_outputs_lie_beside_the_clip(scene_folder, tmp_path):
    asked = request(scene_folder, [TRACK], outputs={"clip": str(tmp_path / "frames")})
    files = output_files(resolve(asked, read_inputs(asked)))
    assert files["sheet"] == tmp_path / "frames.sheet.png"


def test_what_a_run_writes_is_known_before_it(scene_folder, tmp_path, monkeypatch):
    outputs = {"clip": str(tmp_path / "a.mp4"), "extras": ["flow-flo", "flow", "sheet"]}
    asked = request(scene_folder, [TRACK], outputs=outputs)
    settled = resolve(asked, read_inputs(asked))
    estimate = estimate_outputs(settled)
    written = write_outputs(animate(asked))
    assert dict(estimate.files) == written
    assert estimate.frames == 5
    assert sum(path.stat().st_size for path in written.values()) <= estimate.num_bytes + 10_000
    assert estimate.num_bytes >= 4 * 8 * 96 * 64
    full = namedtuple("Usage", "free")(estimate.num_bytes - 1)
    monkeypatch.setattr("mofa.pipeline.outputs.shutil.disk_usage", lambda _: full)
    with pytest.raises(OutputError, match="MB free"):
        check_outputs(settled, overwrite=True)


@pytest.mark.slow
def test_frames_and_flow_are_written_as_they_come_and_none_is_kept(scene_folder, tmp_path):
    extras = ["flow", "flow-npz", "overlay", "sheet"]
    outputs = {"clip": str(tmp_path / "a.gif"), "extras": extras}
    animation = prepare(request(scene_folder, [TRACK], frames=30, outputs=outputs))
    alive, most = weakref.WeakSet(), 0

    def watched() -> Iterator[torch.Tensor]:
        nonlocal most
        for frame in animation.render():
            alive.add(frame)
            most = max(most, len(alive))
            yield frame

    files = write_outputs(replace(animation, render=watched))
    assert most <= 12 + 2, "a contact sheet keeps twelve, the writers none"
    assert len(read_video(files["clip"]).frames) == 30
    assert len(np.load(files["flow-npz"])["flow"]) == 29


@pytest.mark.slow
def test_a_collected_clip_is_what_streams(scene_folder, tmp_path):
    outputs = {"clip": str(tmp_path / "a.mp4"), "extras": ["sheet"]}
    asked = request(scene_folder, [TRACK], outputs=outputs)
    streamed = {name: path.read_bytes() for name, path in write_outputs(prepare(asked)).items()}
    collected = write_outputs(animate(asked), overwrite=True)
    assert {name: path.read_bytes() for name, path in collected.items()} == streamed


@pytest.mark.slow
def test_further_clips_of_the_same_frames_appear_with_the_others(scene_folder, tmp_path):
    outputs = {"clip": str(tmp_path / "a.mp4"), "extras": []}
    animation = prepare(request(scene_folder, [TRACK], outputs=outputs))
    write_outputs(animation, also=[tmp_path / "frames"])
    assert len(list((tmp_path / "frames").glob("frame_*.png"))) == 5


def test_a_short_side_sizes_the_clip_where_no_size_is_given(scene_folder):
    small = request(scene_folder, [TRACK], short_side=32)
    assert resolve(small, read_inputs(small)).size == (48, 32)
    given = request(scene_folder, [TRACK], short_side=32, size="70x64")
    assert resolve(given, read_inputs(given)).size == (70, 64)
    released = request(scene_folder, [TRACK], compatibility="released")
    settled = resolve(released, read_inputs(released))
    assert (settled.size, settled.fps) == ((768, 512), 20)
    assert AnimationRequest.from_text(settled.to_yaml()).size == (768, 512)
