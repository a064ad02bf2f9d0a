"""A scene and the clip that was made for it: what the instruments read off the clip, each thing once."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from mofa.control.reference import FlowEstimator, measured_flow
from mofa.evaluation.features import PictureReader
from mofa.evaluation.identity import FaceReader
from mofa.evaluation.measures import faces, motion, pixels
from mofa.evaluation.scene import Scene
from mofa.evaluation.trackers import Tracker
from mofa.faces.detection import FaceTrack, follow_face
from mofa.types import FlowField, TrackSet

FACE_MESH = "mediapipe"


@dataclass(frozen=True)
class Instruments:
    """What clips are read with. `flow_name` heads the columns of `estimate`; `readers` are the networks that
    look at pictures, of which there may be none; `identity` tells people apart, if any network does."""

    tracker: Tracker
    estimate: FlowEstimator
    flow_name: str = "dis"
    readers: tuple[PictureReader, ...] = ()
    identity: FaceReader | None = None

    def names(self, by: str) -> str:
        """What reads the measures of a kind: "tracker", "flow", "face", "identity", or "" for the pixels."""
        identity = "" if self.identity is None else self.identity.name
        names = {"tracker": self.tracker.name, "flow": self.flow_name, "face": FACE_MESH}
        return {**names, "identity": identity, "": ""}[by]


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
        return chosen_tracks(
            self.tracked, torch.arange(len(self.tracked.points)) < len(self.scene.hints.points)
        )

    @property
    def others(self) -> TrackSet:
        """What was not hinted, as the clip shows it."""
        return chosen_tracks(
            self.tracked, torch.arange(len(self.tracked.points)) >= len(self.scene.hints.points)
        )

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

    @property
    def drag(self) -> Float[Tensor, "2"]:
        """The whole way of the first hint that moves."""
        return motion.displacement(self.scene.hints)[self.moving_hints][0, -1]

    @cached_property
    def dragged(self) -> Float[Tensor, "2 H W"]:
        """`final_flow`, with the drag itself put to the test at every pixel."""
        return motion.settle_drag(self.final_flow, self.frames[0], self.frames[-1], self.drag)

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
        return chosen_tracks(self.tracked, self.scene.rests)


def chosen_tracks(tracks: TrackSet, chosen: Bool[Tensor, " N"]) -> TrackSet:
    """These of the tracks."""
    return TrackSet(tracks.points[chosen], tracks.visible[chosen])
