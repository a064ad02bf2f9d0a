"""The suite whose truth is exact: scenes made on the fly, the same ones wherever the seed is the same."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, UInt8
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from mofa.errors import InputError
from mofa.evaluation.measures.motion import displacement
from mofa.evaluation.scene import Scene
from mofa.faces.points import fit_similarity
from mofa.media.image import to_bytes
from mofa.training.synthetic import SceneSettings, SyntheticScene, SyntheticScenes
from mofa.types import TrackSet
from mofa.vision.track_points import find_corners, follow_surface

FPS = 8.0
PER_OBJECT, ANCHORS, OTHERS = 2, 4, 60
"""Hints on each object, hints on the ground, and other points whose motion is known."""
MARGIN = 8.0
"""Pixels from an outline that points keep, for a tracker's window sees both sides of it."""
CORNERS = 400
LEAST_MOTION = 3.0
"""Pixels that at least one hint moves: other draws are taken again."""
MOST_ATTEMPTS = 50
READABLE = 0.04
"""Pixels of uncertainty up to which a point of the true clip is asked about: what nobody can read in the
truth says nothing about a clip."""


@dataclass(frozen=True)
class SyntheticSuite:
    """Scene i is made from the seed and i alone: objects that move, turn, grow and bend before a ground that
    the camera may move. Sharp and evenly lit, since what a tracker reads is to be the makers' fault alone."""

    scenes: int = 64
    seed: int = 0
    width: int = 256
    height: int = 256
    frames: int = 17
    title: str = "Synthetic scenes with exact truth"

    def names(self) -> Sequence[str]:
        """One per scene."""
        return [f"scene-{index:03d}" for index in range(self.scenes)]

    def open(self, name: str) -> Scene:
        """Makes the scene of that name."""
        if name not in self.names():
            raise InputError(f"the synthetic suite has no scene {name}: it has {self.names()[0]} and so on.")
        index = int(name.removeprefix("scene-"))
        for attempt in range(MOST_ATTEMPTS):
            made = SyntheticScenes(self._settings, self.seed)[index + attempt * self.scenes]
            scene = as_question(name, made, self.seed + index)
            if asks_for_motion(scene):
                return scene
        raise InputError(f"no scene like {name} moves: give the suite larger pictures, or more frames.")

    @property
    def _settings(self) -> SceneSettings:
        return SceneSettings(
            height=self.height,
            width=self.width,
            num_frames=self.frames,
            shadow_chance=0.0,
            blur_chance=0.0,
            motion_blur_chance=0.0,
            light_change=0.0,
            noise=0.0,
        )


def asks_for_motion(scene: Scene) -> bool:
    """Whether any hint on an object goes anywhere."""
    moving = displacement(scene.hints)[~scene.rests[: len(scene.hints.points)]]
    return len(moving) > 0 and float(moving.norm(dim=-1).max()) > LEAST_MOTION


def as_question(name: str, made: SyntheticScene, seed: int) -> Scene:
    """Hints on what moves and on the ground, the true motion of other points, and the true clip."""
    frames = to_bytes(made.frames)
    points = trackable(frames[0], made)
    tracks = made.tracks(points)
    index = made.object_index[0][points[:, 1], points[:, 0]]
    order = torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))
    readable = follow_surface(frames, points.float(), uncertain_px=READABLE).visible.all(dim=1)
    hinted = chosen_hints(index, tracks.visible.all(dim=1) & readable, order)
    rest = order[~torch.isin(order, hinted)]
    others = rest[(readable | ~tracks.visible.all(dim=1))[rest]][:OTHERS]
    return Scene(
        name=name,
        picture=frames[0],
        fps=FPS,
        hints=TrackSet(tracks.points[hinted], tracks.visible[hinted]),
        others=TrackSet(tracks.points[others], tracks.visible[others]),
        rests=index[torch.cat([hinted, others])] == 0,
        camera=camera_of(made),
        reference=frames,
    )


def trackable(picture: UInt8[Tensor, "3 H W"], made: SyntheticScene) -> Int[Tensor, "N 2"]:
    """Pixels (x, y) that have texture around them and lie well within one surface."""
    corners = find_corners(picture, CORNERS).round().long()
    inner = torch.zeros(picture.shape[1:], dtype=torch.bool)
    for number in made.object_index[0].unique():
        surface = torch.nn.functional.pad(made.object_index[0] == number, (1, 1, 1, 1)).numpy()
        inner |= torch.from_numpy(distance_transform_edt(surface)[1:-1, 1:-1] > MARGIN)
    return corners[inner[corners[:, 1], corners[:, 0]]]


def chosen_hints(
    index: Int[Tensor, " N"], whole: Bool[Tensor, " N"], order: Int[Tensor, " N"]
) -> Int[Tensor, " K"]:
    """The first of each surface that stay visible and readable in the true clip; the ground's last."""
    hints = []
    for number in [*range(1, int(index.max()) + 1 if len(index) else 1), 0]:
        own = order[(whole & (index == number))[order]]
        hints.append(own[: PER_OBJECT if number else ANCHORS])
    return torch.cat(hints)


def camera_of(made: SyntheticScene) -> Float[Tensor, "S 2 3"]:
    """The camera's similarity per step: that of all ground pixels."""
    ground: Bool[Tensor, "H W"] = made.object_index[0] == 0
    before = ground.nonzero().flip(-1).to(made.flow)
    after = before + made.flow[:, :, ground].mT
    linear, offset = fit_similarity(before.double().expand_as(after), after.double())
    return torch.cat([linear, offset[..., None]], dim=-1).to(made.flow)
