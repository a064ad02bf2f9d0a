"""How each measure is read off a trial: None where the scene has no truth for it."""

from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mofa.evaluation.measures import faces, motion
from mofa.evaluation.trial import Trial, chosen_tracks
from mofa.faces.points import face_size, points_of_mesh
from mofa.types import TrackSet

MOVED_PX, STAYED_PX, BETWEEN_PX = 3.0, 1.0, 2.0
"""A point of the truth moves when it ends more than 3 px from where the camera alone takes it and stays when
less than 1 px; a point of the clip counts as moved from 2 px on."""


def of_hints(read: Callable[[TrackSet, TrackSet], float | None]) -> Callable[[Trial], float | None]:
    """What two track sets say, asked of the hints."""

    def reading(trial: Trial) -> float | None:
        return read(trial.scene.hints, trial.hints) if len(trial.scene.hints.points) else None

    return reading


def of_others(read: Callable[[TrackSet, TrackSet], float | None]) -> Callable[[Trial], float | None]:
    """The same, asked of the points that were not given as hints."""

    def reading(trial: Trial) -> float | None:
        return read(trial.scene.others, trial.others) if len(trial.scene.others.points) else None

    return reading


def error_mean(asked: TrackSet, tracked: TrackSet) -> float | None:
    """Mean distance in pixels."""
    return motion.end_point_error(asked, tracked).mean


def error_p95(asked: TrackSet, tracked: TrackSet) -> float | None:
    """The distance that 95 % do not exceed, in pixels."""
    return motion.end_point_error(asked, tracked).quantile(0.95)


def relative_error(trial: Trial) -> float | None:
    """The mean distance of the hints in percent of the picture's diagonal."""
    height, width = trial.frames.shape[-2:]
    error = of_hints(error_mean)(trial)
    return None if error is None else 100 * error / (height**2 + width**2) ** 0.5


def gain(trial: Trial) -> float | None:
    """How much of the asked motion of the moving hints happened."""
    moving = trial.moving_hints
    return motion.motion_gain(chosen_tracks(trial.scene.hints, moving), chosen_tracks(trial.hints, moving))


def moves_at_all(trial: Trial) -> float | None:
    """1 when at least a tenth of the asked motion happened, else 0."""
    share = gain(trial)
    return None if share is None else float(abs(share) >= motion.STANDS_STILL)


def lag(trial: Trial) -> float | None:
    """Frames by which tracked motion is late."""
    moving = trial.moving_hints
    delay = motion.frame_lag(chosen_tracks(trial.scene.hints, moving), chosen_tracks(trial.hints, moving))
    return None if delay is None else float(delay)


def background_distance(trial: Trial) -> float | None:
    """Mean distance in pixels between the thing's displacement and the background's."""
    moving = trial.moving_hints
    ground = trial.ground if len(trial.ground.points) else trial.background
    return motion.background_distance(chosen_tracks(trial.hints, moving), ground) if moving.any() else None


def drift(trial: Trial) -> float | None:
    """95th percentile in pixels of how far points that rest are from their places."""
    if not trial.scene.rests.any():
        return None
    return motion.drift(trial.scene.asked, trial.tracked, trial.scene.rests)


def camera_error(trial: Trial) -> float | None:
    """Mean distance in pixels between the asked camera and the one that the ground shows."""
    camera = trial.scene.camera
    if camera is None:
        return None
    return motion.camera_error(camera, trial.ground, *trial.frames.shape[-2:])[0]


def moved_iou(trial: Trial) -> float | None:
    """Over asked points that are seen at the end."""
    camera = trial.scene.camera
    if camera is None:
        return None
    found = motion.camera_error(camera, trial.ground, *trial.frames.shape[-2:])[1]
    wanted = motion.moved_by_itself(trial.scene.asked, camera)
    got = motion.moved_by_itself(trial.tracked, found)
    counts = trial.scene.asked.visible[:, -1] & trial.tracked.visible[:, -1]
    counts &= (wanted > MOVED_PX) | (wanted < STAYED_PX)
    moves, moved = (wanted > MOVED_PX) & counts, (got > BETWEEN_PX) & counts
    union = int((moves | moved).sum())
    return int((moves & moved).sum()) / union if union else None


def drag_score(field: str) -> Callable[[Trial], float | None]:
    """One of the scores of `motion.drag_scores`."""

    def reading(trial: Trial) -> float | None:
        scene = trial.scene
        if scene.thing is None:
            return None
        may = scene.may_move if scene.may_move is not None else torch.zeros_like(scene.thing)
        return float(getattr(motion.drag_scores(trial.dragged, scene.thing, may, trial.drag), field))

    return reading


def leak_outside(trial: Trial) -> float | None:
    """95th percentile in pixels of motion outside the brush."""
    brush = trial.scene.brush
    return None if brush is None else motion.leak_outside(trial.final_flow[None], brush)


def against_reference(
    read: Callable[[UInt8[Tensor, "T 3 H W"], UInt8[Tensor, "T 3 H W"]], Float[Tensor, " T"]],
) -> Callable[[Trial], float | None]:
    """The mean over frames after the first of what two clips say."""

    def reading(trial: Trial) -> float | None:
        truth = trial.scene.reference
        return None if truth is None else float(read(trial.frames[1:], truth[1:]).mean())

    return reading


def of_face(read: Callable[[Trial], float | None]) -> Callable[[Trial], float | None]:
    """Only scenes in which a face speaks have faces to measure."""

    def reading(trial: Trial) -> float | None:
        return None if trial.scene.speech is None else read(trial)

    return reading


def mouth_lag(trial: Trial) -> faces.Lag | None:
    """The delay of the mouth against the sound."""
    return faces.mouth_lag(faces.mouth_opening(trial.face.mesh), trial.loud, trial.scene.fps)


def mouth_lag_ms(trial: Trial) -> float | None:
    """That delay in milliseconds."""
    found = mouth_lag(trial)
    return None if found is None else 1000 * found.seconds


def mouth_correlation(trial: Trial) -> float | None:
    """The correlation at that delay."""
    found = mouth_lag(trial)
    return None if found is None else found.correlation


def lip_sync(trial: Trial) -> float | None:
    """Mean difference of opening and loudness."""
    return faces.lip_sync(faces.mouth_opening(trial.face.mesh), trial.loud, trial.spoken)


def head_dynamics(trial: Trial) -> float:
    """Turning and shifting of the head, in degrees and percent of the face."""
    mesh = trial.face.mesh
    size = face_size(points_of_mesh(mesh)).mean()
    return faces.head_dynamics(
        faces.head_angles(mesh, *trial.frames.shape[-2:]), 100 * mesh[:, :, :2].mean(1) / size
    )


def landmark_distance(trial: Trial) -> float | None:
    """Mean distance of the 68 points from those of the true clip."""
    true = trial.true_face
    return None if true is None else faces.landmark_distance(face_points(trial), points_of_mesh(true.mesh))


def face_points(trial: Trial) -> Float[Tensor, "T 68 2"]:
    """The 68 points of the face, per frame."""
    return points_of_mesh(trial.face.mesh)


def identity_similarity(trial: Trial) -> float | None:
    """Mean cosine similarity of every later frame's face to that of frame 0, where a network can tell."""
    reader = trial.instruments.identity
    if reader is None:
        return None
    embedded = reader.embeddings(trial.frames, face_points(trial))
    return float(torch.cosine_similarity(embedded[1:], embedded[:1]).mean())
