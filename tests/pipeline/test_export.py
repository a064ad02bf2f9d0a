"""Motion goes out in the forms of other models and comes back: read here as their descriptions say."""

import io
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mofa.apps.cli import main
from mofa.errors import InputError
from mofa.media.decode import read_video
from mofa.pipeline.animate import plan
from mofa.pipeline.export import FORMATS, Wanted, export_scene, import_motion
from mofa.pipeline.request import AnimationRequest
from mofa.tensors.motion import points_as_seen, whole_flow

WIDTH, HEIGHT, FRAMES = 160, 96, 13


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    disc = (x - 40) ** 2 + (y - 40) ** 2 < 16**2
    noise = np.random.default_rng(3).uniform(60, 120, (HEIGHT, WIDTH, 1))
    ground, thing = noise * [0.3, 1, 0.3], noise * [1.8, 0.2, 0.2]
    Image.fromarray(np.where(disc[..., None], thing, ground).astype(np.uint8)).save(tmp_path / "photo.png")
    Image.fromarray((disc * 255).astype(np.uint8)).save(tmp_path / "disc.png")
    return tmp_path


CURVE = {"kind": "track", "points": "40,40 70,28 110,52", "ease": "in-out", "region": {"mask": "disc.png"}}
ANCHOR = {"kind": "track", "points": "140,80"}
CAMERA = {"kind": "camera", "move": "pan right 8 px", "start": 3, "end": 9}


def scene_data(*controls: dict, **more: object) -> dict[str, object]:
    return {"picture": "photo.png", "frames": FRAMES, "controls": list(controls)} | more


def scene(folder: Path, *controls: dict, **more: object) -> AnimationRequest:
    return AnimationRequest.from_data(scene_data(*controls, **more)).relative_to(folder)


def seen_tracks(request: AnimationRequest) -> torch.Tensor:
    """Where the drawn points are in the clip's frames, [N, T, 2]."""
    motion = plan(request).motion.plan
    sets = [points_as_seen(one.points.transpose(0, 1), motion.camera) for one in motion.tracks]
    return torch.cat(sets, 1).transpose(0, 1)


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference of a coordinate."""
    return float((one - other).abs().max())


def off_line(points: torch.Tensor, line: torch.Tensor) -> float:
    """How far the farthest of the points is from a line through other points, in x or in y."""
    fine = torch.nn.functional.interpolate(line.T[None], 50 * len(line), mode="linear", align_corners=True)
    return float(torch.cdist(points, fine[0].T, p=math.inf).amin(1).max())


# Readers as the descriptions of the formats say: each gives [N, F, 2] and visibility [N, F].


def read_wan_move(path: Path) -> tuple[np.ndarray, np.ndarray]:
    tracks, visible = np.load(path / "tracks.npy"), np.load(path / "visibility.npy")
    assert tracks.shape[0] == visible.shape[0] == 1
    assert tracks.shape[:3] == visible.shape
    return tracks[0].transpose(1, 0, 2), visible[0].T


def read_ati(path: Path) -> tuple[np.ndarray, np.ndarray]:
    packed = torch.load(path, weights_only=True)
    array = np.load(io.BytesIO(packed))["array"] / 8.0
    assert array.shape[1:] == (121, 1, 3)
    return array[:, :, 0, :2], array[:, :, 0, 2] > 0.5


def read_kjnodes(path: Path) -> tuple[np.ndarray, np.ndarray]:
    tracks = json.loads(path.read_text())
    assert all(type(place[axis]) is int for track in tracks for place in track for axis in "xy")
    points = np.array([[[place["x"], place["y"]] for place in track] for track in tracks], float)
    return points, np.ones(points.shape[:2], bool)


def read_comfy(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as arrays:
        return arrays["track_path"].transpose(1, 0, 2), arrays["track_visibility"].T


def read_cotracker(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as arrays:
        return arrays["pred_tracks"][0].transpose(1, 0, 2), arrays["pred_visibility"][0].T


READERS = {
    "wan-move": (read_wan_move, "out"),
    "ati": (read_ati, "out.pth"),
    "kjnodes": (read_kjnodes, "out.json"),
    "comfy-tracks": (read_comfy, "out.npz"),
    "cotracker": (read_cotracker, "out.npz"),
}
OWN_SIZE = {"size": (WIDTH, HEIGHT), "points": "tracks"}


@pytest.mark.slow
@pytest.mark.parametrize("form", READERS)
@pytest.mark.parametrize("controls", [(CURVE, ANCHOR), (CURVE, CAMERA)], ids=["tracks", "camera"])
def test_tracks_are_where_the_clip_has_them(folder: Path, form: str, controls: tuple[dict, ...]) -> None:
    request = scene(folder, *controls)
    read, name = READERS[form]
    export_scene(request, folder / name, Wanted(form, **OWN_SIZE))
    points, visible = read(folder / name)
    expected = seen_tracks(request)
    assert visible.all()
    assert points.shape[0] == len(expected)
    # At the moments of the scene's own frames, whatever number of frames the model has.
    times = np.linspace(0, points.shape[1] - 1, FRAMES)
    frames = np.arange(points.shape[1])
    there = [[np.interp(times, frames, track[:, axis]) for axis in (0, 1)] for track in points]
    assert apart(torch.tensor(np.array(there)).transpose(1, 2).float(), expected) <= 0.5


TURN = CURVE | {"rotate": 20, "there_and_back": True}
CLICKS = {"kind": "track", "points": "12.3%,71.7% 37.1%,83.9% 21%,90%", "start": 2, "end": 9}
SCENES = {
    "tracks": scene_data(CURVE, ANCHOR, CLICKS, frames=17),
    "a camera": scene_data(CURVE, ANCHOR, CAMERA, frames=20),
    "a loop": scene_data(CURVE | {"there_and_back": True}, loop=True, frames=24),
    "all that moves": scene_data(TURN, {"kind": "camera", "move": "zoom in 10%, rotate right 3"}, frames=16),
}
LARGEST = {"wan-move": 0.02, "ati": 1 / 16 + 0.02, "kjnodes": 0.5, "comfy-tracks": 0.02, "cotracker": 0.02}
"""Pixels, in x and in y: what a format's numbers are rounded to, and what a line between frames cuts off."""


def grid_as_the_clip_has_it(request: AnimationRequest, side: int) -> torch.Tensor:
    """Where the middles of side x side fields are carried, read off the whole motion, [N, T, 2]."""
    motion = plan(request).motion.plan
    y, x = (torch.arange(side) + 0.5) / side * HEIGHT - 0.5, (torch.arange(side) + 0.5) / side * WIDTH - 0.5
    start = torch.cartesian_prod(y, x).flip(1)
    flow = whole_flow(motion, range(request.num_frames - 1))
    moved = torch.stack([sample_at(step, start) for step in flow.pixels])
    return torch.cat([start[None], start + moved]).transpose(0, 1)


def sample_at(flow: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    sides = torch.tensor([WIDTH - 1, HEIGHT - 1])
    inside = (places / sides * 2 - 1)[None, None]
    there = torch.nn.functional.grid_sample(flow[None], inside, align_corners=True)
    return there[0, :, 0].T


@pytest.mark.slow
@pytest.mark.parametrize("form", READERS)
@pytest.mark.parametrize("kind", SCENES)
def test_a_scene_survives_export_and_import_within_half_a_pixel(folder: Path, form: str, kind: str) -> None:
    request = AnimationRequest.from_data(SCENES[kind]).relative_to(folder)
    _, name = READERS[form]
    points = "grid" if kind == "all that moves" else "tracks"
    export_scene(request, folder / name, Wanted(form, None, (WIDTH, HEIGHT), points, grid=6))
    import_motion(form, folder / name, folder / "back" / "scene.yaml", folder / "photo.png")
    written = READERS[form][0](folder / name)
    # A loop is written from its first frame to its last, which an import takes for a clip that ends there.
    again = AnimationRequest.from_file(folder / "back" / "scene.yaml").model_copy(
        update={"frames": request.num_frames}
    )
    expected = grid_as_the_clip_has_it(request, 6) if points == "grid" else seen_tracks(request)
    expected = expected[:, : request.num_frames]
    came_back = plan(again).motion.plan.tracks
    found = seen_tracks(again)
    seen = torch.cat([one.visible for one in came_back])
    expected = expected[torch.tensor(written[1].any(1))]
    difference = float((found - expected).abs()[seen].max())
    assert seen.float().mean() > 0.8
    assert difference <= LARGEST[form]


def test_an_export_for_a_models_own_size_comes_back_to_the_photos_pixels(folder: Path) -> None:
    request = scene(folder, CURVE, frames=81)
    export_scene(request, folder / "walk", Wanted("wan-move", points="tracks"))
    with Image.open(folder / "walk" / "first_frame.png") as first:
        assert first.size == (832, 480)
    import_motion("wan-move", folder / "walk", folder / "s.yaml", folder / "photo.png", (832, 480))
    again = AnimationRequest.from_file(folder / "s.yaml").model_copy(update={"size": None})
    assert apart(seen_tracks(again), seen_tracks(request)) < 0.05
    # Without a photo named, the folder's first frame is the picture.
    import_motion("wan-move", folder / "walk", folder / "own.yaml")
    assert AnimationRequest.from_file(folder / "own.yaml").picture == folder / "walk" / "first_frame.png"


@pytest.mark.slow
def test_svg_has_the_lines_in_its_view_box(folder: Path) -> None:
    request = scene(folder, CURVE | {"ease": "linear"}, ANCHOR)
    export_scene(request, folder / "out.svg", Wanted("svg"))
    text = (folder / "out.svg").read_text()
    assert f'viewBox="0 0 {WIDTH - 1} {HEIGHT - 1}"' in text
    first, second = (
        np.array([[float(n) for n in pair.split()] for pair in re.split(" ?[ML] ", path)[1:]])
        for path in re.findall(r'd="([^"]+)"', text)
    )
    expected = seen_tracks(request).numpy()
    assert np.abs(first - expected[0]).max() < 0.01
    assert np.abs(second - expected[1][:1]).max() < 0.01
    import_motion("svg", folder / "out.svg", folder / "s.yaml", folder / "photo.png")
    again = seen_tracks(AnimationRequest.from_file(folder / "s.yaml").model_copy(update={"frames": 200}))
    assert off_line(seen_tracks(request)[0], again[0]) < 0.05
    assert off_line(again[0], seen_tracks(request.model_copy(update={"frames": 200}))[0]) <= 0.5


def test_a_grid_moves_with_everything_and_hides_what_is_covered(folder: Path) -> None:
    export_scene(scene(folder, CURVE), folder / "w", Wanted("wan-move", 5, (WIDTH, HEIGHT), grid=20))
    points, visible = read_wan_move(folder / "w")
    assert points.shape == (400, 5, 2)
    start, end = points[:, 0], points[:, -1]
    on_disc = np.hypot(start[:, 0] - 40, start[:, 1] - 40) < 12
    assert np.abs(end[on_disc] - start[on_disc] - [70, 12]).max() < 1.5
    assert visible[on_disc].all()
    landed_on = np.hypot(start[:, 0] - 110, start[:, 1] - 52) < 12
    assert np.abs(end[landed_on] - start[landed_on]).max() < 0.1
    assert not visible[landed_on, -1].any()
    far = start[:, 1] > 80
    assert visible[far].all()


def test_a_camera_carries_the_grid_out_of_the_picture(folder: Path) -> None:
    export_scene(
        scene(folder, {"kind": "camera", "move": "pan right 40 px"}),
        folder / "g.npz",
        Wanted("cotracker", 5, grid=8),
    )
    points, visible = read_cotracker(folder / "g.npz")
    assert np.abs(points[:, -1] - points[:, 0] - [-40, 0]).max() < 1e-3
    gone = points[:, -1, 0] < -0.5
    assert gone.any()
    assert not visible[gone, -1].any()
    assert visible[~gone].all()


@pytest.mark.slow
def test_time_to_move_gets_the_clip_and_what_moved_in_it(folder: Path) -> None:
    export_scene(scene(folder, CURVE), folder / "ttm", Wanted("ttm", frames=7, prompt="a disc"))
    assert (folder / "ttm" / "prompt.txt").read_text() == "a disc\n"
    signal, mask = (read_video(folder / "ttm" / name).frames for name in ("motion_signal.mp4", "mask.mp4"))
    assert signal.shape == mask.shape == (7, 3, HEIGHT, WIDTH)
    with Image.open(folder / "ttm" / "first_frame.png") as first:
        photo = torch.from_numpy(np.array(first)).permute(2, 0, 1)
    assert (signal[0].float() - photo).abs().mean() < 8
    white = mask[:, 0] > 127
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    for frame, (left, top) in ((0, (40, 40)), (6, (110, 52))):
        disc = (x - left) ** 2 + (y - top) ** 2 < 16**2
        both, either = (white[frame] & disc).sum(), (white[frame] | disc).sum()
        assert both / either > 0.85
    import_motion("ttm", folder / "ttm", folder / "s.yaml")
    [reference] = AnimationRequest.from_file(folder / "s.yaml").controls
    assert reference.video == folder / "ttm" / "motion_signal.mp4"
    region = np.array(Image.open(reference.region.mask).convert("L")) > 127
    assert region.sum() == pytest.approx(math.pi * 16**2, rel=0.1)


def test_klings_brush_gets_masks_and_paths_from_the_bottom(folder: Path) -> None:
    export_scene(scene(folder, CURVE, ANCHOR, frames=200), folder / "k", Wanted("kling"))
    content = json.loads((folder / "k" / "request.json").read_text())
    [dynamic] = content["dynamic_masks"]
    path = dynamic["trajectories"]
    assert len(path) <= 77
    assert path[0] == {"x": 40, "y": HEIGHT - 1 - 40}
    assert path[-1] == {"x": 110, "y": HEIGHT - 1 - 52}
    mask = np.array(Image.open(folder / "k" / dynamic["mask"]).convert("L")) > 127
    assert mask[40, 40]
    assert mask.sum() == pytest.approx(math.pi * 16**2, rel=0.05)
    assert (folder / "k" / content["static_mask"]).exists()
    import_motion("kling", folder / "k", folder / "s.yaml")
    back = seen_tracks(AnimationRequest.from_file(folder / "s.yaml"))
    assert off_line(back[0], seen_tracks(scene(folder, CURVE, frames=400))[0]) <= 0.5


@pytest.mark.parametrize(
    ("form", "name", "controls", "says"),
    [
        ("wan-mov", "out", [CURVE], 'did you mean "wan-move"'),
        ("ati", "out.npz", [CURVE], r"written as \.pth"),
        ("cotracker", "out.npz", [CAMERA], None),
        ("kling", "out", [CURVE, CAMERA], "tracks alone"),
        ("kling", "out", [ANCHOR], "1 to 6 things, not 0"),
    ],
)
def test_what_a_format_cannot_hold_is_said(
    folder: Path, form: str, name: str, controls: list[dict], says: str | None
) -> None:
    wanted = Wanted(form, points="tracks")
    with pytest.raises(InputError, match=says or "no tracks"):
        export_scene(scene(folder, *controls), folder / name, wanted)
    assert not (folder / name).exists()


def test_the_command_line_goes_both_ways(folder: Path, capsys: pytest.CaptureFixture) -> None:
    (folder / "scene.yaml").write_text(scene(folder, CURVE, ANCHOR).to_yaml())
    out, back = str(folder / "t.npz"), str(folder / "back.yaml")
    assert main(["export", str(folder / "scene.yaml"), "--to", "cotracker", "-o", out]) == 0
    arguments = ["import", out, "--from", "cotracker", "--picture", str(folder / "photo.png"), "-o", back]
    assert main(arguments) == 0
    assert capsys.readouterr().out.split() == [out, back]
    assert main(arguments) == 2
    assert "--overwrite" in capsys.readouterr().err
    for form in FORMATS:
        absent = ["import", str(folder / "absent"), "--from", form, "-o", str(folder / "no.yaml")]
        assert main([*absent, "--picture", str(folder / "photo.png")]) == 2
        assert capsys.readouterr().err.startswith("mofa: ")
    assert not list(folder.glob("no*"))
