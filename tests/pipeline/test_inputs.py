"""What a request names is read before anything is loaded, from files or from a caller's memory."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mofa.densify.edge_aware import spread_hints
from mofa.errors import InputError
from mofa.media.encode import write_clip
from mofa.pipeline.animate import animate, plan
from mofa.pipeline.engine import Engines, Speakers
from mofa.pipeline.inputs import read_inputs
from mofa.pipeline.parts import Engine
from mofa.pipeline.plan import mesh_flow
from mofa.pipeline.request import AnimationRequest
from mofa.types import Clip, TrackSet, Waveform
from mofa.vision.dis import dis_flow

WIDTH, HEIGHT = 96, 64


@pytest.fixture
def picture() -> torch.Tensor:
    noise = np.random.default_rng(1).uniform(0, 255, (16, 24, 3)).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(noise).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    return torch.from_numpy(smooth.copy()).permute(2, 0, 1) / 255


@pytest.fixture
def folder(tmp_path: Path, picture: torch.Tensor) -> Path:
    pixels = (picture * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    Image.fromarray(np.full((8, 12), 255, np.uint8)).save(tmp_path / "mask.png")
    Image.fromarray(np.full((12, 8), 255, np.uint8)).save(tmp_path / "tall.png")
    corner = np.zeros((8, 12), np.uint8)
    corner[6:, 10:] = 255
    Image.fromarray(corner).save(tmp_path / "corner.png")
    all_but = np.full((8, 12), 255, np.uint8)
    all_but[:5, :5] = 0
    Image.fromarray(all_but).save(tmp_path / "all_but.png")
    hidden = '[{"points": [[1, 2], [3, 4]], "sampled": true, "visible": [false, true]}]'
    (tmp_path / "hidden.json").write_text(hidden)
    (tmp_path / "broken.json").write_text('{"tracks": [[1')
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    (tmp_path / "broken.wav").write_bytes(b"RIFF....")
    return tmp_path


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Counts the engines that are built; none of them renders anything."""
    built: list[object] = []

    def build(_: Engines, request: object) -> Engine:
        built.append(request)
        black = torch.zeros(2, 3, HEIGHT, WIDTH, dtype=torch.uint8)
        return Engine(spread_hints, mesh_flow, dis_flow, Speakers(), lambda *_: iter(black))

    monkeypatch.setattr(Engines, "engine", build)
    return built


GOOD = {"kind": "track", "points": "20,20 40,20"}
WRONG = {
    "pan": {"kind": "camera", "move": "pam right 40 px"},
    "There is no picture": GOOD | {"region": {"mask": "absent.png"}},
    "broken.json": {"kind": "track", "file": "broken.json"},
    "absent.npy": {"kind": "track", "file": "absent.npy"},
    "outside the picture": {"kind": "track", "points": "20,20 400,20"},
    "lies outside": GOOD | {"region": {"select": "120%,10%"}},
    "broken.mp4": {"kind": "reference", "video": "broken.mp4"},
    "at least two": {"kind": "reference", "video": "still.gif"},
    "broken.wav": {"kind": "landmarks", "speech": "broken.wav"},
    "absent.npz": {"kind": "landmarks", "file": "absent.npz"},
    "another aspect": GOOD | {"region": {"mask": "tall.png"}},
    "inside its region .*another mask": GOOD | {"region": {"mask": "corner.png"}},
    "inside its region .*the mask the other way round": GOOD | {"region": {"mask": "all_but.png"}},
    "leaves nothing to move": GOOD | {"start": 24},
    "visible in the first frame": {"kind": "track", "file": "hidden.json"},
}


@pytest.mark.slow
@pytest.mark.parametrize("says", WRONG)
def test_what_is_wrong_is_told_before_a_network_is_built(
    folder: Path, built: list[object], says: str
) -> None:
    write_clip(Clip(torch.zeros(1, 3, 16, 16, dtype=torch.uint8), 8.0), folder / "still.gif")
    data = {"picture": "photo.png", "renderer": "diffusion", "controls": [WRONG[says]]}
    with pytest.raises(InputError, match=says):
        animate(AnimationRequest.from_data(data).relative_to(folder))
    assert built == []
    animate(AnimationRequest.from_data(data | {"controls": [GOOD]}).relative_to(folder))
    assert len(built) == 1


@pytest.mark.slow
def test_a_reference_whose_data_break_off_is_told(folder: Path) -> None:
    noise = torch.randint(0, 256, (30, 3, 32, 48), dtype=torch.uint8, generator=torch.manual_seed(0))
    write_clip(Clip(noise, 25.0), folder / "whole.mp4")
    content = (folder / "whole.mp4").read_bytes()
    (folder / "broken.mp4").write_bytes(content[: len(content) // 2].ljust(len(content), b"\0"))
    data = {"picture": "photo.png", "frames": 4, "controls": [{"kind": "reference", "video": "broken.mp4"}]}
    result = animate(AnimationRequest.from_data(data).relative_to(folder))
    (note,) = (note for note in result.motion.notes if "broken.mp4" in note)
    assert "is cut short at" in note


def test_data_in_memory_moves_the_picture_as_the_same_data_in_files_does(
    folder: Path, picture: torch.Tensor
) -> None:
    places = torch.tensor([[[20.0, 30.0], [26.0, 31.0], [32.0, 32.0]]])
    np.save(folder / "walk.npy", places.numpy())
    region = torch.zeros(1, HEIGHT, WIDTH)
    region[:, 16:48, 8:60] = 1
    Image.fromarray((region[0] * 255).byte().numpy()).save(folder / "where.png")

    def planned(track: str, mask: str, **more: object) -> torch.Tensor:
        control = {"kind": "track", "file": track, "region": {"mask": mask}}
        scene = {"frames": 3, "controls": [control]}
        if more:
            request = AnimationRequest.from_call(scene)
            inputs = read_inputs(request, **more)
        else:
            request = AnimationRequest.from_call(scene | {"picture": "photo.png"}).relative_to(folder)
            inputs = None
        return plan(request, inputs).motion.plan.branches[0].motion.over([0, 1]).pixels

    given = {"walk": TrackSet(places, torch.ones(1, 3, dtype=torch.bool)), "where": region}
    from_files = planned("walk.npy", "where.png")
    exact = (picture * 255).round() / 255
    torch.testing.assert_close(planned("walk", "where", picture=exact, given=given), from_files)
    assert from_files.abs().max() > 5


@pytest.mark.slow
def test_a_voice_and_a_video_in_memory_are_taken_too(
    picture: torch.Tensor, face_points: torch.Tensor
) -> None:
    voice = Waveform(torch.sin(torch.arange(8000) / 10)[None] * 0.5, 16000)
    frames = torch.stack([(picture.roll(2 * s, 2) * 255).byte() for s in range(3)])
    request = AnimationRequest.from_call(
        {
            "controls": [
                {"kind": "landmarks", "speech": "voice", "landmarks": "points"},
                {"kind": "reference", "video": "waves"},
            ]
        }
    )
    given = {"voice": voice, "points": face_points / 4, "waves": Clip(frames, 8.0)}
    result = animate(request, read_inputs(request, picture=picture, given=given))
    assert result.clip is not None
    assert len(result.clip.frames) == 13  # half a second at the 25 frames per second that speech wants
    assert result.clip.audio is not None


@pytest.mark.parametrize(
    ("control", "given", "says"),
    [
        ({"kind": "track", "file": "x"}, torch.zeros(1, 4, 4), "given as Tensor, but TrackSet is needed"),
        (
            {"kind": "track", "file": "x"},
            TrackSet(torch.zeros(1, 2, 2), torch.zeros(1, 2).bool()),
            "no track",
        ),
        (GOOD | {"region": {"mask": "x"}}, torch.zeros(4, 4), r"needs to be \[1, height, width\]"),
        ({"kind": "landmarks", "file": "x"}, torch.zeros(68, 2), "LandmarkClip or BlendshapeClip"),
        ({"kind": "reference", "video": "x"}, Clip(torch.zeros(1, 3, 8, 8).byte(), 8.0), "at least two"),
    ],
)
def test_data_of_the_wrong_kind_is_refused_in_words(
    picture: torch.Tensor, control: dict, given: object, says: str
) -> None:
    request = AnimationRequest.from_call({"controls": [control]})
    with pytest.raises(InputError, match=says):
        read_inputs(request, picture=picture, given={"x": given})


def test_a_scene_needs_a_picture_and_a_caller_may_have_one(picture: torch.Tensor) -> None:
    scene = {"controls": [GOOD]}
    with pytest.raises(InputError, match='"picture" is missing'):
        AnimationRequest.from_data(scene)
    with pytest.raises(InputError, match='"picture" is missing'):
        read_inputs(AnimationRequest.from_call(scene))
    inputs = read_inputs(AnimationRequest.from_call(scene), picture=picture)
    assert (inputs.original.width, inputs.original.height) == (WIDTH, HEIGHT)
