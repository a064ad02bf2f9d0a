"""One clip against one scene: everything that can be measured, each by what the scene knows.

A measure that a scene has no truth for is absent from its row, never zero. The key of a measure names the
instrument that read it ("epe_hints.lk"), so that numbers of different instruments never share a column.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mofa.control.reference import FlowEstimator, measured_flow
from mofa.evaluation.features import PictureReader
from mofa.evaluation.measures import faces, motion, pixels
from mofa.evaluation.scene import Scene
from mofa.evaluation.trackers import Tracker
from mofa.faces.detection import FaceTrack, follow_face
from mofa.faces.points import face_size, points_of_mesh
from mofa.types import FlowField, TrackSet

Goal = str
LOW, HIGH, ONE, NONE = "low", "high", "one", "none"
"""Which values are better: low, high, near to one; none where a measure only describes."""
FACE_MESH = "mediapipe"
MOVED_PX, STAYED_PX, BETWEEN_PX = 3.0, 1.0, 2.0
"""A point of the truth moves when it ends more than 3 px from where the camera alone takes it and stays when
less than 1 px; a point of the clip counts as moved from 2 px on."""


@dataclass(frozen=True)
class Instruments:
    """What clips are read with. `flow_name` heads the columns of `estimate`; `readers` are the networks that
    look at pictures, of which there may be none."""

    tracker: Tracker
    estimate: FlowEstimator
    flow_name: str = "dis"
    readers: tuple[PictureReader, ...] = ()

    def names(self, by: str) -> str:
        """What reads the measures of a kind: "tracker", "flow", "face" or "" for the pixels alone."""
        return {"tracker": self.tracker.name, "flow": self.flow_name, "face": FACE_MESH, "": ""}[by]


class Trial:
    """A scene and the clip that was made for it, at the scene's size and length; readings are made once."""

    def __init__(self, scene: Scene, frames: UInt8[Tensor, "T 3 H W"], instruments: Instruments) -> None:
        self.scene, self.frames, self.instruments = scene, frames, instruments

    @cached_property
    def tracked(self) -> TrackSet:
        """Hints and others, as the clip shows them."""
        return self.instruments.tracker.follow(self.frames, self.scene.asked.points[:, 0])

    @property
    def hints(self) -> TrackSet:
        """The hints, as the clip shows them."""
        return _rows(self.tracked, torch.arange(len(self.tracked.points)) < len(self.scene.hints.points))

    @property
    def others(self) -> TrackSet:
        """What was not told, as the clip shows it."""
        return _rows(self.tracked, torch.arange(len(self.tracked.points)) >= len(self.scene.hints.points))

    @property
    def moving_hints(self) -> Bool[Tensor, " N"]:
        """The hints that do not rest in the world."""
        return ~self.scene.rests[: len(self.scene.hints.points)]

    @cached_property
    def steps(self) -> FlowField:
        """Flow between neighbouring frames."""
        return pixels.step_flow(self.frames, self.instruments.estimate)

    @cached_property
    def final_flow(self) -> Float[Tensor, "2 H W"]:
        """Flow from frame 0 to the last; what cannot be read stands still."""
        field = measured_flow(self.frames, self.instruments.estimate)
        return torch.where(field.valid[-1], field.pixels[-1], 0.0)

    @cached_property
    def background(self) -> TrackSet:
        """A grid of points beside the thing, as the clip shows them."""
        grid = motion.spread_grid(*self.frames.shape[-2:])
        if self.scene.thing is not None:
            x, y = grid.long().T
            grid = grid[~self.scene.thing[y, x]]
        return self.instruments.tracker.follow(self.frames, grid)

    @cached_property
    def face(self) -> FaceTrack:
        """The largest face through the clip. Raises InputError where there is none."""
        return follow_face(self.frames, self.scene.fps, what="the clip")

    @cached_property
    def true_face(self) -> FaceTrack | None:
        """The same in the true clip, where there is one."""
        truth = self.scene.reference
        return None if truth is None else follow_face(truth, self.scene.fps, what="the true clip")

    @cached_property
    def loud(self) -> Float[Tensor, " T"]:
        """How loud the speech is in every frame."""
        assert self.scene.speech is not None
        return faces.loudness(self.scene.speech.sound, self.scene.fps, len(self.frames))

    @cached_property
    def spoken(self) -> Bool[Tensor, " T"]:
        """Which frames lie within a phrase."""
        assert self.scene.speech is not None
        return faces.spoken(self.scene.speech.sound, self.scene.fps, len(self.frames))

    @cached_property
    def ground(self) -> TrackSet:
        """What rests in the world, as the clip shows it: the asked points that do."""
        return _rows(self.tracked, self.scene.rests)


def _rows(tracks: TrackSet, chosen: Bool[Tensor, " N"]) -> TrackSet:
    return TrackSet(tracks.points[chosen], tracks.visible[chosen])


@dataclass(frozen=True)
class Measure:
    """A column of the report: what it is called, its unit, which values are better, what reads it ("tracker",
    "flow" or ""), its definition in a sentence, and how a trial is read: None where it does not apply."""

    name: str
    title: str
    unit: str
    goal: Goal
    by: str
    definition: str
    read: Callable[[Trial], float | None]

    def key(self, instruments: Instruments) -> str:
        """The column's name in results: the measure and its instrument."""
        instrument = instruments.names(self.by)
        return f"{self.name}.{instrument}" if instrument else self.name


def _of_hints(read: Callable[[TrackSet, TrackSet], float | None]) -> Callable[[Trial], float | None]:
    def reading(trial: Trial) -> float | None:
        return read(trial.scene.hints, trial.hints) if len(trial.scene.hints.points) else None

    return reading


def _of_others(read: Callable[[TrackSet, TrackSet], float | None]) -> Callable[[Trial], float | None]:
    def reading(trial: Trial) -> float | None:
        return read(trial.scene.others, trial.others) if len(trial.scene.others.points) else None

    return reading


def _error_mean(asked: TrackSet, tracked: TrackSet) -> float | None:
    return motion.end_point_error(asked, tracked).mean


def _error_high(asked: TrackSet, tracked: TrackSet) -> float | None:
    return motion.end_point_error(asked, tracked).quantile(0.95)


def _relative_error(trial: Trial) -> float | None:
    height, width = trial.frames.shape[-2:]
    error = _of_hints(_error_mean)(trial)
    return None if error is None else 100 * error / (height**2 + width**2) ** 0.5


def _gain(trial: Trial) -> float | None:
    moving = trial.moving_hints
    return motion.motion_gain(_rows(trial.scene.hints, moving), _rows(trial.hints, moving))


def _guard(trial: Trial) -> float | None:
    gain = _gain(trial)
    return None if gain is None else float(abs(gain) >= motion.STANDS_STILL)


def _lag(trial: Trial) -> float | None:
    moving = trial.moving_hints
    lag = motion.frame_lag(_rows(trial.scene.hints, moving), _rows(trial.hints, moving))
    return None if lag is None else float(lag)


def _background(trial: Trial) -> float | None:
    moving = trial.moving_hints
    ground = trial.ground if len(trial.ground.points) else trial.background
    return motion.background_distance(_rows(trial.hints, moving), ground) if moving.any() else None


def _drift(trial: Trial) -> float | None:
    if not trial.scene.rests.any():
        return None
    return motion.drift(trial.scene.asked, trial.tracked, trial.scene.rests)


def _camera(trial: Trial) -> float | None:
    camera = trial.scene.camera
    if camera is None:
        return None
    return motion.camera_error(camera, trial.ground, *trial.frames.shape[-2:])[0]


def _points_iou(trial: Trial) -> float | None:
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


def _drag(field: str) -> Callable[[Trial], float | None]:
    def reading(trial: Trial) -> float | None:
        scene = trial.scene
        if scene.thing is None:
            return None
        may = scene.may_move if scene.may_move is not None else torch.zeros_like(scene.thing)
        drag = motion.displacement(scene.hints)[trial.moving_hints][0, -1]
        return float(getattr(motion.drag_scores(trial.final_flow, scene.thing, may, drag), field))

    return reading


def _leak_outside(trial: Trial) -> float | None:
    brush = trial.scene.brush
    return None if brush is None else motion.leak_outside(trial.final_flow[None], brush)


def _against_reference(
    read: Callable[[UInt8[Tensor, "T 3 H W"], UInt8[Tensor, "T 3 H W"]], Float[Tensor, " T"]],
) -> Callable[[Trial], float | None]:
    def reading(trial: Trial) -> float | None:
        truth = trial.scene.reference
        return None if truth is None else float(read(trial.frames[1:], truth[1:]).mean())

    return reading


def _of_face(read: Callable[[Trial], float | None]) -> Callable[[Trial], float | None]:
    """Only scenes in which a face speaks have faces to measure."""

    def reading(trial: Trial) -> float | None:
        return None if trial.scene.speech is None else read(trial)

    return reading


def _mouth_lag(trial: Trial) -> faces.Lag | None:
    return faces.mouth_lag(faces.mouth_opening(trial.face.mesh), trial.loud, trial.scene.fps)


def _mouth_lag_seconds(trial: Trial) -> float | None:
    lag = _mouth_lag(trial)
    return None if lag is None else 1000 * lag.seconds


def _mouth_correlation(trial: Trial) -> float | None:
    lag = _mouth_lag(trial)
    return None if lag is None else lag.correlation


def _lip_sync(trial: Trial) -> float | None:
    return faces.lip_sync(faces.mouth_opening(trial.face.mesh), trial.loud, trial.spoken)


def _head(trial: Trial) -> float:
    mesh = trial.face.mesh
    size = face_size(points_of_mesh(mesh)).mean()
    return faces.head_dynamics(
        faces.head_angles(mesh, *trial.frames.shape[-2:]), 100 * mesh[:, :, :2].mean(1) / size
    )


def _landmarks(trial: Trial) -> float | None:
    true = trial.true_face
    return None if true is None else faces.landmark_distance(_points(trial), points_of_mesh(true.mesh))


def _points(trial: Trial) -> Float[Tensor, "T 68 2"]:
    return points_of_mesh(trial.face.mesh)


MEASURES: tuple[Measure, ...] = (
    Measure("epe_hints", "EPE of hints", "px", LOW, "tracker",
        "Mean distance of the hinted points from where they were asked to be, frames after the first.",
        _of_hints(_error_mean)),
    Measure("epe_hints_p95", "EPE of hints, 95 %", "px", LOW, "tracker",
        "The distance that 95 % of them do not exceed.", _of_hints(_error_high)),
    Measure("epe_hints_percent", "EPE of hints", "% of diagonal", LOW, "tracker",
        "The mean over the picture's diagonal: comparable between sizes.", _relative_error),
    Measure("epe_others", "EPE of the rest", "px", LOW, "tracker",
        "Mean distance of points that were not told, from where they truly go.", _of_others(_error_mean)),
    Measure("followed", "Followed", "share", HIGH, "tracker",
        "Share of hinted places in which the tracker still had its point: the others count in no distance.",
        _of_hints(motion.followed_share)),
    Measure("objmc", "ObjMC", "px", LOW, "tracker",
        "Mean distance of the hinted trajectories over all frames (MotionCtrl).",
        _of_hints(motion.object_motion_control)),
    Measure("md_vid", "MD-Vid (CTD)", "px", LOW, "tracker",
        "The same without frame 0 (MotionPro; Time-to-Move calls it CTD).",
        _of_hints(motion.motion_distance)),
    Measure("bg_obj_ctd", "BG-Obj CTD", "px", HIGH, "tracker",
        "Mean distance between the thing's displacement and the background's (Time-to-Move): small when the "
        "background came along.", _background),
    Measure("gain", "Gain", "", ONE, "tracker",
        "How much of the asked motion happened: 1 as asked, 2 twice as far, 0 still.", _gain),
    Measure("moves", "Moves", "share", HIGH, "tracker",
        "1 when at least a tenth of the asked motion happened: a still clip fails.", _guard),
    Measure("lag", "Lag", "frames", NONE, "tracker",
        "The delay at which tracked motion is nearest to the asked one.", _lag),
    Measure("drift", "Drift", "px", LOW, "tracker",
        "95th percentile distance of points that rest in the world from their places.", _drift),
    Measure("camera", "Camera error", "px", LOW, "tracker",
        "Mean distance over the picture between the asked camera and the similarity fitted to the ground.",
        _camera),
    Measure("moved_iou", "Moved IoU", "", HIGH, "tracker",
        "Points that moved by themselves (camera removed) against those that should have.", _points_iou),
    Measure("drag_moved", "Drag: moved", "share", HIGH, "flow",
        "Share of the thing's pixels that went along with the drag.", _drag("moved")),
    Measure("drag_leak", "Drag: leak", "of area", LOW, "flow",
        "Pixels elsewhere that move more than a quarter of the drag, over the thing's area.", _drag("leak")),
    Measure("drag_iou", "Drag: IoU", "", HIGH, "flow",
        "Pixels that move more than half the drag against the thing's mask.", _drag("iou")),
    Measure("leak_outside", "Leak outside brush", "px", LOW, "flow",
        "95th percentile of the final motion of pixels outside the brush.", _leak_outside),
    Measure("average_flow", "Average flow", "px/frame", NONE, "flow",
        "Mean length of the flow between neighbouring frames (MotionPro's guard).",
        lambda trial: motion.average_flow(trial.steps.pixels)),
    Measure("flicker", "Warping error", "levels", LOW, "flow",
        "Root mean square change of brightness along the flow (Lai et al., 2018).",
        lambda trial: pixels.flicker(trial.frames, trial.steps)),
    Measure("loop_seam", "Loop seam", "steps", LOW, "",
        "Change from the last frame to the first, in median steps of the clip.",
        lambda trial: pixels.loop_seam(trial.frames) if trial.scene.loop else None),
    Measure("first_frame_psnr", "Frame 0 PSNR", "dB", HIGH, "",
        "Frame 0 against the picture that was given.",
        lambda trial: pixels.first_frame_psnr(trial.scene.picture, trial.frames)),
    Measure("psnr", "PSNR", "dB", HIGH, "", "Against the true clip, frames after the first.",
        _against_reference(pixels.psnr)),
    Measure("ssim", "SSIM", "", HIGH, "",
        "Against the true clip, frames after the first (Wang et al., 2004).",
        _against_reference(pixels.ssim)),
    Measure("lip_sync", "Lip sync", "", LOW, "face",
        "Mean difference of mouth opening and loudness over spoken frames, both from 0 to 1 (THEval; people: "
        "0.25).", _of_face(_lip_sync)),
    Measure("mouth_correlation", "Mouth follows sound", "", HIGH, "face",
        "Correlation of mouth opening and loudness at the best lag (SLCC).", _of_face(_mouth_correlation)),
    Measure("mouth_lag", "Mouth lag", "ms", NONE, "face",
        "The delay of the mouth at which that correlation is best.", _of_face(_mouth_lag_seconds)),
    Measure("silent_lips", "Lips in silence", "", LOW, "face",
        "Median departure of the lips' opening from its mean in silences of 0.3 s (THEval; people: 0.026).",
        _of_face(lambda trial: faces.silent_lips(trial.face.mesh, trial.spoken, trial.scene.fps))),
    Measure("lip_dynamics", "Lip dynamics", "px of 256", NONE, "face",
        "Deviation over time of the distances between lip points (THEval; people: 1.7).",
        _of_face(lambda trial: faces.lip_dynamics(trial.face.mesh))),
    Measure("brow_dynamics", "Brow dynamics", "", NONE, "face",
        "Mean change from frame to frame of the brows' height (THEval; people: 0.0068).",
        _of_face(lambda trial: faces.brow_dynamics(trial.face.mesh))),
    Measure("head_dynamics", "Head motion", "", NONE, "face",
        "Turning and shifting of the head (THEval's formula, in degrees and percent of the face).",
        _of_face(_head)),
    Measure("landmark_distance", "Landmark distance", "% of eyes", LOW, "face",
        "Mean distance of the 68 points from the true clip's (NME).", _of_face(_landmarks)),
    Measure("jitter", "Jitter", "% of face", LOW, "face",
        "Acceleration of points that expressions hardly move, the head's pose removed.",
        _of_face(lambda trial: faces.jitter(_points(trial)))),
    Measure("identity", "Face shape drift", "% of face", LOW, "face",
        "Departure of the face's shape from frame 0 (landmark geometry; no network that recognises people).",
        _of_face(lambda trial: faces.identity_distance(_points(trial)))),
    Measure("box_edge", "Box edge", "jumps", LOW, "face",
        "Sharpest straight edge of the change round the face, in usual jumps: a pasted box reads 8 and more.",
        _of_face(lambda trial: faces.box_edge(trial.frames, _points(trial)[0]))),
)  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """All measures of one clip by key, the mean EPE of the hints in every frame, and the tracked hints."""

    values: Mapping[str, float]
    epe_per_frame: list[float | None]
    tracked: TrackSet


def judge(scene: Scene, frames: UInt8[Tensor, "T 3 H W"], instruments: Instruments) -> Reading:
    """Everything that can be said about a clip that has the scene's size and length."""
    trial = Trial(scene, frames, instruments)
    read = {measure.key(instruments): measure.read(trial) for measure in MEASURES}
    values = {key: value for key, value in read.items() if value is not None}
    for reader in instruments.readers:
        values |= reader.read(frames, scene.reference)
    return Reading(values, motion.end_point_error(scene.hints, trial.hints).per_frame, trial.hints)
