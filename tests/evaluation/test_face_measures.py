"""Face measures follow their definitions, and each common fault shows in its own number."""

import pytest
import torch

from mofa.evaluation.measures import faces
from mofa.faces.points import MESH_INDEX
from mofa.types import Waveform

FPS = 25.0


def mesh_with(opening: torch.Tensor, eyes: float = 100.0) -> torch.Tensor:
    """Meshes in which the inner lips are `opening` apart and the eyes' centres `eyes`."""
    mesh = torch.zeros(len(opening), 478, 2)
    mesh[:, :, 0] = torch.arange(478.0) % 20 * 10
    mesh[:, :, 1] = torch.arange(478.0) // 20 * 10
    mesh[:, list(faces.LEFT_EYE), 0], mesh[:, list(faces.RIGHT_EYE), 0] = 0.0, eyes
    for brow, eye, x in ((faces.LEFT_BROW, faces.LEFT_EYE, 0.0), (faces.RIGHT_BROW, faces.RIGHT_EYE, eyes)):
        mesh[:, list(brow), 0], mesh[:, list(brow), 1], mesh[:, list(eye), 1] = x, -20.0, 0.0
    mesh[:, list(faces.UPPER_INNER_LIP), 1] = 50.0
    mesh[:, list(faces.LOWER_INNER_LIP), 1] = 50 + opening[:, None]
    return mesh


def tone(loud: list[float], rate: int = 16000, seconds_each: float = 0.4) -> Waveform:
    """A vowel-like sound whose loudness changes in steps."""
    count = round(seconds_each * rate)
    time = torch.arange(count * len(loud)) / rate
    envelope = torch.tensor(loud).repeat_interleave(count)
    voice = sum(torch.sin(2 * torch.pi * f * time) for f in (150, 300, 600, 900, 1500)) / 5
    return Waveform((envelope * voice)[None], rate)


def test_opening_is_the_lips_distance_in_eye_distances() -> None:
    assert faces.mouth_opening(mesh_with(torch.tensor([0.0, 10.0, 25.0]))).tolist() == pytest.approx(
        [0, 0.1, 0.25]
    )
    twice = mesh_with(torch.tensor([20.0]), eyes=200.0)
    assert faces.mouth_opening(twice).tolist() == pytest.approx([0.1])


def test_loudness_is_the_rms_at_each_frame_and_nothing_after_the_end() -> None:
    sound = Waveform(0.5 * torch.ones(1, 16000), 16000)
    curve = faces.loudness(sound, FPS, 50)
    assert curve[:24].tolist() == pytest.approx([0.5] * 24)
    assert curve[27:].abs().max() == 0


def test_a_mouth_that_follows_the_loudness_is_in_sync_and_an_opposite_one_is_not() -> None:
    loud = torch.rand(100, generator=torch.Generator().manual_seed(0))
    speech = torch.ones(100, dtype=torch.bool)
    assert faces.lip_sync(3 * loud + 1, loud, speech) == pytest.approx(0, abs=1e-6)
    assert faces.lip_sync(-loud, loud, speech) > 0.4
    assert faces.lip_sync(loud, loud, torch.arange(100) < 5) is None


@pytest.mark.parametrize("late", [-5, 0, 1, 7])
def test_a_mouth_that_comes_late_reads_its_lag(late: int) -> None:
    loud = torch.rand(120, generator=torch.Generator().manual_seed(1))
    lag = faces.mouth_lag(loud.roll(late), loud, FPS)
    assert lag.seconds == pytest.approx(late / FPS)
    assert lag.correlation > 0.99
    assert faces.mouth_lag(torch.zeros(120), loud, FPS) is None
    assert faces.mouth_lag(loud[:10], loud[:10], FPS) is None


def test_lips_that_chatter_in_silence_are_told_from_lips_that_rest() -> None:
    speech = torch.zeros(50, dtype=torch.bool)
    speech[:20] = True
    resting = torch.full((50,), 4.0)
    chatter = resting + 6 * (torch.arange(50) % 2)
    assert faces.silent_lips(mesh_with(resting), speech, FPS) == 0
    assert faces.silent_lips(mesh_with(chatter), speech, FPS) > 0.02
    short = torch.ones(50, dtype=torch.bool)
    short[10:16] = False
    assert faces.silent_lips(mesh_with(resting), short, FPS) is None


def test_speech_is_where_a_voice_is() -> None:
    speech = faces.spoken(tone([0.0, 0.5, 0.0, 0.5, 0.0]), FPS, 50)
    assert speech[13:17].all()
    assert not speech[24:27].any()


def test_dynamics_are_zero_for_a_picture_and_grow_with_motion() -> None:
    still, talking = mesh_with(torch.full((20,), 5.0)), mesh_with(5 + 5 * torch.sin(torch.arange(20.0)))
    assert faces.lip_dynamics(still) == pytest.approx(0, abs=1e-6)
    assert faces.lip_dynamics(talking) > 0.1
    raised = still.clone()
    raised[::2, list(faces.LEFT_BROW + faces.RIGHT_BROW), 1] -= 2
    assert faces.brow_dynamics(still) == 0
    assert faces.brow_dynamics(raised) == pytest.approx(0.02)
    turning = torch.stack([torch.sin(torch.arange(20.0))] * 3, dim=1)
    assert faces.head_dynamics(torch.zeros(20, 3), torch.zeros(20, 2)) == 0
    assert faces.head_dynamics(2 * turning, torch.zeros(20, 2)) == pytest.approx(
        2**1.5 * faces.head_dynamics(turning, torch.zeros(20, 2))
    )


def test_what_should_not_move_is_told_apart_from_the_heads_motion(face_points: torch.Tensor) -> None:
    time = torch.arange(12.0)
    gliding = face_points + time[:, None, None] * torch.tensor([2.0, 1.0])
    assert faces.jitter(gliding) == pytest.approx(0, abs=1e-3)
    trembling = gliding + torch.randn(gliding.shape, generator=torch.Generator().manual_seed(2))
    assert faces.jitter(trembling) > 0.5
    assert faces.jitter(gliding[:2]) is None
    assert faces.identity_distance(gliding) == pytest.approx(0, abs=1e-3)
    wider = gliding.clone()
    wider[6:, :, 0] *= 1.2
    assert faces.identity_distance(wider) > 0.5


def test_landmark_distance_is_in_percent_of_the_eyes(face_points: torch.Tensor) -> None:
    clip = face_points.expand(4, -1, -1)
    assert faces.landmark_distance(clip, clip) == 0
    between = float((face_points[36] - face_points[45]).norm())
    assert faces.landmark_distance(clip + torch.tensor([3.0, 4.0]), clip) == pytest.approx(500 / between)


def test_a_pasted_box_has_an_edge_and_a_soft_change_has_none(face_points: torch.Tensor) -> None:
    y, x = torch.meshgrid(torch.arange(200.0), torch.arange(200.0), indexing="ij")
    soft = 40 * torch.exp(-((x - 100) ** 2 + (y - 110) ** 2) / 2000)
    box = torch.zeros(200, 200)
    box[60:160, 50:150] = 20

    def clip(change: torch.Tensor) -> torch.Tensor:
        frames = torch.stack([torch.full((200, 200), 100.0), 100 + soft, 100 + soft + change])
        return frames.round().to(torch.uint8)[:, None].repeat(1, 3, 1, 1)

    without, boxed = (faces.box_edge(clip(change), face_points) for change in (torch.zeros(200, 200), box))
    assert without < 5
    assert boxed > 8
    assert faces.box_edge(clip(box)[:1].expand(3, -1, -1, -1), face_points) is None


def test_the_mesh_and_the_68_points_agree_on_the_lips() -> None:
    assert set(MESH_INDEX[48:68]) <= set(faces.LIPS) | {0, 17}
