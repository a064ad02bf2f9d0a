"""Synthetic scenes: what they say about their motion is true of their pixels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mofa.errors import InputError
from mofa.tensors.flow import bilinear_sample
from mofa.tensors.geometry import pixel_grid
from mofa.training.synthetic import SceneSettings, SyntheticScenes
from mofa.training.synthetic_motion import AffinePath, Easing, Motion, Waves, gentle

PLAIN = SceneSettings(
    height=96,
    width=128,
    num_frames=4,
    bend_chance=0.8,
    limbs_chance=0.5,
    shadow_chance=0.0,
    blur_chance=0.0,
    motion_blur_chance=0.0,
    light_change=0.0,
    noise=0.0,
)


def looked_back(scene) -> torch.Tensor:
    """Every later frame, read where the flow says that frame 0's pixels went."""
    grid = pixel_grid(*scene.frames.shape[-2:], scene.flow)
    return bilinear_sample(scene.frames[1:], grid + scene.flow)


@pytest.mark.parametrize("index", range(8))
def test_what_is_visible_has_the_colour_it_had(index: int) -> None:
    scene = SyntheticScenes(PLAIN, seed=5)[index]
    wrong = (looked_back(scene) - scene.frames[:1]).abs().mean(dim=1, keepdim=True)
    # Outlines blend with what is behind them, and reading between pixels softens fine patterns.
    assert wrong[scene.visible].median() < 0.02
    assert wrong[scene.visible].mean() < 0.06


def test_what_is_hidden_does_not() -> None:
    scenes = [SyntheticScenes(PLAIN, seed=5)[i] for i in range(8)]
    wrong = [(looked_back(s) - s.frames[:1]).abs().mean(dim=1, keepdim=True) for s in scenes]
    hidden = torch.cat([w[~s.visible] for w, s in zip(wrong, scenes, strict=True)])
    seen = torch.cat([w[s.visible] for w, s in zip(wrong, scenes, strict=True)])
    assert hidden.mean() > 4 * seen.mean()


def test_the_same_seed_and_index_is_the_same_scene_and_others_are_not() -> None:
    scenes = SyntheticScenes(PLAIN, seed=1)
    assert torch.equal(scenes[3].frames, SyntheticScenes(PLAIN, seed=1)[3].frames)
    assert not torch.equal(scenes[3].frames, scenes[4].frames)
    assert not torch.equal(scenes[3].frames, SyntheticScenes(PLAIN, seed=2)[3].frames)


def test_a_motion_backward_undoes_it_forward() -> None:
    waves = gentle(Waves(torch.tensor([[5.0, 2.0]]), torch.tensor([[0.1, 0.05]]), torch.tensor([0.3])))
    path = AffinePath((40.0, 30.0), (9.0, -4.0), (2.0, 1.0), 0.4, 0.2, 0.05, Easing("in-out"))
    moved = Motion((AffinePath((50.0, 50.0), turn=0.1), path), waves).at(torch.linspace(0, 1, 4))
    points = torch.rand(2, 50, generator=torch.Generator().manual_seed(0)) * 100
    there = moved.forward(points)
    back = torch.stack([moved[i : i + 1].backward(there[i])[0] for i in range(4)])
    assert torch.allclose(there[0], points, atol=1e-4)
    assert (back - points).abs().max() < 2e-3


def test_a_shift_of_the_camera_alone_is_a_flow_of_that_shift() -> None:
    settings = replace(PLAIN, objects=(0, 0), camera_chance=1.0, camera_turn=0.0, camera_growth=0.0)
    scene = SyntheticScenes(settings, seed=3)[0]
    assert scene.flow[-1].flatten(1).std(dim=1).max() < 1e-4
    assert scene.flow[-1].abs().max() > 0.5
    assert scene.object_masks.shape[0] == 0
    assert not scene.object_index.any()


def test_masks_share_every_pixel_with_the_background_and_agree_with_the_index() -> None:
    scene = SyntheticScenes(replace(PLAIN, objects=(2, 3)), seed=9)[1]
    assert scene.object_masks.sum(dim=0).max() <= 1 + 1e-5
    for thing, mask in enumerate(scene.object_masks, start=1):
        assert (mask[scene.object_index[0] == thing] >= 0.49).all()


def test_tracks_start_at_their_pixels_and_follow_the_flow() -> None:
    scene = SyntheticScenes(PLAIN, seed=2)[0]
    pixels = scene.sample_points(10, seed=0, on_objects=1.0)
    tracks = scene.tracks(pixels)
    x, y = pixels.unbind(-1)
    assert tracks.points.shape == (10, 4, 2)
    assert torch.equal(tracks.points[:, 0], pixels.float())
    assert tracks.visible[:, 0].all()
    assert torch.allclose(tracks.points[:, 2] - pixels, scene.flow[1, :, y, x].T, atol=1e-4)
    assert (scene.object_index[0, y, x] > 0).all()


def test_photos_and_cut_outs_from_folders_are_used(tmp_path: Path) -> None:
    photos, cutouts = tmp_path / "photos", tmp_path / "cutouts"
    photos.mkdir()
    cutouts.mkdir()
    Image.new("RGB", (90, 60), (0, 0, 255)).save(photos / "sea.png")
    disc = np.zeros((40, 40, 4), np.uint8)
    disc[8:32, 8:32] = (255, 0, 0, 255)
    Image.fromarray(disc, "RGBA").save(cutouts / "red.png")
    settings = replace(PLAIN, objects=(3, 3), limbs_chance=0.0, photos=photos, cutouts=cutouts)
    scene = SyntheticScenes(settings, seed=0)[0]
    colours = {tuple(c) for c in (scene.frames[0] * 255).round().int().flatten(1).T.tolist()}
    assert (0, 0, 255) in colours
    assert (255, 0, 0) in colours


def test_a_photo_without_transparency_is_no_cut_out(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), (10, 200, 90)).save(tmp_path / "plain.png")
    settings = replace(PLAIN, objects=(3, 3), limbs_chance=0.0, cutouts=tmp_path)
    with pytest.raises(InputError, match="no transparent parts"):
        [SyntheticScenes(settings)[i] for i in range(4)]


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no pictures"):
        SyntheticScenes(replace(PLAIN, photos=tmp_path))[0]
