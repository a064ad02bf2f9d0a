"""Faces are found, chosen and followed; where there is none, one sentence says what was tried."""

import builtins
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import distance_transform_edt

from mofa.errors import InputError, ResourceError, WeightsError
from mofa.faces import detection as face_module
from mofa.faces.detection import (
    MODEL,
    Face,
    FaceTrack,
    choose_face,
    find_face,
    follow_face,
    in_step,
    open_face_finder,
    same_face,
    windows_of,
)
from mofa.faces.points import NUM_MESH_POINTS, face_size, points_of_mesh
from mofa.faces.sketch import draw_sketch
from mofa.media.decode import read_video

pytest.importorskip("mediapipe")

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"

MEDIA = Path(__file__).parents[3] / "shared" / "media"


def opening_of(points: torch.Tensor) -> torch.Tensor:
    return points[..., 66, 1] - points[..., 62, 1]


def test_a_face_lies_where_it_was_drawn(person):
    face, count = find_face(person())
    assert count == 1
    assert face.mesh.shape == (NUM_MESH_POINTS, 3)
    assert face.score > 0.8
    left_eye, right_eye = face.points[36:42].mean(0), face.points[42:48].mean(0)
    assert left_eye.tolist() == pytest.approx([103, 118], abs=5)
    assert right_eye.tolist() == pytest.approx([153, 118], abs=5)
    assert face.points[60:68].mean(0).tolist() == pytest.approx([128, 179], abs=6)


@pytest.mark.slow
def test_of_several_faces_the_largest_is_first_and_a_click_chooses(person):
    picture = torch.full((3, 256, 448), 128, dtype=torch.uint8)
    picture[:, :, :256] = person()
    picture[:, 60:220, 280:440] = person(size=160)
    largest, count = find_face(picture)
    assert count == 2
    assert largest.points[:, 0].mean() < 256
    for which in (2, (360.0, 140.0)):
        other, _ = find_face(picture, which)
        assert other.points[:, 0].mean() > 256
    with pytest.raises(InputError, match="shows 2"):
        find_face(picture, 3)


@pytest.mark.slow
def test_of_several_faces_in_a_video_the_largest_is_followed_and_that_is_told(person):
    picture = torch.full((3, 256, 448), 128, dtype=torch.uint8)
    picture[:, :, :256] = person()
    notes: list[str] = []
    follow_face(picture.expand(3, -1, -1, -1), 25.0, what="talk.mp4", note=notes.append)
    assert notes == []
    picture[:, 60:220, 280:440] = person(size=160)
    track = follow_face(picture.expand(3, -1, -1, -1), 25.0, what="talk.mp4", note=notes.append)
    assert track.mesh[:, :, 0].mean() < 256
    assert ["talk.mp4 shows 2 faces, and the largest is followed" in note for note in notes] == [True]
    follow_face(picture.expand(3, -1, -1, -1), 25.0, (360.0, 140.0), note=notes.append)
    assert len(notes) == 1


@pytest.mark.slow
def test_a_face_that_is_small_in_a_large_picture_is_found(person):
    picture = torch.full((3, 700, 700), 128, dtype=torch.uint8)
    picture[:, 500:660, 30:190] = person(size=160)
    face, _ = find_face(picture)
    alone, _ = find_face(person(size=160))
    assert (face.points - alone.points - torch.tensor([30.0, 500.0])).norm(dim=1).max() < 5


@pytest.fixture
def crowded(person) -> torch.Tensor:
    """A photo of 2400 x 1600 with a face of 60 pixels at 1565, 970, and a larger one at 2130, 330."""
    photo = Image.open(PHOTOS / "rocket.jpg").convert("RGB").resize((2400, 1600))
    picture = torch.from_numpy(np.array(photo)).permute(2, 0, 1).clone()
    picture[:, 900:1030, 1500:1630] = person(size=130)
    picture[:, 200:456, 2000:2256] = person()
    return picture


@pytest.mark.slow
def test_a_face_of_60_pixels_is_found_where_it_is_pointed_at(crowded, person):
    face, count = find_face(crowded, (1555.0, 985.0))
    alone, _ = find_face(person(size=130))
    assert count == 2
    assert face.size == pytest.approx(60, abs=3)
    assert (face.points - alone.points - torch.tensor([1500.0, 900.0])).norm(dim=1).max() < 4


def test_another_face_than_the_one_pointed_at_is_not_driven(crowded):
    with pytest.raises(InputError, match=r"no face was found at 300,1300 in it.*nearest.* lies at 2\d\d\d,3"):
        find_face(crowded, (300.0, 1300.0), "it")


@pytest.mark.slow
def test_a_small_face_alone_is_found_unasked(crowded):
    alone = crowded.clone()
    alone[:, 200:456, 2000:2256] = alone[:, 500:756, 2000:2256]
    face, count = find_face(alone)
    assert count == 1
    assert face.points.mean(0).tolist() == pytest.approx([1565, 975], abs=10)


def test_a_small_face_is_followed_through_a_large_video(person):
    frames = torch.full((4, 3, 720, 1280), 128, dtype=torch.uint8)
    for index, frame in enumerate(frames):
        frame[:, 300:430, 600 + 10 * index : 730 + 10 * index] = person(size=130)
    track = follow_face(frames, 25.0, (665.0, 370.0))
    assert track.found.all()
    assert track.mesh[:, :, 0].mean(1).diff().tolist() == pytest.approx([10, 10, 10], abs=1.5)


def test_where_there_is_no_face_the_message_says_what_was_tried():
    with pytest.raises(InputError, match=r"64 x 48 pixels.*windows.*--landmarks"):
        find_face(torch.zeros(3, 48, 64, dtype=torch.uint8), what="photo.jpg")
    with pytest.raises(InputError, match="3 frames of 64 x 48"):
        follow_face(torch.zeros(3, 3, 48, 64, dtype=torch.uint8), 25.0)


def test_a_face_that_is_too_small_is_refused(person):
    picture = torch.full((3, 200, 200), 128, dtype=torch.uint8)
    picture[:, 60:124, 60:124] = person(size=64)
    with pytest.raises(InputError, match="too small"):
        find_face(picture)


def test_a_still_video_does_not_move(person):
    track = follow_face(person().expand(5, -1, -1, -1), 25.0)
    points = track.landmarks.points
    assert torch.equal(points, points[:1].expand_as(points))


def test_a_moving_face_is_followed_and_gaps_are_bridged(person):
    frames = torch.stack([person(turn=2.0 * frame) for frame in range(6)])
    frames[2:4] = 128
    track = follow_face(frames, 25.0)
    assert track.gaps == ((2, 3),)
    assert track.landmarks.score.tolist()[2:4] == [0.0, 0.0]
    middles = track.mesh[:, :, 0].mean(1)
    assert torch.allclose(middles.diff(), torch.full((5,), 2.0), atol=0.8)


def test_frames_at_irregular_times_keep_their_times():
    starts = [1.0, 1.2, 1.4, *(1.6 + k / 25 for k in range(10))]
    travelled = torch.tensor(starts) - 1
    mesh = torch.zeros(len(starts), 478, 3)
    mesh[..., 0] = 100 * travelled[:, None]
    found = torch.ones(len(starts), dtype=torch.bool)
    found[1] = False
    ones = torch.ones(len(starts))
    track = in_step(FaceTrack(mesh, torch.zeros(len(starts), 52), ones, found, 25.0), starts, 2.0)
    assert track.fps == 25
    moments = torch.arange(len(track.found)) / 25
    assert len(moments) == 50, "a second before the first frame, and one of frames"
    # Held before the first frame and after the last; within a frame of where it is in between.
    expected = 100 * (moments - 1).clamp(0, float(travelled[-1]))
    torch.testing.assert_close(track.mesh[:, 0, 0], expected, atol=1e-3, rtol=0)
    assert track.found[:26].all()
    assert not track.found[26:35].any()
    assert track.found[35:].all()


def test_frames_at_a_steady_beat_are_left_alone():
    track = FaceTrack(torch.rand(9, 478, 3), torch.rand(9, 52), torch.ones(9), torch.ones(9).bool(), 25.0)
    same = in_step(track, [k / 30 for k in range(9)], 0.3)
    assert same.mesh is track.mesh
    assert same.fps == 30


def test_a_face_that_is_hardly_ever_seen_is_refused(person):
    frames = torch.full((12, 3, 256, 256), 128, dtype=torch.uint8)
    frames[5] = person()
    with pytest.raises(InputError, match="only 1 of the 12 frames"):
        follow_face(frames, 25.0)


def test_an_open_mouth_is_seen(person):
    frames = torch.stack([person(), person(opening=9.0)])
    opening = opening_of(points_of_mesh(follow_face(frames, 25.0).mesh))
    assert opening[1] > opening[0] + 10


def test_windows_cover_the_picture_and_overlap():
    seen = torch.zeros(50, 90)
    for rows, columns in windows_of(50, 90):
        seen[rows, columns] += 1
    assert seen.min() >= 2
    assert next(windows_of(50, 90)) == (slice(0, 50), slice(0, 90))


def a_face(x: float) -> Face:
    mesh = 50 * torch.rand(NUM_MESH_POINTS, 3, generator=torch.Generator().manual_seed(0))
    return Face(mesh + torch.tensor([x, 0.0, 0.0]), 0.9, torch.zeros(52))


def test_findings_that_overlap_are_one_face():
    assert same_face(a_face(0), a_face(5))
    assert not same_face(a_face(0), a_face(60))
    assert choose_face([a_face(0), a_face(60)], (90.0, 20.0), "it").mesh[0, 0] > 60


def test_without_mediapipe_one_sentence_names_the_extra(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("mediapipe"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ResourceError, match=r'pip install "mofa-video\[faces\]"'), open_face_finder():
        pass


def test_a_changed_model_file_is_refused(monkeypatch, tmp_path):
    changed = tmp_path / "face_landmarker.task"
    changed.write_bytes(MODEL.read_bytes()[:-1] + b"?")
    for path in (changed, tmp_path / "missing.task"):
        monkeypatch.setattr(face_module, "MODEL", path)
        with pytest.raises(WeightsError, match="install mofa again"), open_face_finder():
            pass


@pytest.mark.slow
@pytest.mark.skipif(not MEDIA.exists(), reason="the reference clips are not here")
def test_a_talking_head_has_the_landmarks_that_are_drawn_of_it():
    """Of every feature, the drawn pixels and ours lie within 3 % of the face's size of each other."""
    video = read_video(MEDIA / "talking_head_121f.gif", 41)
    drawn = read_video(MEDIA / "talking_head_sketch_121f.gif", 41).frames[::10]
    points = follow_face(video.frames, video.fps).landmarks.points[::10]
    ours = draw_sketch(points, *drawn.shape[-2:]) * 255
    size = float(face_size(points).mean())
    misses = [
        miss
        for mine, theirs in zip(ours, drawn.float(), strict=True)
        for colours in (GREENS, EYES_AND_BROWS, NOSES)
        for miss in apart(painted(mine, colours), painted(theirs, colours))
    ]
    assert sum(misses) / len(misses) < 0.03 * size


GREENS = ((10, 200, 10),)
EYES_AND_BROWS = ((180, 200, 10), (180, 220, 10), (10, 200, 180), (10, 220, 180))
NOSES = ((10, 200, 250), (250, 200, 10))


def painted(picture: torch.Tensor, colours: tuple[tuple[int, int, int], ...]) -> torch.Tensor:
    distance = (picture[None] - torch.tensor(colours)[:, :, None, None]).norm(dim=1)
    return distance.amin(0) < 60


def apart(one: torch.Tensor, other: torch.Tensor) -> list[float]:
    """How far each pixel of one drawing lies from the nearest of the other, on the mean, both ways."""
    to_other, to_one = (torch.from_numpy(distance_transform_edt(~mask.numpy())) for mask in (other, one))
    return [float(to_other[one].mean()), float(to_one[other].mean())]
