import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from mofa.faces.drivers.sadtalker import (
    Alignment,
    SadTalkerDriver,
    align,
    coefficients,
    cut_out,
    reconstruct,
    smoothed,
)
from mofa.faces.face_model import FaceModel
from mofa.models.sadtalker import FaceReconstruction, SpeechToExpression, SpeechToPose
from mofa.types import Waveform


@pytest.fixture(scope="module")
def driver() -> SadTalkerDriver:
    torch.manual_seed(0)
    return SadTalkerDriver(
        to_expression=SpeechToExpression().eval(),
        to_pose=SpeechToPose().eval(),
        face_model=FaceModel(torch.randn(68, 3), 0.1 * torch.randn(68, 3, 80), 0.1 * torch.randn(68, 3, 64)),
        source=coefficients(0.1 * torch.randn(257)),
        alignment=Alignment(10, 20, 448),
    )


@pytest.fixture
def face() -> Tensor:
    return 100 + 50 * torch.randn(68, 2, generator=torch.Generator().manual_seed(2))


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "num_frames", "fps"), [(0.1, 3, 25.0), (0.5, 20, 12.5), (0.7, 1, 25.0)])
def test_any_length_speaks_from_the_given_face(
    driver: SadTalkerDriver, face: Tensor, seconds: float, num_frames: int, fps: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    speech = Waveform(0.1 * torch.randn(2, round(seconds * 44100), generator=generator), 44100)
    clip = driver(speech, face, fps, num_frames, seed=0)
    assert clip.points.shape == (num_frames, 68, 2)
    assert torch.equal(clip.points[0], face)
    assert clip.points.isfinite().all()


def test_the_seed_decides_how_the_head_moves(driver: SadTalkerDriver, face: Tensor) -> None:
    silence = Waveform(torch.zeros(1, 16000), 16000)
    one, again, other = (driver(silence, face, 25.0, 8, seed).points for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)


def test_a_larger_square_moves_points_further_down_the_picture(driver: SadTalkerDriver, face: Tensor) -> None:
    speech = Waveform(0.1 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(0)), 16000)
    small = dataclasses.replace(driver, alignment=Alignment(10, 20, 224))
    large_motion = driver(speech, face, 25.0, 5, seed=0).points - face
    small_motion = small(speech, face, 25.0, 5, seed=0).points - face
    torch.testing.assert_close(large_motion, 2 * small_motion, atol=1e-3, rtol=1e-3)


def test_a_standard_face_is_aligned_wherever_it_lies() -> None:
    generator = torch.Generator().manual_seed(0)
    standard = torch.randn(68, 3, generator=generator)
    seen = standard[:, :2] * torch.tensor([1.0, -1.0])
    alignment = align(300 + 51 * seen, standard)
    assert alignment.side == 112
    assert alignment.scale == 2
    assert (alignment.left, alignment.top) == (244, 244)
    turn = torch.tensor([[math.cos(1), math.sin(1)], [-math.sin(1), math.cos(1)]])
    assert align(300 + 51 * seen @ turn, standard).side == 112


def test_the_cut_out_shows_the_square_and_black_beyond_the_picture() -> None:
    picture = torch.zeros(3, 100, 150)
    picture[0, 40:60, 70:90] = 1
    face = cut_out(picture, Alignment(70, 40, 20))
    assert face.shape == (3, 224, 224)
    torch.testing.assert_close(face[0], torch.ones(224, 224))
    beyond = cut_out(torch.ones(3, 100, 150), Alignment(-50, -50, 100))
    assert not beyond[:, :100, :100].any()
    torch.testing.assert_close(beyond[:, 130:, 130:], torch.ones(3, 94, 94))


@pytest.mark.slow
def test_a_picture_becomes_coefficients() -> None:
    torch.manual_seed(0)
    standard = torch.randn(68, 3)
    found, alignment = reconstruct(
        FaceReconstruction().eval(), torch.rand(3, 90, 120), 60 + 20 * standard[:, :2], standard
    )
    assert alignment.side == 44
    assert found.identity.shape == (80,)
    assert found.angles.shape == (3,)


def test_coefficients_come_in_the_networks_order() -> None:
    found = coefficients(torch.arange(257.0))
    assert (found.identity[0], found.expression[0]) == (0, 80)
    assert found.angles.tolist() == [224, 225, 226]
    assert found.translation.tolist() == [254, 255, 256]


@pytest.mark.parametrize("frames", [1, 2, 4, 12, 13, 40])
def test_smoothing_keeps_parabolas(frames: int) -> None:
    parabola = torch.from_numpy(np.linspace(-1, 1, frames)[:, None] ** 2 * np.arange(6)).float()
    torch.testing.assert_close(smoothed(parabola), parabola, atol=1e-5, rtol=0)
