import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter
from torch import Tensor

from mofa.faces.drivers.signal_audio import signal_driver
from mofa.media.audio import read_audio
from mofa.tensors.sound import mono
from mofa.types import Waveform

RATE = 16000
FORMANTS = {"a": (750, 1200, 2600), "i": (300, 2300, 3000), "u": (310, 800, 2300)}
SPEECH = Path(__file__).parents[2] / "../shared/media/speech_5s.wav"


def arc(start: tuple[float, float], end: tuple[float, float], sag: float, count: int) -> list[list[float]]:
    """`count` points from start to end, the middle `sag` lower."""
    share = np.linspace(0, 1, count)
    x = start[0] + (end[0] - start[0]) * share
    y = start[1] + (end[1] - start[1]) * share + sag * 4 * share * (1 - share)
    return np.stack([x, y], axis=1).tolist()


@pytest.fixture
def face() -> Tensor:
    """An upright face 140 px wide, centred at (200, 200), its mouth open by 8 px."""
    jaw = [[200 - 70 * math.cos(a), 190 + 90 * math.sin(a)] for a in np.linspace(0, math.pi, 17)]
    brows = arc((145, 165), (185, 165), -8, 5) + arc((215, 165), (255, 165), -8, 5)
    nose = arc((200, 185), (200, 215), 0, 4) + arc((190, 224), (210, 224), 2, 5)
    eyes = [
        point
        for x in (165, 235)
        for point in [[x - 12, 185], [x - 4, 181], [x + 4, 181], [x + 12, 185], [x + 4, 189], [x - 4, 189]]
    ]
    outer = arc((175, 245), (225, 245), -12, 7) + arc((225, 245), (175, 245), 16, 7)[1:-1]
    inner = arc((181, 245), (219, 245), -4, 5) + arc((219, 245), (181, 245), 4, 5)[1:-1]
    return torch.tensor(jaw + brows + nose + eyes + outer + inner, dtype=torch.float32)


def voiced(formants: tuple[float, ...], seconds: float) -> Tensor:
    """A buzz of 120 Hz through resonances 90 Hz wide."""
    sound = np.zeros(round(seconds * RATE))
    sound[:: RATE // 120] = 1
    for frequency in formants:
        radius = math.exp(-math.pi * 90 / RATE)
        sound = lfilter([1], [1, -2 * radius * math.cos(2 * math.pi * frequency / RATE), radius**2], sound)
    return torch.from_numpy(0.3 * sound / np.abs(sound).max()).float()


def say(sounds: str, seconds: float = 0.25) -> Waveform:
    """Vowels a, i and u, m behind closed lips, s, and _ for a pause, one after the other."""
    generator = torch.Generator().manual_seed(0)
    fade = torch.hann_window(round(seconds * RATE), periodic=False).sqrt()
    spoken = []
    for sound in sounds:
        if sound == "_":
            piece = torch.zeros(len(fade))
        elif sound == "m":
            muffled = lfilter([0.03], [1, -0.97], voiced((250,), seconds).numpy())
            piece = torch.from_numpy(muffled).float()
        elif sound == "s":
            hiss = torch.randn(len(fade), generator=generator)
            piece = 0.05 * torch.from_numpy(lfilter([1, -1.6, 0.64], [1], hiss.numpy())).float()
        else:
            piece = voiced(FORMANTS[sound], seconds)
        spoken.append(piece * fade)
    return Waveform(torch.cat(spoken)[None], RATE)


def opening(points: Tensor) -> Tensor:
    """Distance between the lips in the middle."""
    return (points[:, 66] - points[:, 62]).norm(dim=-1)


def lip_width(points: Tensor) -> Tensor:
    return (points[:, 54] - points[:, 48]).norm(dim=-1)


def envelope(speech: Waveform, fps: float, num_frames: int) -> Tensor:
    """RMS over the time of each frame."""
    pieces = np.array_split(mono(speech).numpy(), num_frames)
    return torch.tensor([math.sqrt(float((piece**2).mean())) for piece in pieces])


def correlation(one: Tensor, other: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one, other]))[0, 1])


def assert_follows(speech: Waveform, face: Tensor) -> None:
    """Correlation above 0.7 at 25 fps, and the best match within 60 ms at 100 fps."""
    seconds = speech.samples.shape[1] / speech.rate
    num_frames = int(seconds * 25)
    points = signal_driver(speech, face, 25.0, num_frames, seed=0).points
    assert correlation(opening(points), envelope(speech, 25, num_frames)) > 0.7
    fine = opening(signal_driver(speech, face, 100.0, 4 * num_frames, seed=0).points)
    heard = envelope(speech, 100, 4 * num_frames)
    inner = slice(40, -40)
    match = {lag: correlation(fine[inner], heard.roll(lag)[inner]) for lag in range(-30, 31)}
    assert abs(max(match, key=match.__getitem__)) < 6


def test_the_mouth_follows_a_synthetic_voice(face: Tensor) -> None:
    assert_follows(say("_ama_iua_sa_uma_ai_a__a"), face)


@pytest.mark.skipif(not SPEECH.exists(), reason="needs ../shared/media/speech_5s.wav")
def test_the_mouth_follows_real_speech(face: Tensor) -> None:
    assert_follows(read_audio(SPEECH), face)


def test_vowels_and_labials_have_their_own_lips(face: Tensor) -> None:
    points = signal_driver(say("aaiiuumm"), face, 25.0, 50, seed=0).points
    middle = {sound: slice(12 * i + 5, 12 * i + 10) for i, sound in enumerate("aium")}
    wide = {sound: float(opening(points[part]).mean()) for sound, part in middle.items()}
    broad = {sound: float(lip_width(points[part]).mean()) for sound, part in middle.items()}
    assert wide["a"] > 1.2 * wide["i"] > 0
    assert wide["m"] < 0.15 * wide["a"]
    assert broad["i"] > 1.05 * broad["a"] > 1.05 * broad["u"]
    lips = (points[:, 57] - points[:, 51]).norm(dim=-1)
    assert lips[middle["m"]].mean() < 0.7 * lips[middle["i"]].mean()


def test_a_voice_without_overtones_moves_the_mouth(face: Tensor) -> None:
    seconds = torch.arange(3 * RATE) / RATE
    level = 0.5 - 0.5 * torch.cos(2 * math.pi * 1.5 * seconds)
    hum = Waveform((0.3 * level * torch.sin(2 * math.pi * 220 * seconds))[None], RATE)
    assert_follows(hum, face)


@pytest.mark.parametrize("level", [0.0, 0.0005])
def test_silence_closes_the_mouth_and_it_stays_closed(face: Tensor, level: float) -> None:
    noise = level * torch.randn(1, 2 * RATE, generator=torch.Generator().manual_seed(0))
    points = signal_driver(Waveform(noise, RATE), face, 25.0, 75, seed=0).points
    assert opening(points)[0] > 7
    assert opening(points)[8:].max() < 0.5


def test_pauses_and_the_end_close_the_mouth(face: Tensor) -> None:
    points = signal_driver(say("a__a"), face, 25.0, 60, seed=0).points
    wide = opening(points)
    assert wide[3] > 8
    assert wide[12] < 1
    assert wide[40:].max() < 1


def test_closing_an_open_mouth_lifts_the_jaw_and_leaves_the_upper_lip(face: Tensor) -> None:
    face[[55, 56, 57, 58, 59, 65, 66, 67], 1] += 24
    face[5:12, 1] += 20
    silent = Waveform(torch.zeros(1, RATE), RATE)
    still = signal_driver(silent, face, 25.0, 20, seed=0).points
    rest, nose = still[-1] - still[-1, 30], face - face[30]
    assert opening(still)[-1] < 0.5
    assert nose[8, 1] - rest[8, 1] > 10
    assert abs(float(nose[51, 1] - rest[51, 1])) < 0.3 * 32
    assert rest[57, 1] > rest[66, 1] - 0.1


def test_frame_0_is_the_given_face(face: Tensor) -> None:
    clip = signal_driver(say("ai"), face, 30.0, 5, seed=3)
    torch.testing.assert_close(clip.points[0], face, atol=1e-3, rtol=0)
    assert clip.fps == 30
    assert torch.equal(clip.score, torch.ones(5))


def test_a_clip_starts_like_a_longer_one_and_the_seed_decides(face: Tensor) -> None:
    speech = say("a_i_u_a_i_u_a_i_u_")
    short, long, other = (
        signal_driver(speech, face, 25.0, frames, seed).points
        for frames, seed in ((40, 1), (100, 1), (100, 2))
    )
    torch.testing.assert_close(short, long[:40])
    assert not torch.allclose(long, other, atol=0.1)
    torch.testing.assert_close(opening(long), opening(other), atol=0.1, rtol=0)


def test_a_tilted_scaled_face_moves_as_an_upright_one(face: Tensor) -> None:
    angle, scale = 0.6, 2.5
    turn = scale * torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    speech = say("amu_s")
    upright = signal_driver(speech, face, 25.0, 40, seed=0).points
    tilted = signal_driver(speech, face @ turn + 30, 25.0, 40, seed=0).points
    torch.testing.assert_close(tilted, upright @ turn + 30, atol=1e-2, rtol=0)


def test_eyes_blink_a_few_times_and_are_open_in_between(face: Tensor) -> None:
    silent = Waveform(torch.zeros(1, RATE), RATE)
    points = signal_driver(silent, face, 25.0, 1500, seed=0).points
    eye = (points[:, 41] - points[:, 37]).norm(dim=-1)
    shut = eye < 2
    blinks = int((shut[1:] & ~shut[:-1]).sum())
    assert 10 <= blinks <= 30
    assert (eye > 7.9).float().mean() > 0.85


def test_the_head_is_never_quite_still_and_never_far(face: Tensor) -> None:
    silent = Waveform(torch.zeros(1, RATE), RATE)
    nose = signal_driver(silent, face, 25.0, 500, seed=0).points[:, 30] - face[30]
    assert 2 < nose.norm(dim=-1).max() < 14
    assert nose.diff(dim=0).norm(dim=-1).max() < 0.6


def test_loudness_of_the_recording_does_not_matter(face: Tensor) -> None:
    speech = say("a_ima")
    quiet = dataclasses.replace(speech, samples=0.2 * speech.samples)
    loud_points, quiet_points = (
        signal_driver(sound, face, 25.0, 30, seed=0).points for sound in (speech, quiet)
    )
    torch.testing.assert_close(loud_points, quiet_points, atol=0.1, rtol=0)


@settings(max_examples=20)
@given(
    seconds=st.floats(0.1, 1.0),
    rate=st.sampled_from([8000, 11025, 16000, 44100]),
    channels=st.integers(1, 2),
    num_frames=st.integers(1, 30),
    points=st.lists(st.floats(-500, 500), min_size=136, max_size=136),
)
def test_any_sound_and_any_points_give_finite_points(
    seconds: float, rate: int, channels: int, num_frames: int, points: list[float]
) -> None:
    sound = Waveform(voiced((700, 1200), seconds)[: int(seconds * rate)].expand(channels, -1), rate)
    clip = signal_driver(sound, torch.tensor(points).reshape(68, 2), 12.5, num_frames, seed=0)
    assert clip.points.shape == (num_frames, 68, 2)
    assert clip.points.isfinite().all()
