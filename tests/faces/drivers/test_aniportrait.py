import pytest
import torch

from mofa.faces.drivers.aniportrait import AniPortraitDriver, calmed, chunks, head_pose
from mofa.faces.geometry import canonical_face, project
from mofa.faces.points import points_of_mesh
from mofa.models.aniportrait import SpeechToMesh, SpeechToPose
from mofa.models.tiny import TINY_SPEECH_NETWORK
from mofa.types import Waveform

HEIGHT = WIDTH = 256


@pytest.fixture(scope="module")
def driver() -> AniPortraitDriver:
    torch.manual_seed(0)
    away = torch.eye(4)
    away[2, 3] = -30
    face = canonical_face().points
    flat = project(face, away, HEIGHT, WIDTH)
    mesh = torch.cat([flat, -7 * face[:, 2:]], dim=1)
    return AniPortraitDriver(
        SpeechToMesh(TINY_SPEECH_NETWORK).eval(),
        SpeechToPose(TINY_SPEECH_NETWORK).eval(),
        mesh,
        HEIGHT,
        WIDTH,
    )


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (2, ((0, 2),)),
        (125, ((0, 125),)),
        (249, ((0, 249),)),
        (250, ((0, 125), (125, 250))),
        (390, ((0, 125), (125, 250), (250, 390))),
    ],
)
def test_pieces_last_five_seconds_and_the_last_one_takes_the_rest(
    frames: int, expected: tuple[tuple[int, int], ...]
) -> None:
    assert chunks(frames) == expected


@pytest.mark.parametrize(("seconds", "num_frames", "fps"), [(0.1, 3, 25.0), (0.5, 25, 12.5), (0.7, 1, 25.0)])
def test_any_length_speaks_from_the_given_face(
    driver: AniPortraitDriver, seconds: float, num_frames: int, fps: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    speech = Waveform(0.1 * torch.randn(2, round(seconds * 44100), generator=generator), 44100)
    face = points_of_mesh(driver.mesh)
    clip = driver(speech, face, fps, num_frames, seed=0)
    assert clip.points.shape == (num_frames, 68, 2)
    assert torch.equal(clip.points[0], face)
    assert clip.points.isfinite().all()
    assert clip.fps == fps


def test_silence_is_fine(driver: AniPortraitDriver) -> None:
    face = points_of_mesh(driver.mesh)
    clip = driver(Waveform(torch.zeros(1, 16000), 16000), face, 25.0, 10, seed=0)
    assert clip.points.isfinite().all()


@pytest.mark.slow
def test_longer_speech_is_heard_in_pieces(driver: AniPortraitDriver) -> None:
    seen: list[int] = []
    watched = AniPortraitDriver(
        driver.to_mesh,
        driver.to_pose,
        driver.mesh,
        HEIGHT,
        WIDTH,
        lambda stage, done, total: seen.append(total),
    )
    shapes, poses = watched.told(Waveform(torch.zeros(1, 16000 * 11), 16000), 260)
    assert len(shapes) == len(poses) == 260
    assert seen == [2, 2]


def test_calm_heads_turn_half_as_far_and_smoothly() -> None:
    steady = calmed(torch.ones(20, 6))
    torch.testing.assert_close(steady, torch.tensor([0.5] * 3 + [1.0] * 3).expand(20, -1))
    jerk = torch.zeros(20, 6)
    jerk[10] = 7.0
    smooth = calmed(jerk)
    torch.testing.assert_close(smooth[7:14, 5], torch.ones(7))
    assert not smooth[:7].any()


def test_a_pose_of_nothing_is_no_motion() -> None:
    torch.testing.assert_close(head_pose(torch.zeros(2, 6)), torch.eye(4).expand(2, 4, 4))
    turned = head_pose(torch.tensor([[0.0, 0.0, 90.0, 1.0, 2.0, 3.0]]))
    torch.testing.assert_close(turned[0] @ torch.tensor([1.0, 0, 0, 1]), torch.tensor([1.0, 3, 3, 1]))
