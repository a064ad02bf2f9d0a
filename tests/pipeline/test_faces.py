"""A face is driven: by a video of itself it does what it did, and the clip is as long as the sound."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mofa.errors import InputError, WeightsError
from mofa.evaluation.stages import toy_networks
from mofa.faces.landmark_files import landmark_bytes
from mofa.faces.points import face_size
from mofa.faces.retarget import at_rate
from mofa.media.audio import read_audio
from mofa.media.decode import read_video
from mofa.media.encode import write_clip
from mofa.pipeline.animate import animate, plan, resolve
from mofa.pipeline.engine import Speakers
from mofa.pipeline.face_inputs import FaceDrive, length_of, sound_of
from mofa.pipeline.faces import driven_faces, fade_out
from mofa.pipeline.inputs import read_drives, read_inputs
from mofa.pipeline.mofa_pipeline import MofaPipeline
from mofa.pipeline.outputs import output_files, write_outputs
from mofa.pipeline.request import AnimationRequest, LandmarkControl
from mofa.renderers.diffusion.settings import SvdSettings
from mofa.tensors.motion import as_seen
from mofa.types import Clip, LandmarkClip, Waveform

pytest.importorskip("mediapipe")


@pytest.fixture
def folder(tmp_path, person):
    Image.fromarray(person().permute(1, 2, 0).numpy()).save(tmp_path / "person.png")
    return tmp_path


def request(folder, *controls: dict, **more: object) -> AnimationRequest:
    data = {"picture": str(folder / "person.png"), "controls": list(controls)} | more
    return AnimationRequest.from_data(data)


def landmarks_file(folder, points: torch.Tensor, fps: float = 25.0) -> dict:
    (folder / "clip.json").write_bytes(
        landmark_bytes(LandmarkClip(points, torch.ones(len(points)), fps), ".json")
    )
    return {"kind": "landmarks", "file": str(folder / "clip.json")}


def video_file(folder, frames: torch.Tensor) -> dict:
    write_clip(Clip(frames, 25.0), folder / "driver.mp4")
    return {"kind": "landmarks", "video": str(folder / "driver.mp4")}


@pytest.mark.slow
def test_a_driving_videos_damaged_sound_is_told_and_missing_sound_is_not(folder, person, monkeypatch):
    asked = request(folder, video_file(folder, torch.stack([person()] * 4)))
    [silent_drive] = read_drives(asked).values()
    assert silent_drive.sound is None
    assert silent_drive.notes == ()

    def damaged(*_: object) -> Waveform:
        raise InputError("The sound of driver.mp4 is damaged; save or download it again.")

    monkeypatch.setattr("mofa.pipeline.face_inputs.read_audio", damaged)
    [drive] = read_drives(asked).values()
    assert drive.sound is None
    assert drive.notes == (
        "The sound of driver.mp4 is damaged; save or download it again. The clip stays silent.",
    )


@pytest.mark.slow
def test_a_still_video_of_the_person_moves_nothing(folder, person):
    planned = plan(request(folder, video_file(folder, torch.stack([person()] * 4))))
    assert planned.settings.frames == 4
    assert planned.settings.fps == pytest.approx(25)
    points = planned.motion.faces[0]
    assert (points - points[:1]).abs().max() < 0.2


def test_driven_by_itself_a_face_does_what_it_did(folder, person):
    frames = torch.stack([person(), person(opening=4.0, turn=4.0), person(opening=8.0, turn=8.0)])
    planned = plan(request(folder, video_file(folder, frames)))
    moved = planned.motion.faces[0][2] - planned.motion.faces[0][0]
    assert moved[30, 0].item() == pytest.approx(8, abs=1.5)  # the nose goes with the head
    assert (moved[66] - moved[62])[1] > 8  # and the lips part


def test_a_landmark_file_moves_the_mouth_and_nothing_far_away(folder, face_points):
    spoken = face_points.clone()
    spoken[[56, 57, 58, 65, 66, 67], 1] += 12
    control = landmarks_file(folder, torch.stack([face_points, spoken])) | {"face": 1}
    result = animate(request(folder, control, frames=2))
    assert result.clip is not None
    changed = (result.clip.frames[1].int() - result.clip.frames[0].int()).abs().amax(0)
    assert changed[170:200, 110:146].max() > 60
    assert changed[:40].max() <= 1
    assert changed[:, :20].max() <= 1


def test_points_by_hand_need_no_detection(folder, face_points):
    (folder / "points.json").write_text(json.dumps(face_points.tolist()))
    Image.fromarray(np.full((200, 200, 3), 90, np.uint8)).save(folder / "person.png")
    control = landmarks_file(folder, face_points + torch.arange(3.0)[:, None, None])
    planned = plan(request(folder, control | {"landmarks": str(folder / "points.json")}))
    assert torch.allclose(planned.motion.faces[0][2], face_points + 2, atol=0.01)


def test_strength_0_is_stillness(folder, face_points):
    control = landmarks_file(folder, face_points + torch.arange(3.0)[:, None, None]) | {"strength": 0}
    result = animate(request(folder, control))
    assert result.clip is not None
    assert torch.equal(result.clip.frames[2], result.clip.frames[0])


def test_a_face_and_a_track_share_the_picture(folder, face_points):
    control = landmarks_file(folder, face_points + torch.arange(3.0)[:, None, None])
    track = {"kind": "track", "points": "20,230 30,230"}
    branches = plan(request(folder, control, track)).motion.plan.branches
    assert [branch.adapter for branch in branches] == ["trajectory", "landmark"]
    assert torch.allclose(branches[0].region + branches[1].region, torch.ones(1), atol=1e-5)
    assert branches[1].region[0, 140, 128] == 1
    assert branches[0].region[0, 250, 10] == 1
    assert branches[1].face is not None


def test_alone_a_face_rules_the_whole_picture(folder, face_points):
    control = landmarks_file(folder, face_points + torch.arange(3.0)[:, None, None])
    [branch] = plan(request(folder, control)).motion.plan.branches
    assert branch.adapter == "landmark"
    assert branch.region.min() == 1


def test_the_camera_moves_what_is_seen_of_a_face_and_leaves_the_face_to_the_scene(folder, face_points):
    control = landmarks_file(folder, face_points.expand(3, -1, -1))
    planned = plan(request(folder, control, {"kind": "camera", "move": "pan right 10 px"}))
    branch = planned.motion.plan.branches[1]
    assert branch.face is not None
    assert torch.allclose(branch.face[2], branch.face[0], atol=1e-3)
    seen = planned.motion.faces[0]
    assert torch.allclose(seen[2] - seen[0], torch.tensor([-10.0, 0.0]), atol=1e-2)
    assert branch.motion.over([1]).pixels[0, :, 140, 128].tolist() == pytest.approx([0, 0], abs=0.05)
    shown = as_seen(branch.motion, planned.motion.plan.camera).over([1])
    assert shown.pixels[0, :, 140, 128].tolist() == pytest.approx([-10, 0], abs=0.05)


def test_a_loop_ends_where_it_began(folder, face_points):
    control = landmarks_file(folder, face_points + torch.arange(9.0)[:, None, None])
    points = plan(request(folder, control, loop=True)).motion.faces[0]
    assert len(points) == 10
    assert torch.allclose(points[-1], points[0], atol=1e-3)
    assert fade_out(9)[0] == 1


def test_the_clip_is_as_long_as_its_driver_unless_asked_otherwise(folder, face_points):
    control = landmarks_file(folder, face_points.expand(30, -1, -1), fps=15.0)
    asked = request(folder, control)
    drives = read_drives(asked)
    assert length_of(asked, drives) == (30, 15.0)
    assert length_of(request(folder, control, frames=8), drives) == (8, 15.0)
    assert length_of(request(folder, control, fps=30), drives) == (60, 30.0)
    clip = at_rate(LandmarkClip(face_points[None], torch.ones(1), 15.0), 30.0, 3)
    assert torch.equal(clip.points[2], face_points)


def test_a_track_beyond_a_driven_clip_is_refused_once_its_length_is_known(folder, face_points):
    control = landmarks_file(folder, face_points.expand(5, -1, -1))
    late = {"kind": "track", "points": "20,230 30,230", "end": 20}
    with pytest.raises(InputError, match=r"frames 0\.\.4"):
        plan(request(folder, control, late))


@pytest.mark.slow
def test_several_faces_and_none_chosen_is_said(folder, person, face_points):
    both = torch.full((3, 256, 448), 128, dtype=torch.uint8)
    both[:, :, :256] = person()
    both[:, 60:220, 280:440] = person(size=160)
    Image.fromarray(both.permute(1, 2, 0).numpy()).save(folder / "person.png")
    control = landmarks_file(folder, face_points.expand(3, -1, -1))
    [note] = plan(request(folder, control)).motion.notes
    assert "2 faces" in note
    assert "largest" in note
    chosen = plan(request(folder, control | {"face": "360,140"})).motion
    assert chosen.notes == ()
    assert chosen.faces[0][0, :, 0].mean() > 256


def test_landmarks_are_drawn_beside_the_clip(folder, face_points):
    control = landmarks_file(folder, face_points.expand(2, -1, -1))
    outputs = {"clip": str(folder / "clip.mp4"), "extras": ["landmarks"]}
    files = write_outputs(animate(request(folder, control, outputs=outputs)))
    assert files["landmarks"].name == "clip.landmarks.mp4"
    assert files["landmarks"].exists()
    asked = request(folder, {"kind": "camera", "move": "still"}, outputs=outputs)
    settled = resolve(asked, read_inputs(asked))
    with pytest.raises(InputError, match="no face"):
        output_files(settled)


@pytest.mark.slow
def test_a_take_turns_the_head_to_the_persons_right_and_a_flip_to_the_left(folder):
    rows = [f"0,{0.4 * k / 4},0,0" for k in range(5)]
    (folder / "take.csv").write_text("\n".join(["JawOpen,HeadYaw,HeadPitch,HeadRoll", *rows]))
    take = {"kind": "landmarks", "file": str(folder / "take.csv")}

    def nose(**more):
        asked = request(folder, take | more)
        inputs = read_inputs(asked)
        [face] = driven_faces(asked, inputs, 3, 30.0, Speakers())
        return (face.points[-1, 30] - face.points[0, 30]).tolist()

    right, left, still = nose(), nose(flip_head="yaw"), nose(pose=0, mouth=0, eyes=0, brows=0)
    assert right[0] < -4  # towards the left of the picture
    assert left[0] > 4
    assert still == [0, 0]


@pytest.mark.slow
def test_a_face_that_is_small_in_a_large_driving_video_drives(folder, person):
    frames = torch.full((4, 3, 720, 1280), 128, dtype=torch.uint8)
    for index, frame in enumerate(frames):
        frame[:, 300:430, 600:730] = person(size=130, opening=3.0 * index)
    [drive] = read_drives(request(folder, video_file(folder, frames))).values()
    assert isinstance(drive.motion, LandmarkClip)
    opening = drive.motion.points[:, 66, 1] - drive.motion.points[:, 62, 1]
    assert float(face_size(drive.motion.points[0])) == pytest.approx(60, abs=4)
    assert opening[-1] > opening[0] + 2


def voice_file(folder, seconds: float = 0.6):
    """A hum that comes and goes, as sound in a WAV file."""
    time = np.arange(int(16000 * seconds)) / 16000
    hum = np.sin(2 * np.pi * 130 * time) * np.sin(np.pi * time / seconds) * 0.5
    with wave.open(str(folder / "voice.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((hum * 32767).astype("<i2").tobytes())
    return {"kind": "landmarks", "speech": str(folder / "voice.wav")}


@pytest.mark.slow
def test_speech_is_as_long_as_its_clip_and_heard_in_it(folder):
    outputs = {"clip": str(folder / "clip.mp4"), "extras": []}
    result = animate(request(folder, voice_file(folder), outputs=outputs))
    assert result.settings.frames == 15
    assert result.settings.fps == 25
    assert result.clip is not None
    assert not torch.equal(result.clip.frames[7], result.clip.frames[0])
    write_outputs(result)
    heard = read_audio(folder / "clip.mp4")
    seen = read_video(folder / "clip.mp4")
    length = heard.samples.shape[1] / heard.rate
    assert abs(length - len(seen.frames) / seen.fps) < 1 / 25 + 2 * 1024 / 16000  # AAC comes in blocks


def test_speech_cut_short_is_cut_with_the_clip(folder):
    result = plan(request(folder, voice_file(folder), frames=5))
    assert result.sound is not None
    assert result.sound.samples.shape[1] == round(5 / 25 * 16000)


def test_several_voices_are_heard_together():
    def drive(level: float, rate: int, seconds: float) -> FaceDrive:
        sound = Waveform(torch.full((1, int(rate * seconds)), level), rate)
        return FaceDrive(sound, 25.0, seconds, sound)

    first, second = LandmarkControl(speech=Path("a.wav")), LandmarkControl(speech=Path("b.wav"), face=2)
    heard = sound_of({first: drive(0.5, 16000, 0.4), second: drive(0.25, 16000, 0.8)}, 15, 25.0)
    assert heard is not None
    assert heard.samples.shape == (1, 9600)
    assert heard.samples[0, 3000].item() == pytest.approx(0.75, abs=0.01)
    assert heard.samples[0, 9000].item() == pytest.approx(0.25, abs=0.01)
    assert sound_of({}, 15, 25.0) is None


@pytest.mark.slow
def test_a_learned_driver_without_weights_says_how_to_get_them(folder, monkeypatch):
    monkeypatch.setenv("MOFA_HOME", str(folder / "none"))
    for driver in ("aniportrait", "sadtalker"):
        with pytest.raises(WeightsError, match="mofa models download"):
            plan(request(folder, voice_file(folder) | {"driver": driver}))


@pytest.mark.slow
def test_a_face_and_a_track_go_through_the_diffusion_renderer_together(folder):
    torch.manual_seed(0)
    settings = SvdSettings(steps=2, device="cpu")
    pipe = MofaPipeline(toy_networks(torch.device("cpu"), torch.float32), settings)
    track = {"kind": "track", "points": "20,230 60,230"}

    def clip(*controls):
        return pipe(folder / "person.png", controls, height=64, width=64, num_frames=4, output_type="pt")

    both, alone = clip(voice_file(folder), track), clip(track)
    assert both.animation.sound is not None
    assert both.frames.shape == (1, 4, 3, 64, 64)
    assert not torch.equal(both.frames, alone.frames)


def test_each_kind_of_motion_asks_for_its_adapter(folder):
    face, camera = voice_file(folder), {"kind": "camera", "move": "still"}
    assert request(folder, face).adapters == ("landmark",)
    assert request(folder, camera).adapters == ("trajectory",)
    assert request(folder, camera, face).adapters == ("trajectory", "landmark")
