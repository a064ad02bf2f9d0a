"""One clip against one scene: everything that can be measured, each by what the scene knows.

A measure that a scene has no truth for is absent from its row, never zero. The key of a measure names the
instrument that read it ("epe_hints.lk"), so that numbers of different instruments never share a column.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jaxtyping import UInt8
from torch import Tensor

from mofa.evaluation import readings as by
from mofa.evaluation.measures import faces, motion, pixels
from mofa.evaluation.scene import Scene
from mofa.evaluation.trial import Instruments, Trial
from mofa.types import TrackSet

Goal = str
LOW, HIGH, ONE, NONE = "low", "high", "one", "none"
"""Which values are better: low, high, near to one; none where a measure only describes."""


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


MEASURES: tuple[Measure, ...] = (
    Measure("epe_hints", "EPE of hints", "px", LOW, "tracker",
        "Mean distance of the hinted points from where they were asked to be, frames after the first.",
        by.of_hints(by.error_mean)),
    Measure("epe_hints_p95", "EPE of hints, 95 %", "px", LOW, "tracker",
        "The distance that 95 % of them do not exceed.", by.of_hints(by.error_p95)),
    Measure("epe_hints_percent", "EPE of hints", "% of diagonal", LOW, "tracker",
        "The mean over the picture's diagonal: comparable between sizes.", by.relative_error),
    Measure("epe_others", "EPE of the rest", "px", LOW, "tracker",
        "Mean distance of points that were not hinted, from where they truly go.",
        by.of_others(by.error_mean)),
    Measure("followed", "Followed", "share", HIGH, "tracker",
        "Share of hinted places in which the tracker still had its point: the others count in no distance.",
        by.of_hints(motion.followed_share)),
    Measure("objmc", "ObjMC", "px", LOW, "tracker",
        "Mean distance of the hinted trajectories over all frames (MotionCtrl).",
        by.of_hints(motion.object_motion_control)),
    Measure("md_vid", "MD-Vid (CTD)", "px", LOW, "tracker",
        "The same without frame 0 (MotionPro; Time-to-Move calls it CTD).",
        by.of_hints(motion.motion_distance)),
    Measure("bg_obj_ctd", "BG-Obj CTD", "px", HIGH, "tracker",
        "Mean distance between the thing's displacement and the background's (Time-to-Move): small when the "
        "background came along.", by.background_distance),
    Measure("gain", "Gain", "", ONE, "tracker",
        "How much of the asked motion happened: 1 as asked, 2 twice as far, 0 still.", by.gain),
    Measure("moves", "Moves", "share", HIGH, "tracker",
        "1 when at least a tenth of the asked motion happened: a still clip fails.", by.moves_at_all),
    Measure("lag", "Lag", "frames", NONE, "tracker",
        "The delay at which tracked motion is nearest to the asked one.", by.lag),
    Measure("drift", "Drift", "px", LOW, "tracker",
        "95th percentile distance of points that rest in the world from their places.", by.drift),
    Measure("camera", "Camera error", "px", LOW, "tracker",
        "Mean distance over the picture between the asked camera and the similarity fitted to the ground.",
        by.camera_error),
    Measure("moved_iou", "Moved IoU", "", HIGH, "tracker",
        "Points that moved by themselves (camera removed) against those that should have.", by.moved_iou),
    Measure("drag_moved", "Drag: moved", "share", HIGH, "flow",
        "Share of the thing's pixels that went along with the drag.", by.drag_score("moved")),
    Measure("drag_leak", "Drag: leak", "of area", LOW, "flow",
        "Pixels elsewhere that move more than a quarter of the drag, over the thing's area.",
        by.drag_score("leak")),
    Measure("drag_iou", "Drag: IoU", "", HIGH, "flow",
        "Pixels that move more than half the drag against the thing's mask.", by.drag_score("iou")),
    Measure("leak_outside", "Leak outside brush", "px", LOW, "flow",
        "95th percentile of the final motion of pixels outside the brush.", by.leak_outside),
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
        by.against_reference(pixels.psnr)),
    Measure("ssim", "SSIM", "", HIGH, "",
        "Against the true clip, frames after the first (Wang et al., 2004).",
        by.against_reference(pixels.ssim)),
    Measure("lip_sync", "Lip sync", "", LOW, "face",
        "Mean difference of mouth opening and loudness over spoken frames, both from 0 to 1 (THEval; people: "
        "0.25).", by.of_face(by.lip_sync)),
    Measure("mouth_correlation", "Mouth follows sound", "", HIGH, "face",
        "Correlation of mouth opening and loudness at the best lag (SLCC).",
        by.of_face(by.mouth_correlation)),
    Measure("mouth_lag", "Mouth lag", "ms", NONE, "face",
        "The delay of the mouth at which that correlation is best.", by.of_face(by.mouth_lag_ms)),
    Measure("silent_lips", "Lips in silence", "", LOW, "face",
        "Median departure of the lips' opening from its mean in silences of 0.3 s (THEval; people: 0.026).",
        by.of_face(lambda trial: faces.silent_lips(trial.face.mesh, trial.spoken, trial.scene.fps))),
    Measure("lip_dynamics", "Lip dynamics", "px of 256", NONE, "face",
        "Deviation over time of the distances between lip points (THEval; people: 1.7).",
        by.of_face(lambda trial: faces.lip_dynamics(trial.face.mesh))),
    Measure("brow_dynamics", "Brow dynamics", "", NONE, "face",
        "Mean change from frame to frame of the brows' height (THEval; people: 0.0068).",
        by.of_face(lambda trial: faces.brow_dynamics(trial.face.mesh))),
    Measure("head_dynamics", "Head motion", "", NONE, "face",
        "Turning and shifting of the head (THEval's formula, in degrees and percent of the face).",
        by.of_face(by.head_dynamics)),
    Measure("landmark_distance", "Landmark distance", "% of eyes", LOW, "face",
        "Mean distance of the 68 points from the true clip's (NME).", by.of_face(by.landmark_distance)),
    Measure("jitter", "Jitter", "% of face", LOW, "face",
        "Acceleration of points that expressions hardly move, the head's pose removed.",
        by.of_face(lambda trial: faces.jitter(by.face_points(trial)))),
    Measure("identity", "Face shape drift", "% of face", LOW, "face",
        "Departure of the face's shape from frame 0 (landmark geometry; no network that recognises people).",
        by.of_face(lambda trial: faces.identity_distance(by.face_points(trial)))),
    Measure("identity_similarity", "Identity (ArcFace)", "", HIGH, "identity",
        "Mean cosine similarity of the face in every frame to that in frame 0 (ArcFace).",
        by.of_face(by.identity_similarity)),
    Measure("box_edge", "Box edge", "jumps", LOW, "face",
        "Sharpest straight edge of the change round the face, in usual jumps: a pasted box reads 8 and more.",
        by.of_face(lambda trial: faces.box_edge(trial.frames, by.face_points(trial)[0]))),
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
