"""Clips whose motion is known, and the files of other programs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from mofa.evaluation.scene import Scene
from mofa.evaluation.synthetic import SyntheticSuite
from mofa.evaluation.trackers import LucasKanade
from mofa.evaluation.trial import Instruments
from mofa.media.encode import write_clip
from mofa.tensors.flow import bilinear_sample
from mofa.tensors.geometry import pixel_grid
from mofa.types import Clip, TrackSet
from mofa.vision.dis import dis_flow

NUM_FRAMES = 9
SMALL = SyntheticSuite(scenes=3, seed=1, width=128, height=128, frames=NUM_FRAMES)


def textured(height: int, width: int, seed: int) -> torch.Tensor:
    """Smooth noise, [3, H, W] in 0..255."""
    rng = np.random.default_rng(seed)
    layers = gaussian_filter(rng.normal(size=(3, height, width)), (0, 1.5, 1.5))
    low, high = layers.min(), layers.max()
    return torch.from_numpy(255 * (layers - low) / (high - low)).float()


def shifted(picture: torch.Tensor, x: float, y: float) -> torch.Tensor:
    grid = pixel_grid(*picture.shape[1:], picture) - torch.tensor([x, y])[:, None, None]
    return bilinear_sample(picture[None], grid[None])[0]


def draw_square(
    velocity: tuple[float, float],
    camera: tuple[float, float] = (0.0, 0.0),
    num_frames: int = NUM_FRAMES,
    size: int = 128,
) -> torch.Tensor:
    """Bytes [T, 3, size, size]: a textured square that leaves the middle before a textured ground; both in
    pixels per frame, the square's velocity relative to the ground."""
    ground, thing = textured(size, size, 0), textured(size, size, 1)
    alpha = torch.zeros(1, size, size)
    low, high = int(0.35 * size), int(0.65 * size)
    alpha[:, low:high, low:high] = 1
    frames = []
    for t in range(num_frames):
        x, y = camera[0] * t, camera[1] * t
        cover = shifted(alpha, x + velocity[0] * t, y + velocity[1] * t)
        moved = shifted(thing, x + velocity[0] * t, y + velocity[1] * t)
        frames.append(moved * cover + shifted(ground, x, y) * (1 - cover))
    return torch.stack(frames).round().clamp(0, 255).to(torch.uint8)


def ask_square(
    velocity: tuple[float, float],
    camera: tuple[float, float] = (0.0, 0.0),
    num_frames: int = NUM_FRAMES,
    size: int = 128,
) -> Scene:
    """The question whose answer is `draw_square` with the same arguments: hints on the square and on two
    places of the ground, and other points of both."""
    time = torch.arange(num_frames)[:, None]
    own, ground = torch.tensor(velocity) + torch.tensor(camera), torch.tensor(camera)

    def tracks(places: list[tuple[float, float]], speed: torch.Tensor) -> torch.Tensor:
        return torch.tensor(places)[:, None] * (size / 128) + time * speed

    hints = torch.cat(
        [tracks([(56.0, 56.0), (72.0, 70.0)], own), tracks([(20.0, 30.0), (100.0, 104.0)], ground)]
    )
    others = torch.cat(
        [tracks([(64.0, 64.0), (57.0, 72.0)], own), tracks([(24.0, 100.0), (102.0, 25.0)], ground)]
    )
    return Scene(
        name="square",
        picture=draw_square(velocity, camera, 1, size)[0],
        fps=8.0,
        hints=TrackSet(hints, torch.ones(hints.shape[:2], dtype=torch.bool)),
        others=TrackSet(others, torch.ones(others.shape[:2], dtype=torch.bool)),
        rests=torch.tensor([False, False, True, True, False, False, True, True]),
        camera=torch.cat(
            [torch.eye(2).expand(num_frames - 1, 2, 2), (time[1:] * ground)[:, :, None]], dim=-1
        ),
    )


@pytest.fixture
def instruments() -> Instruments:
    return Instruments(LucasKanade(), dis_flow)


@pytest.fixture(scope="session")
def other_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What another program made of the small suite: the true clips, lightly compressed."""
    folder = tmp_path_factory.mktemp("other")
    for name in SMALL.names():
        scene = SMALL.open(name)
        assert scene.reference is not None
        write_clip(Clip(scene.reference, scene.fps), folder / f"{name}.mp4")
    return folder


@pytest.fixture(scope="session")
def small() -> SyntheticSuite:
    """A suite of three small scenes."""
    return SMALL


@pytest.fixture(scope="session")
def moving_square():
    """Draws clips: see `draw_square`."""
    return draw_square


@pytest.fixture(scope="session")
def square_scene():
    """Asks for them: see `ask_square`."""
    return ask_square
